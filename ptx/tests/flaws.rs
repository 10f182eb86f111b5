//! A small kernel for each class of flaw, and beside it the same kernel without the flaw.

use vincie_ptx::{Checks, FindingKind, Launch, LaunchConfig, Machine, Module, Options};

/// Runs a body with `out` (256 defined words) and `raw` (256 undefined ones) as parameters.
fn kinds(target: &str, config: LaunchConfig, body: &str) -> Vec<FindingKind> {
    let text = format!(
        ".version 8.0\n.target {target}\n.address_size 64\n.extern .shared .align 1024 .b8 dyn[];\n\
         .shared .align 16 .b8 tile[512];\n.shared .align 8 .b64 bar;\n\
         .visible .entry k(.param .u64 out, .param .u64 raw) .maxntid 256\n{{\n\
         .reg .b32 %r<16>; .reg .b64 %d<16>; .reg .f32 %f<64>; .reg .pred %p<8>;\n\
         ld.param.u64 %d0, [out]; ld.param.u64 %d1, [raw]; mov.u32 %r0, %tid.x; mov.u32 %r1, tile;\n\
         mul.wide.u32 %d2, %r0, 4; add.s64 %d3, %d0, %d2; add.s64 %d4, %d1, %d2;\n\
         shl.b32 %r2, %r0, 2; add.u32 %r3, %r1, %r2; mov.u32 %r9, bar;\n{body}\nret;\n}}\n"
    );
    let module = Module::parse(&text, "flaw").expect("parses");
    let kernel = module.kernel("k").expect("decodes");
    let mut machine = Machine::new(1);
    let loaded = machine.load(0, &module).expect("loads");
    let out = machine.allocate(0, 1024, "out").expect("fits");
    machine.write(out, &[0; 1024]).expect("is there");
    let raw = machine.allocate(0, 1024, "raw").expect("fits");
    let mut args = out.0.to_le_bytes().to_vec();
    args.extend(raw.0.to_le_bytes());
    let launch = Launch { kernel: &kernel, loaded: &loaded, config, args: &args };
    let options = Options { max_instructions: 1_000_000, max_polls: 200, ..Options::default() };
    let report = machine.launch(&launch, &options).expect("runs");
    // Without checks the kernel must not bring the machine down either.
    let unchecked = Options { checks: Checks::NONE, ..options };
    let _ = machine.launch(&launch, &unchecked);
    report.findings.iter().map(|f| f.kind).collect()
}

fn block(threads: u32) -> LaunchConfig {
    LaunchConfig { block: [threads, 1, 1], dynamic_shared: 4096, ..LaunchConfig::default() }
}

/// The flawed body shows the class, the correct one shows nothing.
fn check(kind: FindingKind, target: &str, config: LaunchConfig, flawed: &str, correct: &str) {
    let found = kinds(target, config, flawed);
    assert!(found.contains(&kind), "{}: flawed gives {found:?}", kind.name());
    let found = kinds(target, config, correct);
    assert!(found.is_empty(), "{}: correct gives {found:?}", kind.name());
}

#[test]
fn bounds_and_alignment() {
    let store = "st.global.u32 [%d3], %r0;";
    check(FindingKind::OobWrite, "sm_80", block(32), "st.global.u32 [%d3+1000], %r0;", store);
    check(FindingKind::OobRead, "sm_80", block(32), "ld.global.u32 %r4, [%d3+1000];", store);
    check(FindingKind::Misaligned, "sm_80", block(32), "st.global.u32 [%d3+2], %r0;", store);
    let shared = "st.shared.u32 [%r3], %r0;";
    check(FindingKind::OobShared, "sm_80", block(32), "st.shared.u32 [%r3+480], %r0;", shared);
    check(
        FindingKind::OobShared,
        "sm_80",
        block(32),
        "mov.u32 %r4, dyn; st.shared.u32 [%r4+4096], %r0;",
        "",
    );
}

