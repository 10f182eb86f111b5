"""Layers of a first-generation Qwen-14B in PyTorch on the CPU: the peer of `vincie bench text`.

    torch_qwen.py --threads 2 --layers 2 --tokens 64 --json out.jsonl

One prompt through layers of true size with random bf16 weights that are in memory. Timed in bf16, as the released model
runs, and in f32.
"""
import argparse, json
import torch
import torch.nn.functional as F
from torch_attention import measure

DIM, HEADS, HEAD_DIM, HIDDEN = 5120, 40, 128, 13696


def rms(x, weight):
    wide = x.float()
    return (wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + 1e-6)).type_as(x) * weight


def rotate(x, cos, sin):
    a, b = x.float().chunk(2, -1)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), -1).type_as(x)


def layer(x, w, cos, sin):
    """`x` [tokens, DIM] through one layer with weights `w`."""
    q, k, v = F.linear(rms(x, w["ln_1"]), w["c_attn"], w["bias"]).view(len(x), 3, HEADS, HEAD_DIM).permute(1, 2, 0, 3)
    q, k = rotate(q, cos, sin), rotate(k, cos, sin)
    h = F.scaled_dot_product_attention(q[None], k[None], v[None], is_causal=True)[0]
    x = x + F.linear(h.transpose(0, 1).reshape(len(x), -1), w["attn"])
    h = rms(x, w["ln_2"])
    return x + F.linear(F.linear(h, w["w1"]) * F.silu(F.linear(h, w["w2"])), w["mlp"])


def weights(dtype):
    shapes = dict(ln_1=[DIM], ln_2=[DIM], c_attn=[3 * DIM, DIM], bias=[3 * DIM], attn=[DIM, DIM],
                  w1=[HIDDEN, DIM], w2=[HIDDEN, DIM], mlp=[DIM, HIDDEN])
    return {name: (torch.randn(shape) / 72).to(dtype) for name, shape in shapes.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in dict(layers=2, tokens=64, threads=2).items():
        parser.add_argument("--" + name, type=int, default=value)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--json", metavar="OUT", help="append one line a type to this file")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    frequencies = 1e4 ** (-torch.arange(0, HEAD_DIM, 2) / HEAD_DIM)
    angles = torch.arange(args.tokens)[:, None] * frequencies
    for dtype in (torch.bfloat16, torch.float32):
        layers = [weights(dtype) for _ in range(args.layers)]
        prompt = torch.randn(args.tokens, DIM).to(dtype)

        def work():
            x = prompt
            with torch.no_grad():
                for w in layers:
                    x = layer(x, w, angles.cos(), angles.sin())

        result = dict(dtype=str(dtype)) | measure(work, args.seconds) | vars(args) | dict(torch=torch.__version__)
        result.pop("json")
        print(f"{result['dtype']:<16} {result['best_ms'] / args.layers:8.1f} ms a layer")
        if args.json:
            with open(args.json, "a") as file:
                file.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
