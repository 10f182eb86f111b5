"""Products of a warpgroup in every layout, WMMA in every type, and the mma of f64 and bits.

Operands are small integers, so that results are exact in every format. Shared memory is laid out
here by the ISA's canonical layouts, and the descriptors say so.
"""
import random
import struct

from block import Block

BYTES = {"f16": 2, "bf16": 2, "tf32": 4, "e4m3": 1, "e5m2": 1, "s8": 1, "u8": 1}
SPAN = {0: 16, 1: 128, 2: 64, 3: 32}


def minifloat(v, exponent, mantissa):
    """An integer in a small format, which must hold it exactly."""
    if v == 0:
        return 0
    s, v, e = int(v < 0), abs(v), 0
    while v >> e > 1:
        e += 1
    bias = (1 << (exponent - 1)) - 1
    fraction = (v << mantissa >> e) & ((1 << mantissa) - 1)
    assert (v << mantissa) % (1 << e) == 0, v
    return s << (exponent + mantissa) | (e + bias) << mantissa | fraction


def encode(v, ty):
    if ty in ("s8", "u8"):
        return v & 0xff
    if ty in ("f32", "tf32"):
        return struct.unpack("<I", struct.pack("<f", v))[0]
    if ty == "s32":
        return v & 0xffffffff
    return minifloat(v, *{"f16": (5, 10), "bf16": (8, 7), "e4m3": (4, 3), "e5m2": (5, 2)}[ty])


