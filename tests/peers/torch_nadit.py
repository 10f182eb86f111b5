"""The VINCIE DiT in plain PyTorch: the peer that our own implementation is timed against.

    torch_nadit.py check DIR                      compare with the parity fixtures in DIR
    torch_nadit.py bench --what train --preset nano --device cpu --dtype bf16 --compile

Parameter names are the official ones.
The B samples of a batch share one shape. D is the model width; N = Nt + Nv tokens per sample, ordered
turn by turn: text, then frame. Full attention is the case of one turn with all the text and all frames.
"""
import argparse, functools, json, math, os, resource, statistics, sys, time
from collections import namedtuple
from pathlib import Path
import torch, torch.nn as nn, torch.nn.functional as F
from torch.nn.attention.flex_attention import create_block_mask, flex_attention
from torch.utils.checkpoint import checkpoint

# mm: first layers with separate text and video weights; in: noisy + condition + mask channels; the patch is
# (1, patch, patch); txt: text feature width, no text projection where it equals dim; size, frames, text: bench
# input, height and width of the latents (nano: pixels), frames, text tokens per turn; a turn is [text, frame].
Config = namedtuple("Config", "dim layers mm_layers heads head_dim vid_in vid_out patch txt_in rope_dim "
                              "size frames text style_7b", defaults=(0, 0, 0, False))
PRESETS = {       # dim layers mm heads hd  in out patch txt rope size frames text
    "nano":  Config( 256,  6,  2,  4,  64,  7,  3, 4,  256,  64, 64, 5,  64),
    "small": Config( 512,  8,  2,  8,  64, 33, 16, 2,  512,  64, 16, 4, 128),
    "base":  Config(1024, 16,  2, 16,  64, 33, 16, 2, 1024,  64, 32, 4, 128),
    "tiny":  Config(  64,  2,  1,  2,  32,  7,  3, 4,   64,  30,  8, 2,   8),
    "3b":    Config(2560, 32, 10, 20, 128, 33, 16, 2, 5120, 128, 32, 4, 100),
}
Plan = namedtuple("Plan", "cos sin turns txt_tokens attend")        # what depends on the shapes alone

# --- parts ----------------------------------------------------------------------------------------
def rmsnorm(x, weight=None):
    """x [..., d] divided by its rms over d, times weight [d]."""
    return F.rms_norm(x, x.shape[-1:], None if weight is None else weight.to(x.dtype), 1e-5)

def join(txt, vid, turns):
    """[B, Nt, ...], [B, Nv, ...] -> [B, N, ...]: per turn its text, then its frames."""
    return torch.cat((txt.unflatten(1, (turns, -1)), vid.unflatten(1, (turns, -1))), 2).flatten(1, 2)

def split(x, turns, txt_tokens):
    """The inverse of join: [B, N, ...] -> [B, Nt, ...], [B, Nv, ...]."""
    x, n = x.unflatten(1, (turns, -1)), txt_tokens // turns
    return x[:, :, :n].flatten(1, 2), x[:, :, n:].flatten(1, 2)

def rotate(x, cos, sin):
    """Rotary embedding of x [B, N, heads, d] on the pairs (2i, 2i+1), in f32; cos, sin [N, 1, d/2]."""
    a, b = x.float().unflatten(-1, (-1, 2)).unbind(-1)
    return torch.stack((a * cos - b * sin, b * cos + a * sin), -1).flatten(-2)

