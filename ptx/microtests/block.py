"""A microtest of one or more blocks: code with inputs and expected words, a column a thread."""
from generate import launch, save


class Block:
    """Values are 32-bit words; every load and store has one for each thread of the grid."""

    def __init__(self, name, target="sm_90", threads=32, ctas=1, extra="", cluster=False):
        self.name, self.target, self.threads, self.ctas, self.extra = name, target, threads, ctas, extra
        self.cluster, self.text, self.ins, self.outs, self.more = cluster, [], [], [], {}
        self.params = ""

    def line(self, text):
        self.text.append("    " + text)

    def image(self, words):
        """Words that code reads where it likes: their byte offset from `%in`."""
        while len(self.ins) % 64:
            self.ins.append(0)
        at = 4 * len(self.ins)
        self.ins += [w & 0xffffffff for w in words]
        return at

    def load(self, reg, values):
        at = self.image(values)
        self.line(f"ld.global.b32 {reg}, [%row_in+{at}];")

    def store(self, reg, values):
        assert len(values) == self.threads * self.ctas, (self.name, len(values))
        at = 4 * len(self.outs)
        self.outs += [v & 0xffffffff for v in values]
        self.line(f"st.global.b32 [%row_out+{at}], {reg};")

    def copy_in(self, at, variable, count):
        """Words of an image into shared memory, by all threads, with the fences copies want."""
        self.line("bar.sync 0;")
        self.line("{ .reg .b64 %g; .reg .b32 %i, %w, %v; .reg .pred %p; mov.u32 %i, %t;")
        self.line("AGAIN:")
        self.line(f"setp.ge.u32 %p, %i, {count}; @%p bra DONE; mul.wide.u32 %g, %i, 4; add.s64 %g, %g, %in; ld.global.b32 %w, [%g+{at}];")
        self.line(f"mov.u32 %v, {variable}; mad.lo.u32 %v, %i, 4, %v; st.shared.b32 [%v], %w; add.u32 %i, %i, {self.threads}; bra AGAIN;")
        self.line("DONE: }")
        self.line("fence.proxy.async.shared::cta; bar.sync 0;")

    def write(self, note, args=()):
        head = [".version 8.4", f".target {self.target}", ".address_size 64", self.extra,
                f".visible .entry {self.name}(.param .u64 in, .param .u64 out{self.params})"]
        if self.cluster:
            head += [f".explicitcluster .reqnctapercluster {self.ctas}, 1, 1"]
        head += ["{", "    .reg .b64 %in, %out, %row_in, %row_out; .reg .b32 %t, %cta, %id;",
                 "    ld.param.u64 %in, [in]; ld.param.u64 %out, [out]; mov.u32 %t, %tid.x; mov.u32 %cta, %ctaid.x;",
                 f"    mad.lo.u32 %id, %cta, {self.threads}, %t;",
                 "    mul.wide.u32 %row_in, %id, 4; add.s64 %row_out, %row_in, %out; add.s64 %row_in, %row_in, %in;"]
        open(f"{self.name}.ptx", "w").write("\n".join(head + self.text + ["    ret;", "}", ""]))
        tensors = {"in": ("U32", self.ins or [0]), "out": ("U32", [0xabababab] * len(self.outs)), "expect.out": ("U32", self.outs)}
        tensors.update(self.more)
        save(f"{self.name}.safetensors", tensors)
        expect = 'buffer = "out"\nuninit = true\nexpect = "expect.out"\nrtol = 0.0\natol = 0.0'
        launch(self.name, self.name, f"[{self.threads}, 1, 1]", ['buffer = "in"', expect, *args], note)
        path = f"{self.name}.launch.toml"
        text = open(path).read().replace("grid = [1, 1, 1]", f"grid = [{self.ctas}, 1, 1]")
        if self.cluster:
            text = text.replace("dynamic_shared", f"cluster = [{self.ctas}, 1, 1]\ndynamic_shared")
        open(path, "w").write(text)
