extern "C" __global__ void m(const float* x,float* y,float* z,unsigned* bar){ int i=blockIdx.x*128+threadIdx.x; y[i]=x[i]*2.f;
#if FLAW!=1
 __syncthreads();
 if(threadIdx.x==0){ __threadfence(); atomicAdd(bar,1u); while(*(volatile unsigned*)bar<gridDim.x
#if FLAW==2
 +1
#endif
 ); __threadfence(); }
 __syncthreads();
#endif
 z[i]=y[511-i]+1.f; }