#!/usr/bin/env python3
"""Writes the microtests: one case a family, in the format of ../corpus/README.md.

Every form gets 32 rows of operands, one a lane, and expected bits that this file computes with
exact integers and fractions from the text of the ISA. Nothing here comes from the machine under
test, and the cases run on a GPU as they are. Run it in this folder; it needs only Python.
"""
import json
import math
import random
import struct
from fractions import Fraction as Fr

random.seed(12)
FORMATS = {"f16": (5, 10), "bf16": (8, 7), "f32": (8, 23), "f64": (11, 52)}
BITS = {"pred": 1, "b16": 16, "u16": 16, "s16": 16, "f16": 16, "bf16": 16, "b32": 32, "u32": 32,
        "s32": 32, "f32": 32, "f16x2": 32, "bf16x2": 32, "b64": 64, "u64": 64, "s64": 64,
        "f64": 64, "u8": 8, "s8": 8}
NAN = {"f16": 0x7fff, "bf16": 0x7fff, "f32": 0x7fffffff, "f64": 0x7fffffffffffffff}


def decode(bits, fmt):
    """Fraction, or 'nan', 'inf', '-inf'; zero keeps its sign in `sign`."""
    e, m = FORMATS[fmt]
    s, field, frac = bits >> (e + m) & 1, bits >> m & ((1 << e) - 1), bits & ((1 << m) - 1)
    bias = (1 << (e - 1)) - 1
    if field == (1 << e) - 1:
        return "nan" if frac else ("-inf" if s else "inf")
    v = Fr(frac, 1 << m) * Fr(2) ** (1 - bias) if field == 0 else (1 + Fr(frac, 1 << m)) * Fr(2) ** (field - bias)
    return -v if s else v


def sign(bits, fmt):
    e, m = FORMATS[fmt]
    return bits >> (e + m) & 1


def encode(v, fmt, mode="rn", zero_sign=0):
    """Rounds a fraction to a format."""
    e, m = FORMATS[fmt]
    bias = (1 << (e - 1)) - 1
    top = e + m
    if v == 0:
        return zero_sign << top
    s, v = (1, -v) if v < 0 else (0, v)
    exp = v.numerator.bit_length() - v.denominator.bit_length()
    if Fr(2) ** exp > v:
        exp -= 1
    exp = max(exp, 1 - bias)
    scaled = v / Fr(2) ** (exp - m)
    whole, rest = scaled.numerator // scaled.denominator, scaled - scaled.numerator // scaled.denominator
    up = {"rn": rest > Fr(1, 2) or rest == Fr(1, 2) and whole & 1, "rz": False,
          "rm": s and rest > 0, "rp": not s and rest > 0, "rna": rest >= Fr(1, 2)}[mode]
    whole += 1 if up else 0
    bits = whole + ((exp + bias - 1) << m) if whole >= 1 << m else whole
    inf = ((1 << e) - 1) << m
    if bits >= inf:
        bits = inf
        if mode == "rz" or (mode == "rm" and not s) or (mode == "rp" and s):
            bits = inf - 1
    return bits | s << top


def exact(*operands):
    return all(isinstance(v, Fr) for v in operands)


def arith(fn, fmt, mode="rn", ftz=False, sat=False, relu=False):
    """A float operation on encodings; None where the row should be left out."""
    def run(*bits):
        if ftz:
            bits = [flush(b, fmt) for b in bits]
        vals = [decode(b, fmt) for b in bits]
        if not exact(*vals):
            return None
        r = fn(*vals)
        if r is None:
            return None
        if r == 0:
            return None if any(vals) else None
        out = encode(r, fmt, mode)
        if ftz:
            out = flush(out, fmt)
        if sat:
            w = decode(out, fmt)
            if w == "inf":
                w = Fr(1)
            elif w == "-inf":
                w = Fr(0)
            out = encode(min(max(w, Fr(0)), Fr(1)), fmt)
        if relu and sign(out, fmt):
            out = 0
        return out
    return run


def flush(bits, fmt):
    e, m = FORMATS[fmt]
    return bits if bits >> m & ((1 << e) - 1) else bits & 1 << (e + m)


