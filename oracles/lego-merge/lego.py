"""Writes lego-merge/tests/data/lego.json and lego.safetensors: merged factors of LEGO from given first centroids.

    python oracles/lego-merge/lego.py        (generate.py calls it, too)

Written anew from two codes, in float64, with the first centroids given instead of drawn:
`smoea` follows Root88888/SMoEA, system/merging.py at 81cb1a6e; `nsc` follows wonyoung01/nsc_merging, src/merge_strategy.py at
412098bd. `general` is the union of their choices with the gauge and the symmetry that neither has. Rows of A and columns of B are in the order of
the first member of their cluster, and zero where a cluster is empty. `nsc` gives what the code itself gives (to 1e-12) when its
draw of the first centroids is replaced by the given ones.
"""

import json
import math
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from sklearn.cluster import KMeans

import reference

DATA = Path(__file__).parents[2] / "lego-merge/tests/data"
NORMS = {"inf": np.inf, "l2": 2}


def units_of(parts, scaled=True):
    """[n, d_in + d_out] with the root of the scale in both halves, and the ranks of the sources."""
    rows = []
    for a, b, s in parts:
        root = math.sqrt(s) if scaled else 1.0
        rows.append(np.concatenate([root * a, root * b.T], axis=1))
    return np.concatenate(rows), [a.shape[0] for a, _, _ in parts]


def unit_halves(units, d_in, eps=0.0):
    norm = lambda x: np.linalg.norm(x, axis=1, keepdims=True) + eps
    return np.concatenate([units[:, :d_in] / norm(units[:, :d_in]), units[:, d_in:] / norm(units[:, d_in:])], axis=1)


def lloyd(points, start, assignments, antipodal=False):
    """Plain Lloyd; an empty cluster keeps its centroid. Labels and signs of the last assignment."""
    centroids = points[start].copy()
    for _ in range(assignments):
        products = points @ centroids.T
        signs = np.sign(products) + (products == 0) if antipodal else np.ones_like(products)
        squares = (points**2).sum(1)[:, None] - 2 * signs * products + (centroids**2).sum(1)[None]
        labels = squares.argmin(1)
        sign = signs[np.arange(len(points)), labels]
        for j in range(len(start)):
            if (labels == j).any():
                centroids[j] = (sign[:, None] * points)[labels == j].mean(0)
    return labels, sign


def merged_factors(units, d_in, labels, k, norm, factor):
    """A [k, d_in] and B [d_out, k] from the means of the units of each label."""
    order = list(dict.fromkeys(labels.tolist()))
    out = np.zeros((k, units.shape[1]))
    for row, label in enumerate(order):
        members = units[labels == label]
        out[row] = members.mean(0)
        if norm is not None:
            out[row] *= np.linalg.norm(members, ord=NORMS[norm], axis=1).mean() / np.linalg.norm(out[row], ord=NORMS[norm])
    return out[:, :d_in], factor * out[:, d_in:].T


def smoea(parts, start, ref_rank, parameter, output):
    assert len({s for _, _, s in parts}) == 1 and len({a.shape[0] for a, _, _ in parts}) == 1
    units, ranks = units_of(parts)
    weights = np.full(len(units), 1.0 / len(parts))
    fit = KMeans(len(start), init=units[start], n_init=1, max_iter=300).fit(units, sample_weight=weights)
    centres, d_in = fit.cluster_centers_.copy(), parts[0][0].shape[1]
    if parameter:
        for j in range(len(start)):
            mask = fit.labels_ == j
            target = np.average(np.abs(units[mask]).max(axis=1), weights=weights[mask])
            centres[j] *= target / max(np.abs(centres[j]).max(), 1e-12)
    centres = centres[list(dict.fromkeys(fit.labels_.tolist()))]
    return centres[:, :d_in], centres[:, d_in:].T * (math.sqrt(ref_rank / len(start)) if output else 1.0)


