typedef unsigned long long u64; typedef unsigned u32;
struct alignas(64) Map { char b[128]; };
__device__ __forceinline__ u32 sa(const void* p){ return (u32)__cvta_generic_to_shared(p); }
__device__ __forceinline__ void minit(u32 b,u32 n){ asm volatile("mbarrier.init.shared::cta.b64 [%0],%1;"::"r"(b),"r"(n):"memory"); }
__device__ __forceinline__ void mexp(u32 b,u32 n){ asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _,[%0],%1;"::"r"(b),"r"(n):"memory"); }
__device__ __forceinline__ void marr(u32 b){ asm volatile("mbarrier.arrive.shared::cta.b64 _,[%0];"::"r"(b):"memory"); }
__device__ __forceinline__ void mwait(u32 b,u32 p){ asm volatile("{ .reg .pred p; AGAIN: mbarrier.try_wait.parity.shared::cta.b64 p, [%0], %1; @p bra.uni DONE; bra.uni AGAIN; DONE: }" :: "r"(b), "r"(p) : "memory"); }
__device__ __forceinline__ void tma2(u32 d,const void* m,int x,int y,u32 b){ asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes [%0],[%1,{%2,%3}],[%4];"::"r"(d),"l"(m),"r"(x),"r"(y),"r"(b):"memory"); }
__device__ __forceinline__ u64 desc(u32 a,u32 lbo,u32 sbo,u32 sw){ return (u64)((a>>4)&0x3fff)|(u64)((lbo>>4)&0x3fff)<<16|(u64)((sbo>>4)&0x3fff)<<32|(u64)sw<<62; }

extern "C" __global__ void __cluster_dims__(2,1,1) m(const float* x,float* o){ __shared__ float s[32]; int t=threadIdx.x; u32 r,a; asm("mov.u32 %0,%%cluster_ctarank;":"=r"(r)); asm("mapa.shared::cluster.u32 %0,%1,%2;":"=r"(a):"r"(sa(s+t)),"r"(r^1));
#if FLAW!=1
 asm volatile("barrier.cluster.arrive.aligned; barrier.cluster.wait.aligned;":::"memory");
#endif
 asm volatile("st.shared::cluster.f32 [%0],%1;"::"r"(a),"f"(x[r*32+t]):"memory");
#if FLAW==2
 asm volatile("barrier.cluster.arrive.relaxed.aligned; barrier.cluster.wait.aligned;":::"memory");
#elif FLAW==3
 __syncthreads();
#else
 asm volatile("barrier.cluster.arrive.release.aligned; barrier.cluster.wait.acquire.aligned;":::"memory");
#endif
 o[r*32+t]=s[31-t]; }