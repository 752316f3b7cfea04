"""Writes lego-merge/tests/data/dense.*: what the methods on dense updates, and DARE with given masks, must give.

    python oracles/lego-merge/dense.py

Uses the adapters that generate.py wrote, which calls this. `dense.json` lists what to merge and how, `dense.safetensors`
holds the update of each module, and `masks/<case>.safetensors` the masks: PEFT draws them by `torch.bernoulli`, which is
replaced by one that hands out recorded masks. Updates are PEFT's own where PEFT is right (within 1e-5 of float64), else
float64 from the formula: rsLoRA, modules that PEFT loses. `ties_delta`, TIES on whole adapters, is float64: PEFT has none.
Every truncated spectrum has a gap of 1 % at least after the rank; values that trimming could confuse are 1e-5 apart.
"""

import json
from pathlib import Path

import numpy as np
import torch
from peft import PeftModel
from safetensors.torch import save_file

import reference
from toy import base_model

DATA = Path(__file__).parents[2] / "lego-merge/tests/data"
# case: base model, number of adapters, rank of the result, type of the masks
CASES = {
    "plain": ("toy-linear", 2, 3, torch.bool),
    "halves": ("toy-linear", 3, 4, torch.uint8),
    "ranks": ("toy-linear", 2, 4, torch.uint8),
    "rslora": ("toy-linear", 2, 4, torch.float32),
    "partial": ("toy-linear", 2, 3, torch.uint8),
    "conv1d": ("toy-conv1d", 2, 4, torch.uint8),
}
WEIGHTS = {2: [0.7, -0.4], 3: [0.8, -1.2, 0.6]}
DRAWN = 0.6
METHODS = [
    ("ties_svd", dict(density=0.4, majority="total")),
    ("ties_svd", dict(density=0.7, majority="frequency")),
    ("magnitude_prune_svd", dict(density=0.3)),
    ("dare_linear_svd", dict(density=DRAWN)),
    ("dare_ties_svd", dict(density=DRAWN, majority="total")),
    ("dare_linear", dict(density=DRAWN)),
    ("dare_ties", dict(density=DRAWN, majority="frequency")),
    ("ties_delta", dict(density=0.4, majority="total")),
]


def lora_layers(model, names):
    """(module, layer, positions of the adapters that it has), in PEFT's order."""
    for key, layer in model.base_model.model.named_modules():
        if hasattr(layer, "lora_A") and any(n in layer.lora_A for n in names):
            yield key, layer, [i for i, n in enumerate(names) if n in layer.lora_A]


class Masks:
    """Masks by name, [out, in], drawn when first asked for."""

    def __init__(self, case):
        self.rng = torch.Generator().manual_seed(sum(map(ord, case)))
        self.by_name = {}

    def __call__(self, name, shape):
        if name not in self.by_name:
            self.by_name[name] = (torch.rand(shape, generator=self.rng) < DRAWN).float()
        assert self.by_name[name].shape == torch.Size(shape), name
        return self.by_name[name]


def replayed(model, names, masks, dense):
    """The masks in the order in which PEFT draws: module by module, A of all adapters before B."""
    for key, layer, members in lora_layers(model, names):
        if dense:
            for i in members:
                out, rank = layer.lora_B[names[i]].weight.shape
                mask = masks(f"{key}.delta.{i}", (out, layer.lora_A[names[i]].weight.shape[1]))
                yield mask.T if getattr(layer, "fan_in_fan_out", False) else mask
        else:
            for side, parts in [("A", layer.lora_A), ("B", layer.lora_B)]:
                for i in members:
                    yield masks(f"{key}.lora_{side}.{i}", parts[names[i]].weight.shape)


def merged_by_peft(base, folders, method, weights, rank, density, majority, masks):
    names = [f"a{i}" for i in range(len(folders))]
    model = PeftModel.from_pretrained(base_model(base), folders[0], adapter_name=names[0])
    for folder, name in zip(folders[1:], names[1:]):
        model.load_adapter(folder, adapter_name=name)
    options = {"svd_rank": rank} if method.endswith("_svd") else {}
    stored = list(replayed(model, names, masks, method.endswith("_svd"))) if "dare" in method else []
    original, torch.bernoulli = torch.bernoulli, lambda probabilities: recorded(stored, probabilities)
    try:
        model.base_model.add_weighted_adapter(
            names, weights, "merged", combination_type=method, density=density, majority_sign_method=majority, **options
        )
    finally:
        torch.bernoulli = original
    assert not stored, f"{len(stored)} masks were not drawn"
    out = {}
    for key, layer in model.base_model.model.named_modules():
        if hasattr(layer, "lora_A") and "merged" in layer.lora_A:
            a, b = layer.lora_A["merged"].weight.data.double(), layer.lora_B["merged"].weight.data.double()
            out[key] = (layer.scaling["merged"] * b @ a).numpy()
    return out


