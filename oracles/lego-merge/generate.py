"""Writes lego-merge/tests/data: tiny PEFT adapters and what merging them must give.

    python oracles/lego-merge/generate.py

Each case is a folder of adapters written by PEFT with random weights. `expected.json` lists what to merge and how,
`expected.safetensors` holds the update of each module, [out, in] in float32. Updates of `linear`, `cat`, `svd`, `ties` and
`magnitude_prune` are PEFT's own (`add_weighted_adapter`) where PEFT is right (within 2e-6 of float64), else float64 from the
formula: rsLoRA, unequal ranks. `average` is float64. Updates of `lego` are the third-party semantics in float64 (reference.py), on units that
cluster so clearly that a third of all single k-means++ runs find the best labels. `lego.py` adds merged factors of LEGO from given
first centroids.
"""

import json
import shutil
from pathlib import Path

import numpy as np
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file

import dense
import lego
import reference
import subspace
from toy import WIDTHS, base_model

DATA = Path(__file__).parents[2] / "lego-merge/tests/data"
F32, F16, BF16 = torch.float32, torch.float16, torch.bfloat16

# case: base model, adapters (configuration, file's type)
CASES = {
    "plain": (
        "toy-linear",
        [(dict(r=4, lora_alpha=8, target_modules=["q", "v"]), F32), (dict(r=4, lora_alpha=4, target_modules=["q", "v"]), F32)],
    ),
    "halves": (
        "toy-linear",
        [
            (dict(r=4, lora_alpha=8, target_modules=["q", "down"]), BF16),
            (dict(r=4, lora_alpha=2, target_modules=["q", "down"]), F16),
            (dict(r=4, lora_alpha=6, target_modules=["q", "down"]), F32),
        ],
    ),
    "ranks": (
        "toy-linear",
        [
            (
                dict(
                    r=4,
                    lora_alpha=8,
                    target_modules=["q", "v"],
                    rank_pattern={"layers.0.q": 2, "v": 3},
                    alpha_pattern={"layers.1.q": 5},
                ),
                F32,
            ),
            (dict(r=6, lora_alpha=6, target_modules="layers.*(q|v)"), F32),
        ],
    ),
    "rslora": (
        "toy-linear",
        [
            (dict(r=4, lora_alpha=8, target_modules=["q"], use_rslora=True), F32),
            (dict(r=4, lora_alpha=8, target_modules=["q"]), F32),
        ],
    ),
    "partial": (
        "toy-linear",
        [
            (dict(r=3, lora_alpha=6, target_modules=["q", "v"]), F32),
            (dict(r=3, lora_alpha=3, target_modules=["v", "down"], layers_to_transform=[1], layers_pattern="layers"), F32),
        ],
    ),
    "conv1d": (
        "toy-conv1d",
        [
            (dict(r=4, lora_alpha=8, target_modules=["q"], fan_in_fan_out=True, modules_to_save=["score"]), F32),
            (dict(r=4, lora_alpha=32, target_modules=["q", "down"], fan_in_fan_out=True), F32),
        ],
    ),
}
WEIGHTS = {2: [[1.0, 1.0], [0.7, -0.4]], 3: [[1.0, 1.0, 1.0], [0.8, -1.2, 0.6]]}


def write_case(name, base, adapters):
    rng = torch.Generator().manual_seed(sum(map(ord, name)))
    # Units scatter little about four prototypes, far apart in a, whatever the scales and the signs of weights.
    prototypes = {m: (3 * torch.randn(4, i, generator=rng), torch.randn(4, o, generator=rng)) for m, (i, o) in WIDTHS.items()}
    folders = []
    for i, (config, dtype) in enumerate(adapters):
        model = get_peft_model(base_model(base), LoraConfig(lora_dropout=0.1, **config))
        for key, layer in model.named_modules():
            if not hasattr(layer, "lora_A") or "default" not in layer.lora_A:
                continue
            a, b = layer.lora_A["default"].weight.data, layer.lora_B["default"].weight.data
            pa, pb = prototypes[key.rsplit(".", 1)[1]]
            of, root = [(unit + i) % 4 for unit in range(a.shape[0])], layer.scaling["default"] ** 0.5
            a.copy_((pa[of] + 0.1 * torch.randn(a.shape, generator=rng)) / root)
            b.copy_((pb[of] + 0.1 * torch.randn(b.T.shape, generator=rng)).T / root)
        for key, value in model.named_parameters():
            if "modules_to_save" in key:
                value.data.copy_(torch.randn(value.shape, generator=rng))
        folder = DATA / name / f"adapter-{i}"
        model.peft_config["default"].base_model_name_or_path = base
        model.save_pretrained(folder)
        (folder / "README.md").unlink(missing_ok=True)
        file = folder / "adapter_model.safetensors"
        save_file({k: v.to(dtype).contiguous() for k, v in load_file(file).items()}, file, metadata={"format": "pt"})
        folders.append(folder)
    return folders


