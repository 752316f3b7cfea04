"""Digests of `iscs_lic::fixed::selftest` by another implementation of docs/formats/fixed.md, in NumPy.

Sums are taken in float64, which holds them exactly: they are integers below 2^53.

    python oracles/iscs-lic/fixed.py iscs-lic/assets/ms_n32_m64.safetensors

Prints width, height, SHA-256 of the symbols (z, then y, in the order C, H, W, as little-endian int32) and SHA-256 of the decoded
picture (bytes in the order H, W, C) of each of ten pictures.
"""

import sys
from hashlib import sha256
from math import ceil

import numpy as np
from safetensors.numpy import load_file

LIMIT = 2**23 - 1
SIZES = [(1, 1), (16, 16), (17, 31), (64, 64), (65, 97), (33, 1), (1, 70), (128, 48), (100, 75), (161, 113)]
I = np.int64


def sat(a):
    return np.clip(a, -LIMIT, LIMIT)


def shift(a, k):
    return (a + ((1 << k) >> 1)) >> k


def near(v):
    return np.rint(np.asarray(v, np.float64)).astype(I)


def step(t, r0):
    r = next((r for r in range(31, r0 - 1, -1) if t * 2.0**r < 255), r0)
    return max(128, ceil(t * 2.0**r)), r


def integers(w, bits, r0):
    """Rows `[rows, ...]` to integers, with m and r of each."""
    w = w.astype(np.float64)
    steps = [step(np.abs(row).max() / bits, r0) for row in w]
    m = np.array([s[0] for s in steps], I)
    r = np.array([s[1] for s in steps], I)
    value = m * 2.0**-r
    return near(w / value.reshape((-1,) + (1,) * (w.ndim - 1))), m, r


def exact(matrix, columns):
    assert np.abs(matrix).sum(1).max() * np.abs(columns).max() < 2**53
    return (matrix.astype(np.float64) @ columns.astype(np.float64)).astype(I)


def column(v, like):
    return v.reshape((-1,) + (1,) * (like.ndim - 1))


