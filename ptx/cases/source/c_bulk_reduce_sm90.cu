typedef unsigned long long u64; typedef unsigned u32;
extern "C" __global__ void m(const float* x,float* o,u32* mx){ __shared__ __align__(128) float s[128]; __shared__ __align__(128) u32 q[128]; int t=threadIdx.x; float v=x[blockIdx.x*128+t]; s[t]=v; q[t]=__float_as_uint(v*v);
#if FLAW!=1
 asm volatile("fence.proxy.async.shared::cta;":::"memory");
#endif
#if FLAW!=2
 __syncthreads();
#endif
 if(t==0){ asm volatile("cp.reduce.async.bulk.global.shared::cta.bulk_group.add.f32 [%0],[%1],512;"::"l"(o),"r"((u32)__cvta_generic_to_shared(s)):"memory"); asm volatile("cp.reduce.async.bulk.global.shared::cta.bulk_group.max.u32 [%0],[%1],512;"::"l"(mx),"r"((u32)__cvta_generic_to_shared(q)):"memory"); asm volatile("cp.async.bulk.commit_group;":::"memory");
#if FLAW!=3
 asm volatile("cp.async.bulk.wait_group.read 0;":::"memory");
#endif
 }
 __syncthreads(); s[t]=0; }