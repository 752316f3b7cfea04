"""Opens merged adapters with PEFT and compares what PEFT computes with the formulas.

    open_with_peft.py DIR…                         each folder opens, key for key
    open_with_peft.py --matrix LEGO_MERGE [DATA]   merges every case × method × type with the binary, opens each result
                                                   and compares; DATA: a folder that holds lora/peft-gpt2-{seqcls,causal}

A result passes when PEFT's own keys and the file's are the same (none missing, none unexpected), every value arrives,
and the update that PEFT computes is the file's B·A at scale 1 (any method) and the formula's (all but lego, dare and the methods on dense updates) within
1e-5 relative.
"""

import json
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
import torch
from peft import PeftModel
from peft.tuners.lora import Embedding
from peft.utils import get_peft_model_state_dict
from safetensors.torch import load_file, save_file

import reference
from toy import base_model

CASES = Path(__file__).parents[2] / "lego-merge/tests/data"
# method: rank, density
METHODS = {
    "lego": (4, None),
    "linear": (None, None),
    "average": (None, None),
    "cat": (None, None),
    "svd": (3, None),
    "task-arithmetic": (3, None),
    "ties": (None, 0.4),
    "magnitude-prune": (None, 0.4),
    "dare-linear": (None, 0.4),
    "dare-ties": (None, 0.4),
    "ties-svd": (3, 0.4),
    "magnitude-prune-svd": (3, 0.4),
    "dare-linear-svd": (3, 0.4),
    "dare-ties-svd": (3, 0.4),
    "ties-delta": (3, 0.4),
    "dare-delta": (3, 0.4),
}
# Those that draw, and those whose formulas are in dense.py.
OTHERS = {"lego", *(m for m in METHODS if m.startswith("dare") or m.endswith(("-svd", "-delta")))}
FORMULAS = {"task-arithmetic": "svd", "magnitude-prune": "magnitude_prune"}


def open_with_peft(folder):
    """{module: ΔW [out, in]} as PEFT computes it."""
    config = json.load(open(folder / "adapter_config.json"))
    file = load_file(folder / "adapter_model.safetensors")
    head = file.get("base_model.model.score.weight")
    base = base_model(config["base_model_name_or_path"], config["task_type"], 2 if head is None else head.shape[0])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = PeftModel.from_pretrained(base, folder)
    odd = [str(w.message) for w in caught if "key" in str(w.message).lower()]
    assert not odd, f"{folder}: {odd}"
    loaded = get_peft_model_state_dict(model, save_embedding_layers=False)
    missing, unexpected = sorted(loaded.keys() - file.keys()), sorted(file.keys() - loaded.keys())
    assert not missing and not unexpected, f"{folder}: missing {missing}, unexpected {unexpected}"
    for key, value in file.items():
        assert torch.equal(loaded[key].float(), value.float()), f"{folder}: {key} did not arrive"
    updates = {}
    for name, layer in model.base_model.model.named_modules():
        if hasattr(layer, "lora_A") and ("default" in layer.lora_A or "default" in layer.lora_embedding_A):
            delta = layer.get_delta_weight("default")
            transposed = isinstance(layer, Embedding) or getattr(layer, "fan_in_fan_out", False)
            updates[name] = (delta.T if transposed else delta.flatten(1)).double().numpy()
    return updates


def check(folder, expected=None):
    updates = open_with_peft(folder)
    own = {m: s * b @ a for m, (a, b, s) in reference.read(folder).items()}
    assert all(s == 1 for _, _, s in reference.read(folder).values()), f"{folder}: scales are not 1"
    worst = 0.0
    for target in filter(None, [own, expected]):
        assert updates.keys() == target.keys(), f"{folder}: modules {sorted(updates.keys() ^ target.keys())}"
        worst = max(worst, max(reference.relative(updates[m], target[m]) for m in target))
    assert worst <= 1e-5, f"{folder}: relative difference {worst}"
    return worst


def matrix(binary, data):
    cases = {p.name: sorted(p.glob("adapter-*")) for p in sorted(CASES.iterdir()) if p.is_dir()}
    cases = {name: folders for name, folders in cases.items() if len(folders) > 1}
    weights = {n: {2: "0.7,-0.4", 3: "0.8,-1.2,0.6"}[len(p)] for n, p in cases.items()}
    if data:
        cases["gpt2"] = [Path(data) / "lora/peft-gpt2-seqcls", Path(data) / "lora/peft-gpt2-causal"]
        weights["gpt2"] = "0.5,0.5"
    n, worst = 0, 0.0
    with tempfile.TemporaryDirectory() as scratch:
        for name, folders in cases.items():
            types = ["as they are"] if name == "gpt2" else ["F32", "F16", "BF16"]
            for dtype in types:
                sources = folders if name == "gpt2" else [retyped(f, dtype, Path(scratch)) for f in folders]
                for method, (rank, density) in METHODS.items():
                    out = Path(scratch) / f"{name}-{dtype}-{method}"
                    command = [binary, "merge", *sources, "-o", out, "--method", method, f"--weights={weights[name]}"]
                    options = [*(["--rank", str(rank)] if rank else []), *(["--density", str(density)] if density else [])]
                    subprocess.run([*command, *options], check=True, capture_output=True)
                    values = [float(w) for w in weights[name].split(",")]
                    truth = None
                    if method not in OTHERS:
                        formula = FORMULAS.get(method, method)
                        truth = reference.merged(formula, [reference.read(s) for s in sources], values, rank, density=density)
                    worst = max(worst, check(out, truth))
                    n += 1
            print(f"{name}: every method × {', '.join(types)}: opened", flush=True)
    print(f"{n} results opened, none with missing or unexpected keys; largest relative difference {worst:.1e}")


def retyped(folder, dtype, scratch):
    """The adapter with its tensors in another type."""
    out = scratch / f"{folder.parent.name}-{folder.name}-{dtype}"
    if not out.exists():
        out.mkdir()
        (out / "adapter_config.json").write_text((folder / "adapter_config.json").read_text())
        torch_type = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}[dtype]
        tensors = load_file(folder / "adapter_model.safetensors")
        save_file({k: v.to(torch_type) for k, v in tensors.items()}, out / "adapter_model.safetensors", metadata={"format": "pt"})
    return out


if __name__ == "__main__":
    if sys.argv[1] == "--matrix":
        matrix(sys.argv[2], sys.argv[3] if len(sys.argv) > 3 else None)
    else:
        for folder in sys.argv[1:]:
            print(f"{folder}: opened, relative difference {check(Path(folder)):.1e}")
