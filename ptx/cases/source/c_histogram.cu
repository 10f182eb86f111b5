extern "C" __global__ void hist(const unsigned char* x, unsigned* out, int n) {
  __shared__ unsigned h[256];
#if FLAW!=1
  h[threadIdx.x]=0; 
#endif
#if FLAW!=2
  __syncthreads();
#endif
  for (int i=blockIdx.x*blockDim.x+threadIdx.x;i<n;i+=gridDim.x*blockDim.x) atomicAdd(&h[x[i]],1u);
#if FLAW!=3
  __syncthreads();
#endif
#if FLAW==4
  out[threadIdx.x]+=h[threadIdx.x];
#else
  atomicAdd(&out[threadIdx.x], h[threadIdx.x]);
#endif
}