class Conv:
    def __init__(self, t, name, bits, stride=1, transposed=False, after=None, more=0):
        w = t[f"{name}.weight"]
        rows = w.transpose(1, 0, 2, 3) if transposed else w
        self.w, self.m, self.r = integers(rows, bits, 4 + more)
        bias = t.get(f"{name}.bias", np.zeros(len(rows), np.float32))
        self.b = near(bias.astype(np.float64) * 2.0 ** (12 + self.r))
        self.stride, self.transposed, self.after, self.more = stride, transposed, after, more

    def __call__(self, a):
        _, n_in, k, _ = self.w.shape
        s, p = self.stride, k // 2
        _, h, w = a.shape
        if self.transposed:
            total = np.zeros((len(self.w), s * h + 2 * p + 2, s * w + 2 * p + 2), I)
            for u in range(k):
                for v in range(k):
                    part = exact(self.w[:, :, u, v], a.reshape(n_in, -1)).reshape(-1, h, w)
                    total[:, u : u + s * h : s, v : v + s * w : s] += part
            total = total[:, p : p + s * h, p : p + s * w]
        else:
            oh, ow = -(-h // s), -(-w // s)
            padded = np.pad(a, ((0, 0), (p, p + s), (p, p + s)))
            total = np.zeros((len(self.w), oh, ow), I)
            for u in range(k):
                for v in range(k):
                    seen = padded[:, u : u + s * oh : s, v : v + s * ow : s]
                    total += exact(self.w[:, :, u, v], seen.reshape(n_in, -1)).reshape(-1, oh, ow)
        r = self.r - self.more
        scaled = total * column(self.m, total) + column(self.b, total)
        out = sat((scaled + column((I(1) << r) >> 1, total)) >> column(r, total))
        return self.after(out) if self.after else out


def relu(a):
    return np.maximum(a, 0)


def leaky(a):
    return np.where(a < 0, shift(41943 * a, 22), a)


class Gdn:
    def __init__(self, t, name, inverse):
        f = np.float32
        pedestal, beta_bound, gamma_bound = f(2.0**-36), f(0.0010000072652474046), f(2.0**-18)
        beta = np.maximum(t[f"{name}.beta"], beta_bound) ** 2 - pedestal
        gamma = np.maximum(t[f"{name}.gamma"], gamma_bound) ** 2 - pedestal
        self.w, self.m, self.r = integers(gamma, 2047, 20)
        self.b = near(beta.astype(np.float64) * 2.0**32)
        self.inverse = inverse

    def __call__(self, x):
        q = np.minimum(shift(x * x, 12), 2147450879).reshape(len(x), -1)
        total = exact(self.w, q).reshape(x.shape) * column(self.m, x)
        r = self.r - 20
        n = (total + column((I(1) << r) >> 1, x)) >> column(r, x)
        n = np.minimum(n + column(self.b, x), 2**52 - 1)
        s = np.sqrt(n.astype(np.float64)).astype(I)
        s -= s * s > n
        s += (s + 1) * (s + 1) <= n
        if self.inverse:
            return sat(shift(x * s, 16))
        return sat((x * 2**17 + s) // (2 * s))


def pixels(t, name, **more):
    """A layer that decides pixels, or finds latents."""
    return Conv(t, name, 2047, **more)


def symbols(t, name, **more):
    """A layer that decides symbols."""
    return Conv(t, name, 127, **more)


UP = {"stride": 2, "transposed": True}


class Codec:
    bottleneck = "entropy_bottleneck"

    def __init__(self, t):
        self.main(t)
        self.side(t)
        self.medians = near(t[f"{self.bottleneck}.quantiles"][:, 0, 1].astype(np.float64) * 4096)

    def main(self, t):
        """Analysis and synthesis."""
        self.g_a = [pixels(t, f"g_a.{i}", stride=2, after=Gdn(t, f"g_a.{i + 1}", False)) for i in (0, 2, 4)]
        self.g_a.append(pixels(t, "g_a.6", stride=2))
        self.g_s = [pixels(t, f"g_s.{i}", after=Gdn(t, f"g_s.{i + 1}", True), **UP) for i in (0, 2, 4)]
        self.g_s.append(pixels(t, "g_s.6", more=4, **UP))

    def side(self, t):
        """Hyper-analysis and hyper-synthesis."""
        self.h_a = [
            pixels(t, "h_a.0", after=leaky),
            pixels(t, "h_a.2", stride=2, after=leaky),
            pixels(t, "h_a.4", stride=2),
        ]
        self.h_s = [symbols(t, "h_s.0", after=leaky, **UP), symbols(t, "h_s.2", after=leaky, **UP), symbols(t, "h_s.4")]

    @staticmethod
    def run(layers, a):
        for layer in layers:
            a = layer(a)
        return a

    def analysed(self, picture):
        """y and z of a picture."""
        y = self.run(self.g_a, (picture.transpose(2, 0, 1).astype(I) * 8192 + 255) // 510)
        return y, self.run(self.h_a, y)

    def hyper(self, z):
        """Symbols of z, and the decoded z."""
        medians = column(self.medians, z)
        symbols = shift(z - medians, 12)
        return symbols, sat(4096 * symbols + medians)

    def shown(self, latents):
        """The decoded picture."""
        c = np.clip(self.run(self.g_s, latents), 0, 65536) * 255
        whole, rest = c >> 16, c & 65535
        shown = whole + ((rest > 32768) | ((rest == 32768) & (whole % 2 == 1)))
        return shown.transpose(1, 2, 0).astype(np.uint8)

    def __call__(self, picture):
        """Symbols of z and y, and the decoded picture."""
        y, z = self.analysed(picture)
        z_symbols, z = self.hyper(z)
        _, means = np.split(self.run(self.h_s, z), 2)
        y_symbols = shift(y - means, 12)
        return z_symbols, y_symbols, self.shown(sat(4096 * y_symbols + means))


def procedural(seed, width, height):
    y, x, c = np.mgrid[0:height, 0:width, 0:3]
    waves = (x * (3 + seed) + y * (7 - seed % 5)) % 256
    triangle = np.where(waves < 128, waves, 255 - waves)
    edge = np.where((x + 2 * y + 9 * c) % (41 + seed) > 20, 60, 0)
    grain = (37 * x + 59 * y + 83 * c + x * y) % (5 + 3 * seed)
    return np.minimum(triangle + edge + grain + 20 * c, 255).astype(np.uint8)


def main():
    codec = Codec(load_file(sys.argv[1]))
    for seed, (width, height) in enumerate(SIZES):
        pads = ((0, -height % 64), (0, -width % 64), (0, 0))
        z, y, shown = codec(np.pad(procedural(seed, width, height), pads, mode="edge"))
        symbols = np.concatenate([z.reshape(-1), y.reshape(-1)]).astype("<i4").tobytes()
        picture = np.ascontiguousarray(shown[:height, :width]).tobytes()
        print(f'({width}, {height}, "{sha256(symbols).hexdigest()}", "{sha256(picture).hexdigest()}"),')


if __name__ == "__main__":
    main()
