"""Copies without tensors, bulk reductions, and mbarriers."""
import random
import struct

from block import Block

F32 = lambda v: struct.unpack("<I", struct.pack("<f", v))[0]


def copies():
    """cp.async: sizes, zero fill, ignored sources, groups."""
    b = Block("copies", threads=32, extra=".shared .align 128 .b8 tile[2048];")
    b.line(".reg .b32 %s, %d, %n, %k; .reg .b64 %g, %h; .reg .pred %p; mov.u32 %s, tile;")
    data = [random.getrandbits(32) for _ in range(256)]
    at = b.image(data)
    b.line(f"add.s64 %g, %in, {at};")

    def fetch(want):
        """Each thread reads word `t` of the tile, which is `want[t]`."""
        b.line("bar.warp.sync -1; shl.b32 %k, %t, 2; add.u32 %k, %k, %s; ld.shared.b32 %d, [%k]; bar.warp.sync -1;")
        b.store("%d", want)

    for form, size in [("ca", 4), ("ca", 8), ("ca", 16), ("cg", 16), ("cg.L2::128B", 16), ("ca.L2::64B", 8)]:
        per = size // 4
        lanes = 32 // per
        head, hint = form.split(".")[0], "".join("." + w for w in form.split(".")[1:])
        issue = f"setp.lt.u32 %p, %t, {lanes}; mad.lo.u32 %k, %t, {size}, %s; mul.wide.u32 %h, %t, {size}; add.s64 %h, %h, %g;"
        for taken in [None, 0, 1, 3, 4, size - 1, size]:
            if taken is not None and taken > size:
                continue
            extra = "" if taken is None else ", %n"
            if taken is not None:
                b.line(f"mov.u32 %n, {taken};")
            b.line(f"{issue} @%p cp.async.{head}.shared.global{hint} [%k], [%h], {size}{extra}; cp.async.wait_all;")
            raw = b"".join(struct.pack("<I", w) for w in data[:32])
            out = b""
            for lane in range(lanes):
                piece = raw[lane * size:(lane + 1) * size]
                keep = size if taken is None else taken
                out += piece[:keep] + bytes(size - keep)
            fetch(list(struct.unpack("<32I", out)))
        b.line(f"{{ .reg .pred %q; and.b32 %n, %t, 1; setp.ne.u32 %q, %n, 0; {issue} @%p cp.async.{head}.shared.global{hint} [%k], [%h], {size}, %q; cp.async.wait_all; }}")
        fetch([0 if (i // per) & 1 else data[i] for i in range(32)])
    # Groups complete in order: waiting until one is left lands the older two.
    b.line("mad.lo.u32 %k, %t, 4, %s; mul.wide.u32 %h, %t, 4; add.s64 %h, %h, %g;")
    for stage in range(3):
        b.line(f"cp.async.ca.shared.global [%k+{128 * stage}], [%h+{128 * stage}], 4; cp.async.commit_group;")
    b.line("cp.async.wait_group 1; ld.shared.b32 %d, [%k]; ld.shared.b32 %n, [%k+128];")
    b.store("%d", data[:32])
    b.store("%n", data[32:64])
    b.line("cp.async.wait_group 0; ld.shared.b32 %d, [%k+256];")
    b.store("%d", data[64:96])
    # The phase of an mbarrier follows the copies of every thread.
    for word, count in [("arrive.noinc", 32), ("arrive", 1)]:
        b.line("bar.sync 0; { .reg .b32 %m; .reg .pred %w; mov.u32 %m, tile; setp.eq.u32 %w, %t, 0;")
        b.line(f"@%w mbarrier.init.shared.b64 [%m+1024], {count}; bar.sync 0; cp.async.ca.shared.global [%k], [%h+512], 4;")
        b.line(f"cp.async.mbarrier.{word}.shared.b64 [%m+1024]; bar.sync 0;")
        if count == 1:
            b.line("{ .reg .b64 %o; @%w mbarrier.arrive.shared.b64 %o, [%m+1024]; }")
        b.line("WAIT: mbarrier.test_wait.parity.shared.b64 %w, [%m+1024], 0; @!%w bra WAIT; }")
        fetch(data[128:160])
        b.line("bar.sync 0; { .reg .pred %w; setp.eq.u32 %w, %t, 0; @%w mbarrier.inval.shared.b64 [tile+1024]; }")
    b.write("# cp.async: sizes, zero fill, ignored sources, groups, mbarriers")


def bulk():
    """Bulk copies both ways and into shared memory, and reductions of every type."""
    b = Block("bulk", threads=32, extra=".shared .align 128 .b8 tile[1024]; .shared .align 128 .b8 other[1024]; .shared .align 8 .b64 gate;")
    b.line(".reg .b32 %s, %d, %k, %m, %o; .reg .b64 %g, %h; .reg .pred %p, %w; mov.u32 %s, tile; mov.u32 %o, other; mov.u32 %m, gate; setp.eq.u32 %p, %t, 0;")
    b.line("@%p mbarrier.init.shared::cta.b64 [%m], 1; @%p fence.mbarrier_init.release.cluster; bar.sync 0;")
    data = [random.getrandbits(32) for _ in range(64)]
    at = b.image(data)
    phase = 0
    for size in [16, 64, 112, 256]:
        b.line(f"add.s64 %g, %in, {at}; @%p mbarrier.arrive.expect_tx.shared::cta.b64 _, [%m], {size};")
        b.line(f"@%p cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%s], [%g], {size}, [%m];")
        b.line(f"{{ W: mbarrier.try_wait.parity.shared::cta.b64 %w, [%m], {phase}; @!%w bra W; }}")
        b.line(f"rem.u32 %k, %t, {size // 4}; mad.lo.u32 %k, %k, 4, %s; ld.shared.b32 %d, [%k]; bar.sync 0;")
        b.store("%d", [data[i % (size // 4)] for i in range(32)])
        phase ^= 1
    b.line("@%p mbarrier.arrive.expect_tx.shared::cta.b64 _, [%m], 128;")
    b.line("@%p cp.async.bulk.shared::cluster.shared::cta.mbarrier::complete_tx::bytes [%o], [%s+64], 128, [%m];")
    b.line(f"{{ W: mbarrier.try_wait.parity.shared::cta.b64 %w, [%m], {phase}; @!%w bra W; }}")
    b.line("mad.lo.u32 %k, %t, 4, %o; ld.shared.b32 %d, [%k];")
    b.store("%d", data[16:48])
    # Stores and reductions: 128 bytes of the input buffer change and are read back.
    rand = lambda n: [random.getrandbits(n) for _ in range(1024 // n)]
    sg = lambda v, n: v - (1 << n) if v >> (n - 1) else v
    ints = {"add": lambda x, y, n, s: x + y, "and": lambda x, y, n, s: x & y, "or": lambda x, y, n, s: x | y, "xor": lambda x, y, n, s: x ^ y,
            "min": lambda x, y, n, s: min(x, y, key=lambda v: sg(v, n) if s else v), "max": lambda x, y, n, s: max(x, y, key=lambda v: sg(v, n) if s else v),
            "inc": lambda x, y, n, s: 0 if x >= y else x + 1, "dec": lambda x, y, n, s: y if x == 0 or x > y else x - 1}
    forms = [("", None)] + [(f"{op}.{ty}", op) for op, types in [("add", ["u32", "s32", "u64"]), ("and", ["b32", "b64"]), ("or", ["b32", "b64"]), ("xor", ["b32", "b64"]),
                                                                ("min", ["u32", "s32", "u64", "s64"]), ("max", ["u32", "s32", "u64", "s64"]), ("inc", ["u32"]), ("dec", ["u32"])] for ty in types]
    floats = {"add.f32": ("<f", 4, lambda x, y: x + y), "add.f64": ("<d", 8, lambda x, y: x + y), "add.noftz.f16": ("<e", 2, lambda x, y: x + y), "min.f16": ("<e", 2, min), "max.f16": ("<e", 2, max),
              "add.noftz.bf16": ("bf", 2, lambda x, y: x + y), "min.bf16": ("bf", 2, min), "max.bf16": ("bf", 2, max)}
    def words(raw):
        return list(struct.unpack(f"<{len(raw) // 4}I", raw))
    def run(form, old, new, result):
        source, target = b.image(words(new)), b.image(words(old))
        b.copy_in(source, "tile", 32)
        name = f"cp.reduce.async.bulk.global.shared::cta.bulk_group.{form}" if form else "cp.async.bulk.global.shared::cta.bulk_group"
        b.line(f"add.s64 %g, %in, {target}; @%p {name} [%g], [%s], 128; @%p cp.async.bulk.commit_group; @%p cp.async.bulk.wait_group 0; bar.sync 0;")
        b.line("mad.wide.u32 %h, %t, 4, %g; ld.global.b32 %d, [%h];")
        b.store("%d", words(result))
    for form, op in forms:
        bits = 64 if form.endswith("64") else 32
        old, new = rand(bits), rand(bits)
        mask = (1 << bits) - 1
        pack = lambda list_: struct.pack(f"<{len(list_)}{'Q' if bits == 64 else 'I'}", *list_)
        got = new if op is None else [ints[op](x, y, bits, ".s" in form) & mask for x, y in zip(old, new)]
        run(form, pack(old), pack(new), pack(got))
    for form, (code, size, fn) in floats.items():
        # Multiples of a quarter below 32: exact sums in every format but bf16, where they are whole.
        values = lambda: [random.randint(-60, 60) / (1 if code == "bf" else 4) for _ in range(128 // size)]
        def pack(list_):
            if code == "bf":
                return b"".join(struct.pack("<f", v)[2:] for v in list_)
            return b"".join(struct.pack(code, v) for v in list_)
        old, new = values(), values()
        run(form, pack(old), pack(new), pack([fn(x, y) for x, y in zip(old, new)]))
    b.write("# bulk copies both ways and into shared memory, reductions of every type")


def mbarriers():
    """Counts, tokens, drops, transactions, and phases."""
    b = Block("mbarriers", threads=32, extra=".shared .align 8 .b64 gate;")
    b.line(".reg .b32 %m, %d, %e; .reg .b64 %x, %y; .reg .pred %p, %q; mov.u32 %m, gate; setp.eq.u32 %p, %t, 0;")
    def init(count):
        b.line(f"bar.sync 0; @%p mbarrier.init.shared::cta.b64 [%m], {count}; bar.sync 0;")
    def end():
        b.line("bar.sync 0; @%p mbarrier.inval.shared::cta.b64 [%m];")
    def test(form, want):
        b.line(f"mbarrier.test_wait{form}; selp.u32 %d, 1, 0, %q; bar.sync 0;")
        b.store("%d", [want] * 32)
    init(32)
    test(".parity.shared::cta.b64 %q, [%m], 0", 0)
    test(".parity.shared::cta.b64 %q, [%m], 1", 1)
    b.line("mbarrier.arrive.shared::cta.b64 %x, [%m]; bar.sync 0;")
    test(".shared::cta.b64 %q, [%m], %x", 1)
    test(".parity.shared::cta.b64 %q, [%m], 0", 1)
    test(".parity.shared::cta.b64 %q, [%m], 1", 0)
    b.line("mbarrier.arrive.shared::cta.b64 %x, [%m]; bar.sync 0;")
    test(".parity.shared::cta.b64 %q, [%m], 0", 0)
    test(".parity.shared::cta.b64 %q, [%m], 1", 1)
    end()
    # One thread arrives for several; the token tells what was pending before.
    init(7)
    for count, before, done in [(3, 7, 0), (2, 4, 0), (2, 2, 1)]:
        b.line(f"mov.u32 %e, 0; {{ .reg .b64 %z; @%p mbarrier.arrive.shared::cta.b64 %z, [%m], {count}; @%p mbarrier.pending_count.b64 %e, %z; }} bar.sync 0;")
        b.store("%e", [before] + [0] * 31)
        test(".parity.shared::cta.b64 %q, [%m], 0", done)
    end()
    # `noComplete` must leave something pending.
    init(3)
    b.line("mov.u32 %e, 0; { .reg .b64 %z; @%p mbarrier.arrive.noComplete.shared.b64 %z, [%m], 2; @%p mbarrier.pending_count.b64 %e, %z; } bar.sync 0;")
    b.store("%e", [3] + [0] * 31)
    test(".parity.shared::cta.b64 %q, [%m], 0", 0)
    b.line("@%p mbarrier.arrive.shared::cta.b64 _, [%m]; bar.sync 0;")
    test(".parity.shared::cta.b64 %q, [%m], 0", 1)
    end()
    # A drop counts as an arrival and lowers the count of later phases.
    init(32)
    b.line("{ .reg .pred %k; setp.lt.u32 %k, %t, 8; @%k mbarrier.arrive_drop.shared::cta.b64 %x, [%m]; @!%k mbarrier.arrive.shared::cta.b64 %x, [%m]; bar.sync 0; }")
    test(".parity.shared::cta.b64 %q, [%m], 0", 1)
    b.line("{ .reg .pred %k; setp.lt.u32 %k, %t, 24; @%k mbarrier.arrive.shared::cta.b64 %x, [%m]; bar.sync 0; }")
    test(".parity.shared::cta.b64 %q, [%m], 1", 1)
    end()
    # Announced bytes hold a phase until as many have come.
    init(1)
    b.line("@%p mbarrier.expect_tx.relaxed.cta.shared::cta.b64 [%m], 48; @%p mbarrier.arrive.expect_tx.shared::cta.b64 _, [%m], 16; bar.sync 0;")
    test(".parity.shared::cta.b64 %q, [%m], 0", 0)
    b.line("@%p mbarrier.complete_tx.relaxed.cta.shared::cta.b64 [%m], 32; bar.sync 0;")
    test(".parity.shared::cta.b64 %q, [%m], 0", 0)
    b.line("@%p mbarrier.complete_tx.relaxed.cta.shared::cta.b64 [%m], 32; bar.sync 0;")
    test(".parity.shared::cta.b64 %q, [%m], 0", 1)
    b.line("{ W: mbarrier.try_wait.parity.acquire.cta.shared::cta.b64 %q, [%m], 0, 1000; @!%q bra W; } selp.u32 %d, 1, 0, %q;")
    b.store("%d", [1] * 32)
    end()
    # Named barriers: half of the lanes' warps is one warp here, so count and id alone matter.
    for number in [0, 1, 15]:
        b.line(f"bar.sync {number}; bar.sync {number}, 32; barrier.sync {number}, 32; barrier.sync.aligned {number};")
    b.line("{ .reg .b64 %u, %v; mov.u64 %u, %globaltimer; nanosleep.u32 20; mov.u64 %v, %globaltimer; setp.ge.u64 %q, %v, %u; selp.u32 %d, 1, 0, %q; }")
    b.store("%d", [1] * 32)
    for register, want in [("ntid.x", 32), ("ntid.y", 1), ("nctaid.x", 1), ("ctaid.z", 0), ("laneid", None), ("warpid", 0), ("nclusterid.x", 1), ("cluster_nctarank", 1), ("cluster_ctarank", 0)]:
        b.line(f"mov.u32 %d, %{register};")
        b.store("%d", list(range(32)) if want is None else [want] * 32)
    b.write("# mbarriers: counts, tokens, drops, transactions; named barriers; special registers")


def main():
    random.seed(21)
    copies()
    bulk()
    mbarriers()
