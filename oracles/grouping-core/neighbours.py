"""Writes grouping-core/tests/data/neighbours.json: farthest-point samples and nearest neighbours by PyTorch.

    python neighbours.py ../../grouping-core/tests/data/neighbours.json

Squared distances are added dimension by dimension in f32. `argmax` takes the first of equals and the sort is stable, so neighbours are
ordered by distance and then by index.
"""

import json
import sys

import numpy as np
import torch


def shortest(x):
    """The shortest decimals that read back as the same f32."""
    return [float(str(np.float32(v))) for v in np.asarray(x).ravel()]


def squares(points, point):
    total = torch.zeros(len(points), dtype=torch.float32)
    for dim in range(points.shape[1]):
        off = points[:, dim] - point[dim]
        total = total + off * off
    return total


def farthest(points, n_samples, start, skip_within):
    distances = torch.full((len(points),), torch.inf)
    is_skipped = torch.zeros(len(points), dtype=torch.bool)
    if skip_within is not None:
        is_skipped = squares(points, torch.zeros(points.shape[1])) <= skip_within
    samples = [start]
    while len(samples) < n_samples:
        distances = torch.minimum(distances, squares(points, points[samples[-1]]))
        samples.append(int(torch.where(is_skipped, -1.0, distances).argmax()))
    return samples


def case(name, points, n_samples, k, start=0, skip_within=None):
    points = torch.tensor(np.asarray(points, dtype=np.float32))
    samples = farthest(points, n_samples, start, skip_within)
    sorts = [squares(points, points[i]).sort(stable=True) for i in samples]
    return {
        "name": name,
        "n_dims": points.shape[1],
        "points": shortest(points),
        "start": start,
        "skip_within": skip_within,
        "samples": samples,
        "k": k,
        "neighbours": [int(i) for sort in sorts for i in sort.indices[:k]],
        "distances": shortest([float(d) for sort in sorts for d in sort.values[:k]]),
    }


def main(out):
    rng = np.random.default_rng(23)
    ball = rng.normal(size=(700, 3))
    cases = [
        case("spread points", ball, 40, 6),
        case("another start", ball[:200], 12, 3, start=123),
        case("those near the origin are passed over", 0.4 * ball[:300], 20, 4, skip_within=0.1),
        case("drawn with replacement", ball[rng.integers(0, 60, size=150)], 70, 5),
        case("14 dimensions", rng.normal(size=(120, 14)), 16, 8, start=7),
        case("a grid", rng.integers(-2, 3, size=(200, 2)), 30, 9),
        case("one dimension", rng.normal(size=(50, 1)), 10, 50),
    ]
    with open(out, "w") as f:
        json.dump({"cases": cases}, f)
        f.write("\n")


if __name__ == "__main__":
    main(sys.argv[1])
