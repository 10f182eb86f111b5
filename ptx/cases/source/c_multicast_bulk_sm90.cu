typedef unsigned long long u64; typedef unsigned u32;
extern "C" __global__ void __cluster_dims__(2,1,1) m(const float* x,float* o){ __shared__ __align__(128) float s[2][64]; __shared__ __align__(8) u64 bar,emp; int t=threadIdx.x; u32 r; asm("mov.u32 %0,%%cluster_ctarank;":"=r"(r)); u32 b=__cvta_generic_to_shared(&bar),e=__cvta_generic_to_shared(&emp),sa=__cvta_generic_to_shared(s);
 if(t==0){ asm volatile("mbarrier.init.shared::cta.b64 [%0],1;"::"r"(b):"memory"); asm volatile("mbarrier.init.shared::cta.b64 [%0],2;"::"r"(e):"memory"); asm volatile("fence.mbarrier_init.release.cluster;":::"memory"); }
 asm volatile("barrier.cluster.arrive.release.aligned; barrier.cluster.wait.acquire.aligned;":::"memory");
 for(int k=0;k<2;k++){
 if(t==0){ asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _,[%0],%1;"::"r"(b),"r"(512):"memory");
#if FLAW!=1
  if(k) asm volatile("{.reg .pred p; W: mbarrier.try_wait.parity.acquire.cluster.shared::cta.b64 p,[%0],0; @!p bra W;}"::"r"(e):"memory");
#endif
  asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster [%0],[%1],256,[%2],%3;"::"r"(sa+r*256),"l"(x+r*64),"r"(b),"h"((short)3):"memory"); }
#if FLAW!=2
 asm volatile("{.reg .pred p; W: mbarrier.try_wait.parity.shared::cta.b64 p,[%0],%1; @!p bra W;}"::"r"(b),"r"(k):"memory");
#endif
 o[(k*2+blockIdx.x)*64+t]=s[0][63-t]+s[1][t]; 
 __syncthreads();
 if(t<2){ u32 rb; asm("mapa.shared::cluster.u32 %0,%1,%2;":"=r"(rb):"r"(e),"r"(t)); asm volatile("mbarrier.arrive.release.cluster.shared::cluster.b64 _,[%0];"::"r"(rb):"memory"); }
 }
 asm volatile("barrier.cluster.arrive.aligned; barrier.cluster.wait.aligned;":::"memory");
 }