def place(matrix, ty, swizzle, is_mn_major):
    """Bytes of a tile [outer][k] and its descriptor's leading and stride offsets."""
    outer, k, size, span = len(matrix), len(matrix[0]), BYTES[ty], SPAN[swizzle]
    eight = outer // 8
    if not is_mn_major and swizzle == 0:
        # Core matrices of 8 rows by 16 bytes; those along k follow each other at `leading`.
        leading, stride = 128 * eight, 128
        address = lambda r, c: r // 8 * stride + c * size // 16 * leading + r % 8 * 16 + c * size % 16
    elif not is_mn_major:
        leading, stride = 16, 8 * span
        address = lambda r, c: r // 8 * stride + r % 8 * span + c * size
    elif swizzle == 0:
        # Along the outer dimension chunks of 8 elements at `stride`, along k groups of 8 at `leading`.
        leading, stride = 128 * eight, 128
        address = lambda r, c: r // 8 * stride + c // 8 * leading + c % 8 * 16 + r % 8 * 2
    else:
        # Rows of `span` bytes along the outer dimension, 8 of k to an atom.
        wide = span // 2
        stride, leading = 8 * span, 8 * span * (k // 8)
        address = lambda r, c: r // wide * leading + c // 8 * stride + c % 8 * span + r % wide * 2
    image = {}
    for r in range(outer):
        for c in range(k):
            at = address(r, c)
            at ^= {0: 0, 1: (at >> 7 & 7) << 4, 2: (at >> 7 & 3) << 4, 3: (at >> 7 & 1) << 4}[swizzle]
            for i, byte in enumerate(encode(matrix[r][c], ty).to_bytes(size, "little")):
                image[at + i] = byte
    length = (max(image) // 16 + 1) * 16
    return bytes(image.get(i, 0) for i in range(length)), leading, stride


def warpgroups():
    b = Block("warpgroup", "sm_90a", threads=128, extra=".shared .align 1024 .b8 ta[8192]; .shared .align 1024 .b8 tb[8192];")
    b.line(".reg .pred %off, %on; .reg .b32 %g; setp.ne.u32 %on, 0, 1; setp.eq.u32 %off, 0, 1;")
    words = lambda raw: list(struct.unpack(f"<{len(raw) // 4}I", raw))
    cases = []
    for ty in ["f16", "bf16"]:
        for swizzle in range(4):
            cases.append((8, "f32", ty, ty, swizzle, "shared", (1, 1), 0, 0))
    cases += [(16, "f16", "f16", "f16", 0, "shared", (1, 1), 0, 0), (24, "f32", "tf32", "tf32", 1, "shared", (1, 1), 0, 0), (8, "f32", "tf32", "tf32", 0, "shared", (-1, 1), 0, 0),
              (8, "f32", "e4m3", "e5m2", 3, "shared", (1, 1), 0, 0), (8, "f16", "e5m2", "e4m3", 1, "shared", (1, -1), 0, 0), (8, "s32", "s8", "u8", 1, "shared", None, 0, 0), (16, "s32", "u8", "u8", 0, "shared", None, 0, 0),
              (8, "f32", "f16", "f16", 0, "registers", (1, 1), 0, 0), (8, "f32", "bf16", "bf16", 1, "registers", (-1, -1), 0, 0), (8, "f32", "tf32", "tf32", 0, "registers", (1, 1), 0, 0), (8, "s32", "s8", "s8", 2, "registers", None, 0, 0),
              (8, "f32", "e4m3", "e4m3", 0, "registers", (1, 1), 0, 0)]
    for swizzle, n in [(0, 8), (1, 64), (2, 32), (3, 16)]:
        cases += [(n, "f32", "f16", "f16", swizzle, "shared", (1, 1), 1, 0), (n, "f32", "bf16", "bf16", swizzle, "shared", (1, 1), 0, 1)]
    cases.append((64, "f32", "bf16", "bf16", 1, "registers", (1, 1), 0, 1))
    for n, dt, at, bt, swizzle, source, scales, ta, tb in cases:
        k = 32 // BYTES[at]
        low = {"u8": 0}
        A = [[random.randint(low.get(at, -4), 4) for _ in range(k)] for _ in range(64)]
        B = [[random.randint(low.get(bt, -4), 4) for _ in range(k)] for _ in range(n)]
        ib, lb, sb = place(B, bt, swizzle, tb)
        at_b = b.image(words(ib))
        b.copy_in(at_b, "tb", len(ib) // 4)
        if source == "shared":
            ia, la, sa = place(A, at, swizzle, ta)
            at_a = b.image(words(ia))
            b.copy_in(at_a, "ta", len(ia) // 4)
        packed = dt == "f16"
        count = n // 2 // (2 if packed else 1)
        regs = ", ".join(f"%d{i}" for i in range(count))
        b.line(f"{{ .reg .b32 {regs}, %a0, %a1, %a2, %a3, %x; .reg .b64 %da, %db, %k;")
        def descriptor(name, variable, leading, stride):
            high = (leading >> 4) << 16 | (stride >> 4) << 32 | swizzle << 62
            b.line(f"mov.u32 %x, {variable}; shr.u32 %x, %x, 4; and.b32 %x, %x, 16383; cvt.u64.u32 {name}, %x; mov.u64 %k, {high:#x}; or.b64 {name}, {name}, %k;")
        descriptor("%db", "tb", lb, sb)
        each = 4 // BYTES[at]
        if source == "shared":
            descriptor("%da", "ta", la, sa)
            operand = "%da"
        else:
            for r in range(4):
                def cell(t):
                    row, first = t // 32 * 16 + t % 32 // 4 + 8 * (r % 2), 4 * each * (r // 2) + t % 4 * each
                    return sum(encode(A[row][first + e], at) << (32 // each * e) for e in range(each))
                b.load(f"%a{r}", [cell(t) for t in range(128)])
            operand = "{%a0, %a1, %a2, %a3}"
        sign = 1 if scales is None else scales[0] * scales[1]
        flags = "" if scales is None else f", {scales[0]}, {scales[1]}"
        if at in ("f16", "bf16"):
            flags += f", {tb}" if source == "registers" else f", {ta}, {tb}"
        name = f"wgmma.mma_async.sync.aligned.m64n{n}k{k}.{dt}.{at}.{bt} {{{regs}}}, {operand}, %db"
        # The first product does not read its accumulators, the second adds to them.
        b.line(f"wgmma.fence.sync.aligned; {name}, %off{flags}; {name}, %on{flags}; wgmma.commit_group.sync.aligned; wgmma.wait_group.sync.aligned 0;")
        D = [[2 * sign * sum(x * y for x, y in zip(A[i], B[j])) for j in range(n)] for i in range(64)]
        shown = range(count) if count <= 8 else [0, 1, count // 2 + 1, count - 1]
        for i in shown:
            def got(t):
                row, col = t // 32 * 16 + t % 32 // 4, t % 4 * 2
                if packed:
                    r, c = row + 8 * (i % 2), col + 8 * (i // 2)
                    return encode(D[r][c], "f16") | encode(D[r][c + 1], "f16") << 16
                return encode(D[row + 8 * (i % 4 // 2)][col + 8 * (i // 4) + i % 2], dt)
            b.store(f"%d{i}", [got(t) for t in range(128)])
        b.line("}")
    b.write("# wgmma: types, swizzles, majors, A in registers, scales", [])


def fragments():
    """WMMA by load, product and store in every type; mma of f64 and of bits."""
    b = Block("wmma", "sm_90", threads=32, extra=".shared .align 256 .b8 tile[4096];")
    b.line(".reg .b64 %g; .reg .b32 %d, %k;")
    raw = lambda values, ty: list(b"".join(pack(v, ty) for v in values))
    def pack(v, ty):
        if ty == "f64":
            return struct.pack("<d", v)
        return encode(v, ty).to_bytes({"f32": 4, "s32": 4}.get(ty) or BYTES[ty], "little")
    def words(values, ty):
        if ty in ("s4", "u4", "b1"):
            n = 4 if ty != "b1" else 1
            bits = sum((v & ((1 << n) - 1)) << (n * i) for i, v in enumerate(values))
            data = bits.to_bytes(len(values) * n // 8, "little")
        else:
            data = bytes(raw(values, ty))
        return list(struct.unpack(f"<{len(data) // 4}I", data))
    forms = []
    for m, n in [(16, 16), (32, 8), (8, 32)]:
        forms += [(m, n, 16, "f16", "f32", "f32"), (m, n, 16, "bf16", "f32", "f32"), (m, n, 16, "s8", "s32", "s32"), (m, n, 16, "u8", "s32", "s32")]
    forms += [(16, 16, 16, "f16", "f16", "f16"), (16, 16, 16, "f16", "f16", "f32"), (16, 16, 8, "tf32", "f32", "f32"), (8, 8, 4, "f64", "f64", "f64"), (8, 8, 32, "s4", "s32", "s32"), (8, 8, 32, "u4", "s32", "s32"), (8, 8, 128, "b1", "s32", "s32")]
    for index, (m, n, k, ty, ct, dt) in enumerate(forms):
        low, high = {"u8": (0, 9), "u4": (0, 15), "s4": (-8, 7), "b1": (0, 1), "s8": (-9, 9)}.get(ty, (-4, 4))
        A = [[random.randint(low, high) for _ in range(k)] for _ in range(m)]
        B = [[random.randint(low, high) for _ in range(n)] for _ in range(k)]
        C = [[random.randint(-8, 8) for _ in range(n)] for _ in range(m)]
        small = ty in ("s4", "u4", "b1")
        # Sub-byte types have one layout; the others alternate.
        la, lb = ("row", "col") if small else [("row", "col"), ("col", "row"), ("row", "row"), ("col", "col")][index % 4]
        lc = ["row", "col"][index // 4 % 2]
        flat = lambda M, layout: [x for r in (M if layout == "row" else list(map(list, zip(*M)))) for x in r]
        stride = lambda rows, cols, layout: cols if layout == "row" else rows
        pa, pb, pc = b.image(words(flat(A, la), ty)), b.image(words(flat(B, lb), ty)), b.image(words(flat(C, lc), ct))
        wide = ty == "f64"
        counts = {"f16": (8, 8, None), "bf16": {(16, 16): (4, 4), (32, 8): (8, 2), (8, 32): (2, 8)}.get((m, n)), "tf32": (4, 4), "f64": (1, 1), "s4": (1, 1), "u4": (1, 1), "b1": (1, 1),
                  "s8": {(16, 16): (2, 2), (32, 8): (4, 1), (8, 32): (1, 4)}.get((m, n)), "u8": {(16, 16): (2, 2), (32, 8): (4, 1), (8, 32): (1, 4)}.get((m, n))}[ty]
        accumulators = lambda t: 4 if t == "f16" else m * n // 32
        kind = "b64" if wide else "b32"
        lists = {}
        b.line("{")
        for tag, count in [("a", counts[0]), ("b", counts[1]), ("c", accumulators(ct)), ("d", accumulators(dt))]:
            names = [f"%{tag}{i}" for i in range(count)]
            lists[tag] = "{" + ", ".join(names) + "}"
            b.line(f".reg .{'f64' if wide else 'f32' if tag in 'cd' and {'c': ct, 'd': dt}[tag] == 'f32' else 'b32'} {', '.join(names)};")
        shape = f"m{m}n{n}k{k}"
        for tag, layout, ety, at, step in [("a", la, ty, pa, stride(m, k, la)), ("b", lb, ty, pb, stride(k, n, lb)), ("c", lc, ct, pc, stride(m, n, lc))]:
            b.line(f"add.s64 %g, %in, {at}; wmma.load.{tag}.sync.aligned.{layout}.{shape}.global.{ety} {lists[tag]}, [%g], {step};")
        if ty == "f16":
            types = f"{dt}.{ct}"
        elif wide:
            types = "rn.f64.f64.f64.f64"
        else:
            types = f"{dt}.{ty}.{ty}.{ct}"
        op = "xor.popc." if ty == "b1" else ""
        b.line(f"wmma.mma.{op}sync.aligned.{la}.{lb}.{shape}.{types} {lists['d']}, {lists['a']}, {lists['b']}, {lists['c']};")
        b.line(f"bar.warp.sync -1; mov.u32 %k, tile; wmma.store.d.sync.aligned.{lc}.{shape}.shared.{dt} [%k], {lists['d']}, {stride(m, n, lc)}; bar.warp.sync -1; }}")
        term = (lambda x, y: x ^ y) if ty == "b1" else (lambda x, y: x * y)
        D = [[C[i][j] + sum(term(A[i][x], B[x][j]) for x in range(k)) for j in range(n)] for i in range(m)]
        result = words(flat(D, lc), dt)
        for part in range(len(result) // 32):
            b.line(f"mad.lo.u32 %k, %t, 4, {128 * part}; {{ .reg .b32 %s; mov.u32 %s, tile; add.u32 %k, %k, %s; }} ld.shared.b32 %d, [%k];")
            b.store("%d", result[32 * part:32 * part + 32])
        b.line("bar.warp.sync -1;")
    doubles()
    b.write("# WMMA in every type and shape")


def doubles():
    """mma.sync of f64 and of bits."""
    b = Block("mma_wide", "sm_90", threads=32)
    for m, k in [(8, 4), (16, 4), (16, 8), (16, 16)]:
        A = [[random.randint(-9, 9) / 4 for _ in range(k)] for _ in range(m)]
        B = [[random.randint(-9, 9) / 4 for _ in range(8)] for _ in range(k)]
        C = [[random.randint(-9, 9) / 4 for _ in range(8)] for _ in range(m)]
        D = [[C[i][j] + sum(A[i][x] * B[x][j] for x in range(k)) for j in range(8)] for i in range(m)]
        high = m // 8
        na, nb, nc = m * k // 32, k // 4, m * 8 // 32
        a = lambda l, r: A[l // 4 + 8 * (r % high)][l % 4 + 4 * (r // high)]
        bb = lambda l, r: B[l % 4 + 4 * r][l // 4]
        c = lambda M: lambda l, r: M[l // 4 + 8 * (r // 2)][l % 4 * 2 + r % 2]
        b.line("{")
        vectors = {}
        for tag, count, cell in [("a", na, a), ("b", nb, bb), ("c", nc, c(C)), ("d", nc, None)]:
            names = [f"%{tag}{i}" for i in range(count)]
            vectors[tag] = "{" + ", ".join(names) + "}"
            b.line(f".reg .f64 {', '.join(names)}; .reg .b32 %lo, %hi;" if tag == "a" else f".reg .f64 {', '.join(names)};")
            for r, name in enumerate(names if cell else []):
                pairs = [struct.unpack("<II", struct.pack("<d", cell(l, r))) for l in range(32)]
                b.load("%lo", [p[0] for p in pairs])
                b.load("%hi", [p[1] for p in pairs])
                b.line(f"mov.b64 {name}, {{%lo, %hi}};")
        b.line(f"mma.sync.aligned.m{m}n8k{k}.row.col.f64.f64.f64.f64 {vectors['d']}, {vectors['a']}, {vectors['b']}, {vectors['c']};")
        for r in range(nc):
            pairs = [struct.unpack("<II", struct.pack("<d", c(D)(l, r))) for l in range(32)]
            b.line(f"mov.b64 {{%lo, %hi}}, %d{r};")
            b.store("%lo", [p[0] for p in pairs])
            b.store("%hi", [p[1] for p in pairs])
        b.line("}")
    for m, k, op in [(8, 128, "xor"), (16, 128, "and"), (16, 256, "xor"), (16, 256, "and")]:
        A = [random.getrandbits(k) for _ in range(m)]
        B = [random.getrandbits(k) for _ in range(8)]
        D = [[bin(x ^ y if op == "xor" else x & y).count("1") + i for y in B] for i, x in enumerate(A)]
        na, nb, nc = m * k // 1024, k // 128, m // 4
        high = m // 8
        b.line("{")
        b.line(f".reg .b32 {', '.join(f'%{t}{i}' for t, n in [('a', na), ('b', nb), ('c', nc), ('d', nc)] for i in range(n))};")
        for r in range(na):
            b.load(f"%a{r}", [A[l // 4 + 8 * (r % high)] >> (l % 4 * 32 + 128 * (r // high)) & 0xffffffff for l in range(32)])
        for r in range(nb):
            b.load(f"%b{r}", [B[l // 4] >> (l % 4 * 32 + 128 * r) & 0xffffffff for l in range(32)])
        for r in range(nc):
            b.load(f"%c{r}", [l // 4 + 8 * (r // 2) for l in range(32)])
        v = lambda t, n: "{" + ", ".join(f"%{t}{i}" for i in range(n)) + "}"
        b.line(f"mma.sync.aligned.m{m}n8k{k}.row.col.s32.b1.b1.s32.{op}.popc {v('d', nc)}, {v('a', na)}, {v('b', nb)}, {v('c', nc)};")
        for r in range(nc):
            b.store(f"%d{r}", [D[l // 4 + 8 * (r // 2)][l % 4 * 2 + r % 2] for l in range(32)])
        b.line("}")
    b.write("# mma.sync of f64 and of bits")


def main():
    random.seed(22)
    warpgroups()
    fragments()
