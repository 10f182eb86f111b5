"""Atomic operations and reductions of every type in global memory, vectors among them."""
import random
import struct

from block import Block


def main():
    random.seed(23)
    b = Block("atomics", threads=32)
    b.line(".reg .b32 %d, %e; .reg .b64 %g, %p;")
    sg = lambda v, n: v - (1 << n) if v >> (n - 1) else v
    ops = {"add": lambda x, y, n, s: x + y, "and": lambda x, y, n, s: x & y, "or": lambda x, y, n, s: x | y, "xor": lambda x, y, n, s: x ^ y, "exch": lambda x, y, n, s: y,
           "min": lambda x, y, n, s: min(x, y, key=lambda v: sg(v, n) if s else v), "max": lambda x, y, n, s: max(x, y, key=lambda v: sg(v, n) if s else v),
           "inc": lambda x, y, n, s: 0 if x >= y else x + 1, "dec": lambda x, y, n, s: y if x == 0 or x > y else x - 1}
    types = {"add": ["u32", "s32", "u64"], "and": ["b32", "b64"], "or": ["b32", "b64"], "xor": ["b32", "b64"], "exch": ["b32", "b64"], "min": ["u32", "s32", "u64", "s64"], "max": ["u32", "s32", "u64", "s64"], "inc": ["u32"], "dec": ["u32"]}

    def run(name, bits, old, new, results, tokens, compare=None, vector=1):
        """One element (or vector) a thread: the value before, where given back, and the one after."""
        per = bits // 8 * vector
        pack = lambda list_: list(struct.unpack(f"<{len(list_) * bits // 32}I", b"".join(v.to_bytes(bits // 8, "little") for v in list_)))
        at, new_at = b.image(pack(old)), b.image(pack(new))
        reg = {16: "b16", 32: "b32", 64: "b64"}[bits]
        lanes = range(vector)
        b.line(f"{{ .reg .{reg} {', '.join(f'%v{i}, %o{i}' for i in lanes)}, %c;")
        braces = lambda tag: f"%{tag}0" if vector == 1 else "{" + ", ".join(f"%{tag}{i}" for i in lanes) + "}"
        kind = reg if vector == 1 else f"v{vector}.{reg}"
        b.line(f"mul.wide.u32 %g, %t, {per}; add.s64 %g, %g, %in; ld.global.{kind} {braces('v')}, [%g+{new_at}]; add.s64 %p, %g, {at};")
        extra = ""
        if compare is not None:
            compare_at = b.image(pack(compare))
            b.line(f"ld.global.{reg} %c, [%g+{compare_at}];")
            extra = "%c, "
        if tokens:
            b.line(f"{name} {braces('o')}, [%p], {extra}{braces('v')};")
        else:
            b.line(f"{name} [%p], {braces('v')};")
        b.line(f"ld.global.{kind} {braces('v')}, [%p];")
        for tag, values in ([("o", old)] if tokens else []) + [("v", results)]:
            for i in lanes:
                mine = values[i::vector]
                if bits == 64:
                    b.line(f"mov.b64 {{%d, %e}}, %{tag}{i};")
                    b.store("%e", [v >> 32 for v in mine])
                elif bits == 16:
                    b.line(f"cvt.u32.u16 %d, %{tag}{i};")
                else:
                    b.line(f"mov.b32 %d, %{tag}{i};")
                b.store("%d", [v & 0xffffffff for v in mine])
        b.line("}")

    for op, kinds in types.items():
        for ty in kinds:
            n = int(ty[1:])
            old, new = ([random.getrandbits(n) for _ in range(32)] for _ in range(2))
            got = [ops[op](x, y, n, ty[0] == "s") & ((1 << n) - 1) for x, y in zip(old, new)]
            order = random.choice(["", ".relaxed.gpu", ".acq_rel.sys", ".acquire.cta", ".release.cluster"])
            run(f"atom{order}.global.{op}.{ty}", n, old, new, got, True)
            if op != "exch":
                run(f"red{random.choice(['', '.relaxed.gpu', '.release.sys'])}.global.{op}.{ty}", n, old, new, got, False)
    for n in [16, 32, 64]:
        old, new = ([random.getrandbits(n) for _ in range(32)] for _ in range(2))
        compare = [x if i % 3 else x ^ 1 for i, x in enumerate(old)]
        run(f"atom.global.cas.b{n}", n, old, new, [y if x == c else x for x, y, c in zip(old, new, compare)], True, compare)
    quarter = lambda: random.randint(-60, 60)
    half = lambda v: struct.unpack("<H", struct.pack("<e", v))[0]
    brain = lambda v: struct.unpack("<I", struct.pack("<f", v))[0] >> 16
    single = lambda v: struct.unpack("<I", struct.pack("<f", v))[0]
    double = lambda v: struct.unpack("<Q", struct.pack("<d", v))[0]
    two = lambda f: lambda v: f(v[0]) | f(v[1]) << 16
    plus = lambda x, y: x + y
    pair = lambda fn: lambda x, y: (fn(x[0], y[0]), fn(x[1], y[1]))
    forms = [("add.f32", 32, single, 1, plus), ("add.f64", 64, double, 1, plus), ("add.noftz.f16", 16, half, 1, plus), ("add.noftz.bf16", 16, brain, 1, plus),
             ("add.noftz.f16x2", 32, half, 2, plus), ("add.noftz.bf16x2", 32, brain, 2, plus), ("add.v2.f32", 32, single, 1, plus), ("add.v4.f32", 32, single, 1, plus),
             ("add.noftz.v2.f16", 16, half, 1, plus), ("add.noftz.v4.f16", 16, half, 1, plus), ("add.noftz.v8.f16", 16, half, 1, plus), ("min.noftz.v2.f16", 16, half, 1, min), ("max.noftz.v4.bf16", 16, brain, 1, max),
             ("add.noftz.v2.f16x2", 32, half, 2, plus), ("max.noftz.v4.bf16x2", 32, brain, 2, max), ("add.noftz.v2.bf16x2", 32, brain, 2, plus)]
    for form, bits, code, parts, fn in forms:
        vector = int(form.split(".v")[1].split(".")[0]) if ".v" in form else 1
        if vector == 8:
            # Loads of eight halves do not exist; this form is read back by words elsewhere.
            continue
        values = [[quarter() if parts == 1 else (quarter(), quarter()) for _ in range(32 * vector)] for _ in range(2)]
        one = code if parts == 1 else two(code)
        join = fn if parts == 1 else pair(fn)
        old, new = ([one(v) for v in list_] for list_ in values)
        got = [one(join(x, y)) for x, y in zip(*values)]
        words = form.split(".")
        # The order of the qualifiers: operation, noftz, vector, type.
        run(f"atom.global.{'.'.join(words)}", bits, old, new, got, True, vector=vector)
        run(f"red.relaxed.gpu.global.{'.'.join(words)}", bits, old, new, got, False, vector=vector)
    # All threads on one place.
    at = b.image([0, 0, 0xffffffff, 0])
    for form, value, want in [("add.u32", "1", 32), ("max.u32", "%t", 31), ("and.b32", "%d", 0), ("or.b32", "%d", 0xffffffff)]:
        b.line(f"{{ .reg .b32 %one; mov.u32 %one, 1; shl.b32 %d, %one, %t; }}" + (" not.b32 %d, %d;" if form[:3] == "and" else ""))
        b.line(f"red.global.{form} [%in+{at}], {value}; bar.sync 0; ld.global.b32 %e, [%in+{at}]; bar.sync 0;")
        b.store("%e", [want] * 32)
        at += 4
    b.write("# atomics and reductions in global memory")
