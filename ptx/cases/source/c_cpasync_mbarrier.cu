typedef unsigned long long u64; typedef unsigned u32;
extern "C" __global__ void m(const float* x,float* o){ __shared__ __align__(16) float s[256]; __shared__ __align__(8) u64 bar; int t=threadIdx.x; u32 b=__cvta_generic_to_shared(&bar);
 if(t==0) asm volatile("mbarrier.init.shared.b64 [%0], 64;"::"r"(b):"memory"); __syncthreads();
 asm volatile("cp.async.ca.shared.global [%0],[%1],16;"::"r"((u32)__cvta_generic_to_shared(s+t*4)),"l"(x+t*4):"memory");
#if FLAW==1
 asm volatile("{.reg .b64 q; mbarrier.arrive.shared.b64 q,[%0];}"::"r"(b):"memory");
#else
 asm volatile("cp.async.mbarrier.arrive.noinc.shared.b64 [%0];"::"r"(b):"memory");
#endif
#if FLAW!=2
 asm volatile("{.reg .pred p; L: mbarrier.test_wait.parity.shared.b64 p,[%0],%1; @!p bra L;}"::"r"(b),"r"(FLAW==3?1:0):"memory");
#endif
 float v=0; for(int k=0;k<4;k++) v+=s[(t*4+k+128)%256]; o[t]=v; }