"""Writes lego-merge/tests/data/{kinds,bias,dora,dora-conv1d,pickle}: adapters beyond linear layers, and what they compute.

    python oracles/lego-merge/kinds.py

- kinds: convolutions over one and two axes, a pointwise one, an embedding and a linear layer; two adapters;
- bias: `lora_bias`, in one adapter of two;
- dora, dora-conv1d: magnitudes, with the base model's weights;
- pickle: the tensors of plain/adapter-0 as `torch.save` writes them: as a zip archive with views that are not contiguous and parameters,
  and as before PyTorch 1.6; and pickles that would run something.

`expected.safetensors` of a case holds, for each adapter, what PEFT adds to each weight (what it takes it for, minus the base's), flattened to
[d_out, d_in], and what it adds to each bias.
"""

import collections
import json
import os
import pickle
import shutil
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from peft.tuners.lora import Embedding
from safetensors.torch import load_file, save_file

from toy import base_model

DATA = Path(__file__).parents[2] / "lego-merge/tests/data"
ALL = ["embed", "conv", "strip", "point", "lin"]

CASES = {
    "kinds": ("toy-kinds", [dict(r=3, lora_alpha=6, target_modules=ALL), dict(r=2, lora_alpha=5, target_modules=ALL, use_rslora=True)]),
    "bias": (
        "toy-kinds",
        [dict(r=3, lora_alpha=6, target_modules=["lin", "conv"], lora_bias=True), dict(r=2, lora_alpha=5, target_modules=["lin", "point"])],
    ),
    "dora": ("toy-kinds", [dict(r=2, lora_alpha=6, target_modules=ALL, use_dora=True)]),
    "dora-conv1d": ("toy-conv1d", [dict(r=2, lora_alpha=6, target_modules=["q", "down"], use_dora=True, fan_in_fan_out=True)]),
}


def flat(weight, layer):
    """[d_out, d_in] of a weight or of its change."""
    transposed = isinstance(layer, Embedding) or getattr(layer, "fan_in_fan_out", False)
    return (weight.T if transposed else weight.flatten(1)).contiguous().float()


def write_case(name, base, configs):
    shutil.rmtree(DATA / name, ignore_errors=True)
    rng = torch.Generator().manual_seed(sum(map(ord, name)))
    expected = {}
    for i, config in enumerate(configs):
        model = get_peft_model(base_model(base), LoraConfig(**config))
        for key, value in model.named_parameters():
            if "lora_magnitude" in key:
                value.data.mul_(0.5 + torch.rand(value.shape, generator=rng))
            elif "lora_" in key:
                value.data.copy_(torch.randn(value.shape, generator=rng))
        folder = DATA / name / f"adapter-{i}"
        model.peft_config["default"].base_model_name_or_path = base
        model.save_pretrained(folder, save_embedding_layers=False)
        (folder / "README.md").unlink(missing_ok=True)
        layers = {k: m for k, m in model.base_model.model.named_modules() if hasattr(m, "lora_A")}
        before = {k: (m.base_layer.weight.detach().clone(), getattr(m.base_layer, "bias", None)) for k, m in layers.items()}
        before = {k: (w, None if b is None else b.detach().clone()) for k, (w, b) in before.items()}
        merged = dict(model.merge_and_unload().named_modules())
        for key, layer in layers.items():
            weight, bias = before[key]
            expected[f"{i}/{key}"] = flat(merged[key].weight.detach() - weight, layer)
            if config.get("lora_bias"):
                expected[f"{i}/{key}.bias"] = (merged[key].bias.detach() - bias).contiguous()
    save_file(expected, DATA / name / "expected.safetensors")
    if name.startswith("dora"):
        state = {k: v.contiguous() for k, v in base_model(base).state_dict().items()}
        save_file(state, DATA / name / "base.safetensors")


class Runs:
    def __reduce__(self):
        return os.system, ("touch it-was-run",)


def write_pickles():
    source, out = DATA / "plain/adapter-0", DATA / "pickle"
    shutil.rmtree(out, ignore_errors=True)
    tensors = load_file(source / "adapter_model.safetensors")
    views = collections.OrderedDict()
    for i, (key, value) in enumerate(tensors.items()):
        wide = torch.zeros(value.shape[1], 2 * value.shape[0])
        wide[:, 1::2] = value.T
        views[key] = [value, wide[:, 1::2].T, torch.nn.Parameter(value), value][i % 4]
    for name, state, options in [
        ("zip", views, {}),
        ("old", dict(tensors), dict(_use_new_zipfile_serialization=False)),
        ("runs", {**tensors, "x": Runs()}, {}),
        ("number", {**tensors, "epoch": 3}, {}),
    ]:
        (out / name).mkdir(parents=True)
        shutil.copy(source / "adapter_config.json", out / name)
        torch.save(state, out / name / "adapter_model.bin", **options)
    (out / "bare.bin").write_bytes(pickle.dumps(Runs(), protocol=2))


def main():
    for name, (base, configs) in CASES.items():
        write_case(name, base, configs)
    write_pickles()
    for name in [*CASES, "pickle"]:
        print(name, sum(f.stat().st_size for f in (DATA / name).rglob("*") if f.is_file()), "bytes")


if __name__ == "__main__":
    main()
