"""Clusters: mapped addresses, remote loads, stores and atomics, barriers, multicast, st.async."""
import random

from block import Block

RANKS = 4
THREADS = 32


def main():
    random.seed(24)
    b = Block("cluster", threads=THREADS, ctas=RANKS, cluster=True, extra=".shared .align 128 .b8 tile[1024]; .shared .align 8 .b64 gate;")
    b.line(".reg .b32 %s, %r, %a, %d, %e, %m, %n, %q; .reg .b64 %g, %h; .reg .pred %p, %w; .reg .b16 %mask;")
    b.line("mov.u32 %s, tile; mov.u32 %m, gate; mov.u32 %r, %cluster_ctarank; setp.eq.u32 %p, %t, 0;")
    sync = "barrier.cluster.arrive.aligned; barrier.cluster.wait.aligned;"
    every = [(r, t) for r in range(RANKS) for t in range(THREADS)]
    for register, want in [("cluster_ctarank", lambda r: r), ("cluster_nctarank", lambda r: RANKS), ("cluster_ctaid.x", lambda r: r), ("cluster_nctaid.x", lambda r: RANKS),
                           ("clusterid.x", lambda r: 0), ("nclusterid.x", lambda r: 1), ("cluster_ctaid.y", lambda r: 0)]:
        b.line(f"mov.u32 %d, %{register};")
        b.store("%d", [want(r) for r, _ in every])
    b.line("{ .reg .pred %x; mov.pred %x, %is_explicit_cluster; selp.u32 %d, 1, 0, %x; }")
    b.store("%d", [1] * len(every))
    data = [random.getrandbits(32) for _ in every]
    at = lambda r, t: data[r % RANKS * THREADS + t % THREADS]
    b.load("%d", data)
    b.line(f"mad.lo.u32 %a, %t, 4, %s; st.shared.b32 [%a], %d; {sync}")
    for step in range(RANKS):
        b.line(f"add.u32 %n, %r, {step}; and.b32 %n, %n, {RANKS - 1}; mapa.shared::cluster.u32 %e, %a, %n; ld.shared::cluster.b32 %d, [%e]; getctarank.shared::cluster.u32 %q, %e;")
        b.store("%d", [at(r + step, t) for r, t in every])
        b.store("%q", [(r + step) % RANKS for r, _ in every])
        # The same by a generic address.
        b.line("cvt.u64.u32 %g, %a; cvta.shared.u64 %g, %g; mapa.u64 %h, %g, %n; ld.b32 %d, [%h]; getctarank.u64 %q, %h;")
        b.store("%d", [at(r + step, t) for r, t in every])
        b.store("%q", [(r + step) % RANKS for r, _ in every])
    # Stores to the next rank, in reverse order of threads.
    b.line(f"{sync} add.u32 %n, %r, 1; and.b32 %n, %n, {RANKS - 1}; ld.shared.b32 %d, [%a]; {sync}")
    b.line(f"mapa.shared::cluster.u32 %e, %s, %n; sub.u32 %q, {THREADS - 1}, %t; mad.lo.u32 %e, %q, 4, %e; st.shared::cluster.b32 [%e], %d; {sync} ld.shared.b32 %d, [%a];")
    b.store("%d", [at(r - 1, THREADS - 1 - t) for r, t in every])
    # Everybody adds to one word of rank 2.
    b.line(f"{sync} @%p st.shared.b32 [%s+512], 0; {sync} mov.u32 %n, 2; mapa.shared::cluster.u32 %e, %s, %n;")
    b.line(f"atom.shared::cluster.add.u32 %d, [%e+512], %r; red.shared::cluster.add.u32 [%e+512], 1; {sync} ld.shared::cluster.b32 %d, [%e+512];")
    b.store("%d", [sum(r + 1 for r, _ in every)] * len(every))
    # The split barrier hands on what came before the arrival.
    b.line("mad.lo.u32 %q, %r, 7, %t; st.shared.b32 [%a+128], %q; barrier.cluster.arrive.release; barrier.cluster.wait.acquire;")
    b.line("xor.b32 %n, %r, 3; mapa.shared::cluster.u32 %e, %a, %n; ld.shared::cluster.b32 %d, [%e+128];")
    b.store("%d", [(r ^ 3) * 7 + t for r, t in every])
    # st.async to the neighbour, which waits on its own mbarrier.
    b.line(f"{sync} @%p mbarrier.init.shared::cta.b64 [%m], 1; @%p fence.mbarrier_init.release.cluster; {sync}")
    b.line(f"@%p mbarrier.arrive.expect_tx.shared::cta.b64 _, [%m], {THREADS * 4}; xor.b32 %n, %r, 1; mapa.shared::cluster.u32 %e, %a, %n; mapa.shared::cluster.u32 %q, %m, %n; mad.lo.u32 %d, %r, 100, %t;")
    b.line("st.async.shared::cluster.mbarrier::complete_tx::bytes.u32 [%e+256], %d, [%q];")
    b.line("{ W: mbarrier.try_wait.parity.acquire.cluster.shared::cta.b64 %w, [%m], 0; @!%w bra W; } ld.shared.b32 %d, [%a+256];")
    b.store("%d", [(r ^ 1) * 100 + t for r, t in every])
    # red.async: everybody adds to one word of the neighbour.
    b.line(f"{sync} @%p st.shared.b32 [%s+1020], 5; @%p mbarrier.arrive.expect_tx.shared::cta.b64 _, [%m], {THREADS * 4}; {sync}")
    b.line("mapa.shared::cluster.u32 %e, %s, %n; red.async.relaxed.cluster.shared::cluster.mbarrier::complete_tx::bytes.add.u32 [%e+1020], %t, [%q];")
    b.line("{ W: mbarrier.try_wait.parity.acquire.cluster.shared::cta.b64 %w, [%m], 1; @!%w bra W; } ld.shared.b32 %d, [%s+1020];")
    b.store("%d", [5 + sum(range(THREADS))] * len(every))
    # Multicast: ranks 0 and 3 each send 64 bytes to the ranks of a mask.
    words = [random.getrandbits(32) for _ in range(32)]
    base = b.image(words)
    got = {r: [] for r in range(RANKS)}
    for sender, mask in [(0, 0b1111), (3, 0b0110)]:
        for r in range(RANKS):
            if mask >> r & 1:
                got[r].append(sender)
    b.line(f"{sync} {{ .reg .b32 %x; mul.lo.u32 %x, %r, 1; setp.eq.u32 %w, %r, 1; selp.u32 %x, 128, 64, %w; setp.eq.u32 %w, %r, 2; selp.u32 %x, 128, %x, %w; @%p mbarrier.arrive.expect_tx.shared::cta.b64 _, [%m], %x; }}")
    for sender, mask in [(0, 0b1111), (3, 0b0110)]:
        b.line(f"{{ .reg .pred %y; setp.eq.and.u32 %y, %r, {sender}, %p; mov.u16 %mask, {mask}; add.s64 %g, %in, {base + 64 * (sender // 3)}; add.u32 %e, %s, {640 + 64 * (sender // 3)};")
        b.line("@%y cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster [%e], [%g], 64, [%m], %mask; }")
    b.line("{ W: mbarrier.try_wait.parity.shared::cta.b64 %w, [%m], 0; @!%w bra W; }")
    b.line("and.b32 %q, %t, 15; mad.lo.u32 %e, %q, 4, %s; ld.shared.b32 %d, [%e+640];")
    b.store("%d", [words[t % 16] for _, t in every])
    b.line("setp.eq.u32 %w, %r, 1; setp.eq.or.u32 %w, %r, 2, %w; mov.u32 %d, 0; @%w ld.shared.b32 %d, [%e+704];")
    b.store("%d", [words[16 + t % 16] if 3 in got[r] else 0 for r, t in every])
    # A bulk copy from shared memory into another CTA.
    b.line(f"{sync} mov.u32 %d, %t; mad.lo.u32 %d, %r, 1000, %d; st.shared.b32 [%a], %d; fence.proxy.async.shared::cta; bar.sync 0; @%p mbarrier.arrive.expect_tx.shared::cta.b64 _, [%m], 128; {sync}")
    b.line(f"add.u32 %n, %r, 1; and.b32 %n, %n, {RANKS - 1}; add.u32 %e, %s, 768; mapa.shared::cluster.u32 %e, %e, %n; mapa.shared::cluster.u32 %q, %m, %n;")
    b.line("@%p cp.async.bulk.shared::cluster.shared::cta.mbarrier::complete_tx::bytes [%e], [%s], 128, [%q];")
    b.line("{ W: mbarrier.try_wait.parity.acquire.cluster.shared::cta.b64 %w, [%m], 1; @!%w bra W; } ld.shared.b32 %d, [%a+768];")
    b.store("%d", [(r - 1) % RANKS * 1000 + t for r, t in every])
    b.line(sync)
    b.write("# clusters of four")
