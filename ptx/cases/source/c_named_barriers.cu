extern "C" __global__ void m(const float* x,float* o,int n){ __shared__ float s[2][64]; int t=threadIdx.x;
 if(t<64){ for(int k=0;k<n;k++){ int b=k&1; if(k>=2
#if FLAW==2
 +2
#endif
 ) asm volatile("bar.sync %0,128;"::"r"(b+3):"memory"); s[b][t]=x[k*64+t];
#if FLAW!=1
 __threadfence_block();
#endif
 asm volatile("bar.arrive %0,128;"::"r"(b+1):"memory"); } }
 else { int c=t-64; float a=0; for(int k=0;k<n;k++){ int b=k&1; asm volatile("bar.sync %0,128;"::"r"(b+1
#if FLAW==3
 +(k==3)*5
#endif
 ):"memory"); a+=s[b][63-c]*(k+1); if(k+2<n) asm volatile("bar.arrive %0,128;"::"r"(b+3):"memory"); } o[c]=a; } }