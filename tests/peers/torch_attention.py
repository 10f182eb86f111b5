"""Attention in PyTorch on the CPU: the peer of `vincie bench attention`.

    torch_attention.py --threads 2 --attention block-causal --json out.jsonl

One sample of H heads, L tokens in equal frames, D features a head, f32. Block-causal attention is timed as one
masked call (`mask`) and as one unmasked call per frame on the keys it may see (`prefix`).
"""
import argparse, json
import torch
import torch.nn.functional as F
from timing import measure


def variants(args):
    """Name and function of every way to do the same work."""
    frame = args.length // args.frames
    if args.attention == "full":
        return {"sdpa": F.scaled_dot_product_attention}
    turn = torch.arange(args.length) // frame
    mask = turn[:, None] >= turn[None, :]

    def prefix(q, k, v):
        ends = range(frame, args.length + 1, frame)
        parts = [F.scaled_dot_product_attention(q[:, :, e - frame:e], k[:, :, :e], v[:, :, :e]) for e in ends]
        return torch.cat(parts, 2)

    return {"mask": lambda q, k, v: F.scaled_dot_product_attention(q, k, v, attn_mask=mask), "prefix": prefix}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--attention", choices=("block-causal", "full"), default="block-causal")
    for name, value in dict(heads=20, length=1024, head_dim=128, frames=4, threads=2).items():
        parser.add_argument("--" + name.replace("_", "-"), type=int, default=value)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--json", metavar="OUT", help="append one line a way and pass to this file")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    q, k, v, seed = (torch.randn(1, args.heads, args.length, args.head_dim, requires_grad=i < 3) for i in range(4))
    for name, attend in variants(args).items():
        def forward():
            with torch.no_grad():
                attend(q, k, v)

        def both():
            torch.autograd.grad(attend(q, k, v), (q, k, v), seed)

        for what, work in {"forward": forward, "forward + backward": both}.items():
            result = dict(impl=name, what=what) | measure(work, args.seconds) | vars(args) | dict(torch=torch.__version__)
            result.pop("json")
            print(f"{name:<8} {what:<20} {result['best_ms']:8.2f} ms   median {result['median_ms']:8.2f}")
            if args.json:
                with open(args.json, "a") as file:
                    file.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
