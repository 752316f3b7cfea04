"""Goldens of every architecture: latents, tables' rows, strings and pictures of small models, by CompressAI.

The weights are no part of the goldens: both sides compute them by the same recipe (`recipe.py` here, `tests/it/recipe.rs` there), exactly;
the header of the file lists the names and shapes of every model's parameters.
CompressAI has no model of Minnen & Singh 2020; the one here is built of its layers, after the authors' `ms2020.py`.

    python oracles/iscs-lic/networks.py iscs-lic/tests/data/networks.safetensors
"""

import json
import sys

import numpy as np
import torch
import torch.nn as nn
from compressai.entropy_models import EntropyBottleneck, GaussianConditional
from compressai.layers import GDN
from compressai.models import (
    Cheng2020Anchor,
    Cheng2020Attention,
    CompressionModel,
    FactorizedPrior,
    FactorizedPriorReLU,
    JointAutoregressiveHierarchicalPriors,
    MeanScaleHyperprior,
    ScaleHyperprior,
)
from compressai.models.sensetime import Cheng2020AnchorCheckerboard, Elic2022Official
from compressai.models.utils import conv, deconv
from recipe import GAIN, GAINS, recipe
from safetensors.torch import save_file

WIDTH, HEIGHT = 128, 64


class ChannelConditional(CompressionModel):
    """Minnen & Singh 2020 (arXiv 2007.08739): even slices, latent residual prediction."""

    def __init__(self, n, m, n_slices, n_support, n_hyper, n_side, widths):
        super().__init__()
        first, second = widths
        self.n_slices, self.n_support = n_slices, n_support
        self.entropy_bottleneck = EntropyBottleneck(n_hyper)
        self.gaussian_conditional = GaussianConditional(None)
        self.g_a = nn.Sequential(conv(3, n), GDN(n), conv(n, n), GDN(n), conv(n, n), GDN(n), conv(n, m))
        self.g_s = nn.Sequential(
            deconv(m, n), GDN(n, inverse=True), deconv(n, n), GDN(n, inverse=True),
            deconv(n, n), GDN(n, inverse=True), deconv(n, 3),
        )
        last = nn.Conv2d(n, n_hyper, 5, stride=2, padding=2, bias=False)
        self.h_a = nn.Sequential(conv(m, m, 3, 1), nn.ReLU(), conv(m, n), nn.ReLU(), last)
        side = lambda: nn.Sequential(
            deconv(n_hyper, n), nn.ReLU(), deconv(n, m), nn.ReLU(), conv(m, n_side, 3, 1), nn.ReLU()
        )
        self.h_mean_s, self.h_scale_s = side(), side()
        size = m // n_slices
        net = lambda n_in: nn.Sequential(
            conv(n_in, first, 5, 1), nn.ReLU(), conv(first, second, 5, 1), nn.ReLU(), conv(second, size, 3, 1)
        )
        inputs = [n_side + min(k, n_support) * size for k in range(n_slices)]
        self.cc_mean_transforms = nn.ModuleList(net(n_in) for n_in in inputs)
        self.cc_scale_transforms = nn.ModuleList(net(n_in) for n_in in inputs)
        self.lrp_transforms = nn.ModuleList(net(n_in + size) for n_in in inputs)

    def compress(self, x):
        y = self.g_a(x)
        z = self.h_a(y)
        z_strings = self.entropy_bottleneck.compress(z)
        z_hat = self.entropy_bottleneck.decompress(z_strings, z.size()[-2:])
        scales, means = self.h_scale_s(z_hat), self.h_mean_s(z_hat)
        strings, decoded = [], []
        for k, y_slice in enumerate(y.chunk(self.n_slices, 1)):
            support = decoded[: self.n_support]
            mean_support = torch.cat([means, *support], 1)
            mu = self.cc_mean_transforms[k](mean_support)
            scale = self.cc_scale_transforms[k](torch.cat([scales, *support], 1))
            indexes = self.gaussian_conditional.build_indexes(scale)
            string = self.gaussian_conditional.compress(y_slice, indexes, mu)
            y_hat = self.gaussian_conditional.decompress(string, indexes, means=mu)
            strings.append(string)
            residual = self.lrp_transforms[k](torch.cat([mean_support, y_hat], 1))
            decoded.append(y_hat + 0.5 * torch.tanh(residual))
        self.y_hat = torch.cat(decoded, 1)
        return {"strings": [*strings, z_strings]}


