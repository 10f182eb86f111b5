// decoupled look-back over flags
extern "C" __global__ void m(const int* x,int* o,int* flag,int* sum){ __shared__ int prev; int b=blockIdx.x,t=threadIdx.x; int v=x[b*64+t]; __shared__ int s[64]; s[t]=v; __syncthreads(); for(int d=1;d<64;d<<=1){ int u=t>=d?s[t-d]:0; __syncthreads(); s[t]+=u; __syncthreads(); }
 if(t==0){ int p=0; if(b){ while(
#if FLAW==1
 *(volatile int*)(flag+b-1)==0
#else
 [&]{int f; asm volatile("ld.acquire.gpu.global.s32 %0,[%1];":"=r"(f):"l"(flag+b-1):"memory"); return f;}()==0
#endif
 ); p=sum[b-1]; } prev=p; sum[b]=p+s[63];
#if FLAW==2
 asm volatile("st.relaxed.gpu.global.s32 [%0],1;"::"l"(flag+b):"memory");
#else
 asm volatile("st.release.gpu.global.s32 [%0],1;"::"l"(flag+b):"memory");
#endif
 } __syncthreads(); o[b*64+t]=s[t]+prev; }