#[test]
fn undefined_values() {
    check(
        FindingKind::UninitGlobal,
        "sm_80",
        block(32),
        "ld.global.u32 %r4, [%d4];",
        "st.global.u32 [%d4], %r0; ld.global.u32 %r4, [%d4];",
    );
    check(
        FindingKind::UninitShared,
        "sm_80",
        block(32),
        "ld.shared.u32 %r4, [%r3];",
        "st.shared.u32 [%r3], %r0; ld.shared.u32 %r4, [%r3];",
    );
    check(
        FindingKind::UndefinedStore,
        "sm_80",
        block(32),
        "st.global.u32 [%d3], %r5;",
        "add.u32 %r6, %r5, 1;",
    );
    check(
        FindingKind::UndefinedBranch,
        "sm_80",
        block(32),
        "setp.eq.u32 %p0, %r5, 0; @%p0 bra L; L:",
        "setp.eq.u32 %p0, %r0, 0; @%p0 bra L; L:",
    );
    check(
        FindingKind::UndefinedAddress,
        "sm_80",
        block(32),
        "add.s64 %d5, %d6, %d0; ld.global.u32 %r4, [%d5];",
        "mov.b64 %d5, {%r5, %r0}; mov.b64 {_, %r4}, %d5; st.global.u32 [%d3], %r4;",
    );
}

#[test]
fn races() {
    let read = "xor.b32 %r4, %r2, 128; add.u32 %r4, %r4, %r1; ld.shared.u32 %r5, [%r4];";
    check(
        FindingKind::SharedRace,
        "sm_80",
        block(64),
        &format!("st.shared.u32 [%r3], %r0; {read}"),
        &format!("st.shared.u32 [%r3], %r0; bar.sync 0; {read}"),
    );
    let lane = "xor.b32 %r4, %r2, 4; add.u32 %r4, %r4, %r1; ld.shared.u32 %r5, [%r4];";
    check(
        FindingKind::SharedRace,
        "sm_80",
        block(32),
        &format!("st.shared.u32 [%r3], %r0; {lane}"),
        &format!("st.shared.u32 [%r3], %r0; bar.warp.sync -1; {lane}"),
    );
    let two = LaunchConfig { grid: [2, 1, 1], ..block(32) };
    check(
        FindingKind::GlobalRace,
        "sm_80",
        two,
        "mov.u32 %r4, %ctaid.x; st.global.u32 [%d3], %r4;",
        "mov.u32 %r4, %ctaid.x; mul.wide.u32 %d5, %r4, 128; add.s64 %d3, %d3, %d5; st.global.u32 [%d3], %r4;",
    );
    // A flag between CTAs: with a fence and an acquire it orders, relaxed it does not.
    let flag = |release: &str, acquire: &str| {
        format!(
            "mov.u32 %r4, %ctaid.x; setp.ne.u32 %p0, %r0, 0; @%p0 bra DONE; setp.ne.u32 %p1, %r4, 0; @%p1 bra WAIT;
             st.global.u32 [%d0+64], 7; {release} bra DONE;
             WAIT: {acquire} setp.eq.u32 %p2, %r5, 0; @%p2 bra WAIT; ld.global.u32 %r6, [%d0+64]; st.global.u32 [%d0+128], %r6; DONE:"
        )
    };
    check(
        FindingKind::GlobalRace,
        "sm_80",
        two,
        &flag("st.relaxed.gpu.global.u32 [%d0], 1;", "ld.relaxed.gpu.global.u32 %r5, [%d0];"),
        &flag("st.release.gpu.global.u32 [%d0], 1;", "ld.acquire.gpu.global.u32 %r5, [%d0];"),
    );
}

