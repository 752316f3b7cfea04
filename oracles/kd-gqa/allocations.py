"""Writes kd-gqa/tests/data/allocations.json: what the released code of Key-driven GQA allocates to vectors of key norms.

    git clone https://github.com/zohaib-khan5040/key-driven-gqa CODE && git -C CODE checkout 8fee9d6
    OMP_NUM_THREADS=1 python oracles/kd-gqa/allocations.py CODE

Runs KDGQA.forward, DGQA.get_ratios_* and DGQA.forward themselves. Only `torch.norm` is replaced, so that the norms are the
given f32 values, and `torch.split` is listened to. The order of torch's f32 sum could depend on the processor: one process a
capability (`ATEN_CPU_CAPABILITY`), under `avx2` and `avx512`. Torch 2.15 sums in AVX2's order, 8 lanes, under both. A case
draws its repairs after `torch.manual_seed(seed)`. Vectors that give
no finite shares to one of the methods are left out. Allocations are written in base 36, a digit a key/value head.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch

OUT = Path(__file__).parents[2] / "kd-gqa/tests/data/allocations.json"
DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
HEADS = [6, 8, 12, 16, 32]
CAPABILITIES = ["avx2", "avx512"]


class Captured(Exception):
    pass


def digits(sizes):
    return "".join(DIGITS[size] for size in sizes)


def shortest(values):
    """The shortest decimals that read back as the same f32, integers without a point."""
    texts = [float(str(np.float32(v))) for v in values]
    return [int(t) if t == int(t) and t < 1e6 else t for t in texts]


def vectors(rng, n, sizes):
    """(heads, norms, cache): spread, ties, zeros, small integers (exact halves), steps of an ulp, several magnitudes."""
    for i in range(n):
        heads, groups = sizes(rng, i)
        match i % 6:
            case 0:
                norms = 40 * (1 + rng.choice([0.02, 0.1, 0.3]) * rng.normal(size=groups))
            case 1:
                norms = rng.integers(0, 14, size=groups)
            case 2:
                norms = rng.choice(rng.uniform(1, 100, size=3), size=groups)
            case 3:
                norms = rng.uniform(0, 1, size=groups) * rng.integers(0, 2, size=groups)
            case 4:
                norms = rng.lognormal(sigma=1.5, size=groups) * 10.0 ** rng.integers(-12, 12)
            case _:
                norms = rng.integers(1, 30, size=groups) / rng.integers(1, 30)
        norms = np.abs(norms).astype(np.float32)
        if i % 6 == 5 and groups > 1:
            norms[0] = np.nextafter(norms[0], np.float32(100))
        match i % 4:
            case 0:
                cache = np.zeros(groups)
            case 1:
                cache = norms * rng.uniform(0.9, 1.1, size=groups)
            case 2:
                cache = rng.permutation(norms)
            case _:
                cache = np.round(norms)
        yield heads, norms, cache.astype(np.float32)


def any_groups(rng, i):
    heads = HEADS[i % len(HEADS)]
    divisors = [g for g in range(2, heads + 1) if heads % g == 0]
    return heads, int(rng.choice(divisors) if rng.random() < 0.4 else rng.integers(2, min(heads, 20) + 1))


def many_groups(rng, i):
    return 32, int(rng.integers(14, 33))


def released(code):
    sys.path.insert(0, code)
    stand_in = type(sys)("einops")  # imported by the package's other modules, not by these
    stand_in.rearrange = stand_in.einsum = None
    sys.modules.setdefault("einops", stand_in)
    import global_context
    from modules.attention.dgqa import DGQA
    from modules.attention.kdgqa import KDGQA

    split = torch.split

    def with_norms(norms, call):
        """`call` with torch.norm giving `norms [1, G]`."""
        norm = torch.norm
        torch.norm = lambda *a, **k: torch.from_numpy(norms)[None]
        try:
            return call()
        finally:
            torch.norm = norm

    def kdgqa(heads, norms, cache):
        seen = []

        def listen(x, sizes, dim):
            if not seen and isinstance(sizes, tuple):
                seen.append(sizes)
                raise Captured
            return split(x, sizes, dim=dim)

        module = KDGQA(heads, heads, num_kv_heads=len(norms))
        torch.split = listen
        try:
            with_norms(norms, lambda: module(torch.zeros(1, 1, heads)))
        except Captured:
            return seen[0]
        finally:
            torch.split = split

    def dgqa(ratios):
        return lambda heads, norms, cache: with_norms(norms, lambda: ratios(None, heads, torch.from_numpy(cache))[0])

    methods = {"kdgqa": kdgqa, "dgqa-diff": dgqa(DGQA.get_ratios_diff), "dgqa-ema": dgqa(DGQA.get_ratios_ema)}

    def run(heads, groups, kind, window, phases, norms, seed):
        """The module's own state through training steps and evaluations: (splits, cache) after each forward."""
        module = DGQA(heads, heads, num_kv_heads=groups, kind=kind, window_size=window)
        torch.manual_seed(seed)
        after = []
        for step, row in zip(phases, norms):
            module.train(step is not None)
            global_context.set_training_step(step)
            with torch.no_grad():
                with_norms(row, lambda: module(torch.zeros(1, 1, heads)))
            after.append([digits(module.splits), shortest(module.cache.numpy())])
        return after

    return methods, run


