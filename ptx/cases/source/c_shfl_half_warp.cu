extern "C" __global__ void m(const float* x,float* o){ int t=threadIdx.x; float v=x[t];
#if FLAW==1
 if(t<20){ v+=__shfl_down_sync(0xfffff,v,8); o[t]=v; } else o[t]=v;
#elif FLAW==2
 if(t<16){ v+=__shfl_xor_sync(0xffffffff,v,8); } o[t]=v;
#elif FLAW==3
 if(t<16){ v+=__shfl_sync(0xffff,v,t+16); } o[t]=v;
#else
 if(t<16){ v+=__shfl_xor_sync(0xffff,v,8); } o[t]=v;
#endif
 }