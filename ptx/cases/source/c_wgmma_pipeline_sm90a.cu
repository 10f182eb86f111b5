typedef unsigned long long u64; typedef unsigned u32;
struct alignas(64) Map { char b[128]; };
__device__ __forceinline__ u32 sa(const void* p){ return (u32)__cvta_generic_to_shared(p); }
__device__ __forceinline__ void minit(u32 b,u32 n){ asm volatile("mbarrier.init.shared::cta.b64 [%0],%1;"::"r"(b),"r"(n):"memory"); }
__device__ __forceinline__ void mexp(u32 b,u32 n){ asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _,[%0],%1;"::"r"(b),"r"(n):"memory"); }
__device__ __forceinline__ void marr(u32 b){ asm volatile("mbarrier.arrive.shared::cta.b64 _,[%0];"::"r"(b):"memory"); }
__device__ __forceinline__ void mwait(u32 b,u32 p){ asm volatile("{ .reg .pred p; AGAIN: mbarrier.try_wait.parity.shared::cta.b64 p, [%0], %1; @p bra.uni DONE; bra.uni AGAIN; DONE: }" :: "r"(b), "r"(p) : "memory"); }
__device__ __forceinline__ void tma2(u32 d,const void* m,int x,int y,u32 b){ asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes [%0],[%1,{%2,%3}],[%4];"::"r"(d),"l"(m),"r"(x),"r"(y),"r"(b):"memory"); }
__device__ __forceinline__ u64 desc(u32 a,u32 lbo,u32 sbo,u32 sw){ return (u64)((a>>4)&0x3fff)|(u64)((lbo>>4)&0x3fff)<<16|(u64)((sbo>>4)&0x3fff)<<32|(u64)sw<<62; }

extern "C" __global__ void __launch_bounds__(256,1) m(const __grid_constant__ Map ma,const __grid_constant__ Map mb,float* o,int kt){ extern __shared__ __align__(1024) char s[]; __shared__ __align__(8) u64 full[2],emp[2]; int t=threadIdx.x;
 if(t==0){ for(int i=0;i<2;i++){ minit(sa(&full[i]),1); minit(sa(&emp[i]),FLAW==6?127:128); }
#if FLAW!=7
 asm volatile("fence.mbarrier_init.release.cluster;":::"memory");
#endif
 }
 __syncthreads();
 if(t>=128){ asm volatile("setmaxnreg.dec.sync.aligned.u32 40;");
  if(t==128) for(int k=0;k<kt;k++){ int q=k&1; 
#if FLAW!=1
   if(k>=2) mwait(sa(&emp[q]),((k>>1)-1)&1);
#endif
   mexp(sa(&full[q]),16384); tma2(sa(s)+q*16384,&ma,k*64,0,sa(&full[q])); tma2(sa(s)+q*16384+8192,&mb,k*64,0,sa(&full[q])); } }
 else { asm volatile("setmaxnreg.inc.sync.aligned.u32 232;"); float d[32]; for(int i=0;i<32;i++) d[i]=0;
  for(int k=0;k<kt;k++){ int q=k&1;
#if FLAW!=2
   mwait(sa(&full[q]),(k>>1)&1);
#endif
#if FLAW!=3
   asm volatile("wgmma.fence.sync.aligned;":::"memory");
#endif
   for(int j=0;j<4;j++){ u64 da=desc(sa(s)+q*16384+j*32,16,1024,1),db=desc(sa(s)+q*16384+8192+j*32,16,1024,1);
    asm volatile("{ .reg .pred p; setp.ne.b32 p,%34,0; wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 {%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31},%32,%33,p,1,1,0,0; }":"+f"(d[0]),"+f"(d[1]),"+f"(d[2]),"+f"(d[3]),"+f"(d[4]),"+f"(d[5]),"+f"(d[6]),"+f"(d[7]),"+f"(d[8]),"+f"(d[9]),"+f"(d[10]),"+f"(d[11]),"+f"(d[12]),"+f"(d[13]),"+f"(d[14]),"+f"(d[15]),"+f"(d[16]),"+f"(d[17]),"+f"(d[18]),"+f"(d[19]),"+f"(d[20]),"+f"(d[21]),"+f"(d[22]),"+f"(d[23]),"+f"(d[24]),"+f"(d[25]),"+f"(d[26]),"+f"(d[27]),"+f"(d[28]),"+f"(d[29]),"+f"(d[30]),"+f"(d[31]):"l"(da),"l"(db),"r"(1)); }
   asm volatile("wgmma.commit_group.sync.aligned;":::"memory");
#if FLAW==4
   marr(sa(&emp[q]));
#endif
#if FLAW!=5
   asm volatile("wgmma.wait_group.sync.aligned 0;":::"memory");
#else
   asm volatile("wgmma.wait_group.sync.aligned 1;":::"memory");
#endif
#if FLAW!=4
   marr(sa(&emp[q]));
#endif
  }
  int w=t/32,l=t%32,r=w*16+l/4,c=(l%4)*2; for(int j=0;j<8;j++) for(int e=0;e<4;e++) o[(r+8*(e/2))*64+j*8+c+(e&1)]=d[j*4+e]; } }