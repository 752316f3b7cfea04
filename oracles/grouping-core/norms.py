"""Writes grouping-core/tests/data/norms.json: norms and moments of NumPy and SciPy along axes.

    python norms.py ../../grouping-core/tests/data/norms.json
"""

import json
import sys

import numpy as np
import scipy.linalg
import scipy.stats

SHAPE = (3, 1, 4, 2, 2)
AXES = [[], [0], [1], [2], [4], [0, 2], [1, 3], [2, 3], [3, 4], [0, 4], [0, 2, 4], [1, 2, 3], [0, 1, 2, 3, 4]]


def shortest(x):
    """The shortest decimals that read back as the same f32."""
    return [float(str(np.float32(v))) for v in x.ravel()]


def main(out):
    rng = np.random.default_rng(5)
    x = (rng.normal(size=SHAPE) * 10.0 ** rng.integers(-6, 6, size=SHAPE)).astype(np.float32)
    wide = x.astype(np.float64)
    rows = []
    for axes in AXES:
        kept = [i for i in range(x.ndim) if i not in axes]
        flat = wide.transpose(kept + axes).reshape([x.shape[i] for i in kept] + [-1])
        rows.append({
            "axes": axes,
            "shape": [x.shape[i] for i in kept],
            "l1": np.linalg.norm(flat, 1, axis=-1).ravel().tolist(),
            "l2": np.linalg.norm(flat, 2, axis=-1).ravel().tolist(),
            "linf": np.linalg.norm(flat, np.inf, axis=-1).ravel().tolist(),
            "mean": wide.mean(axis=tuple(axes)).ravel().tolist(),
            "variance": wide.var(axis=tuple(axes)).ravel().tolist(),
            # Of single values there is none.
            "unbiased": scipy.stats.tvar(flat, axis=-1).ravel().tolist() if flat.shape[-1] > 1 else None,
        })
    matrix = x[0, 0, :, 0, :]
    frobenius = scipy.linalg.norm(matrix.astype(np.float64), "fro")
    # A mean far above the spread: naive E[x²] − E[x]² in f32 has no correct digit here.
    offset = (16_000_000 + rng.integers(0, 8, size=2000)).astype(np.float32)
    data = {
        "shape": list(SHAPE),
        "values": shortest(x),
        "rows": rows,
        "matrix": {"shape": list(matrix.shape), "values": shortest(matrix), "frobenius": frobenius},
        "offset": {
            "values": [int(v) for v in offset],
            "mean": float(offset.astype(np.float64).mean()),
            "variance": float(offset.astype(np.float64).var()),
        },
    }
    with open(out, "w") as f:
        json.dump(data, f)
        f.write("\n")


if __name__ == "__main__":
    main(sys.argv[1])
