"""Constants and golden values of `iscs-lic/src/coder/special.rs`, in 60 digits of mpmath.

    python oracles/iscs-lic/special.py coefficients    # the Chebyshev series of (1 + 2x)·exp(x²)·erfc(x)
    python oracles/iscs-lic/special.py goldens         # writes iscs-lic/tests/data/special.json

A golden is an argument and the value there, both f64, correctly rounded, as the hexadecimal digits of their bits.
"""

import json
import random
import struct
import sys
from pathlib import Path

from mpmath import erfc, erfinv, exp, expm1, log, log1p, mp, mpf, sqrt, tanh

mp.dps = 60
MIDDLE = 3.75
DATA = Path(__file__).parents[2] / "iscs-lic" / "tests" / "data"


def bits(x):
    return struct.pack(">d", float(x)).hex()


def scaled(t):
    """(1 + 2x)·exp(x²)·erfc(x) for t = (x − 3.75) / (x + 3.75)."""
    if t == 1:
        return 2 / sqrt(mp.pi)
    x = MIDDLE * (1 + t) / (1 - t)
    return (1 + 2 * x) * exp(x * x) * erfc(x)


def coefficients(n=40):
    """Chebyshev coefficients by the discrete transform on `n` points."""
    points = [mp.cos(mp.pi * (k + mpf(1) / 2) / n) for k in range(n)]
    values = [scaled(t) for t in points]
    found = []
    for j in range(n):
        c = 2 * sum(v * mp.cos(j * mp.pi * (k + mpf(1) / 2) / n) for k, v in enumerate(values)) / n
        found.append(c / 2 if j == 0 else c)
    return found


def normal_quantile(p):
    with mp.workdps(400):  # 1 − 2p has as many digits as p has zeros
        return -sqrt(mpf(2)) * erfinv(1 - 2 * p)


def goldens():
    draw = random.Random(0)
    spread = lambda low, high, n: [draw.uniform(low, high) for _ in range(n)]
    tiny = [2.0**-k for k in (1, 5, 20, 40, 60)]
    wanted = {
        "exp": (exp, spread(-745, 709, 60) + spread(-2, 2, 40) + [0.0, -0.0, 1.0, -1.0, 709.7, -745.1] + tiny),
        "log": (log, [2.0 ** draw.uniform(-1000, 1000) for _ in range(40)] + spread(0.5, 2, 60) + [1.0, 2.0, 5e-324]),
        "log1p": (log1p, [2.0 ** draw.uniform(-60, 60) for _ in range(60)] + spread(-0.5, 1, 30) + tiny),
        "expm1": (expm1, spread(-2, 2, 60) + spread(-40, 40, 30) + tiny),
        "tanh": (tanh, spread(-1, 1, 60) + spread(-22, 22, 40) + tiny + [0.0, 25.0]),
        "erfc": (erfc, spread(-6, 6, 80) + spread(0, 1, 60) + spread(6, 26, 40) + [0.0, 0.5, -0.5, 10.0] + tiny),
        "normal_quantile": (normal_quantile, [10.0 ** draw.uniform(-300, -1) for _ in range(40)] + spread(0.01, 0.99, 40) + [5e-10, 0.5]),
    }
    table = {name: [[bits(x), bits(f(mpf(x)))] for x in xs] for name, (f, xs) in wanted.items()}
    lines = ",\n".join(f" {json.dumps(name)}: {json.dumps(rows, separators=(',', ':'))}" for name, rows in table.items())
    (DATA / "special.json").write_text("{\n" + lines + "\n}\n")


if __name__ == "__main__":
    if sys.argv[1:] == ["coefficients"]:
        for c in coefficients():
            if abs(c) > 1e-19:
                print(f"{float(c)!r},")
    elif sys.argv[1:] == ["goldens"]:
        goldens()
    else:
        sys.exit(__doc__)