def allocate(method, heads, norms, cache, seed):
    torch.manual_seed(seed)
    return method(heads, norms, cache)


def cases(methods, rng, n, sizes):
    rows = []
    for seed, (heads, norms, cache) in enumerate(vectors(rng, n, sizes)):
        totals = [norms - norms.min(), norms - cache, norms + cache]
        if not all(total.any() for total in totals):
            continue
        row = {"heads": heads, "seed": seed, "norms": shortest(norms), "cache": shortest(cache)}
        for name, method in methods.items():
            row[name] = digits(allocate(method, heads, norms, cache, seed))
        rows.append(row)
    return rows


def runs(run, rng):
    found = []
    for seed, (kind, heads, groups, window, phases) in enumerate([
        ("diff", 6, 3, 1, [0, 1, 2, None, None, 0, 1]),
        ("diff", 12, 4, 2, [0, 1, 2, 3, 4, None, None, None, 0, 1, 2]),
        ("ema", 12, 6, 2, [0, 1, 2, 3, 4, None, None, 0, 1, 2]),
        ("ema", 8, 4, 300, [0, 1, 299, 300, 301, 600, None, None, 0]),
        ("diff", 16, 5, 3, [0, 1, 2, 3, 4, 5, 6, None, 0, 3]),
        ("ema", 6, 3, 1, [0, 1, 2, None, 0, 1, 2]),
    ]):
        norms = (rng.uniform(1, 9, size=(len(phases), groups)) ** 2).astype(np.float32)
        # From uniform groups; where they do not sum to the heads the code fails before its first update.
        after = run(heads, groups, kind, window, phases, norms, seed)
        found.append(dict(method=f"dgqa-{kind}", heads=heads, window=window, seed=seed, steps=phases, norms=[shortest(r) for r in norms], after=after))
    return found


def one_capability(code, capability):
    assert torch.backends.cpu.get_cpu_capability() == capability.upper(), "another instruction set was taken"
    methods, run = released(code)
    rng = np.random.default_rng([8, len(capability)])
    if capability == "avx2":
        rows = cases(methods, rng, 1200, any_groups) + cases(methods, rng, 60, many_groups)
        # The two orders of the sum give different allocations (G > H; the function alone meets it).
        norms = np.array([11, 8, 9, 11, 12, 8, 13], dtype=np.float32)
        rows.append({"heads": 6, "seed": 0, "norms": shortest(norms), "cache": [0] * 7} | {
            name: digits(allocate(method, 6, norms, norms * 0, 0)) for name, method in methods.items()
        })
        return {"cases": rows, "runs": runs(run, rng)}
    return {"cases": cases(methods, rng, 150, many_groups)}


def main(code):
    data = {}
    for capability in CAPABILITIES:
        env = os.environ | {"ATEN_CPU_CAPABILITY": capability, "OMP_NUM_THREADS": "1"}
        command = [sys.executable, __file__, code, capability]
        out = subprocess.run(command, env=env, check=True, capture_output=True, text=True)
        data[capability] = json.loads(out.stdout.splitlines()[-1])  # the code prints, too
    text = json.dumps({"torch": torch.__version__, **data}, separators=(",", ":"))
    OUT.write_text(text.replace("},{", "},\n{") + "\n")
    print({key: {k: len(v) for k, v in value.items()} for key, value in data.items()}, OUT.stat().st_size, "bytes")


if __name__ == "__main__":
    if len(sys.argv) > 2:
        print(json.dumps(one_capability(sys.argv[1], sys.argv[2]), separators=(",", ":")))
    else:
        main(sys.argv[1])
