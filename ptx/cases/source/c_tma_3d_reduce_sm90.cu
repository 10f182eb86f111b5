typedef unsigned long long u64; typedef unsigned u32;
struct alignas(64) Map { char b[128]; };
__device__ __forceinline__ u32 sa(const void* p){ return (u32)__cvta_generic_to_shared(p); }
__device__ __forceinline__ void minit(u32 b,u32 n){ asm volatile("mbarrier.init.shared::cta.b64 [%0],%1;"::"r"(b),"r"(n):"memory"); }
__device__ __forceinline__ void mexp(u32 b,u32 n){ asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _,[%0],%1;"::"r"(b),"r"(n):"memory"); }
__device__ __forceinline__ void marr(u32 b){ asm volatile("mbarrier.arrive.shared::cta.b64 _,[%0];"::"r"(b):"memory"); }
__device__ __forceinline__ void mwait(u32 b,u32 p){ asm volatile("{ .reg .pred p; AGAIN: mbarrier.try_wait.parity.shared::cta.b64 p, [%0], %1; @p bra.uni DONE; bra.uni AGAIN; DONE: }" :: "r"(b), "r"(p) : "memory"); }
__device__ __forceinline__ void tma2(u32 d,const void* m,int x,int y,u32 b){ asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes [%0],[%1,{%2,%3}],[%4];"::"r"(d),"l"(m),"r"(x),"r"(y),"r"(b):"memory"); }
__device__ __forceinline__ u64 desc(u32 a,u32 lbo,u32 sbo,u32 sw){ return (u64)((a>>4)&0x3fff)|(u64)((lbo>>4)&0x3fff)<<16|(u64)((sbo>>4)&0x3fff)<<32|(u64)sw<<62; }

extern "C" __global__ void m(const __grid_constant__ Map in,const __grid_constant__ Map acc){ __shared__ __align__(128) float s[2*4*16]; __shared__ __align__(128) float o[4*16]; __shared__ __align__(8) u64 bar; int t=threadIdx.x; u32 b=sa(&bar);
 if(t==0){ minit(b,1); asm volatile("fence.mbarrier_init.release.cluster;":::"memory"); mexp(b,2*4*16*4); asm volatile("cp.async.bulk.tensor.3d.shared::cluster.global.mbarrier::complete_tx::bytes [%0],[%1,{%2,%3,%4}],[%5];"::"r"(sa(s)),"l"(&in),"r"(0),"r"(blockIdx.x*4),"r"(blockIdx.y*2),"r"(b):"memory"); }
 __syncthreads(); mwait(b,0); o[t]=s[t]+s[t+64];
 asm volatile("fence.proxy.async.shared::cta;":::"memory"); __syncthreads();
 if(t==0){ asm volatile("cp.reduce.async.bulk.tensor.2d.global.shared::cta.add.bulk_group [%0,{%2,%3}],[%1];"::"l"(&acc),"r"(sa(o)),"r"(0),"r"(blockIdx.x*4):"memory"); asm volatile("cp.async.bulk.commit_group;":::"memory"); asm volatile("cp.async.bulk.wait_group 0;":::"memory"); } }