#[test]
fn collectives_and_barriers() {
    let all = "shfl.sync.down.b32 %r4, %r0, 1, 31, -1;";
    check(
        FindingKind::DivergentCollective,
        "sm_80",
        block(32),
        &format!("setp.gt.u32 %p0, %r0, 15; @%p0 bra L; {all} L:"),
        all,
    );
    check(
        FindingKind::ShflInactive,
        "sm_80",
        block(32),
        "setp.gt.u32 %p0, %r0, 15; @%p0 bra L; shfl.sync.bfly.b32 %r4, %r0, 16, 31, 0xffff; L:",
        "setp.gt.u32 %p0, %r0, 15; @%p0 bra L; shfl.sync.bfly.b32 %r4, %r0, 8, 31, 0xffff; L:",
    );
    check(
        FindingKind::BarrierDivergence,
        "sm_80",
        block(64),
        "setp.gt.u32 %p0, %r0, 40; @%p0 bra L; bar.sync 0; L:",
        "bar.sync 0;",
    );
    check(
        FindingKind::BarrierDivergence,
        "sm_80",
        block(64),
        "setp.gt.u32 %p0, %r0, 31; @%p0 ret; bar.sync 0;",
        "bar.sync 0; setp.gt.u32 %p0, %r0, 31; @%p0 ret;",
    );
    check(FindingKind::Deadlock, "sm_80", block(64), "bar.sync 1, 96;", "bar.sync 1, 64;");
    check(
        FindingKind::Deadlock,
        "sm_80",
        block(32),
        "LOOP: ld.volatile.global.u32 %r4, [%d0]; setp.eq.u32 %p0, %r4, 0; @%p0 bra LOOP;",
        "LOOP: ld.volatile.global.u32 %r4, [%d0]; setp.ne.u32 %p0, %r4, 0; @%p0 bra LOOP;",
    );
    // A lock taken by one lane while others of the warp spin must make progress.
    let lock = "TRY: atom.global.cas.b32 %r4, [%d0], 0, 1; setp.ne.u32 %p0, %r4, 0; @%p0 bra TRY;
        fence.acq_rel.gpu; ld.volatile.global.u32 %r5, [%d0+64]; add.u32 %r5, %r5, 1; st.volatile.global.u32 [%d0+64], %r5;
        fence.acq_rel.gpu; atom.global.exch.b32 %r4, [%d0], 0;";
    assert_eq!(kinds("sm_80", block(32), lock), []);
}

#[test]
fn asynchronous_copies() {
    let copy = "and.b32 %r4, %r0, 15; shl.b32 %r4, %r4, 4; add.u32 %r5, %r1, %r4; cvt.u64.u32 %d5, %r4; add.s64 %d5, %d5, %d0;
        cp.async.ca.shared.global [%r5], [%d5], 16; cp.async.commit_group;";
    check(
        FindingKind::CpAsyncWait,
        "sm_80",
        block(16),
        &format!("{copy} ld.shared.u32 %r6, [%r5];"),
        &format!("{copy} cp.async.wait_group 0; ld.shared.u32 %r6, [%r5];"),
    );
    let init = "setp.ne.u32 %p0, %r0, 0; @%p0 bra I; mbarrier.init.shared.b64 [%r9], 1; fence.mbarrier_init.release.cluster; I: bar.sync 0;";
    let load = "@%p0 bra J; mbarrier.arrive.expect_tx.shared.b64 _, [%r9], 512;
        cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%r1], [%d0], 512, [%r9]; J:";
    let wait = "W: mbarrier.try_wait.parity.shared.b64 %p1, [%r9], 0; @!%p1 bra W;";
    check(
        FindingKind::MissingMbarrierWait,
        "sm_90",
        block(32),
        &format!("{init} {load} bar.warp.sync -1; ld.shared.u32 %r6, [%r3];"),
        &format!("{init} {load} {wait} ld.shared.u32 %r6, [%r3];"),
    );
    check(
        FindingKind::Deadlock,
        "sm_90",
        block(32),
        &format!("{init} {} {wait}", load.replace("[%r9], 512", "[%r9], 544")),
        &format!("{init} {load} {wait}"),
    );
    // What this launch wrote through the generic proxy, then read by a bulk copy.
    let written =
        |fence: &str| format!("{init} st.global.u32 [%d3], %r0; {fence} bar.sync 0; {load} {wait}");
    check(
        FindingKind::MissingProxyFence,
        "sm_90",
        block(32),
        &written(""),
        &written("fence.proxy.async;"),
    );
    // A wait for the sources says nothing of the destination.
    let stored = |wait: &str| {
        format!(
            "setp.ne.u32 %p0, %r0, 0; st.shared.u32 [%r3], %r0; fence.proxy.async.shared::cta; bar.sync 0; @%p0 bra S;
             cp.async.bulk.global.shared::cta.bulk_group [%d0], [%r1], 128; cp.async.bulk.commit_group; {wait} ld.global.u32 %r6, [%d0]; S:"
        )
    };
    check(
        FindingKind::CpAsyncWait,
        "sm_90",
        block(32),
        &stored("cp.async.bulk.wait_group.read 0;"),
        &stored("cp.async.bulk.wait_group 0;"),
    );
    let store = "@%p0 bra S; cp.async.bulk.global.shared::cta.bulk_group [%d0], [%r1], 128; cp.async.bulk.commit_group; cp.async.bulk.wait_group 0; S:";
    check(
        FindingKind::MissingProxyFence,
        "sm_90",
        block(32),
        &format!("setp.ne.u32 %p0, %r0, 0; st.shared.u32 [%r3], %r0; bar.sync 0; {store}"),
        &format!(
            "setp.ne.u32 %p0, %r0, 0; st.shared.u32 [%r3], %r0; fence.proxy.async.shared::cta; bar.sync 0; {store}"
        ),
    );
}

