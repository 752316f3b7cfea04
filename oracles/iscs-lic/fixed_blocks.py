"""Composite layers of docs/formats/fixed.md in NumPy: sub-pixel convolutions, residual connections, attention with its sigmoid."""

import numpy as np
from fixed import Gdn, I, leaky, near, pixels, relu, sat, shift, symbols


def run(layers, a):
    for layer in layers:
        a = layer(a)
    return a


class Sigmoid:
    def __init__(self):
        decay = 1.0
        for i in range(15, 0, -1):
            decay = 1.0 - 2.0**-6 / i * decay
        power, table = 1.0, []
        for _ in range(1025):
            table.append(near(65536 / (1 + power)))
            power *= decay
        self.table = np.array(table, I)

    def __call__(self, v):
        x = np.minimum(np.abs(v), 65536)
        at, rest = x >> 6, x & 63
        value = self.table[at] + shift((self.table[np.minimum(at + 1, 1024)] - self.table[at]) * rest, 6)
        return np.where(v < 0, 65536 - value, value)


class SubPixel:
    """Channel 4·o + 2·p + q at (y, x) is channel o at (2y + p, 2x + q)."""

    def __init__(self, conv):
        self.conv = conv

    def __call__(self, a):
        a = self.conv(a)
        n, h, w = a.shape
        return a.reshape(n // 4, 2, 2, h, w).transpose(0, 3, 1, 4, 2).reshape(n // 4, 2 * h, 2 * w)


class Residual:
    def __init__(self, branch, skip=(), after=None):
        self.branch, self.skip, self.after = branch, skip, after

    def __call__(self, x):
        total = sat(run(self.branch, x) + run(self.skip, x))
        return self.after(total) if self.after else total


class Attention:
    def __init__(self, t, name):
        self.trunk = [unit(t, f"{name}.conv_a.{i}") for i in range(3)]
        self.mask = [unit(t, f"{name}.conv_b.{i}") for i in range(3)] + [pixels(t, f"{name}.conv_b.3")]
        self.sigmoid = Sigmoid()

    def __call__(self, x):
        return sat(shift(run(self.trunk, x) * self.sigmoid(run(self.mask, x)), 16) + x)


def unit(t, name):
    branch = [pixels(t, f"{name}.conv.{i}", after=f) for i, f in ((0, relu), (2, relu), (4, None))]
    return Residual(branch, after=relu)


def bottleneck(t, name):
    return Residual([pixels(t, f"{name}.conv{i}", after=f) for i, f in ((1, relu), (2, relu), (3, None))])


def residual(t, name):
    return Residual([pixels(t, f"{name}.conv{i}", after=leaky) for i in (1, 2)])


def down(t, name):
    normalised = pixels(t, f"{name}.conv2", after=Gdn(t, f"{name}.gdn", False))
    branch = [pixels(t, f"{name}.conv1", stride=2, after=leaky), normalised]
    return Residual(branch, [pixels(t, f"{name}.skip", stride=2)])


def up(t, name):
    normalised = pixels(t, f"{name}.conv", after=Gdn(t, f"{name}.igdn", True))
    branch = [SubPixel(pixels(t, f"{name}.subpel_conv.0", after=leaky)), normalised]
    return Residual(branch, [SubPixel(pixels(t, f"{name}.upsample.0"))])


def sub_pixel(t, name, **more):
    """Of a layer that decides symbols."""
    return SubPixel(symbols(t, f"{name}.0", **more))
