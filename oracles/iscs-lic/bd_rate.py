"""Prints the BD-rates and BD-PSNRs that `iscs-lic/src/measure/curve.rs` tests against, by SciPy's curves."""

import numpy as np
from scipy.interpolate import Akima1DInterpolator, PchipInterpolator

# Kodak results (bits a pixel, dB) that CompressAI publishes for bmshj2018-hyperprior and mbt2018-mean.
ANCHOR = np.array([(0.1313, 27.58), (0.2089, 29.20), (0.3199, 30.97), (0.4784, 32.84), (0.6687, 34.53), (0.9388, 36.74), (1.2592, 38.58), (1.6602, 40.56)])
OWN = np.array([(0.1239, 27.70), (0.1980, 29.36), (0.3072, 31.13), (0.4606, 32.95), (0.6617, 34.97), (0.9144, 36.91), (1.2342, 38.84), (1.6191, 40.63)])


def distance(own, anchor, kind):
    start, end = max(own[0][0], anchor[0][0]), min(own[0][-1], anchor[0][-1])

    def integral(x, y):
        if kind == "cubic":
            primitive = np.polyint(np.polyfit(x, y, 3))
            return np.polyval(primitive, end) - np.polyval(primitive, start)
        curve = PchipInterpolator if kind == "pchip" else Akima1DInterpolator
        return curve(x, y).integrate(start, end)

    return (integral(*own) - integral(*anchor)) / (end - start)


for n in (8, 4):
    for kind in ("cubic", "pchip", "akima"):
        rates = [(points[:n, 1], np.log10(points[:n, 0])) for points in (OWN, ANCHOR)]
        qualities = [(x, y) for y, x in rates]
        print(n, kind, float((10 ** distance(*rates, kind) - 1) * 100), float(distance(*qualities, kind)))
