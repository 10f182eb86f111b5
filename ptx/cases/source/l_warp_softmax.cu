#include "dev.h"

KERNEL void k(const float* x,float* o){ float v=x[GID],m=v; for(int d=16;d;d>>=1){ float u=SHFL_XOR_F(m,d); m=u>m?u:m; } float e=EX2((v-m)*1.44269504f),s=e; 
#if FLAW==1
 if(TIDX<20)
#endif
 for(int d=16;d;d>>=1) s+=SHFL_XOR_F(s,d); o[GID]=e/s; }