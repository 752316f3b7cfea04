"""Times PyTorch on the work of grouping-core/benches/conv.rs; prints one JSON line a bench.

    python bench_conv.py conv/down/threads_1 [gdn/128/threads_2 …]

The least of several runs, after one that does not count.
"""

import json
import sys
import time

import torch
import torch.nn.functional as F

RUNS = 5
LAYERS = {
    "conv/5x5_stride2_3_to_128": ([3, 128], 5, 2, False, [512, 768]),
    "conv/5x5_stride2_128_to_128": ([128, 128], 5, 2, False, [256, 384]),
    "conv/3x3_192_to_192": ([192, 192], 3, 1, False, [128, 192]),
    "conv/1x1_192_to_192": ([192, 192], 1, 1, False, [128, 192]),
    "conv/transposed_5x5_stride2_128_to_128": ([128, 128], 5, 2, True, [128, 192]),
    "conv/transposed_5x5_stride2_128_to_3": ([128, 3], 5, 2, True, [256, 384]),
}


def layer(channels, kernel, stride, transposed):
    if transposed:
        return torch.nn.ConvTranspose2d(*channels, kernel, stride, kernel // 2, output_padding=stride - 1)
    return torch.nn.Conv2d(*channels, kernel, stride, kernel // 2)


class Gdn(torch.nn.Module):
    """Divisive normalisation as a 1×1 convolution of the squares, a root and a product."""

    def __init__(self, inverse):
        super().__init__()
        self.root = torch.sqrt if inverse else torch.rsqrt
        self.beta = torch.ones(128)
        self.gamma = torch.nn.Parameter(torch.full((128, 128, 1, 1), 0.01))

    def forward(self, x):
        return x * self.root(F.conv2d(x**2, self.gamma, self.beta))


def network(channels, transposed):
    layers = []
    for pair in zip(channels, channels[1:]):
        layers += [layer(pair, 5, 2, transposed), Gdn(transposed)]
    return torch.nn.Sequential(*layers[:-1])


def work(name):
    """The module, the shape of its input, and whether gradients are taken."""
    if name == "conv/down":
        return network([3, 128, 128, 128, 192], False), [1, 3, 512, 768], False
    if name == "conv/up":
        return network([192, 128, 128, 128, 3], True), [1, 192, 32, 48], False
    if name in LAYERS:
        channels, kernel, stride, transposed, size = LAYERS[name]
        return layer(channels, kernel, stride, transposed), [1, channels[0], *size], False
    if name.endswith("_gradients"):
        module = Gdn(False) if name.startswith("gdn") else layer([128, 128], 5, 2, False)
        return module, [8, 128, 64, 64], True
    return Gdn(name.endswith("inverse")), [1, 128, 256, 384], False


def main():
    torch.manual_seed(1)
    for full in sys.argv[1:]:
        name, _, threads = full.rpartition("/threads_")
        torch.set_num_threads(int(threads))
        module, shape, has_gradients = work(name)
        x = torch.randn(shape, requires_grad=has_gradients)
        walls, cpus = [], []
        with torch.set_grad_enabled(has_gradients):
            for _ in range(RUNS + 1):
                wall, cpu = time.perf_counter(), time.process_time()
                y = module(x)
                if has_gradients:
                    y.sum().backward()
                walls.append(time.perf_counter() - wall)
                cpus.append(time.process_time() - cpu)
        event = {"event": "bench", "name": full, "wall_secs": min(walls[1:]), "cpu_secs": min(cpus[1:])}
        print(json.dumps(event), flush=True)


if __name__ == "__main__":
    main()
