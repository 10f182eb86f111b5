typedef unsigned long long u64; typedef unsigned u32;
extern "C" __global__ void __cluster_dims__(2,1,1) m(const u32* x,u32* o){ __shared__ __align__(16) u32 s[64]; __shared__ __align__(8) u64 bar; int t=threadIdx.x; u32 r; asm("mov.u32 %0,%%cluster_ctarank;":"=r"(r)); u32 b=__cvta_generic_to_shared(&bar),sa=__cvta_generic_to_shared(s+t);
 if(t==0){ asm volatile("mbarrier.init.shared::cta.b64 [%0],1;"::"r"(b):"memory"); asm volatile("fence.mbarrier_init.release.cluster;":::"memory"); asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _,[%0],%1;"::"r"(b),"r"(256 + (FLAW==1?4:0)):"memory"); }
#if FLAW!=4
 asm volatile("barrier.cluster.arrive.release.aligned; barrier.cluster.wait.acquire.aligned;":::"memory");
#endif
 u32 rb,rs; asm("mapa.shared::cluster.u32 %0,%1,%2;":"=r"(rb):"r"(b),"r"(r^1)); asm("mapa.shared::cluster.u32 %0,%1,%2;":"=r"(rs):"r"(sa),"r"(r^1));
 asm volatile("st.async.shared::cluster.mbarrier::complete_tx::bytes.u32 [%0],%1,[%2];"::"r"(rs),"r"(x[blockIdx.x*64+t]),"r"(rb):"memory");
#if FLAW!=2
 asm volatile("{.reg .pred p; W: mbarrier.try_wait.parity.acquire.cluster.shared::cta.b64 p,[%0],0; @!p bra W;}"::"r"(b):"memory");
#endif
 o[blockIdx.x*64+t]=s[63-t]+r;
#if FLAW!=3
 asm volatile("barrier.cluster.arrive.aligned; barrier.cluster.wait.aligned;":::"memory");
#endif
 }