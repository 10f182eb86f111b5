//! Speed of the machine: `speed` prints instructions and tensor operations a second for loops of
//! f32 FMA and of mma.sync, with checks off and on, on one host thread and on all.

use std::time::Instant;
use vincie_ptx::{Checks, Launch, LaunchConfig, Machine, Module, Options};

const FMA: &str = "
.version 8.0
.target sm_80
.address_size 64
.visible .entry loop(.param .u64 out, .param .u32 count)
{
    .reg .b32 %r<8>; .reg .f32 %f<8>; .reg .b64 %d<4>; .reg .pred %p;
    ld.param.u64 %d0, [out]; ld.param.u32 %r0, [count];
    mov.u32 %r1, %tid.x; cvt.rn.f32.u32 %f0, %r1;
    mov.f32 %f1, 0f3F7FFFFE; mov.f32 %f2, 0f00000000; mov.f32 %f3, %f0;
    mov.u32 %r2, 0;
LOOP:
    fma.rn.f32 %f2, %f0, %f1, %f2;
    fma.rn.f32 %f3, %f3, %f1, %f2;
    fma.rn.f32 %f2, %f0, %f1, %f3;
    fma.rn.f32 %f3, %f3, %f1, %f2;
    fma.rn.f32 %f2, %f0, %f1, %f3;
    fma.rn.f32 %f3, %f3, %f1, %f2;
    fma.rn.f32 %f2, %f0, %f1, %f3;
    fma.rn.f32 %f3, %f3, %f1, %f2;
    add.u32 %r2, %r2, 1;
    setp.lt.u32 %p, %r2, %r0;
    @%p bra LOOP;
    mov.u32 %r3, %ctaid.x; mov.u32 %r4, %ntid.x; mad.lo.u32 %r3, %r3, %r4, %r1;
    mul.wide.u32 %d1, %r3, 4; add.s64 %d0, %d0, %d1;
    add.f32 %f2, %f2, %f3;
    st.global.f32 [%d0], %f2;
    ret;
}
";

const MMA: &str = "
.version 8.0
.target sm_80
.address_size 64
.visible .entry loop(.param .u64 out, .param .u32 count)
{
    .reg .b32 %r<16>; .reg .f32 %f<8>; .reg .b64 %d<4>; .reg .pred %p;
    ld.param.u64 %d0, [out]; ld.param.u32 %r0, [count];
    mov.u32 %r1, %tid.x;
    mov.u32 %r4, 0x3f803f80; mov.u32 %r5, %r4; mov.u32 %r6, %r4; mov.u32 %r7, %r4;
    mov.u32 %r8, 0x3c003c00; mov.u32 %r9, %r8;
    mov.f32 %f0, 0f00000000; mov.f32 %f1, %f0; mov.f32 %f2, %f0; mov.f32 %f3, %f0;
    mov.u32 %r2, 0;
LOOP:
    mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%f0,%f1,%f2,%f3}, {%r4,%r5,%r6,%r7}, {%r8,%r9}, {%f0,%f1,%f2,%f3};
    mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%f0,%f1,%f2,%f3}, {%r4,%r5,%r6,%r7}, {%r8,%r9}, {%f0,%f1,%f2,%f3};
    mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%f0,%f1,%f2,%f3}, {%r4,%r5,%r6,%r7}, {%r8,%r9}, {%f0,%f1,%f2,%f3};
    mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%f0,%f1,%f2,%f3}, {%r4,%r5,%r6,%r7}, {%r8,%r9}, {%f0,%f1,%f2,%f3};
    add.u32 %r2, %r2, 1;
    setp.lt.u32 %p, %r2, %r0;
    @%p bra LOOP;
    mov.u32 %r3, %ctaid.x; mov.u32 %r10, %ntid.x; mad.lo.u32 %r3, %r3, %r10, %r1;
    mul.wide.u32 %d1, %r3, 4; add.s64 %d0, %d0, %d1;
    add.f32 %f2, %f2, %f3;
    st.global.f32 [%d0], %f2;
    ret;
}
";

fn main() -> Result<(), vincie_ptx::Error> {
    for (name, text, count) in [("fma.rn.f32", FMA, 20_000u32), ("mma.sync bf16", MMA, 10_000)] {
        let module = Module::parse(text, name)?;
        let kernel = module.kernel("loop")?;
        for (label, checks) in [("checks off", Checks::NONE), ("checks on", Checks::ALL)] {
            for threads in [1, 0] {
                let mut machine = Machine::new(1);
                let loaded = machine.load(0, &module)?;
                let grid = 16;
                let out = machine.allocate(0, grid * 128 * 4, "out")?;
                let mut args = out.0.to_le_bytes().to_vec();
                args.extend(count.to_le_bytes());
                let config = LaunchConfig {
                    grid: [grid as u32, 1, 1],
                    block: [128, 1, 1],
                    ..LaunchConfig::default()
                };
                let options = Options { checks, threads, ..Options::default() };
                let launch = Launch { kernel: &kernel, loaded: &loaded, config, args: &args };
                let start = Instant::now();
                let report = machine.launch(&launch, &options)?;
                let seconds = start.elapsed().as_secs_f64();
                println!(
                    "{name:<14} {label:<10} threads {}: {:>7.1} M warp instructions/s, {:>6.2} tensor GFLOP/s",
                    if threads == 1 { "1" } else { "all" },
                    report.counters.total() as f64 / seconds / 1e6,
                    report.counters.tensor_flops as f64 / seconds / 1e9,
                );
            }
        }
    }
    Ok(())
}
