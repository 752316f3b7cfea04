"""Gaussians whose values follow from their row and column, the same as in `shapesplat/tests/it/recipe.rs`."""

import numpy as np

POSITIONS = ["x", "y", "z"]
NORMALS = ["nx", "ny", "nz"]
DC = [f"f_dc_{i}" for i in range(3)]
REST = [f"f_rest_{i}" for i in range(45)]
SCALES = [f"scale_{i}" for i in range(3)]
ROTATIONS = [f"rot_{i}" for i in range(4)]
ALL = POSITIONS + DC + REST + ["opacity"] + SCALES + ROTATIONS


def values(name, n):
    """Sixteenths between -4 and 4, exact in every float; zeros for normals."""
    if name in NORMALS:
        return np.zeros(n, np.float32)
    rows = np.arange(n, dtype=np.int64)
    return ((rows * rows * 3 + rows * 37 + ALL.index(name) * 11) % 127 - 63).astype(np.float32) / 16


def table(names, n, bytes_=()):
    """A structured array of the columns in their order; those of `bytes_` in bytes."""
    out = np.empty(n, [(name, "u1" if name in bytes_ else "<f4") for name in names])
    for i, name in enumerate(names):
        out[name] = (np.arange(n) * 83 + i * 50) % 256 if name in bytes_ else values(name, n)
    return out