# Densities whose ⌊density·n⌋ differ between the halves of each module.
PRUNED = [
    ("ties", dict(density=0.4, majority="total")),
    ("ties", dict(density=0.7, majority="frequency")),
    ("ties", dict(density=1.0, majority="total")),
    ("magnitude_prune", dict(density=0.3)),
]


def merged_by_peft(base, folders, method, weights, rank, density=None, majority="total"):
    names = [f"a{i}" for i in range(len(folders))]
    model = PeftModel.from_pretrained(base_model(base), folders[0], adapter_name=names[0])
    for folder, name in zip(folders[1:], names[1:]):
        model.load_adapter(folder, adapter_name=name)
    options = {"svd_rank": rank} if method == "svd" else {}
    if density:
        options |= dict(density=density, majority_sign_method=majority)
    model.base_model.add_weighted_adapter(names, weights, "merged", combination_type=method, **options)
    out = {}
    for key, layer in model.base_model.model.named_modules():
        if hasattr(layer, "lora_A") and "merged" in layer.lora_A:
            a, b = layer.lora_A["merged"].weight.data.double(), layer.lora_B["merged"].weight.data.double()
            out[key] = (layer.scaling["merged"] * b @ a).numpy()
    return out


def main():
    for name in CASES:
        shutil.rmtree(DATA / name, ignore_errors=True)
    entries, tensors = [], {}
    for name, (base, adapters) in CASES.items():
        folders = write_case(name, base, adapters)
        sources = [reference.read(f) for f in folders]

        def add(method, weights, rank, updates, source, **options):
            index = len(entries)
            entries.append(dict(case=name, n_adapters=len(folders), method=method, weights=weights, rank=rank, source=source, **options))
            for module, delta in updates.items():
                tensors[f"{index}/{module}"] = torch.from_numpy(np.ascontiguousarray(delta, dtype=np.float32))

        for weights in WEIGHTS[len(folders)]:
            for method, rank, options in [("linear", None, {}), ("cat", None, {}), ("svd", 3, {}), *((m, None, o) for m, o in PRUNED)]:
                truth = reference.merged(method, sources, weights, rank, **options)
                try:
                    ours = merged_by_peft(base, folders, method, weights, rank, **options)
                    error = max(reference.relative(ours[m], truth[m]) if m in ours else 1.0 for m in truth)
                except (IndexError, RuntimeError, ValueError) as failure:
                    error = f"{type(failure).__name__}: {failure}".split("\n")[0]
                right = not isinstance(error, str) and error < 2e-6
                print(f"{name} {method} {weights} {options}: PEFT {'agrees' if right else 'differs or fails'} ({error})")
                add(method, weights, rank, ours if right else truth, "peft" if right else "float64", **options)
            add("average", weights, None, reference.merged("average", sources, weights, None), "float64")
            for parameter in (True, False):
                for output in (True, False):
                    updates = reference.merged("lego", sources, weights, 4, parameter, output)
                    add("lego", weights, 4, updates, "third party", parameter=parameter, output=output)
    save_file(tensors, DATA / "expected.safetensors")
    (DATA / "expected.json").write_text(json.dumps(entries, indent=1) + "\n")
    lego.main()
    dense.main()
    subspace.main()
    print(f"{len(entries)} expectations, {sum(f.stat().st_size for f in DATA.rglob('*') if f.is_file())} bytes")


if __name__ == "__main__":
    main()
