struct P { float a,b; unsigned char c[4]; short s; int n; };
__device__ __noinline__ int fib(int n){ return n<2?n:fib(n-1)+fib(n-2); }
__device__ __noinline__ float fa(float x,float y){ return x*y+1.f; }
__device__ __noinline__ float fb(float x,float y){ return x-y; }
typedef float (*fp)(float,float);
__device__ fp table[2]={fa,fb};
__device__ __noinline__ float2 pair(float x,double y){ return make_float2(x+1.f,(float)y*2.f);} 
extern "C" __global__ void m(P p,const int* x,float* o){ int i=threadIdx.x; int v=fib(x[i]&7); float r=table[x[i]&1]((float)v,p.a); float2 q=pair(r,p.b); o[i]=q.x+q.y+p.c[i&3]+p.s+p.n; }