"""Times PEFT (and scikit-learn) on the work of xtask/benches/lego-merge.toml, on one thread; prints one JSON line a bench.

    python bench.py METHOD ADAPTERS

METHOD is a method of lego-merge that PEFT has, or lego (a script with scikit-learn's k-means); ADAPTERS a folder with the
adapters 0, 1, ... that lego-merge's example `llama_shaped_adapters` writes. `METHOD/process` is the whole process, imports and
files included; `METHOD/merge` the merge alone. svd and ties-svd are timed on the first of the 32 layers.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

DENSITY, RANK = 0.2, 8
ATTENTION = ["q_proj", "k_proj", "v_proj", "o_proj"]
SHAPES = {**{n: (4096, 4096) for n in ATTENTION}, "gate_proj": (4096, 11008), "up_proj": (4096, 11008), "down_proj": (11008, 4096)}


def event(name, wall, cpu, peak):
    line = {"event": "bench", "name": name, "wall_secs": wall, "cpu_secs": cpu, "peak_memory_bytes": peak}
    print(json.dumps(line), flush=True)


def adapters(folder):
    return [os.path.join(folder, name) for name in sorted(os.listdir(folder))]


def base(torch, n_layers):
    """The modules of Llama-2-7B with weights of stride 0: they are never read."""

    def linear(d_in, d_out):
        layer = torch.nn.Linear(d_in, d_out, bias=False, device="meta")
        layer.weight = torch.nn.Parameter(torch.zeros(1, 1).expand(d_out, d_in), requires_grad=False)
        return layer

    def layer():
        block = torch.nn.Module()
        block.self_attn, block.mlp = torch.nn.Module(), torch.nn.Module()
        for name, shape in SHAPES.items():
            setattr(block.self_attn if name in ATTENTION else block.mlp, name, linear(*shape))
        return block

    model = torch.nn.Module()
    model.model = torch.nn.Module()
    model.model.layers = torch.nn.ModuleList(layer() for _ in range(n_layers))
    return model


def with_peft(method, folder, out):
    import torch
    from peft import PeftModel

    torch.set_num_threads(1)
    dense = method in ("svd", "ties-svd")
    model = base(torch, 1 if dense else 32)
    paths = adapters(folder)
    if dense:
        paths = [first_layer(path, out, i) for i, path in enumerate(paths)]
    peft = PeftModel.from_pretrained(model, paths[0], adapter_name="a0")
    for i, path in enumerate(paths[1:], 1):
        peft.load_adapter(path, adapter_name=f"a{i}")
    names = [f"a{i}" for i in range(len(paths))]
    kind = method.replace("-", "_")
    options = {"density": DENSITY} if "ties" in kind or "dare" in kind or "prune" in kind else {}
    if "svd" in kind:
        options["svd_rank"] = RANK
    start = time.perf_counter(), time.process_time()
    with torch.no_grad():
        peft.add_weighted_adapter(names, [1.0] * len(names), "merged", combination_type=kind, **options)
    spent = time.perf_counter() - start[0], time.process_time() - start[1]
    peft.save_pretrained(os.path.join(out, "merged"), selected_adapters=["merged"])
    return spent


def first_layer(path, out, i):
    """An adapter with the modules of layer 0 alone."""
    from safetensors.torch import load_file, save_file

    place = os.path.join(out, f"layer-{i}")
    os.makedirs(place)
    tensors = load_file(os.path.join(path, "adapter_model.safetensors"))
    save_file({k: v for k, v in tensors.items() if ".layers.0." in k}, os.path.join(place, "adapter_model.safetensors"))
    with open(os.path.join(path, "adapter_config.json")) as file:
        config = file.read()
    with open(os.path.join(place, "adapter_config.json"), "w") as file:
        file.write(config)
    return place


def with_scikit_learn(folder, out):
    """LoRA-LEGO in plain NumPy, one k-means of scikit-learn a module."""
    import numpy as np
    from safetensors import safe_open
    from safetensors.numpy import save_file
    from sklearn.cluster import KMeans

    files = [safe_open(os.path.join(p, "adapter_model.safetensors"), "np") for p in adapters(folder)]
    keys = [k for k in files[0].keys() if ".lora_A." in k]
    merged, start = {}, (time.perf_counter(), time.process_time())
    for key in keys:
        a = np.concatenate([f.get_tensor(key) for f in files])
        b = np.concatenate([f.get_tensor(key.replace("lora_A", "lora_B")) for f in files], axis=1)
        units = np.concatenate([a, b.T], axis=1)
        fit = KMeans(RANK, n_init=10, random_state=0).fit(units)
        norms = np.abs(units).max(axis=1)
        centres = fit.cluster_centers_
        for j in range(RANK):
            centres[j] *= norms[fit.labels_ == j].mean() / np.abs(centres[j]).max()
        merged[key] = np.ascontiguousarray(centres[:, : a.shape[1]])
        merged[key.replace("lora_A", "lora_B")] = np.ascontiguousarray(centres[:, a.shape[1] :].T)
    spent = time.perf_counter() - start[0], time.process_time() - start[1]
    save_file(merged, os.path.join(out, "merged.safetensors"))
    return spent


def main():
    method, folder = sys.argv[1], sys.argv[2]
    if len(sys.argv) > 3:
        work = with_scikit_learn if method == "lego" else lambda f, o: with_peft(method, f, o)
        wall, cpu = work(folder, sys.argv[3])
        event(f"{method}/merge", wall, cpu, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
        return
    with tempfile.TemporaryDirectory() as out:
        start = time.perf_counter()
        subprocess.run([sys.executable, __file__, method, folder, out], check=True)
        wall = time.perf_counter() - start
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    event(f"{method}/process", wall, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024)


if __name__ == "__main__":
    main()
