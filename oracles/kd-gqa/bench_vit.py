"""The work of `kd-gqa/benches/vit.rs` and `kd-gqa/benches/decode.rs` in PyTorch.

    python oracles/kd-gqa/bench_vit.py [vit | decode] [THREADS] [NAME]
    python oracles/kd-gqa/bench_vit.py memory SIZE KIND BATCH

Prints a JSON line a case, or for the case NAME alone (such as vit/small_mha_b1/threads_1): the median wall time and the mean CPU time of one forward pass, or the peak memory of a process that does one.
MHA is timm's model; GQA is the same with separate projections for queries, keys and values and `enable_gqa`. Decoding is one token over a
cache of 4,096: equal groups and unequal ones as packed products (a group's queries as rows, two products), and keys gathered for each head.
"""

import json
import resource
import statistics
import sys
import time

import torch
import torch.nn.functional as F

HEADS, KV_HEADS, HEAD_DIM, CONTEXT = 32, 8, 128, 4096
RAGGED = [9, 1, 4, 4, 2, 6, 3, 3]
SIZES = {"small": "vit_small_patch16_224", "base": "vit_base_patch16_224"}


class GroupedAttention(torch.nn.Module):
    def __init__(self, attention, kv_heads):
        super().__init__()
        d = attention.qkv.in_features
        self.heads, self.kv_heads, self.head_dim = attention.num_heads, kv_heads, attention.head_dim
        self.q = torch.nn.Linear(d, self.heads * self.head_dim)
        self.k = torch.nn.Linear(d, kv_heads * self.head_dim)
        self.v = torch.nn.Linear(d, kv_heads * self.head_dim)
        self.proj = attention.proj

    def forward(self, x, attn_mask=None):
        batch, seq, d = x.shape
        split = lambda y, heads: y.view(batch, seq, heads, self.head_dim).transpose(1, 2)
        q, k, v = split(self.q(x), self.heads), split(self.k(x), self.kv_heads), split(self.v(x), self.kv_heads)
        y = F.scaled_dot_product_attention(q, k, v, enable_gqa=True)
        return self.proj(y.transpose(1, 2).reshape(batch, seq, -1))


def model(size, kind):
    import timm

    torch.manual_seed(0)
    vit = timm.create_model(SIZES[size], pretrained=False).eval()
    if kind == "gqa":
        for block in vit.blocks:
            block.attn = GroupedAttention(block.attn, block.attn.num_heads // 2)
    return vit


def measure(name, work, least_secs=2.0, least_runs=5):
    work()
    walls, first, cpu = [], time.perf_counter(), time.process_time()
    while len(walls) < least_runs or time.perf_counter() - first < least_secs:
        start = time.perf_counter()
        work()
        walls.append(time.perf_counter() - start)
    cpu = (time.process_time() - cpu) / len(walls)
    event = {"event": "bench", "name": name, "wall_secs": statistics.median(walls), "cpu_secs": cpu}
    print(json.dumps(event), flush=True)


def vit(threads, is_wanted):
    for size in SIZES:
        for kind in ["mha", "gqa"]:
            net = None  # made when a case of it is wanted
            for batch in [1, 8]:
                name = f"vit/{size}_{kind}_b{batch}/threads_{threads}"
                if is_wanted(name):
                    net = net or model(size, kind)
                    images = torch.randn(batch, 3, 224, 224)
                    measure(name, lambda: net(images))


def packed(q, k, v, sizes):
    out, first = [], 0
    for group, size in enumerate(sizes):
        queries = q[0, first : first + size, 0]  # [size, head_dim]
        weights = torch.softmax(queries @ k[0, group].T * HEAD_DIM**-0.5, -1)
        out.append(weights @ v[0, group])
        first += size
    return torch.cat(out)


def decode(threads, is_wanted):
    torch.manual_seed(0)
    q = torch.randn(1, HEADS, 1, HEAD_DIM)
    k, v = torch.randn(1, KV_HEADS, CONTEXT, HEAD_DIM), torch.randn(1, KV_HEADS, CONTEXT, HEAD_DIM)
    size = HEADS // KV_HEADS
    rows = q.view(1, KV_HEADS, size, HEAD_DIM)
    of_head = torch.repeat_interleave(torch.arange(KV_HEADS), torch.tensor(RAGGED))
    works = {
        "uniform": lambda: F.scaled_dot_product_attention(rows, k, v),
        "ragged": lambda: packed(q, k, v, RAGGED),
        "gathered": lambda: F.scaled_dot_product_attention(q, k[:, of_head], v[:, of_head]),
    }
    for kind, work in works.items():
        name = f"decode/{kind}/threads_{threads}"
        if is_wanted(name):
            measure(name, work)


def memory(size, kind, batch):
    net, images = model(size, kind), torch.randn(int(batch), 3, 224, 224)
    start, cpu = time.perf_counter(), time.process_time()
    net(images)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    times = {"wall_secs": time.perf_counter() - start, "cpu_secs": time.process_time() - cpu}
    print(json.dumps({"event": "bench", "name": f"memory/{size}_{kind}_b{batch}", **times, "peak_memory_bytes": peak}))


@torch.no_grad()
def main(kind="vit", *args):
    if kind == "memory":
        torch.set_num_threads(1)
        return memory(*args)
    threads = int(args[0]) if args else 1
    torch.set_num_threads(threads)
    only = args[1] if len(args) > 1 else None
    {"vit": vit, "decode": decode}[kind](threads, lambda name: only in (None, name))


if __name__ == "__main__":
    main(*sys.argv[1:])
