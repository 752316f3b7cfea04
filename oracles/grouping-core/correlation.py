"""Writes grouping-core/tests/data/correlation.json: correlations of NumPy and SciPy between rows.

    python correlation.py ../../grouping-core/tests/data/correlation.json

Rows are rounded to f32 so that both sides read the same numbers; NumPy and SciPy work on them in f64. NaN is written as null.
"""

import json
import sys
import warnings

import numpy as np
import scipy.stats
from scipy.spatial.distance import cdist


def shortest(x):
    """The shortest decimals that read back as the same f32."""
    return [float(str(np.float32(v))) for v in x.ravel()]


def nullable(r):
    return [None if np.isnan(v) else float(v) for v in np.asarray(r).ravel()]


def pearson(x, y):
    return np.corrcoef(x, y)[: len(x), len(x) :]


def spearman(x, y):
    ranks = [scipy.stats.rankdata(m, axis=1) for m in (x, y)]
    # A pair at a time by SciPy's own function, except for the rows that it warns of.
    r = pearson(*ranks)
    for i, a in enumerate(x):
        for j, b in enumerate(y):
            one = scipy.stats.spearmanr(a, b).statistic
            assert np.isnan(one) and np.isnan(r[i, j]) or abs(one - r[i, j]) < 1e-12, (i, j, one, r[i, j])
    return r


def cosine(x, y):
    return 1.0 - cdist(x, y, "cosine")


def case(name, x, y):
    x, y = (np.ascontiguousarray(m, dtype=np.float32) for m in (x, y))
    wide = x.astype(np.float64), y.astype(np.float64)
    return {
        "name": name,
        "n_cols": x.shape[1],
        "x": shortest(x),
        "y": shortest(y),
        "pearson": nullable(pearson(*wide)),
        "spearman": nullable(spearman(*wide)),
        "cosine": nullable(cosine(*wide)),
        "within": nullable(np.corrcoef(wide[0])),
    }


def main(out):
    warnings.simplefilter("ignore")
    rng = np.random.default_rng(17)
    normal = rng.normal(size=(5, 40))
    related = 0.7 * normal[:3] + 0.3 * rng.normal(size=(3, 40))
    few = rng.integers(0, 4, size=(4, 30))
    still = rng.normal(size=(4, 12))
    still[1], still[3] = 0.1, 0.0
    cases = [
        case("normal", normal, related),
        case("ties", few, rng.integers(-2, 3, size=(3, 30))),
        case("constant and zero rows", still, still[::-1]),
        case("far from zero", 16_000_000 + rng.integers(0, 8, size=(3, 50)), 1000 + rng.normal(size=(2, 50))),
        case("huge and tiny", normal[:3, :9] * [[1e37], [1e-37], [1.0]], normal[3:, :9] * [[1e-30], [1e30]]),
        case("two columns", rng.normal(size=(3, 2)), rng.normal(size=(2, 2))),
    ]
    with open(out, "w") as f:
        json.dump({"cases": cases}, f)
        f.write("\n")


if __name__ == "__main__":
    main(sys.argv[1])
