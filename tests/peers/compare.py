"""Measures `vincie bench` beside PyTorch in one run and writes the raw results as JSON lines.

    cargo build --release
    python3 tests/peers/compare.py --out tests/records/<date>-<machine>/cpu.jsonl

Needs a Python with torch and numpy, and a machine that does nothing else: every pair is measured back to back, and
the table at the end is ours over the best of PyTorch's ways, best times of each. Torch's ways are eager and
compiled, and for block-causal attention one masked call or one call per frame.
"""
import argparse, json, os, platform, subprocess, sys, tempfile
from datetime import date
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent


def run(command):
    """Standard output of a command; its failure ends the comparison."""
    return subprocess.run([str(c) for c in command], check=True, stdout=subprocess.PIPE, text=True).stdout


def ours(binary, *arguments):
    return json.loads(run([binary, "bench", *arguments, "--json", "--quiet"]))


def torch(script, *arguments):
    """Lines that one of the scripts beside this one writes."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out.jsonl"
        run([sys.executable, HERE / script, *arguments, "--json", out])
        return [json.loads(line) for line in out.read_text().splitlines()]


def processor():
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":")[1].strip()
    return platform.processor()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="file to write; must not exist")
    parser.add_argument("--binary", type=Path, default=ROOT / "target/release/vincie")
    parser.add_argument("--seconds", default="5")
    parser.add_argument("--rounds", type=int, default=2, help="how often each pair is measured; the best counts")
    parser.add_argument("--eager-only", action="store_true", help="leave out compiled torch, which takes minutes to start")
    args = parser.parse_args()
    args.out.parent.mkdir(parents=True, exist_ok=True)
    commit = run(["git", "-C", ROOT, "describe", "--always", "--dirty"]).strip()
    rows = []
    with args.out.open("x") as out:
        def write(record):
            out.write(json.dumps(record) + "\n")
            out.flush()

        write(dict(kind="machine", date=str(date.today()), commit=commit, processor=processor(), cores=os.cpu_count(),
                   load=os.getloadavg(), python=platform.python_version(),
                   rounds=args.rounds, seconds=args.seconds, eager_only=args.eager_only))
        for threads in ("1", "2"):
            for attention in ("full", "block-causal"):
                what = ["--attention", attention, "--threads", threads, "--seconds", args.seconds]
                for preset in ("nano", "small"):
                    steps = ["--preset", preset, *what]
                    mine, ways = [], []
                    for round in range(args.rounds):
                        mine.append(ours(args.binary, "step", *steps))
                        write(dict(kind="step", who="vincie", result=mine[-1]))
                        # Compiling takes minutes and gives the same code every round.
                        for compile in ("no", "model") if round == 0 and not args.eager_only else ("no",):
                            ways += torch("torch_nadit.py", "bench", "--what", "train", "--compile", compile, *steps)
                            write(dict(kind="step", who="torch", result=ways[-1]))
                    rows.append((f"step {preset} {attention}", threads, min(m["timing"]["best_ms"] for m in mine),
                                 min(way["best_ms"] for way in ways), max(m["peak_resident_bytes"] for m in mine) / 1e6,
                                 min(way["peak_mb"] for way in ways)))
                mine, ways = {}, {}
                for _ in range(args.rounds):
                    result = ours(args.binary, "attention", *what)
                    write(dict(kind="attention", who="vincie", result=result))
                    for each in result["passes"]:
                        mine.setdefault(each["name"], []).append(each["timing"]["best_ms"])
                    for way in torch("torch_attention.py", *what):
                        write(dict(kind="attention", who="torch", result=way))
                        ways.setdefault((way["what"], way["impl"]), []).append(way["best_ms"])
                for (name, impl), times in ways.items():
                    rows.append((f"attention {attention} {name}, torch {impl}", threads, min(mine[name]), min(times),
                                 None, None))
            for name, extra in {"decoder layers": [], "decoder layers, forward + backward": ["--backward"]}.items():
                what = [*extra, "--threads", threads, "--seconds", args.seconds]
                mine, ways = [], []
                for _ in range(args.rounds):
                    result = ours(args.binary, "convolution", *what)
                    write(dict(kind="convolution", who="vincie", result=result))
                    mine.append(result["total_ms"])
                    for way in torch("torch_convolution.py", *what):
                        write(dict(kind="convolution", who="torch", result=way))
                        ways.append(way["total_ms"])
                rows.append((name, threads, min(mine), min(ways), None, None))
    print("| work | threads | ours ms | torch ms | ratio | ours MB | torch MB |\n|---|---|---|---|---|---|---|")
    for what, threads, mine, peer, memory, peer_memory in rows:
        sizes = "– | –" if memory is None else f"{memory:.0f} | {peer_memory:.0f}"
        print(f"| {what} | {threads} | {mine:.1f} | {peer:.1f} | {mine / peer:.2f} | {sizes} |")


if __name__ == "__main__":
    main()
