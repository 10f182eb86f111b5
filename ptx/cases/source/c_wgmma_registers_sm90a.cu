typedef unsigned long long u64; typedef unsigned u32;
struct alignas(64) Map { char b[128]; };
__device__ __forceinline__ u32 sa(const void* p){ return (u32)__cvta_generic_to_shared(p); }
__device__ __forceinline__ void minit(u32 b,u32 n){ asm volatile("mbarrier.init.shared::cta.b64 [%0],%1;"::"r"(b),"r"(n):"memory"); }
__device__ __forceinline__ void mexp(u32 b,u32 n){ asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _,[%0],%1;"::"r"(b),"r"(n):"memory"); }
__device__ __forceinline__ void marr(u32 b){ asm volatile("mbarrier.arrive.shared::cta.b64 _,[%0];"::"r"(b):"memory"); }
__device__ __forceinline__ void mwait(u32 b,u32 p){ asm volatile("{ .reg .pred p; AGAIN: mbarrier.try_wait.parity.shared::cta.b64 p, [%0], %1; @p bra.uni DONE; bra.uni AGAIN; DONE: }" :: "r"(b), "r"(p) : "memory"); }
__device__ __forceinline__ void tma2(u32 d,const void* m,int x,int y,u32 b){ asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes [%0],[%1,{%2,%3}],[%4];"::"r"(d),"l"(m),"r"(x),"r"(y),"r"(b):"memory"); }
__device__ __forceinline__ u64 desc(u32 a,u32 lbo,u32 sbo,u32 sw){ return (u64)((a>>4)&0x3fff)|(u64)((lbo>>4)&0x3fff)<<16|(u64)((sbo>>4)&0x3fff)<<32|(u64)sw<<62; }

#include <cuda_fp16.h>
extern "C" __global__ void __launch_bounds__(128) m(const half* a,const half* b,float* o){ __shared__ __align__(128) half sb[16*32]; int t=threadIdx.x,w=t/32,l=t%32;
 // no swizzle K-major: core 8(n)x8(k)
 for(int i=t;i<512;i+=128){ int k=i/32,n=i%32; sb[(n/8)*64+(k/8)*256+(n%8)*8+k%8]=b[i]; }
#if FLAW!=1
 asm volatile("fence.proxy.async.shared::cta;":::"memory");
#endif
#if FLAW!=2
 __syncthreads();
#endif
 u32 ra[4]; int r=w*16+l/4,c=(l%4)*2; ra[0]=*(u32*)(a+r*16+c); ra[1]=*(u32*)(a+(r+8)*16+c); ra[2]=*(u32*)(a+r*16+c+8); ra[3]=*(u32*)(a+(r+8)*16+c+8);
 float d[16]; for(int i=0;i<16;i++) d[i]=0;
 u64 db=desc(sa(sb),512,128,0);
#if FLAW!=3
 asm volatile("wgmma.fence.sync.aligned;":::"memory");
#endif
 asm volatile("{ .reg .pred p; setp.ne.b32 p,1,0; wgmma.mma_async.sync.aligned.m64n32k16.f32.f16.f16 {%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15},{%16,%17,%18,%19},%20,p,1,1,0; }":"+f"(d[0]),"+f"(d[1]),"+f"(d[2]),"+f"(d[3]),"+f"(d[4]),"+f"(d[5]),"+f"(d[6]),"+f"(d[7]),"+f"(d[8]),"+f"(d[9]),"+f"(d[10]),"+f"(d[11]),"+f"(d[12]),"+f"(d[13]),"+f"(d[14]),"+f"(d[15]):"r"(ra[0]),"r"(ra[1]),"r"(ra[2]),"r"(ra[3]),"l"(db));
 asm volatile("wgmma.commit_group.sync.aligned;":::"memory");
#if FLAW==5
 ra[0]=t; asm volatile("mov.b32 %0,%0;":"+r"(ra[0]));
#endif
#if FLAW!=4
 asm volatile("wgmma.wait_group.sync.aligned 0;":::"memory");
#endif
 for(int j=0;j<4;j++) for(int e=0;e<4;e++) o[(r+8*(e/2))*32+j*8+c+(e&1)]=d[j*4+e]; }