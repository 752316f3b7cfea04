"""Writes lego-merge/tests/data/subspace.{json,safetensors}: merges in subspaces, by dense matrices in float64.

    python oracles/lego-merge/subspace.py

KnOTS (arXiv 2410.19735), Core Space (arXiv 2509.17786) and TSV-Merge (arXiv 2412.00081), written from the papers and what
their released code does, on full updates and full singular value decompositions, for the adapters that generate.py made.
Choices of our own that the updates depend on: what counts as zero, floor(density * n) kept values, and how many
components TSV keeps of an update of low rank.
"""

import json
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

import reference

DATA = Path(__file__).parents[2] / "lego-merge/tests/data"
CASES = {"plain": 2, "halves": 3, "ranks": 2, "rslora": 2, "partial": 2, "conv1d": 2}
WEIGHTS = {2: [0.7, -0.4], 3: [0.8, -1.2, 0.6]}
# method, inner, density, rank
RUNS = [
    ("knots", "ta", None, None),
    ("knots", "ties", 0.4, None),
    ("knots", "ties", 1.0, 3),
    ("core-space", "ta", None, 2),
    ("core-space", "ties", 0.3, None),
    ("core-space", "ties", 1.0, 3),
    ("core-space", "tsv", None, None),
    ("tsv", None, None, None),
    ("tsv", None, None, 3),
]
ZERO = 1e-6


def svd(x):
    return np.linalg.svd(x, full_matrices=False)


def supported(x, zero=ZERO):
    """The SVD of x without components below `zero` of the largest."""
    u, s, vt = svd(x)
    kept = s > zero * s[0]
    return u[:, kept], s[kept], vt[kept]


def check_distinct(s):
    """The basis, and with it every entrywise merge, is only defined where singular values differ."""
    assert len(s) < 2 or np.min(1 - s[1:] / s[:-1]) > 1e-4, s


def ties(tensors, density):
    for x in tensors:
        falling = np.sort(np.abs(x), axis=None)[::-1]
        n = int(density * x.size)
        assert not 0 < n < x.size or falling[n] < (1 - 1e-5) * falling[n - 1], "the trimmed values are hard to tell"
    trimmed = np.stack([reference.keep_largest(x, density) for x in tensors])
    total = trimmed.sum(axis=0)
    contested = (trimmed > 0).any(axis=0) & (trimmed < 0).any(axis=0)
    assert np.all(np.abs(total) > 1e-5 * np.abs(trimmed).sum(axis=0), where=contested), "the signs are hard to tell"
    sign = np.sign(total)
    sign[sign == 0] = np.sign(sign.sum())
    agree = np.where(sign > 0, trimmed > 0, trimmed < 0)
    return (trimmed * agree).sum(axis=0) / np.maximum(agree.sum(axis=0), 1)


def polar(x, zero=1e-5):
    u, _, vt = supported(x, zero)
    return u @ vt


def task_singular_vectors(deltas, ranks):
    room = min(deltas[0].shape)
    share = max(room // len(deltas), 1)
    parts = []
    for delta, rank in zip(deltas, ranks):
        u, s, vt = supported(delta)
        assert len(s) <= rank
        kept = len(s) if sum(ranks) <= room else min(len(s), share)
        parts.append((u[:, :kept], s[:kept], vt[:kept]))
    u, s, vt = (np.concatenate(side, axis) for side, axis in zip(zip(*parts), (1, 0, 0)))
    return polar(u) @ np.diag(s) @ polar(vt.T).T


def inside(inner, density, tensors, ranks):
    match inner:
        case "ta":
            return sum(tensors)
        case "ties":
            return ties(tensors, density)
        case "tsv":
            return task_singular_vectors(tensors, ranks)


def merged(method, inner, density, rank, parts):
    deltas = [w * s * b @ a for (a, b, s), w in parts]
    ranks = [a.shape[0] for (a, _, _), _ in parts]
    if method == "knots":
        u, s, vt = supported(np.concatenate(deltas, axis=1))
        check_distinct(s)
        coordinates = np.split(s[:, None] * vt, len(deltas), axis=1)
        out = u @ inside(inner, density, coordinates, ranks)
    elif method == "core-space":
        u, s, _ = supported(np.concatenate([b for (_, b, _), _ in parts], axis=1))
        _, t, vt = supported(np.concatenate([a for (a, _, _), _ in parts], axis=0))
        check_distinct(s), check_distinct(t)
        out = u @ inside(inner, density, [u.T @ delta @ vt.T for delta in deltas], ranks) @ vt
    else:
        out = task_singular_vectors(deltas, ranks)
    if rank is not None:
        u, s, vt = svd(out)
        assert s[rank - 1] > 0 and (rank == len(s) or s[rank] < 0.999 * s[rank - 1]), "the cut is hard to tell"
        out = u[:, :rank] * s[:rank] @ vt[:rank]
    return out


def main():
    entries, tensors = [], {}
    for case, n_adapters in CASES.items():
        sources = [reference.read(DATA / case / f"adapter-{i}") for i in range(n_adapters)]
        weights = WEIGHTS[n_adapters]
        for method, inner, density, rank in RUNS:
            for module in sorted(set().union(*sources)):
                parts = [(s[module], w) for s, w in zip(sources, weights) if module in s]
                delta = merged(method, inner, density, rank, parts)
                tensors[f"{len(entries)}/{module}"] = torch.from_numpy(np.ascontiguousarray(delta, dtype=np.float32))
            spec = dict(method=method, inner=inner, density=density, rank=rank, weights=weights)
            entries.append(dict(case=case, n_adapters=n_adapters, spec={k: v for k, v in spec.items() if v is not None}))
    save_file(tensors, DATA / "subspace.safetensors")
    (DATA / "subspace.json").write_text(json.dumps(entries, indent=1) + "\n")
    print(f"{len(entries)} merges in subspaces, {(DATA / 'subspace.safetensors').stat().st_size} bytes")


if __name__ == "__main__":
    main()
