"""Writes grouping-core/tests/data/cluster.json: k-means of scikit-learn on small sets of points.

    python cluster.py ../../grouping-core/tests/data/cluster.json

Points are rounded to f32 so that both sides read the same numbers; scikit-learn works on them in f64.
"""

import json
import sys
import warnings

import numpy as np
from sklearn.cluster import KMeans
from sklearn.datasets import load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import adjusted_rand_score, silhouette_score


def shortest(x):
    """The shortest decimals that read back as the same f32."""
    return [float(str(np.float32(v))) for v in x.ravel()]


def blobs(rng, n, d, k, spread):
    centres = rng.normal(size=(k, d)) * spread
    return centres[rng.integers(k, size=n)] + rng.normal(size=(n, d))


def lloyd(x, start, tol):
    return KMeans(len(start), init=start, n_init=1, algorithm="lloyd", tol=tol, max_iter=300).fit(x)


def case(name, x, k, start_idx):
    x = np.ascontiguousarray(x, dtype=np.float32).astype(np.float64)
    given = lloyd(x, x[start_idx], 0.0)
    free = KMeans(k, n_init=10, random_state=0).fit(x)
    return {
        "name": name,
        "n_points": x.shape[0],
        "n_dims": x.shape[1],
        "n_clusters": k,
        "points": shortest(x),
        "start": [int(i) for i in start_idx],
        "labels": given.labels_.tolist(),
        "centroids": given.cluster_centers_.ravel().tolist(),
        "inertia": given.inertia_,
        "n_iters": given.n_iter_,
        "best_inertia": free.inertia_,
    }


def main(out):
    warnings.simplefilter("error", ConvergenceWarning)
    rng = np.random.default_rng(11)
    cases = []
    for name, x, k in [
        ("iris", load_iris().data, 3),
        ("blobs", blobs(rng, 240, 4, 6, 6.0), 6),
        ("noise", rng.normal(size=(160, 5)), 8),
        ("far", 1000.0 + blobs(rng, 120, 3, 4, 8.0), 4),
        ("wide", blobs(rng, 40, 64, 8, 0.6), 8),
    ]:
        cases.append(case(name, x, k, rng.choice(len(x), k, replace=False)))

    # A far centroid loses all its points at once and takes the farthest point.
    x = np.float32(blobs(rng, 60, 2, 3, 10.0)).astype(np.float64)
    start = np.vstack([x[:3], [[1e3, 1e3]]]).astype(np.float32).astype(np.float64)
    fit = lloyd(x, start, 0.0)
    empty = {
        "n_clusters": 4,
        "points": shortest(x),
        "start": start.ravel().tolist(),
        "labels": fit.labels_.tolist(),
        "centroids": fit.cluster_centers_.ravel().tolist(),
        "inertia": fit.inertia_,
    }

    # A loose tolerance ends the run early, after as many iterations as ours when the units are converted.
    x = np.float32(rng.normal(size=(300, 3))).astype(np.float64)
    fit = lloyd(x, x[:5], 1e-2)
    early = {
        "n_clusters": 5,
        "points": shortest(x),
        "tol": 1e-2,
        "n_iters": fit.n_iter_,
        "labels": fit.labels_.tolist(),
        "inertia": fit.inertia_,
    }

    rand = []
    for n, ka, kb in [(40, 3, 4), (40, 1, 5), (30, 30, 30), (30, 30, 2), (50, 5, 5)]:
        a = rng.integers(ka, size=n)
        b = np.where(rng.random(n) < 0.6, a % kb, rng.integers(kb, size=n))
        rand.append({"a": a.tolist(), "b": b.tolist(), "score": adjusted_rand_score(a, b)})

    silhouettes = []
    for n, d, k, spread in [(40, 3, 4, 4.0), (30, 2, 5, 0.5), (24, 50, 3, 1.0), (20, 1, 10, 3.0)]:
        x = np.float32(blobs(rng, n, d, k, spread)).astype(np.float64)
        labels = KMeans(k, n_init=3, random_state=0).fit(x).labels_
        # One point alone in its cluster, and labels with gaps.
        labels[0] = k
        silhouettes.append({"n_dims": d, "points": shortest(x), "labels": (3 * labels).tolist(), "score": silhouette_score(x, labels)})

    kept = []
    seed = 0
    while len(kept) < 3:
        # Starts from which a cluster loses all its points and keeps its centroid: empty in the end.
        seed += 1
        draw = np.random.default_rng(seed)
        x = np.float32(draw.normal(size=(14, 2)) * [1.0, 3.0]).astype(np.float64)
        start = draw.choice(14, 6, replace=False)
        centroids = x[start].copy()
        for _ in range(40):
            labels = ((x[:, None] - centroids[None]) ** 2).sum(2).argmin(1)
            for j in range(6):
                if (labels == j).any():
                    centroids[j] = x[labels == j].mean(0)
        if len(set(labels.tolist())) < 6:
            inertia = ((x - centroids[labels]) ** 2).sum()
            kept.append({"points": shortest(x), "start": start.tolist(), "labels": labels.tolist(), "inertia": inertia})

    with open(out, "w") as f:
        golden = {"cases": cases, "empty": empty, "early": early, "adjusted_rand": rand, "silhouette": silhouettes, "kept": kept}
        json.dump(golden, f)
        f.write("\n")


if __name__ == "__main__":
    main(sys.argv[1])