def isqrt_round(v, fmt, mode):
    if v < 0:
        return None
    if v == 0:
        return 0
    k = 2 ** 1400
    r = math.isqrt(v.numerator * k * k // v.denominator)
    root = Fr(r, k)
    if root * root != v:
        root += Fr(1, 4 * k)
    return encode(root, fmt, mode)


def signed(x, n):
    x &= (1 << n) - 1
    return x - (1 << n) if x >> (n - 1) else x


def specials(ty):
    n = BITS[ty]
    if ty in FORMATS:
        e, m = FORMATS[ty]
        one = ((1 << (e - 1)) - 1) << m
        base = [one, one + 1, one | 1 << (e + m), one + (1 << m) + 3, one - (2 << m) + 5, 1, (1 << m) - 1, 3 << (m - 1),
                (((1 << e) - 2) << m) | ((1 << m) - 1), one + (1 << (m - 1)), one + (5 << m) + (3 << (m - 2))]
        for _ in range(21):
            x = random.getrandbits(m) | random.getrandbits(1) << (e + m)
            base.append(x | (((1 << (e - 1)) - 1 + random.randint(-9, 9)) << m))
        random.shuffle(base)
        return base
    if ty in ("f16x2", "bf16x2"):
        a, b = specials(ty[:-2]), specials(ty[:-2])
        return [x | y << 16 for x, y in zip(a, b)]
    if ty == "pred":
        return [random.getrandbits(1) for _ in range(32)]
    base = [0, 1, 2, (1 << n) - 1, 1 << (n - 1), (1 << (n - 1)) - 1, 31 & ((1 << n) - 1), 33]
    base += [random.getrandbits(n) for _ in range(16)] + [random.getrandbits(max(1, n // 3)) for _ in range(8)]
    random.shuffle(base)
    return base


class Family:
    def __init__(self, name, target="sm_90"):
        self.name, self.target, self.forms = name, target, []

    def add(self, form, result, operands, fn, rows=None):
        """`fn` takes bits of the operands; rows where it gives None get other operands."""
        out, ins = [], [[] for _ in operands]
        tries = 0
        pool = [specials(t) for t in operands] if rows is None else rows
        at = 0
        while len(out) < 32:
            row = [p[at % 32] for p in pool]
            at += 1
            if at % 32 == 0 and rows is None:
                pool = [specials(t) for t in operands]
            tries += 1
            if tries > 5000:
                raise SystemExit(f"{form}: no rows")
            got = fn(*row)
            if got is None:
                continue
            out.append(got & ((1 << BITS[result]) - 1))
            for column, v in zip(ins, row):
                column.append(v)
        self.forms.append((form, result, operands, ins, out))

    def write(self):
        text = [".version 8.0", f".target {self.target}", ".address_size 64", "",
                f".visible .entry {self.name}(.param .u64 in, .param .u64 out)", "{",
                "    .reg .b64 %in, %out, %lane;", "    .reg .b32 %t;",
                "    ld.param.u64 %in, [in];", "    ld.param.u64 %out, [out];", "    mov.u32 %t, %tid.x;",
                "    mul.wide.u32 %lane, %t, 8;", "    add.s64 %in, %in, %lane;", "    add.s64 %out, %out, %lane;"]
        inputs, outputs, slot = [], [], 0
        for index, (form, result, operands, ins, out) in enumerate(self.forms):
            names = []
            text.append("    {")
            text.append("    .reg .b64 %w; .reg .b32 %v;")
            for k, ty in enumerate(operands):
                n = max(BITS[ty], 16)
                if ty == "pred":
                    text.append(f"    .reg .pred %a{k}; ld.global.b32 %v, [%in+{slot * 256}]; setp.ne.u32 %a{k}, %v, 0;")
                else:
                    reg = 32 if n == 32 else n
                    text.append(f"    .reg .b{reg} %a{k}; ld.global.b{n} %a{k}, [%in+{slot * 256}];")
                inputs += ins[k]
                slot += 1
                names.append(f"%a{k}")
            n = BITS[result]
            if "{" in form or "%d" in form:
                line = form.format(*names, d="%d")
            else:
                line = f"{form} %d, {', '.join(names)};"
            reg = "pred" if result == "pred" else f"b{max(n, 16)}"
            text.append(f"    .reg .{reg} %d; {line}")
            if result == "pred":
                text.append("    selp.u32 %v, 1, 0, %d; cvt.u64.u32 %w, %v;")
            elif n == 64:
                text.append("    mov.b64 %w, %d;")
            elif n == 32:
                text.append("    cvt.u64.u32 %w, %d;")
            else:
                text.append("    cvt.u64.u16 %w, %d;")
            text.append(f"    st.global.b64 [%out+{index * 256}], %w;")
            text.append("    }")
            outputs += out
        text += ["    ret;", "}", ""]
        open(f"{self.name}.ptx", "w").write("\n".join(text))
        tensors = {"in": ("U64", inputs), "out": ("U64", [0xabababababababab] * len(outputs)), "expect.out": ("U64", outputs)}
        save(f"{self.name}.safetensors", tensors)
        launch(self.name, self.name, "[32, 1, 1]", ['buffer = "in"', 'buffer = "out"\nuninit = true\nexpect = "expect.out"\nrtol = 0.0\natol = 0.0'],
               f"# {len(self.forms)} forms, one lane a row")


def launch(name, entry, block, args, note):
    body = "\n\n".join("[[args]]\n" + a for a in args)
    open(f"{name}.launch.toml", "w").write(
        f'{note}\nptx = "{name}.ptx"\nentry = "{entry}"\ngrid = [1, 1, 1]\nblock = {block}\ndynamic_shared = 0\n'
        f'data = "{name}.safetensors"\n\n{body}\n')


def save(path, tensors):
    codes = {"U64": "Q", "U32": "I", "F32": "f"}
    header, blob = {}, b""
    for name, (dtype, values) in tensors.items():
        data = struct.pack(f"<{len(values)}{codes[dtype]}", *values)
        header[name] = {"dtype": dtype, "shape": [len(values)], "data_offsets": [len(blob), len(blob) + len(data)]}
        blob += data
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    open(path, "wb").write(struct.pack("<Q", len(text)) + text + blob)


def integers():
    f = Family("integer")
    for ty in ["u16", "s16", "u32", "s32", "u64", "s64"]:
        n = BITS[ty]
        val = (lambda x, n=n: signed(x, n)) if ty[0] == "s" else (lambda x: x)
        f.add(f"add.{ty}", ty, [ty] * 2, lambda a, b: a + b)
        f.add(f"sub.{ty}", ty, [ty] * 2, lambda a, b: a - b)
        f.add(f"mul.lo.{ty}", ty, [ty] * 2, lambda a, b: a * b)
        f.add(f"mul.hi.{ty}", ty, [ty] * 2, lambda a, b, v=val, n=n: v(a) * v(b) >> n)
        f.add(f"mad.lo.{ty}", ty, [ty] * 3, lambda a, b, c: a * b + c)
        f.add(f"min.{ty}", ty, [ty] * 2, lambda a, b, v=val: min(v(a), v(b)))
        f.add(f"max.{ty}", ty, [ty] * 2, lambda a, b, v=val: max(v(a), v(b)))
        def quotient(a, b, v=val):
            a, b = v(a), v(b)
            return None if b == 0 else abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)
        f.add(f"div.{ty}", ty, [ty] * 2, quotient)
        f.add(f"rem.{ty}", ty, [ty] * 2, lambda a, b, v=val, q=quotient: None if b == 0 else v(a) - v(b) * q(a, b))
        f.add(f"sad.{ty}", ty, [ty] * 3, lambda a, b, c, v=val: c + abs(v(a) - v(b)))
        f.add(f"shr.{ty}", ty, [ty, "u32"], lambda a, s, v=val, n=n: v(a) >> min(s, n))
        if ty[0] == "s":
            f.add(f"abs.{ty}", ty, [ty], lambda a, v=val: abs(v(a)))
            f.add(f"neg.{ty}", ty, [ty], lambda a: -a)
        if n < 64:
            wide = ty[0] + str(2 * n)
            f.add(f"mul.wide.{ty}", wide, [ty] * 2, lambda a, b, v=val: v(a) * v(b))
            f.add(f"mad.wide.{ty}", wide, [ty, ty, wide], lambda a, b, c, v=val: v(a) * v(b) + c)
        if n >= 32:
            f.add(f"mad.hi.{ty}", ty, [ty] * 3, lambda a, b, c, v=val, n=n: (v(a) * v(b) >> n) + c)
            def bfe(a, b, c, v=val, n=n, s=ty[0] == "s"):
                pos, length = b & 0xff, c & 0xff
                fill = (a >> min(pos + length - 1, n - 1)) & 1 if s and length else 0
                out = 0
                for i in range(n):
                    bit = a >> (pos + i) & 1 if i < length and pos + i <= n - 1 else fill
                    out |= bit << i
                return out
            f.add(f"bfe.{ty}", ty, [ty, "u32", "u32"], bfe)
            f.add(f"bfind.{ty}", "u32", [ty], lambda a, n=n, s=ty[0] == "s": find(a, n, s, False))
            f.add(f"bfind.shiftamt.{ty}", "u32", [ty], lambda a, n=n, s=ty[0] == "s": find(a, n, s, True))
    f.add("add.sat.s32", "s32", ["s32"] * 2, lambda a, b: max(min(signed(a, 32) + signed(b, 32), 2**31 - 1), -2**31))
    f.add("sub.sat.s32", "s32", ["s32"] * 2, lambda a, b: max(min(signed(a, 32) - signed(b, 32), 2**31 - 1), -2**31))
    for n in [16, 32, 64]:
        ty = f"b{n}"
        f.add(f"and.{ty}", ty, [ty] * 2, lambda a, b: a & b)
        f.add(f"or.{ty}", ty, [ty] * 2, lambda a, b: a | b)
        f.add(f"xor.{ty}", ty, [ty] * 2, lambda a, b: a ^ b)
        f.add(f"not.{ty}", ty, [ty], lambda a: ~a)
        f.add(f"cnot.{ty}", ty, [ty], lambda a: int(a == 0)) if n > 16 else None
        f.add(f"shl.{ty}", ty, [ty, "u32"], lambda a, s, n=n: a << min(s, n))
        f.add(f"shr.{ty}", ty, [ty, "u32"], lambda a, s, n=n: a >> min(s, n))
        if n > 16:
            f.add(f"popc.{ty}", "u32", [ty], lambda a: bin(a).count("1"))
            f.add(f"clz.{ty}", "u32", [ty], lambda a, n=n: n - a.bit_length())
            f.add(f"brev.{ty}", ty, [ty], lambda a, n=n: int(f"{a:0{n}b}"[::-1], 2))
            def bfi(a, b, c, d, n=n):
                pos, length = c & 0xff, d & 0xff
                for i in range(length):
                    if pos + i < n:
                        b = b & ~(1 << (pos + i)) | (a >> i & 1) << (pos + i)
                return b
            f.add(f"bfi.{ty}", ty, [ty, ty, "u32", "u32"], bfi)
    for left in [True, False]:
        for mode in ["wrap", "clamp"]:
            def shf(a, b, c, left=left, mode=mode):
                n = c & 31 if mode == "wrap" else min(c, 32)
                return (b << n | a >> (32 - n)) if left else (b << (32 - n) | a >> n)
            f.add(f"shf.{'l' if left else 'r'}.{mode}.b32", "b32", ["b32", "b32", "u32"], shf)
    for table in [0x96, 0xe8, 0xca, 0x1b]:
        f.add("lop3.b32 {d}, {0}, {1}, {2}, " + hex(table) + ";", "b32", ["b32"] * 3,
              lambda a, b, c, t=table: sum((t >> ((a >> i & 1) << 2 | (b >> i & 1) << 1 | (c >> i & 1)) & 1) << i for i in range(32)))
    def prmt(a, b, c):
        raw = (b << 32 | a).to_bytes(8, "little")
        out = 0
        for i in range(4):
            s = c >> (4 * i) & 15
            byte = raw[s & 7]
            out |= ((0xff if byte >> 7 else 0) if s & 8 else byte) << (8 * i)
        return out
    f.add("prmt.b32", "b32", ["b32"] * 3, prmt)
    def bmsk(a, b, clamp):
        if clamp:
            return 0 if a >= 32 else ((1 << min(b, 32)) - 1) << a
        a, b = a & 31, b & 31
        return ((1 << b) - 1) << a
    f.add("bmsk.clamp.b32", "b32", ["u32"] * 2, lambda a, b: bmsk(a, b, True))
    f.add("bmsk.wrap.b32", "b32", ["u32"] * 2, lambda a, b: bmsk(a, b, False))
    for x in "us":
        for y in "us":
            def dp4a(a, b, c, x=x, y=y):
                v = lambda w, i, t: signed(w >> 8 * i, 8) if t == "s" else w >> 8 * i & 255
                return c + sum(v(a, i, x) * v(b, i, y) for i in range(4))
            f.add(f"dp4a.{x}32.{y}32", "u32", ["u32"] * 3, dp4a)
            def dp2a(a, b, c, x=x, y=y, hi=False):
                w = b >> 16 if hi else b
                v = lambda i: signed(a >> 16 * i, 16) if x == "s" else a >> 16 * i & 0xffff
                u = lambda i: signed(w >> 8 * i, 8) if y == "s" else w >> 8 * i & 255
                return c + sum(v(i) * u(i) for i in range(2))
            f.add(f"dp2a.lo.{x}32.{y}32", "u32", ["u32"] * 3, dp2a)
            f.add(f"dp2a.hi.{x}32.{y}32", "u32", ["u32"] * 3, lambda a, b, c, g=dp2a: g(a, b, c, hi=True))
    # Carry chains: two words of a sum, a difference and a product.
    pair = "{{.reg .b32 %l0, %h0, %l1, %h1; mov.b64 {{%l0,%h0}}, {0}; mov.b64 {{%l1,%h1}}, {1}; "
    f.add(pair + "add.cc.u32 %l0, %l0, %l1; addc.u32 %h0, %h0, %h1; mov.b64 {d}, {{%l0,%h0}};}}", "u64", ["u64"] * 2, lambda a, b: a + b)
    f.add(pair + "sub.cc.u32 %l0, %l0, %l1; subc.u32 %h0, %h0, %h1; mov.b64 {d}, {{%l0,%h0}};}}", "u64", ["u64"] * 2, lambda a, b: a - b)
    f.add(pair + "mad.lo.cc.u32 %l0, %l1, %h1, %l0; madc.hi.u32 %h0, %l1, %h1, %h0; mov.b64 {d}, {{%l0,%h0}};}}", "u64", ["u64"] * 2,
          lambda a, b: a + (b & 0xffffffff) * (b >> 32))
    f.write()


def find(a, n, is_signed, shiftamt):
    if is_signed and a >> (n - 1):
        a = ~a & ((1 << n) - 1)
    if a == 0:
        return 0xffffffff
    top = a.bit_length() - 1
    return n - 1 - top if shiftamt else top


def floats():
    f = Family("float")
    for fmt in ["f32", "f64"]:
        for mode in ["rn", "rz", "rm", "rp"]:
            for name, op, count in [("add", lambda a, b: a + b, 2), ("sub", lambda a, b: a - b, 2), ("mul", lambda a, b: a * b, 2),
                                    ("fma", lambda a, b, c: a * b + c, 3), ("div", lambda a, b: a / b if b else None, 2)]:
                f.add(f"{name}.{mode}.{fmt}", fmt, [fmt] * count, arith(op, fmt, mode))
            f.add(f"rcp.{mode}.{fmt}", fmt, [fmt], arith(lambda a: 1 / a if a else None, fmt, mode))
            f.add(f"sqrt.{mode}.{fmt}", fmt, [fmt], lambda a, t=fmt, m=mode: isqrt_round(decode(a, t), t, m) if exact(decode(a, t)) and decode(a, t) > 0 else None)
    for name, op, count in [("add", lambda a, b: a + b, 2), ("mul", lambda a, b: a * b, 2), ("fma.rn", lambda a, b, c: a * b + c, 3)]:
        f.add(f"{name}.ftz.f32", "f32", ["f32"] * count, arith(op, "f32", ftz=True))
        f.add(f"{name}.sat.f32", "f32", ["f32"] * count, arith(op, "f32", sat=True))
    for fmt in ["f32", "f64", "f16", "bf16"]:
        n = BITS[fmt]
        def pick(a, b, t=fmt, low=True):
            x, y = decode(a, t), decode(b, t)
            if x == "nan" or y == "nan":
                return NAN[t] if x == y else (b if x == "nan" else a)
            return None if x == y else (a if (x < y) == low else b)
        rows = [specials(fmt)[:30] + [NAN[fmt]] * 2, specials(fmt)[:31] + [NAN[fmt]]]
        f.add(f"min.{fmt}", fmt, [fmt] * 2, pick, rows if fmt[0] == "f" and n < 64 else None)
        f.add(f"max.{fmt}", fmt, [fmt] * 2, lambda a, b, g=pick: g(a, b, low=False))
        f.add(f"abs.{fmt}", fmt, [fmt], lambda a, n=n: a & ~(1 << (n - 1)))
        f.add(f"neg.{fmt}", fmt, [fmt], lambda a, n=n: a ^ 1 << (n - 1))
        if n >= 32:
            f.add(f"copysign.{fmt}", fmt, [fmt] * 2, lambda a, b, n=n: a & 1 << (n - 1) | b & ~(1 << (n - 1)))
    f.add("min.NaN.f32", "f32", ["f32"] * 2, lambda a, b: NAN["f32"] if "nan" in (decode(a, "f32"), decode(b, "f32")) else (None if a == b else (a if decode(a, "f32") < decode(b, "f32") else b)),
          [specials("f32")[:30] + [NAN["f32"], 0x3f800000], specials("f32")[:30] + [0x3f800000, NAN["f32"]]])
    f.add("min.xorsign.abs.f32", "f32", ["f32"] * 2, lambda a, b: min(a & 0x7fffffff, b & 0x7fffffff) | (a ^ b) & 0x80000000)
    for packed, fmt in [("f16x2", "f16"), ("bf16x2", "bf16")]:
        def both(fn):
            def run(*w):
                lo, hi = fn(*[x & 0xffff for x in w]), fn(*[x >> 16 for x in w])
                return None if lo is None or hi is None else lo | hi << 16
            return run
        for name, op, count in [("add.rn", lambda a, b: a + b, 2), ("sub.rn", lambda a, b: a - b, 2), ("mul.rn", lambda a, b: a * b, 2), ("fma.rn", lambda a, b, c: a * b + c, 3)]:
            f.add(f"{name}.{fmt}", fmt, [fmt] * count, arith(op, fmt))
            f.add(f"{name}.{packed}", packed, [packed] * count, both(arith(op, fmt)))
        f.add(f"fma.rn.relu.{packed}", packed, [packed] * 3, both(arith(lambda a, b, c: a * b + c, fmt, relu=True)))
        f.add(f"neg.{packed}", packed, [packed], lambda a: a ^ 0x80008000)
        f.add(f"abs.{packed}", packed, [packed], lambda a: a & 0x7fff7fff)
    f.add("mul.rn.sat.f16x2", "f16x2", ["f16x2"] * 2, lambda a, b, g=arith(lambda x, y: x * y, "f16", sat=True):
          None if g(a & 0xffff, b & 0xffff) is None or g(a >> 16, b >> 16) is None else g(a & 0xffff, b & 0xffff) | g(a >> 16, b >> 16) << 16)
    f.write()


def converts():
    f = Family("convert")
    ints = {"u8": 8, "s8": 8, "u16": 16, "s16": 16, "u32": 32, "s32": 32, "u64": 64, "s64": 64}
    def holder(t):
        return t if BITS[t] >= 16 else "b32"
    def int_value(x, t):
        return signed(x, ints[t]) if t[0] == "s" else x & ((1 << ints[t]) - 1)
    def clamp(v, t):
        lo, hi = (-(1 << (ints[t] - 1)), (1 << (ints[t] - 1)) - 1) if t[0] == "s" else (0, (1 << ints[t]) - 1)
        return max(lo, min(hi, v))
    def wide(t):
        return "b32" if ints[t] < 32 else t
    for to in ints:
        for fr in ints:
            if to == fr or to == "u8" or to == "s8":
                continue
            f.add(f"cvt.{to}.{fr}", wide(to) if ints[to] > 16 else to, [holder(fr)], lambda x, t=to, s=fr: int_value(x, s))
            if ints[fr] >= ints[to]:
                f.add(f"cvt.sat.{to}.{fr}", wide(to) if ints[to] > 16 else to, [holder(fr)], lambda x, t=to, s=fr: clamp(int_value(x, s), t))
    for to in ["f32", "f64", "f16"]:
        for fr in ints:
            for mode in (["rn", "rz", "rm", "rp"] if to == "f32" else ["rn"]):
                def from_int(x, t=to, s=fr, m=mode):
                    v = int_value(x, s)
                    return 0 if v == 0 else encode(Fr(v), t, m)
                f.add(f"cvt.{mode}.{to}.{fr}", to, [holder(fr)], from_int)
    def whole(v, mode):
        fl = v.numerator // v.denominator
        rest = v - fl
        return {"rni": fl + (rest > Fr(1, 2) or rest == Fr(1, 2) and fl & 1), "rzi": fl if v >= 0 or rest == 0 else fl + 1,
                "rmi": fl, "rpi": fl + (rest > 0)}[mode]
    for fr in ["f32", "f64", "f16"]:
        for mode in ["rni", "rzi", "rmi", "rpi"]:
            for to in ["u16", "s16", "u32", "s32", "u64", "s64"]:
                f.add(f"cvt.{mode}.{to}.{fr}", to, [fr], lambda x, t=to, s=fr, m=mode: clamp(whole(decode(x, s), m), t) if exact(decode(x, s)) else None)
            f.add(f"cvt.{mode}.{fr}.{fr}", fr, [fr], lambda x, s=fr, m=mode: None if not exact(decode(x, s)) else encode(Fr(whole(decode(x, s), m)), s, zero_sign=sign(x, s)))
    f.add("cvt.rni.sat.s8.f32", "b32", ["f32"], lambda x: clamp(whole(decode(x, "f32"), "rni"), "s8") if exact(decode(x, "f32")) else None)
    f.add("cvt.rzi.sat.u8.f32", "b32", ["f32"], lambda x: clamp(whole(decode(x, "f32"), "rzi"), "u8") if exact(decode(x, "f32")) else None)
    for to, fr, modes in [("f32", "f64", ["rn", "rz", "rm", "rp"]), ("f16", "f32", ["rn", "rz"]), ("bf16", "f32", ["rn", "rz"]), ("f16", "f64", ["rn"])]:
        for mode in modes:
            f.add(f"cvt.{mode}.{to}.{fr}", to, [fr], lambda x, t=to, s=fr, m=mode: encode(decode(x, s), t, m, sign(x, s)) if exact(decode(x, s)) else None)
    for to, fr in [("f32", "f16"), ("f32", "bf16"), ("f64", "f32"), ("f64", "f16")]:
        f.add(f"cvt.{to}.{fr}", to, [fr], lambda x, t=to, s=fr: encode(decode(x, s), t, zero_sign=sign(x, s)) if exact(decode(x, s)) else None)
    for packed, fmt in [("f16x2", "f16"), ("bf16x2", "bf16")]:
        for mode in ["rn", "rz"]:
            f.add(f"cvt.{mode}.{packed}.f32", packed, ["f32"] * 2, lambda a, b, t=fmt, m=mode:
                  encode(decode(a, "f32"), t, m) << 16 | encode(decode(b, "f32"), t, m) if exact(decode(a, "f32"), decode(b, "f32")) and decode(a, "f32") and decode(b, "f32") else None)
    def tf32(x):
        v = decode(x, "f32")
        if not exact(v) or v == 0:
            return None
        return (x + 0x1000) & 0xffffe000
    f.add("cvt.rna.tf32.f32", "b32", ["f32"], tf32)
    f.add("cvt.sat.f32.f32", "f32", ["f32"], lambda x: None if not exact(decode(x, "f32")) else encode(min(max(decode(x, "f32"), Fr(0)), Fr(1)), "f32"))
    def eight(v, man, bias, top, most):
        if v == 0:
            return 0
        s, v = (0x80, -v) if v < 0 else (0, v)
        exp = max((v.numerator.bit_length() - v.denominator.bit_length()) - (1 if Fr(2) ** (v.numerator.bit_length() - v.denominator.bit_length()) > v else 0), 1 - bias)
        q = v / Fr(2) ** (exp - man)
        w = q.numerator // q.denominator
        r = q - w
        w += 1 if r > Fr(1, 2) or r == Fr(1, 2) and w & 1 else 0
        bits = w + ((exp + bias - 1) << man) if w >= 1 << man else w
        return s | min(bits, most)
    for name, args in [("e4m3x2", (3, 7, 448, 0x7e)), ("e5m2x2", (2, 15, 57344, 0x7b))]:
        f.add(f"cvt.rn.satfinite.{name}.f32", "b16", ["f32"] * 2, lambda a, b, g=args: eight(decode(a, "f32"), *g) << 8 | eight(decode(b, "f32"), *g)
              if exact(decode(a, "f32"), decode(b, "f32")) and decode(a, "f32") and decode(b, "f32") else None)
    f.write()


def compares():
    f = Family("compare")
    order = {"eq": lambda a, b: a == b, "ne": lambda a, b: a != b, "lt": lambda a, b: a < b, "le": lambda a, b: a <= b, "gt": lambda a, b: a > b, "ge": lambda a, b: a >= b}
    for ty in ["u16", "s16", "u32", "s32", "u64", "s64"]:
        v = (lambda x, n=BITS[ty]: signed(x, n)) if ty[0] == "s" else (lambda x: x)
        for name, fn in order.items():
            rows = [specials(ty), specials(ty)]
            rows[1][:8] = rows[0][:8]
            f.add(f"setp.{name}.{ty}", "pred", [ty] * 2, lambda a, b, g=fn, v=v: int(g(v(a), v(b))), rows)
    for ty in ["f32", "f64", "f16", "bf16"]:
        rows = [specials(ty), specials(ty)]
        rows[1][:6] = rows[0][:6]
        rows[0][6] = rows[1][7] = rows[0][8] = rows[1][8] = NAN[ty]
        for name, fn in order.items():
            def ordered(a, b, g=fn, t=ty):
                x, y = decode(a, t), decode(b, t)
                return 0 if "nan" in (x, y) else int(g(x, y))
            f.add(f"setp.{name}.{ty}", "pred", [ty] * 2, ordered, rows)
            f.add(f"setp.{name}u.{ty}", "pred", [ty] * 2, lambda a, b, g=ordered, t=ty: 1 if "nan" in (decode(a, t), decode(b, t)) else g(a, b), rows)
        f.add(f"setp.num.{ty}", "pred", [ty] * 2, lambda a, b, t=ty: int("nan" not in (decode(a, t), decode(b, t))), rows)
        f.add(f"setp.nan.{ty}", "pred", [ty] * 2, lambda a, b, t=ty: int("nan" in (decode(a, t), decode(b, t))), rows)
    for name, fn in [("and", lambda a, b: a & b), ("or", lambda a, b: a | b), ("xor", lambda a, b: a ^ b)]:
        f.add(f"{name}.pred", "pred", ["pred"] * 2, fn)
        f.add(f"setp.lt.{name}.s32", "pred", ["s32", "s32", "pred"], lambda a, b, c, g=fn: g(int(signed(a, 32) < signed(b, 32)), c))
    f.add("not.pred", "pred", ["pred"], lambda a: 1 - a)
    f.add("mov.pred", "pred", ["pred"], lambda a: a)
    for ty in ["b16", "b32", "b64", "f32", "f64", "s32", "u64"]:
        f.add(f"selp.{ty}", ty, [ty, ty, "pred"], lambda a, b, p: a if p else b)
        if ty != "b16":
            f.add(f"slct.{ty}.s32", ty, [ty, ty, "s32"], lambda a, b, c: a if signed(c, 32) >= 0 else b)
    f.add("set.lt.f16x2.f16x2", "b32", ["f16x2"] * 2, lambda a, b: sum((0x3c00 if decode(a >> s & 0xffff, "f16") < decode(b >> s & 0xffff, "f16") else 0) << s for s in (0, 16)))
    f.add("set.ge.u32.s32", "u32", ["s32"] * 2, lambda a, b: 0xffffffff if signed(a, 32) >= signed(b, 32) else 0)
    f.add("set.gt.f32.f32", "f32", ["f32"] * 2, lambda a, b: 0x3f800000 if decode(a, "f32") > decode(b, "f32") else 0)
    sub = [1, 0x7fffff, 0x80000001, 0x3f800000, 0, 0x7f800000, 0x7fc00000, 0x00800000] * 4
    kinds = {"subnormal": lambda e, m: e == 0 and m, "finite": lambda e, m: e != 255, "infinite": lambda e, m: e == 255 and not m,
             "notanumber": lambda e, m: e == 255 and m, "number": lambda e, m: not (e == 255 and m), "normal": lambda e, m: 0 < e < 255}
    for name, fn in kinds.items():
        f.add(f"testp.{name}.f32", "pred", ["f32"], lambda a, g=fn: int(bool(g(a >> 23 & 255, a & 0x7fffff))), [sub])
    f.write()




HEAD = """.version 8.0
.target {target}
.address_size 64
{extra}
.visible .entry {name}(.param .u64 in, .param .u64 out)
{{
    .reg .b64 %in, %out; .reg .b32 %t, %s;
    ld.param.u64 %in, [in];
    ld.param.u64 %out, [out];
    mov.u32 %t, %tid.x;
"""


class Warp:
    """Hand-shaped warp tests: u32 words in and out, by lane."""

    def __init__(self, name, target="sm_90", extra=""):
        self.name, self.target, self.extra = name, target, extra
        self.text, self.inputs, self.outputs = [], [], []

    def load(self, reg, values):
        at = len(self.inputs) * 4
        self.inputs += [v & 0xffffffff for v in values]
        self.text.append(f"    {{ .reg .b64 %x; mul.wide.u32 %x, %t, 4; add.s64 %x, %x, %in; ld.global.b32 {reg}, [%x+{at}]; }}")

    def store(self, reg, values):
        at = len(self.outputs) * 4
        self.outputs += [v & 0xffffffff for v in values]
        self.text.append(f"    {{ .reg .b64 %x; mul.wide.u32 %x, %t, 4; add.s64 %x, %x, %out; st.global.b32 [%x+{at}], {reg}; }}")

    def line(self, text):
        self.text.append("    " + text)

    def write(self):
        body = HEAD.format(name=self.name, target=self.target, extra=self.extra) + "\n".join(self.text) + "\n    ret;\n}\n"
        open(f"{self.name}.ptx", "w").write(body)
        save(f"{self.name}.safetensors", {"in": ("U32", self.inputs or [0]), "out": ("U32", [0xabababab] * len(self.outputs)), "expect.out": ("U32", self.outputs)})
        launch(self.name, self.name, "[32, 1, 1]", ['buffer = "in"', 'buffer = "out"\nuninit = true\nexpect = "expect.out"'], "# one warp")


def collectives():
    w = Warp("collective")
    data = [random.getrandbits(32) for _ in range(32)]
    w.line(".reg .b32 %a, %b, %d, %e; .reg .pred %p, %q;")
    w.load("%a", data)
    for mode in ["up", "down", "bfly", "idx"]:
        for amount, c in [(1, 0x1f), (5, 0x1f), (3, 0x181f), (2, 0x1c1f), (1, 0), (7, 0x100f)]:
            c = c if mode != "up" else c & 0x1f00
            got, valid = [], []
            for lane in range(32):
                seg, clamp = c >> 8 & 31, c & 31
                most, least = lane & seg | clamp & ~seg, lane & seg
                if mode == "up":
                    j, p = lane - amount, lane - amount >= most
                elif mode == "down":
                    j, p = lane + amount, lane + amount <= most
                elif mode == "bfly":
                    j, p = lane ^ amount, lane ^ amount <= most
                    p = (lane ^ amount) <= most
                else:
                    j, p = least | amount & ~seg, (least | amount & ~seg) <= most
                got.append(data[j if p else lane])
                valid.append(int(p))
            w.line(f"shfl.sync.{mode}.b32 %d|%p, %a, {amount}, {c}, -1; selp.u32 %e, 1, 0, %p;")
            w.store("%d", got)
            w.store("%e", valid)
    bits = [random.getrandbits(1) for _ in range(32)]
    w.load("%b", bits)
    w.line("setp.ne.u32 %q, %b, 0;")
    w.line("vote.sync.ballot.b32 %d, %q, -1;")
    w.store("%d", [sum(b << i for i, b in enumerate(bits))] * 32)
    for mode, value in [("all", int(all(bits))), ("any", int(any(bits))), ("uni", int(len(set(bits)) == 1))]:
        w.line(f"vote.sync.{mode}.pred %p, %q, -1; selp.u32 %d, 1, 0, %p;")
        w.store("%d", [value] * 32)
    keys = [random.randint(0, 4) for _ in range(32)]
    w.load("%b", keys)
    w.line("match.any.sync.b32 %d, %b, -1;")
    w.store("%d", [sum((k == x) << i for i, x in enumerate(keys)) for k in keys])
    w.line("match.all.sync.b32 %d|%p, %b, -1; selp.u32 %e, 1, 0, %p;")
    w.store("%d", [0] * 32)
    w.store("%e", [0] * 32)
    s = [signed(x, 32) for x in data]
    for form, value in [("add.u32", sum(data)), ("add.s32", sum(data)), ("min.u32", min(data)), ("max.u32", max(data)), ("min.s32", min(s)), ("max.s32", max(s))]:
        w.line(f"redux.sync.{form} %d, %a, -1;")
        w.store("%d", [value] * 32)
    for name, fn in [("and", lambda x, y: x & y), ("or", lambda x, y: x | y), ("xor", lambda x, y: x ^ y)]:
        value = data[0]
        for x in data[1:]:
            value = fn(value, x)
        w.line(f"redux.sync.{name}.b32 %d, %a, -1;")
        w.store("%d", [value] * 32)
    w.line("elect.sync %d|%p, -1; selp.u32 %e, 1, 0, %p;")
    w.store("%d", [0] * 32)
    w.store("%e", [1] + [0] * 31)
    w.line("activemask.b32 %d;")
    w.store("%d", [0xffffffff] * 32)
    for name, fn in [("lt", lambda l: (1 << l) - 1), ("le", lambda l: (2 << l) - 1), ("eq", lambda l: 1 << l), ("ge", lambda l: ~((1 << l) - 1)), ("gt", lambda l: ~((2 << l) - 1))]:
        w.line(f"mov.u32 %d, %lanemask_{name};")
        w.store("%d", [fn(l) for l in range(32)])
    w.line("bar.red.popc.u32 %d, 0, %q; bar.red.and.pred %p, 0, %q; selp.u32 %e, 1, 0, %p;")
    w.store("%d", [sum(bits)] * 32)
    w.store("%e", [int(all(bits))] * 32)
    w.line("bar.red.or.pred %p, 0, %q; selp.u32 %e, 1, 0, %p;")
    w.store("%e", [int(any(bits))] * 32)
    w.write()


def half_bits(v, fmt):
    return encode(Fr(v), fmt)


def matrices():
    """Products of small integers, exact in every format; fragments as the ISA draws them."""
    w = Warp("matrix", extra=".shared .align 16 .b8 tile[2048];")
    forms = [("m16n8k16", "f32", "bf16", "bf16", "f32"), ("m16n8k8", "f32", "bf16", "bf16", "f32"), ("m16n8k16", "f32", "f16", "f16", "f32"),
             ("m16n8k8", "f32", "f16", "f16", "f32"), ("m16n8k16", "f16", "f16", "f16", "f16"), ("m16n8k8", "f16", "f16", "f16", "f16"),
             ("m16n8k8", "f32", "tf32", "tf32", "f32"), ("m16n8k4", "f32", "tf32", "tf32", "f32"), ("m16n8k32", "s32", "s8", "s8", "s32"),
             ("m16n8k32", "s32", "u8", "s8", "s32"), ("m16n8k16", "s32", "u8", "u8", "s32"), ("m8n8k16", "s32", "s8", "u8", "s32"),
             ("m16n8k64", "s32", "s4", "u4", "s32"), ("m16n8k32", "s32", "u4", "s4", "s32"), ("m8n8k32", "s32", "s4", "s4", "s32")]
    width = {"bf16": 16, "f16": 16, "tf32": 32, "s8": 8, "u8": 8, "s4": 4, "u4": 4, "f32": 32, "s32": 32}
    def enc(v, t):
        if t in ("bf16", "f16"):
            return half_bits(v, t)
        if t in ("tf32", "f32"):
            return half_bits(v, "f32")
        return v & ((1 << width[t]) - 1)
    for n, (shape, dt, at, bt, ct) in enumerate(forms):
        m, k = int(shape[1:shape.index("n")]), int(shape.split("k")[1])
        low = {"u8": (0, 9), "u4": (0, 9), "s8": (-9, 9), "s4": (-8, 7)}
        ra, rb = low.get(at, (-4, 4)), low.get(bt, (-4, 4))
        A = [[random.randint(*ra) for _ in range(k)] for _ in range(m)]
        B = [[random.randint(*rb) for _ in range(8)] for _ in range(k)]
        C = [[random.randint(-8, 8) for _ in range(8)] for _ in range(m)]
        D = [[C[i][j] + sum(A[i][x] * B[x][j] for x in range(k)) for j in range(8)] for i in range(m)]
        def regs(count, cell):
            return [[cell(lane, r) for lane in range(32)] for r in range(count)]
        ea, eb = 32 // width[at], 32 // width[bt]
        na, nb = m * k // 32 // ea, k * 8 // 32 // eb
        def a_cell(lane, r):
            g, t = lane // 4, lane % 4
            row = g + 8 * (r % 2) if m == 16 else g
            col = 4 * ea * (r // 2 if m == 16 else r)
            return sum(enc(A[row][col + t * ea + e], at) << (width[at] * e) for e in range(ea))
        def b_cell(lane, r):
            g, t = lane // 4, lane % 4
            return sum(enc(B[4 * eb * r + t * eb + e][g], bt) << (width[bt] * e) for e in range(eb))
        def c_cell(M, ty):
            if ty == "f16":
                return lambda lane, r: sum(enc(M[lane // 4 + 8 * r][lane % 4 * 2 + e], ty) << 16 * e for e in range(2))
            return lambda lane, r: enc(M[lane // 4 + (8 * (r // 2) if m == 16 else 0)][lane % 4 * 2 + r % 2], ty)
        nc = (2 if ct == "f16" else m * 8 // 32)
        names = {}
        w.line("{")
        for tag, count in [("a", na), ("b", nb), ("c", nc), ("d", nc)]:
            names[tag] = [f"%{tag}{i}" for i in range(count)]
            w.line(f".reg .b32 {', '.join(names[tag])};")
        for tag, cells in [("a", regs(na, a_cell)), ("b", regs(nb, b_cell)), ("c", regs(nc, c_cell(C, ct)))]:
            for reg, values in zip(names[tag], cells):
                w.load(reg, values)
        vec = lambda tag: "{" + ", ".join(names[tag]) + "}"
        w.line(f"mma.sync.aligned.{shape}.row.col.{dt}.{at}.{bt}.{ct} {vec('d')}, {vec('a')}, {vec('b')}, {vec('c')};")
        for reg, values in zip(names["d"], regs(nc, c_cell(D, dt))):
            w.store(reg, values)
        w.line("}")
    # Four 8x8 matrices of 16-bit numbers 0..255 in shared memory, a row of 16 bytes each.
    w.line(".reg .b32 %m, %r0, %r1, %r2, %r3, %z; mov.u32 %m, tile;")
    words = [(2 * i) | (2 * i + 1) << 16 for i in range(128)]
    for part in range(4):
        w.load("%z", words[32 * part:32 * part + 32])
        w.line(f"{{ .reg .b32 %q; shl.b32 %q, %t, 2; add.u32 %q, %q, %m; st.shared.b32 [%q+{128 * part}], %z; }}")
    w.line("bar.warp.sync -1;")
    w.line("{ .reg .b32 %q; shl.b32 %q, %t, 4; add.u32 %s, %q, %m; }")
    def plain(j):
        return [(64 * j + l // 4 * 8 + l % 4 * 2) | (64 * j + l // 4 * 8 + l % 4 * 2 + 1) << 16 for l in range(32)]
    def trans(j):
        return [(64 * j + (l % 4 * 2) * 8 + l // 4) | (64 * j + (l % 4 * 2 + 1) * 8 + l // 4) << 16 for l in range(32)]
    for count in [1, 2, 4]:
        regs_text = "{" + ", ".join(f"%r{i}" for i in range(count)) + "}"
        for suffix, cell in [("", plain), (".trans", trans)]:
            w.line(f"ldmatrix.sync.aligned.m8n8.x{count}{suffix}.shared.b16 {regs_text}, [%s];")
            for i in range(count):
                w.store(f"%r{i}", cell(i))
    w.line("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%r0, %r1, %r2, %r3}, [%s];")
    w.line("movmatrix.sync.aligned.m8n8.trans.b16 %z, %r1;")
    w.store("%z", trans(1))
    w.line("bar.warp.sync -1;")
    w.line("stmatrix.sync.aligned.m8n8.x4.trans.shared.b16 [%s+1024], {%r0, %r1, %r2, %r3};")
    w.line("bar.warp.sync -1;")
    for part in range(4):
        w.line(f"{{ .reg .b32 %q; shl.b32 %q, %t, 2; add.u32 %q, %q, %m; ld.shared.b32 %z, [%q+{1024 + 128 * part}]; }}")
        w.store("%z", trans(part))
    w.write()


def memory():
    """Atomics by one lane each, vector and narrow accesses, generic addresses, calls."""
    extra = """.shared .align 16 .b8 cell[256];
.const .align 4 .b32 table[4] = {11, 22, 33, 44};
.func (.param .b32 result) factorial(.param .b32 n)
{
    .reg .b32 %n, %m; .reg .pred %p;
    ld.param.b32 %n, [n];
    setp.gt.u32 %p, %n, 1;
    @%p bra MORE;
    mov.u32 %m, 1;
    st.param.b32 [result], %m;
    ret;
MORE:
    sub.u32 %m, %n, 1;
    {
        .param .b32 arg; .param .b32 back;
        st.param.b32 [arg], %m;
        call (back), factorial, (arg);
        ld.param.b32 %m, [back];
    }
    mul.lo.u32 %m, %m, %n;
    st.param.b32 [result], %m;
    ret;
}"""
    w = Warp("memory", extra=extra)
    w.line(".reg .b32 %a, %b, %d, %m, %v, %x0, %x1; .reg .b16 %h; .reg .b64 %g; .reg .pred %p;")
    w.line("mov.u32 %m, cell; shl.b32 %s, %t, 2; add.u32 %m, %m, %s;")
    a, b = specials("u32"), specials("u32")
    w.load("%a", a)
    w.load("%b", b)
    sgn = lambda x: signed(x, 32)
    ops = [("add.u32", lambda x, y: x + y), ("min.s32", lambda x, y: min(sgn(x), sgn(y))), ("max.s32", lambda x, y: max(sgn(x), sgn(y))),
           ("min.u32", min), ("max.u32", max), ("and.b32", lambda x, y: x & y), ("or.b32", lambda x, y: x | y), ("xor.b32", lambda x, y: x ^ y),
           ("exch.b32", lambda x, y: y), ("inc.u32", lambda x, y: 0 if x >= y else x + 1), ("dec.u32", lambda x, y: y if x == 0 or x > y else x - 1)]
    for form, fn in ops:
        w.line(f"st.shared.b32 [%m], %a; atom.shared.{form} %d, [%m], %b; ld.shared.b32 %v, [%m];")
        w.store("%d", a)
        w.store("%v", [fn(x, y) for x, y in zip(a, b)])
    w.line("st.shared.b32 [%m], %a; atom.shared.cas.b32 %d, [%m], %a, %b; ld.shared.b32 %v, [%m];")
    w.store("%d", a)
    w.store("%v", b)
    w.line("st.shared.b32 [%m], %a; atom.shared.cas.b32 %d, [%m], %t, %b; ld.shared.b32 %v, [%m];")
    w.store("%v", [y if x == l else x for l, (x, y) in enumerate(zip(a, b))])
    w.line("bar.warp.sync -1;")
    w.line("st.shared.b32 [%m], %t; bar.warp.sync -1; atom.shared.add.u32 %d, [cell], 1; bar.warp.sync -1; ld.shared.b32 %v, [cell];")
    w.store("%v", [32] * 32)
    w.line("bar.warp.sync -1;")
    w.line("st.shared.b32 [%m], %a; ld.shared.u8 %d, [%m+1]; ld.shared.s8 %v, [%m+3]; ld.shared.s16 %x0, [%m+2];")
    w.store("%d", [x >> 8 & 255 for x in a])
    w.store("%v", [signed(x >> 24, 8) for x in a])
    w.store("%x0", [signed(x >> 16, 16) for x in a])
    w.line("cvt.u64.u32 %g, %m; cvta.shared.u64 %g, %g; ld.b32 %v, [%g];")
    w.store("%v", a)
    w.line("bar.warp.sync -1; and.b32 %x0, %t, 30; shl.b32 %x0, %x0, 2; mov.u32 %x1, cell; add.u32 %x1, %x1, %x0; ld.shared.v2.b32 {%d, %v}, [%x1];")
    w.store("%d", [a[l & 30] for l in range(32)])
    w.store("%v", [a[l | 1] for l in range(32)])
    w.line("{ .reg .b64 %k; .reg .b32 %j; and.b32 %j, %t, 3; mul.wide.u32 %k, %j, 4; mov.u64 %g, table; add.s64 %g, %g, %k; ld.const.b32 %d, [%g]; }")
    w.store("%d", [[11, 22, 33, 44][l & 3] for l in range(32)])
    w.line("{ .param .b32 arg; .param .b32 back; .reg .b32 %n; and.b32 %n, %t, 7; st.param.b32 [arg], %n; call (back), factorial, (arg); ld.param.b32 %d, [back]; }")
    w.store("%d", [math.factorial(l & 7) for l in range(32)])
    w.write()


def approximations():
    """Approximate functions, compared with a tolerance."""
    text, ins, outs = [], [], []
    forms = [("ex2.approx.f32", lambda x: 2 ** x), ("ex2.approx.ftz.f32", lambda x: 2 ** x), ("lg2.approx.f32", math.log2), ("sin.approx.f32", math.sin), ("cos.approx.f32", math.cos),
             ("rsqrt.approx.f32", lambda x: 1 / math.sqrt(x)), ("rcp.approx.ftz.f32", lambda x: 1 / x), ("sqrt.approx.f32", math.sqrt), ("tanh.approx.f32", math.tanh)]
    for form, fn in forms:
        xs = [struct.unpack("f", struct.pack("f", random.uniform(0.05, 3.0)))[0] for _ in range(32)]
        at = len(ins) * 4
        ins += xs
        outs += [fn(x) for x in xs]
        text.append(f"    ld.global.f32 %f, [%in+{at}]; {form} %g, %f; st.global.f32 [%out+{at}], %g;")
    body = HEAD.format(name="approx", target="sm_90", extra="") + "    .reg .f32 %f, %g; .reg .b64 %x; mul.wide.u32 %x, %t, 4; add.s64 %in, %in, %x; add.s64 %out, %out, %x;\n" + "\n".join(text) + "\n    ret;\n}\n"
    open("approx.ptx", "w").write(body)
    save("approx.safetensors", {"in": ("F32", ins), "out": ("F32", [float("nan")] * len(outs)), "expect.out": ("F32", outs)})
    launch("approx", "approx", "[32, 1, 1]", ['buffer = "in"', 'buffer = "out"\nuninit = true\nexpect = "expect.out"\nrtol = 0.001\natol = 0.0001'], "# approximate functions")


if __name__ == "__main__":
    for family in [integers, floats, converts, compares, collectives, matrices, memory, approximations]:
        family()
    import asynchronous
    import atomics
    import clusters
    import products
    import tensors
    for module in [asynchronous, atomics, clusters, products, tensors]:
        module.main()