#[test]
fn clusters() {
    let pair = LaunchConfig { grid: [2, 1, 1], cluster: [2, 1, 1], ..block(32) };
    let sync = "barrier.cluster.arrive.aligned; barrier.cluster.wait.aligned;";
    let remote = "mov.u32 %r4, %cluster_ctarank; xor.b32 %r4, %r4, 1; mapa.shared::cluster.u32 %r5, %r3, %r4; ld.shared::cluster.u32 %r6, [%r5];";
    check(
        FindingKind::ClusterRace,
        "sm_90",
        pair,
        &format!("st.shared.u32 [%r3], %r0; bar.sync 0; {remote} {sync}"),
        &format!("st.shared.u32 [%r3], %r0; {sync} {remote} {sync}"),
    );
    check(
        FindingKind::ClusterRace,
        "sm_90",
        pair,
        &format!("st.shared.u32 [%r3], %r0; {sync} {remote} st.shared.u32 [%r3], %r6;"),
        &format!("st.shared.u32 [%r3], %r0; {sync} {remote} {sync} st.shared.u32 [%r3], %r6;"),
    );
}

#[test]
fn wgmma() {
    let zero: String = (0..4).map(|i| format!("mov.f32 %f{i}, 0f00000000; ")).collect();
    let fill = "mov.u32 %r4, dyn; shl.b32 %r5, %r0, 5; add.u32 %r5, %r4, %r5; mov.u32 %r6, 0;
        st.shared.v4.u32 [%r5], {%r6, %r6, %r6, %r6}; st.shared.v4.u32 [%r5+16], {%r6, %r6, %r6, %r6};";
    let fence = "fence.proxy.async.shared::cta;";
    let descriptor = "shr.u32 %r7, %r4, 4; and.b32 %r7, %r7, 16383; cvt.u64.u32 %d5, %r7; or.b64 %d5, %d5, 0x0000001000080000; bar.sync 0;";
    let product = "wgmma.mma_async.sync.aligned.m64n8k16.f32.bf16.bf16 {%f0, %f1, %f2, %f3}, %d5, %d5, 1, 1, 1, 0, 0; wgmma.commit_group.sync.aligned;";
    let (start, wait) = ("wgmma.fence.sync.aligned;", "wgmma.wait_group.sync.aligned 0;");
    let end = "st.global.f32 [%d3], %f0;";
    let correct = format!("{zero} {fill} {fence} {descriptor} {start} {product} {wait} {end}");
    let cases = [
        (FindingKind::MissingProxyFence, correct.replace(fence, "")),
        (FindingKind::MissingWgmmaFence, correct.replace(start, "")),
        (
            FindingKind::MissingWgmmaFence,
            correct.replace(start, &format!("{start} add.f32 %f2, %f2, %f2;")),
        ),
        (FindingKind::MissingWgmmaWait, correct.replace(wait, "")),
        (
            FindingKind::WgmmaRegisterInFlight,
            correct.replace(wait, &format!("add.f32 %f1, %f1, %f2; {wait}")),
        ),
    ];
    for (kind, flawed) in cases {
        check(kind, "sm_90a", block(128), &flawed, &correct);
    }
}