def attention(impl, tokens, turns, device):
    """fn(q, k, v) on [B, heads, N, d]. Block-causal (all but "full"): a turn sees itself and earlier turns."""
    sdpa, n = F.scaled_dot_product_attention, tokens // turns
    if impl == "full":
        return sdpa
    if impl == "prefix":                                    # one call per turn, on the keys it may see
        part = lambda q, k, v, i: sdpa(q[:, :, i:i + n], k[:, :, :i + n], v[:, :, :i + n])
        return lambda q, k, v: torch.cat([part(q, k, v, i) for i in range(0, tokens, n)], 2)
    if impl == "mask":
        turn = torch.arange(tokens, device=device) // n
        return functools.partial(sdpa, attn_mask=turn[:, None] >= turn[None, :])
    mask = create_block_mask(lambda b, h, q, k: q // n >= k // n, None, None, tokens, tokens, device=device)
    return functools.partial(torch.compile(flex_attention, dynamic=False), block_mask=mask)

def make_plan(cfg, txt_tokens, t, height, width, impl="full", device="cpu"):
    """Rotary tables [N, 1, head_dim/2] of the axes time, height, width, and the attention function."""
    h, w, turns, axis = height // cfg.patch, width // cfg.patch, 1 if impl == "full" else t, cfg.rope_dim // 3
    freqs = 10000.0 ** (-2 * torch.arange(axis // 2, dtype=torch.float64) / axis)
    start = 0 if cfg.style_7b else txt_tokens
    vid = torch.cartesian_prod(torch.arange(start, start + t), torch.arange(h), torch.arange(w))
    txt = torch.arange(txt_tokens)[:, None].expand(-1, 3)
    angles = (join(txt[None], vid[None], turns)[0][:, :, None] * freqs).flatten(1)
    angles = F.pad(angles, (0, cfg.head_dim // 2 - angles.shape[1]))[:, None].float().to(device)   # 0: not rotated
    return Plan(angles.cos(), angles.sin(), turns, txt_tokens, attention(impl, txt_tokens + t * h * w, turns, device))

# --- model ----------------------------------------------------------------------------------------
def modulation(dim, *names):
    """Learned vectors [D]: N(0, 1)/sqrt(D), scales around 1."""
    return nn.ParameterDict({n: nn.Parameter(torch.randn(dim) / dim ** 0.5 + n.endswith("scale")) for n in names})

class Block(nn.Module):
    """Works on a list of streams [B, n, D]: [txt, vid] with separate weights, [all] with shared ones."""
    def __init__(self, cfg, separate, last):
        super().__init__()
        D, width, hidden = cfg.dim, cfg.heads * cfg.head_dim, 256 * math.ceil((2 * cfg.dim * 4 // 3) / 256)
        self.heads, self.last, self.branches = cfg.heads, last, ("txt", "vid") if separate else ("all",)
        per_branch = lambda make, names=self.branches: nn.ModuleDict({b: make() for b in names})
        linear = functools.partial(nn.Linear, bias=False)
        self.attn = nn.ModuleDict({
            "proj_qkv": per_branch(lambda: linear(D, 3 * width)), "proj_out": per_branch(lambda: nn.Linear(width, D)),
            "norm_q": per_branch(lambda: nn.RMSNorm(cfg.head_dim)),
            "norm_k": per_branch(lambda: nn.RMSNorm(cfg.head_dim))})
        self.mlp = per_branch(lambda: nn.ModuleDict({
            "proj_in_gate": linear(D, hidden), "proj_in": linear(D, hidden), "proj_out": linear(hidden, D)}),
            self.branches[-1:] if last else self.branches)
        self.ada = per_branch(lambda: modulation(D, "attn_shift", "attn_scale", "attn_gate",
                                                 "mlp_shift", "mlp_scale", "mlp_gate"))

    def qkv(self, b, x, emb):
        """x [B, n, D] -> q, k, v [B, n, heads, d], q and k normalised in f32."""
        ada, (shift, scale, _) = self.ada[b], emb[0]
        x = rmsnorm(x) * (scale + ada["attn_scale"]) + (shift + ada["attn_shift"])
        q, k, v = self.attn["proj_qkv"][b](x).unflatten(-1, (3, self.heads, -1)).unbind(2)
        norm = lambda x, name: rmsnorm(x.float(), self.attn[name][b].weight)
        return norm(q, "norm_q"), norm(k, "norm_k"), v

    def finish(self, b, x, o, emb):
        """Residual x [B, n, D] and attention output o [B, n, width] -> the block's output [B, n, D]."""
        ada, mlp, (shift, scale, gate) = self.ada[b], self.mlp[b], emb[1]
        x = x + self.attn["proj_out"][b](o) * (emb[0][2] + ada["attn_gate"])
        h = rmsnorm(x) * (scale + ada["mlp_scale"]) + (shift + ada["mlp_shift"])
        h = mlp["proj_out"](F.silu(mlp["proj_in_gate"](h)) * mlp["proj_in"](h))
        return x + h * (gate + ada["mlp_gate"])

    def forward(self, xs, emb, plan):
        """Streams xs, emb [2, 3, B, 1, D] -> streams; the last block returns the video alone."""
        parts = [self.qkv(b, x, emb) for b, x in zip(self.branches, xs)]
        q, k, v = parts[0] if len(parts) == 1 else [join(t, v, plan.turns) for t, v in zip(*parts)]
        q, k = (rotate(x, plan.cos, plan.sin).to(v.dtype) for x in (q, k))
        o = plan.attend(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2))
        outs = [o.transpose(1, 2).flatten(2)]                               # [B, N, width]
        if self.last and len(xs) == 1:
            xs = split(xs[0], plan.turns, plan.txt_tokens)
        if len(xs) == 2:
            outs = split(outs[0], plan.turns, plan.txt_tokens)
        streams = zip(self.branches, xs, outs) if not self.last else [(self.branches[-1], xs[1], outs[1])]
        return [self.finish(b, x, o, emb) for b, x, o in streams]

class NaDiT(nn.Module):
    def __init__(self, cfg, recompute=False):
        super().__init__()
        D, p2, txt = cfg.dim, cfg.patch ** 2, cfg.txt_in
        self.cfg, self.recompute = cfg, recompute
        self.vid_in = nn.ModuleDict({"proj": nn.Linear(p2 * cfg.vid_in, D)})
        self.txt_in = nn.Linear(txt, D) if txt != D else nn.Identity()
        if cfg.style_7b:
            mlp = nn.Sequential(nn.Linear(txt, txt), nn.GELU("tanh"), nn.Linear(txt, D))
            self.txt_in = nn.Sequential(nn.Sequential(mlp, nn.RMSNorm(D, 1e-5)))
        self.emb_in = nn.ModuleDict({"proj_in": nn.Linear(256, D), "proj_hid": nn.Linear(D, D),
                                     "proj_out": nn.Linear(D, 6 * D)})
        self.blocks = nn.ModuleList(Block(cfg, i < cfg.mm_layers, i == cfg.layers - 1) for i in range(cfg.layers))
        self.vid_out_norm = nn.RMSNorm(D)
        self.vid_out_ada = modulation(D, "out_shift", "out_scale")
        self.vid_out = nn.ModuleDict({"proj": nn.Linear(D, p2 * cfg.vid_out)})

    def time_embedding(self, t, dtype):
        """t [B] in 0..1000 -> [2 (attn, mlp), 3 (shift, scale, gate), B, 1, D]."""
        angle = t.float()[:, None] * torch.exp(-math.log(10000) / 128 * torch.arange(128, device=t.device))
        x = F.silu(self.emb_in["proj_in"](torch.cat((angle.sin(), angle.cos()), 1).to(dtype)))
        x = self.emb_in["proj_out"](F.silu(self.emb_in["proj_hid"](x))).to(dtype)
        return x.unflatten(1, (-1, 2, 3)).permute(2, 3, 0, 1).unsqueeze(-2).contiguous()

    def forward(self, vid, txt, t, plan):
        """vid [B, T, H, W, vid_in], txt [B, Nt, txt_in], t [B] -> velocity [B, T, H, W, vid_out]."""
        (B, T, H, W, _), p, weight = vid.shape, self.cfg.patch, self.vid_out_norm.weight
        emb, dtype = self.time_embedding(t, weight.dtype), weight.dtype         # dtype of the residual stream
        vid = vid.unflatten(3, (-1, p)).unflatten(2, (-1, p)).transpose(3, 4)   # [B, T, H/p, W/p, p, p, c]
        vid = self.vid_in["proj"](vid.flatten(4).flatten(1, 3).to(dtype))
        xs = [self.txt_in(txt.to(dtype)).to(dtype), vid.to(dtype)]
        for block in self.blocks:
            if len(xs) > len(block.branches):
                xs = [join(*xs, plan.turns)]
            xs = checkpoint(block, xs, emb, plan, use_reentrant=False) if self.recompute else block(xs, emb, plan)
        ada, (shift, scale, _) = self.vid_out_ada, emb[0]       # the attention slice, as in the blocks
        x = rmsnorm(xs[0], weight) * (scale + ada["out_scale"]) + (shift + ada["out_shift"])
        x = self.vid_out["proj"](x).view(B, T, H // p, W // p, p, p, -1)
        return x.transpose(3, 4).reshape(B, T, H, W, -1)

# --- check ----------------------------------------------------------------------------------------
def distance(a, b):
    """max |a - b| / max |b|; the difference itself where b is all zeros."""
    return ((a - b).abs().max() / (b.abs().max() if b.any() else 1)).item()

def check_fixture(folder, name, c):
    """Forward, loss and all gradients against one fixture of official configuration c."""
    from safetensors.torch import load_file
    load = lambda part: load_file(folder / f"{name}.{part}.safetensors")
    txt_in = c["txt_in_dim"] if isinstance(c["txt_in_dim"], int) else c["txt_in_dim"][0]
    sizes = [c[n] for n in "vid_dim num_layers mm_layers heads head_dim vid_in_channels vid_out_channels".split()]
    model = NaDiT(Config(*sizes, c["patch_size"][1], txt_in, c["rope_dim"], style_7b=c["rope_type"] == "mmrope3d_v3"))
    model.load_state_dict({k.replace("img_proj", "proj"): w for k, w in load("weights").items() if "rope" not in k})
    io = load("io")
    vid, txt = io["input.vid"].requires_grad_(), io["input.txt"].requires_grad_()
    shapes = io["input.vid_shape"].tolist()
    samples = zip(vid.split([math.prod(s) for s in shapes]), txt.split(io["input.txt_shape"].flatten().tolist()),
                  shapes, io["input.timestep"])
    out = torch.cat([model(v.view(1, *s, -1), x[None], t[None], make_plan(model.cfg, len(x), *s)).flatten(0, 3)
                     for v, x, s, t in samples])
    forward, errors = distance(out, io["expect.out"]), {}
    if (folder / f"{name}.grads.safetensors").exists():
        loss, expected = F.mse_loss(out, io["input.target"]), load("grads")
        loss.backward()
        ours = {f"grad.weight.{n}": p.grad for n, p in model.named_parameters() if p.grad is not None}
        ours |= {"grad.input.vid": vid.grad, "grad.input.txt": txt.grad}
        assert ours.keys() == expected.keys(), ours.keys() ^ expected.keys()
        errors = {k: distance(g, expected[k]) for k, g in ours.items()} | {"loss": distance(loss, io["expect.loss"])}
    ok = forward <= 2e-4 and all(e <= 1e-3 for e in errors.values())
    worst = f"{max(errors.values()):.1e} ({len(errors)}, {max(errors, key=errors.get)})" if errors else "none given"
    print(f"{name:<15} {'ok' if ok else 'FAILED'}   forward {forward:.1e}   gradients {worst}")
    return ok

def check(folder):
    entries = {e["file"]: e for e in json.loads((folder / "manifest.json").read_text())["entries"]}
    ok = [check_fixture(folder, n, entries[f"{n}.weights.safetensors"]["config"])
          for n in ("dit_tiny", "dit_tiny_mm", "dit_tiny_hd128", "dit_tiny_7b")]
    return 0 if all(ok + [check_block_causal()]) else 1

def check_block_causal():
    """The block-causal forms agree, and a change in the last turn leaves the earlier turns alone."""
    cfg = Config(128, 3, 1, 2, 64, 33, 16, 2, 128, 64)
    model, vid, txt, ok, want = NaDiT(cfg), torch.randn(1, 3, 16, 16, 33), torch.randn(1, 96, 128), True, None
    for impl in ("mask", "prefix", "flex"):
        plan = make_plan(cfg, 96, 3, 16, 16, impl)
        with torch.no_grad():
            out = model(vid, txt, torch.tensor([300.0]), plan)
            cut = model(vid.index_fill(1, torch.tensor(2), 0), txt, torch.tensor([300.0]), plan)
        want = out if want is None else want
        ok &= distance(out, want) < 1e-4 and distance(cut[:, :2], out[:, :2]) < 1e-5 < distance(cut, out)
        print(f"block-causal {impl:<6} against mask {distance(out, want):.1e}   {'ok' if ok else 'FAILED'}")
    return ok

# --- bench ----------------------------------------------------------------------------------------
def forward_flops(model, nt, nv, turns):
    """One sample: 2 per matrix weight and token that passes it, plus the visible part of attention."""
    cfg, total, last = model.cfg, 0, f"blocks.{model.cfg.layers - 1}."
    for name, p in ((n, p) for n, p in model.named_parameters() if p.ndim == 2):
        dropped = name.startswith(last) and "qkv" not in name               # text leaves the last block early
        text = nt if (".txt." in name or "txt_in" in name or ".all." in name) and not dropped else 0
        video = 0 if ".txt." in name or "txt_in" in name else nv
        total += 2 * p.numel() * (1 if "emb_in" in name else text + video)
    return total + cfg.layers * 4 * cfg.heads * cfg.head_dim * (nt + nv) ** 2 * (turns + 1) / (2 * turns)

def since_process_start():
    """Seconds since the kernel started this process, in steps of 10 ms."""
    ticks = int(Path("/proc/self/stat").read_text().rsplit(")", 1)[1].split()[19])
    return float(Path("/proc/uptime").read_text().split()[0]) - ticks / os.sysconf("SC_CLK_TCK")

def make_work(args, cfg, model, impl):
    """The function to time; edit returns the milliseconds of each turn."""
    B, T, S, C, Tx, dev = args.batch, args.frames, cfg.size, cfg.vid_out, args.text, args.device
    plan = functools.cache(lambda frames: make_plan(cfg, frames * Tx, frames, S, S, impl, dev))
    rand = lambda *shape: torch.randn(*shape, device=dev)
    sync = torch.cuda.synchronize if dev == "cuda" else lambda: None
    autocast = functools.partial(torch.autocast, dev, torch.bfloat16, enabled=args.dtype == "bf16")
    # [B, k, S, S, C] -> [B, k+1, S, S, C+1]: context frames with mask 1, then an empty target frame
    condition = lambda clean: F.pad(F.pad(clean, (0, 1), value=1.0), (0, 0, 0, 0, 0, 0, 0, 1))
    x0, noise, txt = rand(B, T, S, S, C), rand(B, T, S, S, C), rand(B, T * Tx, cfg.txt_in)
    t, cond = 1000 * torch.sigmoid(rand(B)), condition(x0[:, :-1])
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True) if args.what == "train" else None

    def forward():
        with torch.no_grad(), autocast():
            model(torch.cat((x0, cond), -1), txt, t, plan(T))
        sync()

    def train():
        s = (t / 1000).view(-1, 1, 1, 1, 1)
        with autocast():
            v = model(torch.cat(((1 - s) * x0 + s * noise, cond), -1), txt, t, plan(T))
        F.mse_loss(v.float(), noise - x0).backward()
        optimizer.step()
        optimizer.zero_grad()
        sync()

    def edit():
        """Turn k: k+2 frames from noise by Euler steps; both guidance branches in one batch of 2."""
        u = 1 - torch.arange(args.steps + 1, dtype=torch.float64) / args.steps
        times, context, spent = (12000 * u / (1 + 11 * u)).tolist(), x0[:1, :1], []
        for frames in range(2, args.turns + 2):
            begin, x, text = time.perf_counter(), rand(1, frames, S, S, C), rand(2, frames * Tx, cfg.txt_in)
            cond = condition(context)
            with torch.no_grad(), autocast():
                for now, then in zip(times, times[1:]):
                    both = torch.cat((x, cond), -1).expand(2, -1, -1, -1, -1)
                    pos, neg = model(both, text, torch.full((2,), now, device=dev), plan(frames)).float().chunk(2)
                    x = x + (then - now) / 1000 * (neg + 7.5 * (pos - neg))
            context = torch.cat((context, x[:, -1:]), 1)
            sync()
            spent.append(1e3 * (time.perf_counter() - begin))
        return spent

    return {"forward": forward, "train": train, "edit": edit}[args.what]

def bench(args):
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    torch._dynamo.config.recompile_limit = 64
    cfg = PRESETS[args.preset]
    args.frames, args.text = args.frames or cfg.frames, args.text or cfg.text
    args.weights = args.weights or ("f32" if args.what == "train" else args.dtype)
    with torch.device(args.device):
        model = NaDiT(cfg, args.recompute).to(torch.bfloat16 if args.weights == "bf16" else torch.float32)
    for module in {"model": [model], "blocks": model.blocks, "no": []}[args.compile]:
        module.compile(dynamic=False, mode=args.compile_mode)
    auto = ["flex", "mask"] if args.device == "cuda" else ["prefix"]        # on CPU flex has no backward and is slower
    forms = ["full"] if args.attention == "full" else auto if args.impl == "auto" else [args.impl]
    while True:
        try:
            impl, work = forms[0], make_work(args, cfg, model, forms[0])
            cold = work()
            break
        except Exception as e:
            if len(forms) == 1:
                raise
            print(f"{forms.pop(0)} attention does not run here: {type(e).__name__}", file=sys.stderr)
    first = since_process_start()
    work()
    times, cpu_times, turns, end = [], [], [], time.perf_counter() + args.seconds
    while len(times) < 3 or time.perf_counter() < end:
        begin, cpu_begin = time.perf_counter(), time.process_time()
        turns.append(work())
        times.append(time.perf_counter() - begin)
        cpu_times.append(time.process_time() - cpu_begin)
    edit, cuda, frame, best = args.what == "edit", args.device == "cuda", (cfg.size // cfg.patch) ** 2, min(times)
    peak = torch.cuda.max_memory_allocated() / 1e6 if cuda else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    frames = list(range(2, args.turns + 2)) if edit else [args.frames]
    samples, tokens = 2 * args.steps if edit else args.batch, (args.text + frame) * sum(frames)
    flops = sum(forward_flops(model, t * args.text, t * frame, 1 if impl == "full" else t) for t in frames)
    flops *= samples * (3 if args.what == "train" else 1)
    result = {k: v for k, v in vars(args).items() if k not in ("command", "impl", "json", "frames", "text")}
    result |= dict(
        attention_impl=impl, frames=frames, text_per_turn=args.text, params=sum(p.numel() for p in model.parameters()),
        tokens=samples * tokens, reps=len(times), best_ms=1e3 * best, median_ms=1e3 * statistics.median(times),
        cpu_ms=1e3 * min(cpu_times), tokens_per_s=samples * tokens / best, model_gflop=flops / 1e9,
        gflop_per_s=flops / best / 1e9, peak_mb=peak, first_step_s=first,
        turn_ms=[min(t) for t in zip(*turns)] if edit else None, turn_ms_cold=cold,
        torch=torch.__version__, gpu=torch.cuda.get_device_name() if cuda else "")
    print("\n".join(f"{k:<16} {v:.2f}" if isinstance(v, float) else f"{k:<16} {v}" for k, v in result.items()))
    if args.json:
        Path(args.json).open("a").write(json.dumps(result) + "\n")

def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = ap.add_subparsers(dest="command", required=True)
    commands.add_parser("check").add_argument("dir", type=Path)
    option = commands.add_parser("bench").add_argument
    for name, values in dict(what="train forward edit", preset=" ".join(PRESETS), device="cpu cuda", dtype="f32 bf16",
                             attention="full block-causal", impl="auto flex mask prefix").items():
        option(f"--{name}", choices=values.split(), default=values.split()[0])
    for name, default in dict(threads=os.cpu_count(), batch=1, frames=0, text=0, turns=3, steps=8).items():
        option(f"--{name}", type=int, default=default, help=f"default {default}; frames, text: 0 is the preset's")
    option("--weights", choices=("f32", "bf16"), help="storage; default f32 for train, else the dtype")
    option("--compile", nargs="?", const="model", default="no", choices=("model", "blocks", "no"))
    option("--compile-mode", help="such as max-autotune-no-cudagraphs")
    option("--recompute", action="store_true", help="activation checkpointing of every block")
    option("--seconds", type=float, default=5, help="how long to repeat, at least 3 times")
    option("--json", metavar="OUT", help="append the result as one line to this file")
    args = ap.parse_args()
    sys.exit(bench(args) if args.command == "bench" else check(args.dir))

if __name__ == "__main__":
    main()
