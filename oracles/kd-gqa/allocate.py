"""Writes kd-gqa/tests/data/allocate.json: sums and allocations at both numbers of lanes, and draws that run on through layers.

    git clone https://github.com/zohaib-khan5040/key-driven-gqa CODE && git -C CODE checkout 8fee9d6
    OMP_NUM_THREADS=1 python oracles/kd-gqa/allocate.py CODE

`sums`: [n, seed, torch's under ATEN_CPU_CAPABILITY=avx2, under avx512, ours at 16 lanes], as bits of f32, of n values of a formula. Torch registers its kernel of the
sum for no vectors of 16 (`REGISTER_DISPATCH` in ATen/native/DispatchStub.h), so that both of its columns are one order, that of 8 lanes. The order at 16 lanes comes
from `lane_sum` here, which follows the kernel for any number of lanes and must give torch's bits at 8.

`lanes`: norms to which the released code allocates otherwise where its f32 sums are taken at 16 lanes. `layers`: the released code's allocations of one layer after
another, after one `torch.manual_seed`, with the number of draws of each.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch
from allocations import digits, released, shortest

OUT = Path(__file__).parents[2] / "kd-gqa/tests/data/allocate.json"
LENGTHS = [*range(1, 41), 47, 48, 63, 64, 65, 95, 127, 128, 200, 255, 256, 300, 383, 384, 500, 511, 512]
SEEDS = range(4)
WAYS, LEVELS = 4, 4
SEPARATORS = (",", ":")


def values(n, seed):
    """From 0 to 4 by the formula of the tests' `waves`; every third seed has signs, too."""
    x = ((np.arange(n) * 7919 + seed * 104_729) % 2003).astype(np.float32) / np.float32(500)
    return x - np.float32(2) if seed % 3 == 2 else x


