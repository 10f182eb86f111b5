"""The layers of the 3B model's image decoder in PyTorch on the CPU: the peer of `vincie bench convolution`.

    torch_convolution.py --threads 2 --size 256 --json out.jsonl

Each layer alone, as it runs on one picture, f32: convolutions with bias (kernels summed over time), and group norms with the
SiLU behind them. Both memory formats of PyTorch are timed, `nchw` and `channels_last`; the total counts each layer as
often as the decoder has it.
"""
import argparse, json
import torch
import torch.nn.functional as F
from timing import measure

# Side of the picture by side of the input, channels in and out, side of the kernel (0: group norm), times.
LAYERS = [
    (8, 16, 512, 3, 1), (8, 512, 512, 3, 10), (8, 512, 512, 0, 11), (8, 512, 2048, 1, 1), (4, 512, 512, 3, 7),
    (4, 512, 512, 0, 6), (4, 512, 2048, 1, 1), (2, 512, 512, 3, 1), (2, 512, 512, 0, 1), (2, 512, 256, 3, 1),
    (2, 512, 256, 1, 1), (2, 256, 256, 0, 5), (2, 256, 256, 3, 5), (2, 256, 1024, 1, 1), (1, 256, 256, 3, 1),
    (1, 256, 256, 0, 1), (1, 256, 128, 3, 1), (1, 256, 128, 1, 1), (1, 128, 128, 0, 6), (1, 128, 128, 3, 5),
    (1, 128, 3, 3, 1),
]


def layer(part, channels, filters, kernel, size, memory_format, dtype):
    """Name, function and inputs of a layer."""
    side = size // part
    x = torch.randn(1, channels, side, side).to(dtype, memory_format=memory_format)
    if kernel == 0:
        weight, bias = torch.randn(channels, dtype=dtype), torch.randn(channels, dtype=dtype)
        return f"{side} x {side} norm {channels}", lambda x, w, b: F.silu(F.group_norm(x, 32, w, b, 1e-6)), (x, weight, bias)
    weight = torch.randn(filters, channels, kernel, kernel).to(dtype, memory_format=memory_format)
    bias = torch.randn(filters, dtype=dtype)
    name = f"{side} x {side} {kernel} x {kernel} {channels} -> {filters}"
    return name, lambda x, w, b: F.conv2d(x, w, b, padding=kernel // 2), (x, weight, bias)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--backward", action="store_true", help="forward with backward")
    parser.add_argument("--bf16", action="store_true")
    parser.add_argument("--seconds", type=float, default=5, help="for all layers of a format")
    parser.add_argument("--json", metavar="OUT", help="append one line a format to this file")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    dtype = torch.bfloat16 if args.bf16 else torch.float32
    for impl, memory_format in dict(nchw=torch.contiguous_format, channels_last=torch.channels_last).items():
        rows, total = [], 0.0
        for *sizes, count in LAYERS:
            name, run, inputs = layer(*sizes, args.size, memory_format, dtype)

            def forward():
                with torch.no_grad():
                    run(*inputs)

            def both():
                variables = [x.detach().requires_grad_() for x in inputs]
                y = run(*variables)
                torch.autograd.grad(y, variables, torch.ones_like(y))

            timing = measure(both if args.backward else forward, args.seconds / len(LAYERS))
            total += count * timing["best_ms"]
            rows.append(dict(name=name, count=count, timing=timing))
            print(f"{impl:<14} {name:<34} {count:3} x {timing['best_ms']:8.2f} ms   median {timing['median_ms']:8.2f}")
        print(f"{impl:<14} {'all':<34}       {total:8.2f} ms")
        if args.json:
            result = dict(impl=impl, layers=rows, total_ms=total, torch=torch.__version__) | vars(args)
            result.pop("json")
            with open(args.json, "a") as file:
                file.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
