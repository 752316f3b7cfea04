"""Digests of integer codecs whose tables follow from decoded latents, by another implementation of docs/formats/fixed.md, in NumPy:
`mbt2018`, position by position; Cheng et al. 2020 with a checkerboard, in two passes; ELIC, slices in two passes; Minnen & Singh 2020,
slices with predicted residuals.

    python oracles/iscs-lic/fixed_priors.py iscs-lic/tests/data/networks.safetensors iscs-lic/tests/data/fixed_priors.json

The first file lists the shapes of the small models, whose weights `recipe.py` computes. Of each model SHA-256 of, as little-endian int32:
the rows and the symbols of all strings in the order in which they are asked for, and the decoded latents [M, h, w]; and of the decoded
picture's bytes [H, W, 3].
"""

import json
import sys
from hashlib import sha256

import numpy as np
from fixed import UP, Codec, I, leaky, pixels, relu, sat, shift, symbols
from fixed_blocks import Attention, Sigmoid, SubPixel, bottleneck, down, residual, run, sub_pixel, up
from recipe import GAIN, GAINS, recipe
from safetensors import safe_open

WIDTH, HEIGHT = 128, 64


def thresholds():
    """The 64 scales of CompressAI as integers, but for the last."""
    scales = np.exp(np.linspace(np.log(0.11), np.log(256), 64)).astype(np.float32)
    return np.minimum(np.floor(scales.astype(np.float64) * 4096), 2**23 - 1).astype(I)[:-1]


def context(t, name, sees):
    """A masked convolution, which sees where `sees` is."""
    return symbols({**t, f"{name}.weight": t[f"{name}.weight"] * sees}, name)


def chain(t, name, after):
    """Layers 0, 2 and 4 with a function between them."""
    return [symbols(t, f"{name}.{i}", after=f) for i, f in ((0, after), (2, after), (4, None))]


class Prior(Codec):
    """What is asked for is kept in `rows` and `symbols`."""

    table = thresholds()

    def begin(self, picture):
        y, z = self.analysed(picture)
        found, z_hat = self.hyper(z)
        channels = np.broadcast_to(np.arange(len(z))[:, None, None], z.shape)
        self.rows, self.symbols = [channels.reshape(-1)], [found.reshape(-1)]
        return y, z_hat

    def coded(self, y, scales, means):
        """Decoded latents of these."""
        found = shift(y - means, 12)
        self.rows.append(np.searchsorted(self.table, scales, side="left").reshape(-1))
        self.symbols.append(found.reshape(-1))
        return sat(4096 * found + means)

    def digests(self, picture):
        latents = self.latents(picture)
        words = lambda values: np.concatenate([np.asarray(v).reshape(-1) for v in values]).astype("<i4").tobytes()
        found = {
            "rows": words(self.rows),
            "symbols": words(self.symbols),
            "latents": words([latents]),
            "picture": np.ascontiguousarray(self.shown(latents)).tobytes(),
        }
        return {name: sha256(value).hexdigest() for name, value in found.items()}


class Serial(Prior):
    def __init__(self, t):
        super().__init__(t)
        v, u = np.mgrid[0:5, 0:5]
        self.context = context(t, "context_prediction", (v < 2) | ((v == 2) & (u < 2)))
        self.parameters = chain(t, "entropy_parameters", leaky)

    def latents(self, picture):
        y, z_hat = self.begin(picture)
        side = run(self.h_s, z_hat)
        decoded = np.zeros_like(y)
        for row in range(y.shape[1]):
            for x in range(y.shape[2]):
                here = np.s_[:, row : row + 1, x : x + 1]
                both = np.concatenate([side, self.context(decoded)])[here]
                decoded[here] = self.coded(y[here], *np.split(run(self.parameters, both), 2))
        return decoded