def recorded(stored, probabilities):
    mask = stored.pop(0)
    assert mask.shape == probabilities.shape, (mask.shape, probabilities.shape)
    return mask.clone()


def largest(x, n_kept):
    """The largest magnitudes; none that is not kept comes near them."""
    order = np.sort(np.abs(x))[::-1]
    assert order[n_kept - 1] - order[n_kept] > 1e-5 * order[0], "values are too close to trim by float32"
    return np.where(np.abs(x) >= order[n_kept - 1], x, 0.0)


def by_formula(method, sources, weights, rank, density, majority, masks):
    """{module: ΔW} in float64."""
    out = {}
    if method == "ties_delta":
        sources = [{m: s * b @ a for m, (a, b, s) in source.items()} for source in sources]
        for i, source in enumerate(sources):
            flat = np.concatenate([d.reshape(-1) for d in source.values()])
            flat, at = largest(flat, int(density * flat.size)), 0
            for m, d in source.items():
                source[m], at = weights[i] * flat[at : at + d.size].reshape(d.shape), at + d.size
    for module in sorted(set().union(*sources)):
        members = [i for i, s in enumerate(sources) if module in s]
        if method == "ties_delta":
            total = reference.elect([sources[i][module] for i in members], [1.0] * len(members), majority)
        elif method.endswith("_svd"):
            deltas = [s * b @ a for a, b, s in (sources[i][module] for i in members)]
            if "dare" in method:
                drawn = [masks(f"{module}.delta.{i}", d.shape).double().numpy() for i, d in zip(members, deltas)]
                deltas = [d * m / density for d, m in zip(deltas, drawn)]
            else:
                deltas = [largest(d.reshape(-1), int(density * d.size)).reshape(d.shape) for d in deltas]
            scales = [weights[i] for i in members]
            ties = "ties" in method
            total = reference.elect(deltas, scales, majority) if ties else sum(w * d for w, d in zip(scales, deltas))
        else:
            halves = []
            for side, at in [("B", 1), ("A", 0)]:
                scales = [weights[i] * sources[i][module][2] for i in members]
                scales = [np.sqrt(abs(s)) * (np.sign(s) if side == "A" else 1) for s in scales]
                parts = [sources[i][module][at] for i in members]
                drawn = [masks(f"{module}.lora_{side}.{i}", p.shape).double().numpy() for i, p in zip(members, parts)]
                parts = [p * m / density for p, m in zip(parts, drawn)]
                ties = "ties" in method
                halves.append(reference.elect(parts, scales, majority) if ties else sum(w * p for w, p in zip(scales, parts)))
            out[module] = halves[0] @ halves[1]
            continue
        u, sigma, vt = np.linalg.svd(total, full_matrices=False)
        assert sigma[rank] < 0.99 * sigma[rank - 1], f"{method} {module}: no gap: {sigma}"
        out[module] = u[:, :rank] * sigma[:rank] @ vt[:rank]
    return out


def main():
    entries, tensors = [], {}
    (DATA / "masks").mkdir(exist_ok=True)
    for case, (base, n_adapters, rank, dtype) in CASES.items():
        folders = [DATA / case / f"adapter-{i}" for i in range(n_adapters)]
        sources, weights, masks = [reference.read(f) for f in folders], WEIGHTS[n_adapters], Masks(case)
        for method, options in METHODS:
            if case == "ranks" and method in ("dare_linear", "dare_ties"):
                continue  # neither PEFT nor a formula of others says how to pad
            options = {"majority": "total"} | options
            rank_of = rank if method.endswith(("_svd", "_delta")) else None
            truth = by_formula(method, sources, weights, rank, masks=masks, **options)
            try:
                assert method != "ties_delta", "no such method"
                peft = merged_by_peft(base, folders, method, weights, rank, masks=masks, **options)
                error = max(reference.relative(peft[m], truth[m]) if m in peft else 1.0 for m in truth)
            except (AssertionError, IndexError, RuntimeError, ValueError) as failure:
                error = f"{type(failure).__name__}: {failure}".split("\n")[0]
            right = not isinstance(error, str) and error < 1e-5
            print(f"{case} {method} {options}: PEFT {'agrees' if right else 'differs or fails'} ({error})")
            index = len(entries)
            source = "peft" if right else "float64"
            entries.append(dict(case=case, n_adapters=n_adapters, method=method, weights=weights, rank=rank_of, source=source, **options))
            for module, delta in (peft if right else truth).items():
                tensors[f"{index}/{module}"] = torch.from_numpy(np.ascontiguousarray(delta, dtype=np.float32))
        stored = {name: mask.to(dtype).contiguous() for name, mask in masks.by_name.items()}
        save_file(stored, DATA / "masks" / f"{case}.safetensors")
    save_file(tensors, DATA / "dense.safetensors")
    (DATA / "dense.json").write_text(json.dumps(entries, indent=1) + "\n")
    print(f"{len(entries)} expectations")


if __name__ == "__main__":
    main()
