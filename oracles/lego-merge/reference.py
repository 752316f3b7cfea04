"""Merged updates in float64 from the files alone, and the third-party semantics of LEGO."""

import json
import math
import re

import numpy as np
import torch
from safetensors.torch import load_file
from sklearn.cluster import KMeans

PREFIX = "base_model.model."


def read(folder):
    """{module: (A, B, scale)} in float64."""
    config = json.load(open(f"{folder}/adapter_config.json"))
    tensors = load_file(f"{folder}/adapter_model.safetensors")

    def by_pattern(patterns, module, default):
        hits = (v for k, v in (patterns or {}).items() if re.match(rf"(.*\.)?({k})$", module))
        return next(hits, default)

    out = {}
    for key in tensors:
        suffixes = next((x for x in [(".lora_A.weight", ".lora_B.weight"), (".lora_embedding_A", ".lora_embedding_B")] if key.endswith(x[0])), None)
        if suffixes is None:
            continue
        module = key.removeprefix(PREFIX).removesuffix(suffixes[0])
        # Kernels are flattened to two axes.
        a = tensors[key].to(torch.float64).flatten(1).numpy()
        b = tensors[f"{PREFIX}{module}{suffixes[1]}"].to(torch.float64).flatten(1).numpy()
        r = by_pattern(config["rank_pattern"], module, config["r"])
        alpha = by_pattern(config["alpha_pattern"], module, config["lora_alpha"])
        assert r == a.shape[0] == b.shape[1], (folder, module)
        out[module] = (a, b, alpha / (math.sqrt(r) if config["use_rslora"] else r))
    return out


def keep_largest(x, density):
    """The ⌊density·n⌋ largest magnitudes, of equal ones the first; at a density of 1 and beyond, all."""
    kept = np.zeros(x.size, dtype=bool)
    kept[np.argsort(-np.abs(x.reshape(-1)), kind="stable")[: min(int(density * x.size), x.size)]] = True
    return np.where(kept.reshape(x.shape), x, 0.0)


def elect(tensors, weights, majority):
    votes = sum(np.sign(x) if majority == "frequency" else x for x in tensors)
    agree = [np.sign(x) == np.where(votes >= 0, 1, -1) for x in tensors]
    total = sum(w * x * a for x, a, w in zip(tensors, agree, weights))
    return total / np.maximum(sum(a.astype(int) for a in agree), 1)


def halves(method, parts, density=None, majority="total"):
    """PEFT's methods on A and B apart; smaller factors padded with zeros to the largest rank."""
    r = max(a.shape[0] for (a, _, _), _ in parts)
    pad = lambda x, rows, cols: np.pad(x, ((0, rows - x.shape[0]), (0, cols - x.shape[1])))
    scales = [w * s for (_, _, s), w in parts]
    a = [pad(a, r, a.shape[1]) for (a, _, _), _ in parts]
    b = [pad(b, b.shape[0], r) for (_, b, _), _ in parts]
    out = []
    for tensors, sign in [(b, abs), (a, lambda s: s)]:
        weights = [math.copysign(math.sqrt(abs(s)), sign(s)) for s in scales]
        if method in ("ties", "magnitude_prune"):
            tensors = [keep_largest(x, density) for x in tensors]
        if method == "average":
            weights = [w / len(parts) for w in weights]
        out.append(elect(tensors, weights, majority) if method == "ties" else sum(w * x for x, w in zip(tensors, weights)))
    return out[0] @ out[1]


def merged(method, sources, weights, rank, parameter=True, output=True, density=None, majority="total"):
    """{module: ΔW [out, in]} for the adapters `sources` (as `read` gives them)."""
    out = {}
    for module in sorted(set().union(*sources)):
        parts = [(s[module], w) for s, w in zip(sources, weights) if module in s]
        if method in ("linear", "average", "ties", "magnitude_prune"):
            out[module] = halves(method, parts, density, majority)
        elif method == "lego":
            out[module] = lego(parts, rank, parameter, output)
        else:
            out[module] = sum(w * s * b @ a for (a, b, s), w in parts)
            if method == "svd":
                u, sigma, vt = np.linalg.svd(out[module], full_matrices=False)
                out[module] = u[:, :rank] * sigma[:rank] @ vt[:rank]
    return out


def lego(parts, rank, parameter, output):
    """SMoEA's `merge_lego_module` in float64, with weights folded like scales and all units counting equally."""
    d_in = parts[0][0][0].shape[1]
    units = []
    for (a, b, s), w in parts:
        root = math.sqrt(abs(w * s))
        units.append(np.concatenate([root * a, math.copysign(root, w * s) * b.T], axis=1))
    units = np.concatenate(units)
    k = min(rank, len(units))
    runs = [KMeans(k, n_init=1, random_state=seed).fit(units) for seed in range(60)]
    best = min(runs, key=lambda run: run.inertia_)
    assert sum(run.inertia_ <= best.inertia_ * (1 + 1e-9) for run in runs) > 20, "the best labels are hard to find"
    labels = best.labels_
    centroids = np.stack([units[labels == j].mean(axis=0) for j in range(k)])
    if parameter:
        norms = np.abs(units).max(axis=1)
        for j in range(k):
            centroids[j] *= norms[labels == j].mean() / np.abs(centroids[j]).max()
    delta = centroids[:, d_in:].T @ centroids[:, :d_in]
    mean_rank = np.mean([a.shape[0] for (a, _, _), _ in parts])
    return delta * (math.sqrt(mean_rank / k) if output else 1.0)


def relative(found, expected):
    return np.linalg.norm(found - expected) / np.linalg.norm(expected)