MODELS = {
    "bmshj2018-factorized": lambda: FactorizedPrior(8, 16),
    "bmshj2018-factorized-relu": lambda: FactorizedPriorReLU(8, 16),
    "bmshj2018-hyperprior": lambda: ScaleHyperprior(8, 16),
    "mbt2018-mean": lambda: MeanScaleHyperprior(8, 16),
    "mbt2018": lambda: JointAutoregressiveHierarchicalPriors(8, 16),
    "cheng2020-anchor": lambda: Cheng2020Anchor(8),
    "cheng2020-attn": lambda: Cheng2020Attention(8),
    "cheng2020-anchor-checkerboard": lambda: Cheng2020AnchorCheckerboard(8),
    "elic2022-official": lambda: Elic2022Official(8, 16, groups=[2, 2, 4, 8]),
    "ms2020": lambda: ChannelConditional(8, 20, 10, 5, 6, 12, (14, 10)),
}


def picture():
    """A picture of gradients, edges and grain."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    planes = []
    for c in range(3):
        smooth = 128 + 70 * np.sin(x / (9.0 + 4 * c)) * np.cos(y / (7.0 + c))
        edge = np.where((x + 2 * y) % 61 > 30, 40, -20)
        grain = (37 * x + 59 * y + 83 * c + x * y) % 17
        planes.append(np.clip(smooth + edge + grain, 0, 255))
    return np.stack(planes).astype(np.uint8)


def flat(values, dtype):
    return torch.cat([v.reshape(-1) for v in values]).to(dtype) if values else torch.zeros(0, dtype=dtype)


@torch.no_grad()
def golden(name, pixels):
    model = MODELS[name]().eval()
    for n, parameter in model.named_parameters():
        parameter.copy_(torch.from_numpy(recipe(n, tuple(parameter.shape), GAINS.get(name, GAIN))))
    model.update(force=True)
    x = torch.from_numpy(pixels).float().unsqueeze(0) / 255
    seen = {"scales": [], "means": [], "indexes": [], "symbols": []}
    build, quantize = GaussianConditional.build_indexes, GaussianConditional.quantize

    def record_indexes(self, scales):
        indexes = build(self, scales)
        seen["scales"].append(scales)
        seen["indexes"].append(indexes)
        return indexes

    def record_symbols(self, inputs, mode, means=None):
        out = quantize(self, inputs, mode, means)
        if mode == "symbols":
            seen["means"].append(torch.zeros_like(out, dtype=torch.float) if means is None else means)
            seen["symbols"].append(out)
        return out

    z_of = []
    bottleneck = EntropyBottleneck.compress

    def record_z(self, inputs):
        z_of.append(inputs)
        return bottleneck(self, inputs)

    GaussianConditional.build_indexes = record_indexes
    GaussianConditional.quantize = record_symbols
    EntropyBottleneck.compress = record_z
    try:
        # The masked convolutions put their masks on at the first forward pass.
        if name != "ms2020":
            model(x)
        seen = {key: [] for key in seen}
        z_of.clear()
        out = model.compress(x)
    finally:
        GaussianConditional.build_indexes, GaussianConditional.quantize = build, quantize
        EntropyBottleneck.compress = bottleneck
    strings = [s[0] for s in out["strings"]]
    if name == "ms2020":
        x_hat = model.g_s(model.y_hat).clamp(0, 1)
    else:
        x_hat = model.decompress(out["strings"], out["shape"])["x_hat"]
    tensors = {
        "y": model.g_a(x)[0],
        # Every third sample: it meets each phase of a stride of two.
        "x_hat": x_hat[0, :, ::3, ::3],
    }
    if z_of and len(strings) > 1:
        tensors["z"] = z_of[0][0]
        # In the order of decoding: the hyper-latent first.
        strings = [strings[-1], *strings[:-1]]
    tensors |= {key: flat(seen[key], torch.float32) for key in ("scales", "means")}
    tensors |= {key: flat(seen[key], torch.int32) for key in ("indexes", "symbols")}
    for i, string in enumerate(strings):
        tensors[f"strings.{i}"] = torch.frombuffer(bytearray(string), dtype=torch.uint8)
    rows, symbols = tensors["indexes"], tensors["symbols"]
    n_escapes = int((symbols.abs() > 1)[rows == 0].sum()) if len(rows) else 0
    print(f"{name}: strings of {[len(s) for s in strings]} bytes, {len(rows.unique())} rows, {n_escapes} escapes of row 0")
    shapes = {n: list(p.shape) for n, p in model.named_parameters()}
    return {f"{name}/{key}": value.contiguous() for key, value in tensors.items()}, json.dumps(shapes)


def main():
    torch.set_num_threads(1)
    pixels = picture()
    tensors, metadata = {"x": torch.from_numpy(pixels)}, {}
    for name in MODELS:
        found, metadata[name] = golden(name, pixels)
        tensors |= found
    save_file(tensors, sys.argv[1], metadata | {"gains": json.dumps(GAINS)})


if __name__ == "__main__":
    main()
