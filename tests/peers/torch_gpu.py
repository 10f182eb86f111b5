"""The peer of `vincie bench gpu-check` in PyTorch: reads one piece of work a line, as JSON, and answers with one.

The program starts it and asks for each piece right after it timed its own. By hand:

    echo '{"Product": {"layout": "nn", "dtype": "bf16", "m": 8192, "n": 8192, "k": 8192}}' | python3 torch_gpu.py

The first line says which torch this is, and on what. Times are medians between CUDA events, of CUDA graphs where the work
can be captured. Where torch has several ways, eager and compiled, all are tried while their time lasts, and the
fastest counts. Needs torch; torch_nadit.py beside it for whole models. `--device cpu` tests the script.
"""
import argparse, functools, json, statistics, sys, time, traceback
import torch
import torch.nn.functional as F

REPEAT = 0.4            # seconds of measurements a way
GRAPH = 0.010           # seconds that a graph should take
DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16}


class Clock:
    """Times functions on one device."""

    def __init__(self, device):
        self.device, self.is_cuda = device, device == "cuda"

    def sync(self):
        if self.is_cuda:
            torch.cuda.synchronize()

    def between(self, work):
        """Milliseconds of one call."""
        if not self.is_cuda:
            begin = time.perf_counter()
            work()
            return 1e3 * (time.perf_counter() - begin)
        before, after = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        before.record()
        work()
        after.record()
        torch.cuda.synchronize()
        return before.elapsed_time(after)

    def measure(self, work, can_capture=True):
        """Median and best milliseconds of a call."""
        for _ in range(2):
            work()
        self.sync()
        first = self.between(work)
        inside = max(1, min(16, int(1e3 * GRAPH / max(first, 1e-3)))) if self.is_cuda else 1
        run, is_graph = None, False
        if self.is_cuda and can_capture:
            try:
                graph = torch.cuda.CUDAGraph()
                with torch.cuda.graph(graph):
                    for _ in range(inside):
                        work()
                run, is_graph = graph.replay, True
            except Exception as error:          # what cannot be captured is measured in a loop
                print(f"not captured: {error}", file=sys.stderr)
                torch.cuda.synchronize()
        if run is None:
            def run():
                for _ in range(inside):
                    work()
        times, end = [], time.perf_counter() + REPEAT
        while len(times) < 5 or time.perf_counter() < end and len(times) < 100:
            times.append(self.between(run) / inside)
        times = times[1:]
        return dict(ms=statistics.median(times), best_ms=min(times), repeats=len(times), is_graph=is_graph)


def best(clock, ways, seconds):
    """The fastest of several functions, by name; those after the first are tried while time lasts."""
    found, failed, end = None, [], time.perf_counter() + seconds
    for name, make, can_capture in ways:
        if found and time.perf_counter() > end:
            failed.append(f"{name}: no time left")
            continue
        try:
            result = clock.measure(make(), can_capture) | dict(impl=name)
        except Exception as error:
            failed.append(f"{name}: {type(error).__name__}: {str(error)[:200]}")
            continue
        if found is None or result["ms"] < found["ms"]:
            found = result
    if found is None:
        raise RuntimeError("; ".join(failed))
    return found | (dict(failed=failed) if failed else {})


def draw(device, dtype, *shape):
    return torch.randn(*shape, device=device, dtype=DTYPES[dtype])