def add_rows(rows):
    """Rows [n, ways, …], each way and lane for itself: runs of 16 rows or more, by levels, as the kernel cascades."""
    power = max(4, (len(rows) - 1).bit_length() // LEVELS if len(rows) else 0)
    step, levels = 1 << power, np.zeros((LEVELS, *rows.shape[1:]), np.float32)
    whole = len(rows) // step * step
    for i in range(whole):
        levels[0] += rows[i]
        done = i + 1
        if done % step:
            continue
        for level in range(1, LEVELS):
            levels[level] += levels[level - 1]
            levels[level - 1] = 0
            if done & ((step - 1) << (level * power)):
                break
    for row in rows[whole:]:
        levels[0] += row
    for level in range(1, LEVELS):
        levels[0] += levels[level]
    return levels[0]


def row_sum(vectors):
    """Vectors [n, …] by four accumulators, the rest in the first of them."""
    whole = len(vectors) // WAYS * WAYS
    sums = add_rows(vectors[:whole].reshape(-1, WAYS, *vectors.shape[1:]))
    for vector in vectors[whole:]:
        sums[0] += vector
    for way in range(1, WAYS):
        sums[0] += sums[way]
    return sums[0]


def lane_sum(x, lanes):
    """Over the first axis of x."""
    if len(x) < lanes:
        return row_sum(x)
    whole = len(x) // lanes * lanes
    total = np.zeros(x.shape[1:], np.float32)
    for value in x[whole:]:
        total += value
    for value in row_sum(x[:whole].reshape(-1, lanes, *x.shape[1:])):
        total += value
    return total


def bits(value):
    return int(np.float32(value).view(np.uint32))


def torch_sums():
    return [bits(torch.from_numpy(values(n, seed)).sum().item()) for n in LENGTHS for seed in SEEDS]


def sums():
    columns = []
    for capability in ["avx2", "avx512"]:
        env = os.environ | {"ATEN_CPU_CAPABILITY": capability, "OMP_NUM_THREADS": "1"}
        out = subprocess.run([sys.executable, __file__, "--sums"], env=env, check=True, capture_output=True, text=True).stdout
        found, column = out.splitlines()
        assert found == capability.upper(), f"{found} was taken for {capability}"
        columns.append(json.loads(column))
    rows = []
    for (n, seed), avx2, avx512 in zip([(n, seed) for n in LENGTHS for seed in SEEDS], *columns):
        eight, sixteen = [bits(lane_sum(values(n, seed), lanes)) for lanes in (8, 16)]
        assert eight == avx2 == avx512, (n, seed, eight, avx2, avx512)
        rows.append([n, seed, avx2, avx512, sixteen])
    return rows


def at_lanes(lanes, call):
    """`call` with torch's sums of f32 vectors taken at so many lanes."""
    plain = torch.Tensor.sum

    def sum_(x, *args, **kwargs):
        if x.dim() == 1 and x.dtype == torch.float32:
            return torch.tensor(float(lane_sum(x.numpy(), lanes)))
        return plain(x, *args, **kwargs)

    torch.Tensor.sum = sum_
    try:
        return call()
    finally:
        torch.Tensor.sum = plain


def importance(name, norms, cache):
    match name:
        case "kdgqa":
            return (norms - norms.min(0)) / (norms.max(0) - norms.min(0))
        case "dgqa-diff":
            return np.abs(cache - norms)
        case _:
            return np.float32(0.9) * norms + np.float32(1.0 - 0.9) * cache


def lanes(methods, rng, n_each=4, n_tried=20_000):
    """Thirteenths, whose sums are rounded and many of whose shares are halves: some round otherwise at 16 lanes."""
    rows = []
    for name, method in methods.items():
        found = 0
        while found < n_each:
            heads = int(rng.choice([12, 16, 24, 32, 48, 64]))
            groups = int(rng.integers(8, heads + 1))
            thirteenths = lambda: rng.integers(0, 14, size=(groups, n_tried)).astype(np.float32) / np.float32(13)
            norms = thirteenths()
            caches = thirteenths() if name == "dgqa-diff" else norms * 0
            r = importance(name, norms, caches)
            eight, sixteen = [np.round(r / lane_sum(r, lanes) * np.float32(heads)) for lanes in (8, 16)]
            for i in np.flatnonzero((eight != sixteen).any(0))[:1]:
                norm, cache, seed = norms[:, i].copy(), caches[:, i].copy(), len(rows)

                def run(lanes=None):
                    torch.manual_seed(seed)
                    call = lambda: method(heads, norm, cache)
                    return digits(at_lanes(lanes, call) if lanes else call())

                own, other = run(), run(16)
                assert own == run(8), "the order at 8 lanes is torch's"
                if own != other:
                    found += 1
                    rows.append({"method": name, "heads": heads, "seed": seed, "norms": shortest(norm), "cache": shortest(cache), "8": own, "16": other})
    return rows


def layers(methods, rng):
    runs = []
    for seed, (name, heads, sizes) in enumerate([
        ("dgqa-diff", 6, [3] * 12),
        ("dgqa-ema", 12, [6, 4, 12, 2, 6, 3, 6, 6, 4, 12, 6, 6]),
        ("dgqa-diff", 16, [8] * 24),
        ("dgqa-ema", 32, [8, 16, 8, 32] * 4),
        ("dgqa-ema", 64, [64] * 48),
        ("kdgqa", 12, [4] * 6),
    ]):
        norms, caches = [], []
        for groups in sizes:
            norm = rng.integers(1, 30, size=groups).astype(np.float32)
            cache = rng.integers(1, 30, size=groups).astype(np.float32)
            if groups == 64:
                # Six shares of 10 2/3: two too many are taken back from heads of which most have none, by many draws.
                norm, cache = np.zeros(64, np.float32), np.zeros(64, np.float32)
                norm[rng.permutation(64)[:6]] = rng.integers(1, 9)
            norms.append(norm)
            caches.append(cache)
        randint, drawn = torch.randint, []

        def count(*args, **kwargs):
            drawn[-1] += 1
            return randint(*args, **kwargs)

        torch.manual_seed(seed)
        torch.randint = count
        try:
            after = []
            for norm, cache in zip(norms, caches):
                drawn.append(0)
                after.append(digits(methods[name](heads, norm, cache)))
        finally:
            torch.randint = randint
        runs.append({"method": name, "heads": heads, "seed": seed, "norms": [shortest(v) for v in norms], "cache": [shortest(v) for v in caches], "layers": after, "draws": drawn})
    assert sum(runs[4]["draws"]) > 624, "beyond one block of the generator"
    return runs


def main(code):
    methods, _ = released(code)
    rng = np.random.default_rng(16)
    golden = {"torch": torch.__version__, "sums": sums(), "lanes": lanes(methods, rng), "layers": layers(methods, rng)}
    text = json.dumps(golden, separators=SEPARATORS)
    OUT.write_text(text.replace("},{", "},\n{").replace('"lanes":', '\n"lanes":').replace('"layers":[{', '\n"layers":[{') + "\n")
    n_other = sum(row[3] != row[4] for row in golden["sums"])
    print(n_other, "of", len(golden["sums"]), "sums differ at 16 lanes;", [run["draws"] for run in golden["layers"]], OUT.stat().st_size, "bytes")


if __name__ == "__main__":
    if sys.argv[1] == "--sums":
        print(torch.backends.cpu.get_cpu_capability())
        print(json.dumps(torch_sums()))
    else:
        main(sys.argv[1])