class TwoPass(Prior):
    """A checkerboard: anchors, whose row and column have an even sum, then the others."""

    def contexts(self, t, name, after):
        v, u = np.mgrid[0:5, 0:5]
        sees = (v + u) % 2 == 1
        return context(t, f"{name}.context_prediction", sees), chain(t, f"{name}.entropy_parameters", after)

    def decoded(self, y, side, net):
        seen, parameters = net
        found = np.zeros_like(y)
        _, h, w = y.shape
        for colour in (0, 1):
            row, x = np.mgrid[0:h, 0 : w // 2]
            here = np.s_[:, row, 2 * x + (row + colour) % 2]
            around = seen(found) * colour
            both = run(parameters, np.concatenate([around, side])[here])
            found[here] = self.coded(y[here], *np.split(both, 2))
        return found


class Checkerboard(TwoPass):
    bottleneck = "latent_codec.hyper.entropy_bottleneck"

    def __init__(self, t):
        super().__init__(t)
        self.net = self.contexts(t, "latent_codec.y", leaky)

    def main(self, t):
        of = lambda kind, i: kind(t, f"g_a.{i}")
        self.g_a = [of(kind, i) for i, kind in enumerate((down, residual, down, residual, down, residual))]
        self.g_a.append(pixels(t, "g_a.6", stride=2))
        of = lambda kind, i: kind(t, f"g_s.{i}")
        self.g_s = [of(kind, i) for i, kind in enumerate((residual, up, residual, up, residual, up, residual))]
        self.g_s.append(SubPixel(pixels(t, "g_s.7.0", more=4)))

    def side(self, t):
        name = "latent_codec.hyper.h_a"
        strides = {0: 1, 2: 1, 4: 2, 6: 1, 8: 2}
        self.h_a = [
            pixels(t, f"{name}.{i}", stride=s, after=leaky if i < 8 else None) for i, s in strides.items()
        ]
        name = "latent_codec.hyper.h_s"
        self.h_s = [
            symbols(t, f"{name}.0", after=leaky),
            sub_pixel(t, f"{name}.2", after=leaky),
            symbols(t, f"{name}.4", after=leaky),
            sub_pixel(t, f"{name}.6", after=leaky),
            symbols(t, f"{name}.8"),
        ]

    def latents(self, picture):
        y, z_hat = self.begin(picture)
        return self.decoded(y, run(self.h_s, z_hat), self.net)


class Elic(TwoPass):
    bottleneck = "latent_codec.hyper.entropy_bottleneck"

    def __init__(self, t, groups):
        super().__init__(t)
        self.ends = np.cumsum(groups)[:-1]
        name = "latent_codec.y"
        self.channels = [chain(t, f"{name}.channel_context.y{k}", relu) for k in range(1, len(groups))]
        self.nets = [self.contexts(t, f"{name}.latent_codec.y{k}", relu) for k in range(len(groups))]

    def main(self, t):
        def layers(name, convs, attentions, conv):
            n = 1 + max(convs + attentions)
            kinds = [conv if i in convs else Attention if i in attentions else bottleneck for i in range(n)]
            return [kind(t, f"{name}.{i}") for i, kind in enumerate(kinds)]

        halved = lambda t, name: pixels(t, name, stride=2)
        doubled = lambda t, name: pixels(t, name, more=4 if name == "g_s.14" else 0, **UP)
        self.g_a = layers("g_a", (0, 4, 9, 13), (8, 14), halved)
        self.g_s = layers("g_s", (1, 5, 10, 14), (0, 6), doubled)

    def side(self, t):
        name = "latent_codec.hyper.h_a"
        self.h_a = [
            pixels(t, f"{name}.0", after=relu),
            pixels(t, f"{name}.2", stride=2, after=relu),
            pixels(t, f"{name}.4", stride=2),
        ]
        name = "latent_codec.hyper.h_s"
        self.h_s = [
            symbols(t, f"{name}.0", after=relu, **UP),
            symbols(t, f"{name}.2", after=relu, **UP),
            symbols(t, f"{name}.4", transposed=True),
        ]

    def latents(self, picture):
        y, z_hat = self.begin(picture)
        hyper, found = run(self.h_s, z_hat), []
        for k, part in enumerate(np.split(y, self.ends)):
            side = hyper
            if k:
                side = np.concatenate([run(self.channels[k - 1], np.concatenate(found)), hyper])
            found.append(self.decoded(part, side, self.nets[k]))
        return np.concatenate(found)


class Slices(Prior):
    def __init__(self, t, n_slices, n_support):
        super().__init__(t)
        self.n_slices, self.n_support, self.sigmoid = n_slices, n_support, Sigmoid()
        self.mean, self.scale, self.residual = (
            [chain(t, f"{name}.{k}", relu) for k in range(n_slices)]
            for name in ("cc_mean_transforms", "cc_scale_transforms", "lrp_transforms")
        )

    def side(self, t):
        self.h_a = [
            pixels(t, "h_a.0", after=relu),
            pixels(t, "h_a.2", stride=2, after=relu),
            pixels(t, "h_a.4", stride=2),
        ]
        self.h_mean_s, self.h_scale_s = (
            [
                symbols(t, f"{name}.0", after=relu, **UP),
                symbols(t, f"{name}.2", after=relu, **UP),
                symbols(t, f"{name}.4", after=relu),
            ]
            for name in ("h_mean_s", "h_scale_s")
        )

    def latents(self, picture):
        y, z_hat = self.begin(picture)
        scales, means = run(self.h_scale_s, z_hat), run(self.h_mean_s, z_hat)
        decoded = []
        for k, part in enumerate(np.split(y, self.n_slices)):
            seen = decoded[: self.n_support]
            mean_input = np.concatenate([means, *seen])
            mean = run(self.mean[k], mean_input)
            scale = run(self.scale[k], np.concatenate([scales, *seen]))
            y_hat = self.coded(part, scale, mean)
            predicted = run(self.residual[k], np.concatenate([mean_input, y_hat]))
            half_tanh = shift(self.sigmoid(sat(2 * predicted)) - 2**15, 4)
            decoded.append(sat(y_hat + half_tanh))
        return np.concatenate(decoded)


MODELS = {
    "mbt2018": Serial,
    "cheng2020-anchor-checkerboard": Checkerboard,
    "elic2022-official": lambda t: Elic(t, [2, 2, 4, 8]),
    "ms2020": lambda t: Slices(t, 10, 5),
}


def picture():
    y, x, c = np.mgrid[0:HEIGHT, 0:WIDTH, 0:3]
    edge = np.where((x + 2 * y) % 61 > 30, 90, 0)
    return (40 + edge + (x * (c + 2) + 3 * y) % 90 + (37 * x + 59 * y + x * y) % 13).astype(np.uint8)


def main():
    with safe_open(sys.argv[1], "np") as file:
        metadata = file.metadata()
    found = {}
    for name, build in MODELS.items():
        shapes = json.loads(metadata[name])
        t = {n: recipe(n, tuple(shape), GAINS.get(name, GAIN)) for n, shape in shapes.items()}
        found[name] = build(t).digests(picture())
    with open(sys.argv[2], "w") as file:
        file.write(json.dumps(found, indent=1) + "\n")


main()
