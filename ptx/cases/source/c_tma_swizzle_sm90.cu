typedef unsigned long long u64; typedef unsigned u32;
struct alignas(64) Map { char b[128]; };
__device__ __forceinline__ u32 sa(const void* p){ return (u32)__cvta_generic_to_shared(p); }
__device__ __forceinline__ void minit(u32 b,u32 n){ asm volatile("mbarrier.init.shared::cta.b64 [%0],%1;"::"r"(b),"r"(n):"memory"); }
__device__ __forceinline__ void mexp(u32 b,u32 n){ asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _,[%0],%1;"::"r"(b),"r"(n):"memory"); }
__device__ __forceinline__ void marr(u32 b){ asm volatile("mbarrier.arrive.shared::cta.b64 _,[%0];"::"r"(b):"memory"); }
__device__ __forceinline__ void mwait(u32 b,u32 p){ asm volatile("{ .reg .pred p; AGAIN: mbarrier.try_wait.parity.shared::cta.b64 p, [%0], %1; @p bra.uni DONE; bra.uni AGAIN; DONE: }" :: "r"(b), "r"(p) : "memory"); }
__device__ __forceinline__ void tma2(u32 d,const void* m,int x,int y,u32 b){ asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes [%0],[%1,{%2,%3}],[%4];"::"r"(d),"l"(m),"r"(x),"r"(y),"r"(b):"memory"); }
__device__ __forceinline__ u64 desc(u32 a,u32 lbo,u32 sbo,u32 sw){ return (u64)((a>>4)&0x3fff)|(u64)((lbo>>4)&0x3fff)<<16|(u64)((sbo>>4)&0x3fff)<<32|(u64)sw<<62; }

extern "C" __global__ void m(const __grid_constant__ Map in,const __grid_constant__ Map out){ extern __shared__ __align__(1024) unsigned short s[]; __shared__ __align__(8) u64 bar; int t=threadIdx.x; u32 b=sa(&bar);
 if(t==0){ asm volatile("prefetch.tensormap [%0];"::"l"(&in)); minit(b,1); asm volatile("fence.mbarrier_init.release.cluster;":::"memory"); mexp(b,16*64*2); tma2(sa(s),&in,blockIdx.x*64,blockIdx.y*16,b); }
 __syncthreads();
#if FLAW!=1
 mwait(b,0);
#endif
 for(int i=t;i<16*64;i+=128){ int r=i/64,c=i%64; int off=(r*128+c*2)^((r&7)<<4); unsigned short v=s[off/2]; u32 f=((u32)v)<<16; float x=__uint_as_float(f)*2.f; s[off/2]=__float_as_uint(x)>>16; }
#if FLAW!=2
 asm volatile("fence.proxy.async.shared::cta;":::"memory");
#endif
#if FLAW!=3
 __syncthreads();
#endif
 if(t==0){ asm volatile("cp.async.bulk.tensor.2d.global.shared::cta.bulk_group [%0,{%2,%3}],[%1];"::"l"(&out),"r"(sa(s)),"r"(blockIdx.x*64),"r"(blockIdx.y*16):"memory"); asm volatile("cp.async.bulk.commit_group;":::"memory");
 asm volatile("cp.async.bulk.wait_group 0;":::"memory");
 } }