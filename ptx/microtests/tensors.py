"""Tensor copies: one to five dimensions, boxes that leave the tensor, swizzles, stores, reductions."""
import random
import struct

from block import Block

SIZE = {"u8": 1, "u16": 2, "u32": 4, "s32": 4, "u64": 8, "f32": 4}


def swizzled(at, swizzle):
    return at ^ {"none": 0, "32B": (at >> 7 & 1) << 4, "64B": (at >> 7 & 3) << 4, "128B": (at >> 7 & 7) << 4}[swizzle]


class Tensor:
    """A tensor of random elements with its strides; the innermost dimension is packed."""

    def __init__(self, dtype, dims, padding=0):
        self.dtype, self.dims, self.strides = dtype, dims, []
        step = -(-dims[0] * SIZE[dtype] // 16) * 16 + padding
        for d in dims[1:]:
            self.strides.append(step)
            step *= d
        total = step if len(dims) > 1 else -(-dims[0] * SIZE[dtype] // 16) * 16
        small = lambda: struct.unpack("<I", struct.pack("<f", random.randint(-99, 99)))[0]
        self.words = [small() if dtype == "f32" else random.getrandbits(32) for _ in range(total // 4)]
        self.raw = bytearray(struct.pack(f"<{len(self.words)}I", *self.words))

    def offset(self, index):
        if any(not 0 <= i < d for i, d in zip(index, self.dims)):
            return None
        return index[0] * SIZE[self.dtype] + sum(i * s for i, s in zip(index[1:], self.strides))

    def box(self, at, box):
        """Elements of a box, innermost first: the offset of each, or none outside."""
        count = 1
        for n in box:
            count *= n
        for linear in range(count):
            index, rest = [], linear
            for first, n in zip(at, box):
                index.append(first + rest % n)
                rest //= n
            yield linear, self.offset(index)

    def argument(self, name, box, swizzle):
        return (f'tensor_map = {{ buffer = "{name}", dtype = "{self.dtype}", dims = {self.dims}, strides = {self.strides}, '
                f'box = {box}, swizzle = "{swizzle}" }}')


CASES = [("u32", [40], [16], "none", [(0,), (32,), (-8,), (40,), (36,)]), ("u8", [50, 7], [16, 4], "none", [(0, 0), (40, 5), (-4, -2)]),
         ("u16", [20, 9], [16, 8], "32B", [(0, 0), (8, 4), (-3, -1)]), ("u32", [24, 10], [16, 8], "64B", [(0, 0), (16, 6)]), ("f32", [40, 12], [32, 8], "128B", [(0, 0), (20, 9), (-5, -3)]),
         ("u64", [9, 5], [8, 4], "64B", [(4, 3)]), ("u32", [8, 5, 6], [4, 3, 2], "none", [(0, 0, 0), (6, 4, 5), (-2, -1, -1)]), ("u16", [16, 4, 5], [16, 4, 3], "32B", [(0, 1, 3)]),
         ("u32", [8, 3, 4, 3], [4, 2, 2, 2], "none", [(0, 1, 2, 1), (4, 2, 3, 2)]), ("u32", [4, 3, 2, 3, 2], [4, 2, 2, 2, 2], "none", [(0, 0, 0, 0, 0), (0, 2, 1, 2, -1)])]
REDUCTIONS = [("add", "u32"), ("add", "f32"), ("min", "s32"), ("max", "u32"), ("and", "u32"), ("or", "u64"), ("xor", "u64"), ("inc", "u32"), ("dec", "u32")]


def words_of(raw):
    return list(struct.unpack(f"<{len(raw) // 4}I", raw))


def main():
    random.seed(25)
    b = Block("tensor", threads=64, extra=".shared .align 1024 .b8 tile[2048]; .shared .align 8 .b64 gate;")
    b.line(".reg .b32 %s, %m, %d, %k; .reg .b64 %g; .reg .pred %p, %w; mov.u32 %s, tile; mov.u32 %m, gate; setp.eq.u32 %p, %t, 0;")
    b.line("@%p mbarrier.init.shared::cta.b64 [%m], 1; @%p fence.mbarrier_init.release.cluster; bar.sync 0;")
    args, phase = [], 0

    def declare(tensor, name, box, swizzle, expect=False):
        b.params += f", .param .align 64 .b8 {name}[128]"
        text = tensor.argument(name, box, swizzle)
        args.append(text + (f'\nexpect = "expect.{name}"\nrtol = 0.0\natol = 0.0' if expect else ""))
        b.more[name] = ("U32", list(tensor.words))

    for number, (dtype, dims, box, swizzle, places) in enumerate(CASES):
        tensor, size = Tensor(dtype, dims, 16 if number % 2 else 0), SIZE[dtype]
        name = f"load{number}"
        declare(tensor, name, box, swizzle)
        count = size
        for n in box:
            count *= n
        for at in places:
            image = bytearray(count)
            for linear, offset in tensor.box(at, box):
                to = swizzled(linear * size, swizzle)
                if offset is not None:
                    image[to:to + size] = tensor.raw[offset:offset + size]
            rank = f"{len(dims)}d"
            b.line(f"mov.b64 %g, {name}; cvta.param.u64 %g, %g; @%p prefetch.tensormap [%g]; bar.sync 0; @%p mbarrier.arrive.expect_tx.shared::cta.b64 _, [%m], {count};")
            b.line(f"@%p cp.async.bulk.tensor.{rank}.shared::cluster.global.mbarrier::complete_tx::bytes [%s], [%g, {{{', '.join(map(str, at))}}}], [%m];")
            b.line(f"{{ W: mbarrier.try_wait.parity.shared::cta.b64 %w, [%m], {phase}; @!%w bra W; }}")
            phase ^= 1
            # Every word of the tile, a column at a time; short ones repeat.
            words = words_of(image)
            for part in range(-(-len(words) // 64)):
                if part >= 4:
                    break
                b.line(f"add.u32 %k, %t, {64 * part}; rem.u32 %k, %k, {len(words)}; mad.lo.u32 %k, %k, 4, %s; ld.shared.b32 %d, [%k];")
                b.store("%d", [words[(64 * part + i) % len(words)] for i in range(64)])
    # Stores and reductions leave what lies outside the tensor alone.
    stores = [(None, dtype, dims, box, swizzle, places[-1]) for dtype, dims, box, swizzle, places in CASES]
    stores += [(op, ty, [24, 6], [64 // SIZE[ty], 4], "64B" if SIZE[ty] == 4 else "none", (16, -1)) for op, ty in REDUCTIONS]
    sg = lambda v: v - (1 << 32) if v >> 31 else v
    single = lambda v: struct.unpack("<f", struct.pack("<I", v))[0]
    bits = lambda v: struct.unpack("<I", struct.pack("<f", v))[0]
    fn = {"add": lambda x, y: x + y, "min": lambda x, y: min(x, y, key=sg), "max": max, "and": lambda x, y: x & y, "or": lambda x, y: x | y, "xor": lambda x, y: x ^ y,
          "inc": lambda x, y: 0 if x >= y else x + 1, "dec": lambda x, y: y if x == 0 or x > y else x - 1}
    for number, (op, dtype, dims, box, swizzle, at) in enumerate(stores):
        tensor, size = Tensor(dtype, dims, 16 if number % 2 else 0), SIZE[dtype]
        name = f"store{number}"
        declare(tensor, name, box, swizzle, True)
        count = size
        for n in box:
            count *= n
        source = [bits(random.randint(-50, 50)) if dtype == "f32" else random.getrandbits(32) for _ in range(count // 4)]
        raw = struct.pack(f"<{len(source)}I", *source)
        after = bytearray(tensor.raw)
        for linear, offset in tensor.box(at, box):
            if offset is None:
                continue
            to = swizzled(linear * size, swizzle)
            new = int.from_bytes(raw[to:to + size], "little")
            old = int.from_bytes(tensor.raw[offset:offset + size], "little")
            if op == "add" and dtype == "f32":
                new = bits(single(old) + single(new))
            elif op:
                new = fn[op](old, new) & ((1 << 8 * size) - 1)
            after[offset:offset + size] = new.to_bytes(size, "little")
        b.more["expect." + name] = ("U32", words_of(after))
        b.copy_in(b.image(source), "tile", count // 4)
        kind = f"cp.reduce.async.bulk.tensor.{len(dims)}d.global.shared::cta.{op}.tile.bulk_group" if op else f"cp.async.bulk.tensor.{len(dims)}d.global.shared::cta.tile.bulk_group"
        b.line(f"mov.b64 %g, {name}; cvta.param.u64 %g, %g; @%p {kind} [%g, {{{', '.join(map(str, at))}}}], [%s]; @%p cp.async.bulk.commit_group; @%p cp.async.bulk.wait_group 0; bar.sync 0;")
    b.line("mov.u32 %d, 1;")
    b.store("%d", [1] * 64)
    b.write("# tensor copies: dimensions, boxes over the edge, swizzles, stores, reductions", args)