def nsc(parts, start, parameter, output):
    """As factors; the code itself forms B·A and multiplies it with √r/√k, the factor that stands in B here."""
    units, ranks = units_of(parts, scaled=False)
    d_in, k = parts[0][0].shape[1], len(start)
    assert len(set(ranks)) == 1
    labels, _ = lloyd(unit_halves(units, d_in, 1e-8), start, 10)
    return merged_factors(units, d_in, labels, k, "inf" if parameter else None, math.sqrt(ranks[0]) / math.sqrt(k) if output else 1.0)


def general(parts, start, features, norm, output, gauge="raw", antipodal=False):
    units, ranks = units_of(parts)
    d_in, k = parts[0][0].shape[1], len(start)
    if gauge == "balanced":
        ratio = np.sqrt(np.linalg.norm(units[:, d_in:], axis=1) / np.linalg.norm(units[:, :d_in], axis=1))[:, None]
        units = np.concatenate([units[:, :d_in] * ratio, units[:, d_in:] / ratio], axis=1)
    points = unit_halves(units, d_in) if features == "normalized" else units
    if antipodal:
        labels, sign = lloyd(points, start, 300, antipodal=True)
        first = np.array([sign[labels == label][0] for label in labels])
        units = units * (sign * first)[:, None]
        assert len(set(labels)) == k and (sign != first).any(), "some unit must count negated"
    else:
        labels = KMeans(k, init=points[start], n_init=1, tol=0.0).fit(points).labels_
    return merged_factors(units, d_in, labels, k, norm, math.sqrt(np.mean(ranks) / k) if output else 1.0)


# Case and first centroids, by index of the unit.
STARTS = [("halves", [0, 1, 5, 9]), ("halves", [2, 3, 4, 7, 8, 11]), ("ranks", [1, 4, 5])]


def main():
    entries, tensors = [], {}
    negate = np.array([1, -1])

    def add(case, start, code, merge, options, change=None):
        adapters = sorted((DATA / case).glob("adapter-*"))
        sources = [reference.read(folder) for folder in adapters]
        for module in ["layers.0.q", "layers.1.q"]:
            parts = [s[module] for s in sources if module in s]
            if change:
                parts = [change(*part) for part in parts]
            index = len(entries)
            entries.append(dict(case=case, module=module, start=start, code=code, **options))
            a, b = merge(parts, start, **options)
            for side, value in (("a", a), ("b", b)):
                tensors[f"{index}/{side}"] = torch.from_numpy(np.ascontiguousarray(value, dtype=np.float32))

    for case, start in STARTS:
        for features in ["raw", "normalized"]:
            for norm in ["inf", "l2", None]:
                for output in [True, False]:
                    add(case, start, "general", general, dict(features=features, norm=norm, output=output))
            alternate = lambda a, b, s: (a * np.resize(negate, len(a))[:, None], b * np.resize(negate, len(a)), s)
            options = dict(features=features, norm="inf", output=True)
            add(case, start, "general", general, options | dict(gauge="balanced"))
            for gauge in ["raw", "balanced"]:
                # Every second unit of a source negated, as the tests do, too: the update is the same.
                add(case, start, "general", general, options | dict(gauge=gauge, antipodal=True), alternate)
    one_scale = lambda a, b, s: (a, b, 2.0)
    for case, start in [("halves", [0, 1, 5, 9]), ("halves", [2, 3, 4, 7, 8, 11])]:
        for parameter in [True, False]:
            for output in [True, False]:
                options = dict(parameter=parameter, output=output)
                add(case, start, "smoea", smoea, dict(ref_rank=8, **options), one_scale)
                add(case, start, "nsc", nsc, options)
    save_file(tensors, DATA / "lego.safetensors")
    (DATA / "lego.json").write_text(json.dumps(entries, indent=None, separators=(",", ":")).replace("},{", "},\n{") + "\n")
    print(f"{len(entries)} expectations of factors")


if __name__ == "__main__":
    main()
