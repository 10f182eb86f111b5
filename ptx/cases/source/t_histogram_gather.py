import triton
import triton.language as tl

@triton.jit
def histo(x,h,o,N:tl.constexpr,B:tl.constexpr):
    v=tl.load(x+tl.program_id(0)*N+tl.arange(0,N)); c=tl.histogram(v,B); tl.atomic_add(h+tl.arange(0,B),c); g=tl.gather(v,(v*7)%N,0); tl.store(o+tl.program_id(0)*N+tl.arange(0,N),g)

# compiled ahead of time for sm_80, num_warps=4, num_stages=2, constexpr: {'N': 256, 'B': 32}