def copy(clock, bytes):
    a = torch.zeros(bytes // 4, device=clock.device)
    b = torch.empty_like(a)
    return best(clock, [("copy_", lambda: lambda: b.copy_(a), True)], 5)


def product(clock, layout, dtype, m, n, k):
    a = draw(clock.device, dtype, *((k, m) if layout[0] == "t" else (m, k)))
    b = draw(clock.device, dtype, *((n, k) if layout[1] == "t" else (k, n)))
    a, b = a.t() if layout[0] == "t" else a, b.t() if layout[1] == "t" else b
    return best(clock, [("matmul", lambda: lambda: torch.matmul(a, b), True)], 5)


def attention(clock, dtype, heads, dim, length, frames, back):
    q, k, v = (draw(clock.device, dtype, 1, heads, length, dim).requires_grad_(back) for _ in range(3))
    seed, n = draw(clock.device, dtype, 1, heads, length, dim), length // frames

    def sdpa(q, k, v):
        return F.scaled_dot_product_attention(q, k, v)

    def prefix(q, k, v):
        parts = [F.scaled_dot_product_attention(q[:, :, i:i + n], k[:, :, :i + n], v[:, :, :i + n])
                 for i in range(0, length, n)]
        return torch.cat(parts, 2)

    def flex():
        from torch.nn.attention.flex_attention import create_block_mask, flex_attention
        mask = create_block_mask(lambda b, h, q, k: q // n >= k // n, None, None, length, length, device=clock.device)
        return functools.partial(torch.compile(flex_attention, dynamic=False), block_mask=mask)

    def masked():
        turn = torch.arange(length, device=clock.device) // n
        return functools.partial(F.scaled_dot_product_attention, attn_mask=turn[:, None] >= turn[None, :])

    def work(make):
        attend = make()
        if not back:
            def forward():
                with torch.no_grad():
                    attend(q, k, v)
            return forward
        out = attend(q, k, v)
        return lambda: torch.autograd.grad(out, (q, k, v), seed, retain_graph=True)

    if frames == 1:
        ways = [("sdpa", lambda: work(lambda: sdpa), not back)]
    else:
        ways = [("sdpa by frames", lambda: work(lambda: prefix), not back)]
        if clock.is_cuda:
            ways.insert(0, ("flex_attention", lambda: work(flex), not back))
        if length <= 4096:
            ways.append(("sdpa with mask", lambda: work(masked), not back))
    return best(clock, ways, 20)


def rows(clock, what, dtype, rows, cols):
    x, other = (draw(clock.device, dtype, rows, cols) for _ in range(2))
    scale, shift, own_scale, own_shift = (draw(clock.device, dtype, *s) for s in ((4, cols), (4, cols), (cols,), (cols,)))
    groups = torch.arange(rows, device=clock.device) * 4 // rows
    norm = lambda x: F.rms_norm(x, (cols,), eps=1e-5)
    work = dict(
        rms_norm=lambda: norm(x),
        modulated=lambda: norm(x) * (scale[groups] + own_scale) + (shift[groups] + own_shift),
        gate_residual=lambda: x * (scale[groups] + own_scale) + other,
        swiglu=lambda: F.silu(x) * other,
    )
    if what == "rms_norm_backward":
        leaf = x.clone().requires_grad_()

        def backward(function):
            out = function(leaf)
            return lambda: torch.autograd.grad(out, leaf, other, retain_graph=True)
        ways = [("eager", lambda: backward(norm), False)]
        if clock.is_cuda:
            ways.append(("compiled", lambda: backward(torch.compile(norm, dynamic=False)), False))
    else:
        ways = [("eager", lambda: work[what], True)]
        if clock.is_cuda:
            ways.append(("compiled", lambda: torch.compile(work[what], dynamic=False), True))
    return best(clock, ways, 15)


def adamw(clock, tensors, elements):
    weights = [draw(clock.device, "f32", elements).requires_grad_() for _ in range(tensors)]
    for weight in weights:
        weight.grad = draw(clock.device, "f32", elements)
    optimizer = torch.optim.AdamW(weights, lr=1e-4, fused=True)
    return best(clock, [("fused", lambda: optimizer.step, False)], 5)


def whole(clock, what, preset, layers, dtype, is_block_causal, **more):
    """A model of torch_nadit.py, eager and compiled by blocks."""
    import torch_nadit as nadit
    cfg = nadit.PRESETS[preset]
    if layers:
        cfg = cfg._replace(layers=min(layers, cfg.layers), mm_layers=min(layers, cfg.mm_layers))
    args = argparse.Namespace(
        what=what, preset=preset, batch=1, device=clock.device, dtype=dtype, frames=cfg.frames, text=cfg.text, recompute=False,
        turns=more.get("turns", 3), steps=more.get("steps", 8))
    impl = "full" if not is_block_causal else "flex" if clock.is_cuda else "prefix"
    with torch.device(clock.device):
        model = nadit.NaDiT(cfg, False)
    if what == "edit" and dtype == "bf16":
        model = model.to(torch.bfloat16)

    def whole_times(work, fewest=3):
        turns = []
        times = []
        for _ in range(fewest):
            begin = time.perf_counter()
            turns.append(work())
            clock.sync()
            times.append(1e3 * (time.perf_counter() - begin))
        found = dict(ms=statistics.median(times), best_ms=min(times), repeats=len(times), is_graph=False)
        return found | (dict(turn_ms=[min(t) for t in zip(*turns)]) if turns[0] else {})

    results, failed = [], []
    for name in ["eager", "compiled"] if clock.is_cuda and what == "train" else ["eager"]:
        try:
            if name == "compiled":
                for block in model.blocks:
                    block.compile(dynamic=False)
            work = nadit.make_work(args, cfg, model, impl)
            for _ in range(2):
                work()
            results.append(whole_times(work, 3 if what == "edit" else 5) | dict(impl=f"{name} {impl}"))
        except Exception as error:
            failed.append(f"{name}: {type(error).__name__}: {str(error)[:200]}")
    if not results:
        raise RuntimeError("; ".join(failed))
    found = min(results, key=lambda result: result["ms"])
    return found | dict(parameters=sum(p.numel() for p in model.parameters())) | (dict(failed=failed) if failed else {})


def step(clock, preset, layers, dtype, is_block_causal):
    return whole(clock, "train", preset, layers, dtype, is_block_causal)


def edit(clock, preset, layers, dtype, turns, steps):
    return whole(clock, "edit", preset, layers, dtype, True, turns=turns, steps=steps)


WORK = {"Copy": copy, "Product": product, "Attention": attention, "Rows": rows, "AdamW": adamw, "Step": step, "Edit": edit}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    device = parser.parse_args().device
    # Only answers go to standard output, whatever libraries print.
    answers, sys.stdout = sys.stdout, sys.stderr

    def say(answer):
        print(json.dumps(answer), file=answers, flush=True)

    about = dict(torch=torch.__version__, device=device)
    if device == "cuda":
        if not torch.cuda.is_available():
            return say(dict(error=f"torch {torch.__version__} finds no CUDA device"))
        about |= dict(name=torch.cuda.get_device_name(), cuda=torch.version.cuda)
    say(about)
    torch.manual_seed(0)
    torch._dynamo.config.recompile_limit = 64
    for line in sys.stdin:
        try:
            (name, arguments), = json.loads(line).items()
            answer = WORK[name](Clock(device), **arguments)
        except Exception as error:
            traceback.print_exc()
            answer = dict(error=f"{type(error).__name__}: {str(error)[:400]}")
        if device == "cuda":
            torch._dynamo.reset()
            torch.cuda.empty_cache()
        say(answer)


if __name__ == "__main__":
    main()
