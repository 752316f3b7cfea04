"""Statistics, scores and ablations of latent channels, for `iscs-lic/tests/it/channels.rs`.

    python oracles/iscs-lic/channels.py goldens         # writes iscs-lic/tests/data/channels.json
    python oracles/iscs-lic/channels.py kodak FOLDER    # prints how well scores find the ablation, on crops of Kodak

Formulas are those of `iscs-lic/src/channels`, written here with NumPy; latents and pictures are CompressAI's. Which tensors belong to a channel is
listed by hand for each architecture.
"""

import json
import math
import sys
import warnings
from pathlib import Path

import numpy as np
import torch
from compressai.models import MeanScaleHyperprior
from PIL import Image
from safetensors.torch import load_file
from scipy.stats import spearmanr

from networks import GAINS, MODELS, recipe

warnings.filterwarnings("ignore")
ROOT = Path(__file__).parents[2] / "iscs-lic"
DATA = ROOT / "tests" / "data"

# Each tensor with the axis of its channels.
GOOGLE = {"writers": [("g_a.6", 0)], "readers": [("g_s.0", 0)], "hyper": [("h_a.0", 1)]}
ATTENTION = [("g_s.0.conv_a.0.conv.0", 1), ("g_s.0.conv_b.0.conv.0", 1)]
CHENG_ANCHOR = {
    "writers": [("g_a.6", 0)],
    "readers": [("g_s.0.conv1", 1), ("g_s.1.subpel_conv.0", 1), ("g_s.1.upsample.0", 1)],
    "hyper": [("h_a.0", 1)],
}
LAYERS = {
    "bmshj2018-factorized": GOOGLE | {"hyper": []},
    "bmshj2018-factorized-relu": GOOGLE | {"hyper": []},
    "bmshj2018-hyperprior": GOOGLE,
    "mbt2018-mean": GOOGLE,
    "mbt2018": GOOGLE,
    "cheng2020-anchor": CHENG_ANCHOR,
    "cheng2020-attn": {
        "writers": [("g_a.7", 0), ("g_a.8.conv_a.2.conv.4", 0)],
        "readers": [*ATTENTION, ("g_s.1.conv1", 1), ("g_s.2.subpel_conv.0", 1), ("g_s.2.upsample.0", 1)],
        "hyper": [("h_a.0", 1)],
    },
    "cheng2020-anchor-checkerboard": CHENG_ANCHOR | {"hyper": [("latent_codec.hyper.h_a.0", 1)]},
    "elic2022-official": {
        "writers": [("g_a.13", 0), ("g_a.14.conv_a.2.conv.4", 0)],
        "readers": [*ATTENTION, ("g_s.1", 0)],
        "hyper": [("latent_codec.hyper.h_a.0", 1)],
    },
    "ms2020": GOOGLE,
}


def head(name, m):
    """The rows that give scales, and those that give means: (tensor, first row, number of rows)."""
    halves = lambda layer, n: ((layer, 0, n), (layer, n, n))
    if name.startswith("bmshj2018-factorized"):
        return [], []
    if name == "bmshj2018-hyperprior":
        return [("h_s.4", 0, m)], []
    if name == "mbt2018-mean":
        pairs = [halves("h_s.4", m)]
    elif name in ("mbt2018", "cheng2020-anchor", "cheng2020-attn"):
        pairs = [halves("entropy_parameters.4", m)]
    elif name == "cheng2020-anchor-checkerboard":
        pairs = [halves("latent_codec.y.entropy_parameters.4", m)]
    elif name == "elic2022-official":
        pairs = [halves(f"latent_codec.y.latent_codec.y{k}.entropy_parameters.4", n) for k, n in enumerate([2, 2, 4, 8])]
    else:
        pairs = [((f"cc_scale_transforms.{k}.4", 0, 2), (f"cc_mean_transforms.{k}.4", 0, 2)) for k in range(10)]
    return [scale for scale, _ in pairs], [mean for _, mean in pairs]


def kernels(parameters, layer, axis):
    weight = parameters[f"{layer}.weight"].detach().double().numpy()
    weight = np.moveaxis(weight, axis, 0)
    return weight.reshape(weight.shape[0], -1)


def statistics(name, parameters):
    layers = LAYERS[name]
    variance = lambda part: sum(kernels(parameters, *where).var(1) for where in layers[part])
    bias = lambda layer: parameters[f"{layer}.bias"].detach().double().numpy()
    found = {
        "weight-variance": variance("writers"),
        "bias-magnitude": sum(np.abs(bias(layer)) for layer, _ in layers["writers"]),
        "decoder-variance": variance("readers"),
    }
    found["weight-times-decoder"] = found["weight-variance"] * found["decoder-variance"]
    if layers["hyper"]:
        found["hyper-variance"] = variance("hyper")
    scales, means = head(name, len(found["weight-variance"]))
    rows = lambda part, of: np.concatenate([of(layer)[first : first + n] for layer, first, n in part])
    if scales:
        found["scale-variance"] = rows(scales, lambda layer: kernels(parameters, layer, 0).var(1))
        found["scale-bias"] = rows(scales, bias)
    if means:
        found["mean-variance"] = rows(means, lambda layer: kernels(parameters, layer, 0).var(1))
    return found


def correlations(name, parameters):
    """Pearson's, of kernels one behind another: each without its mean, by the root of its length."""
    parts = [kernels(parameters, *where) for where in LAYERS[name]["writers"]]
    rows = np.concatenate([(k - k.mean(1, keepdims=True)) / math.sqrt(k.shape[1]) for k in parts], 1)
    return np.corrcoef(rows)


def min_max(x):
    return (x - x.min()) / (x.max() - x.min())


def by_rank(x):
    from scipy.stats import rankdata

    return (rankdata(x) - 1) / (len(x) - 1)


def presets(found):
    v, b = found["weight-variance"], found["bias-magnitude"]
    scores = {"literal": min_max(v) + min_max(b)}
    if "scale-variance" in found:
        q = found["scale-variance"]
        scores["entropy-head"] = min_max(q)
        scores["combined"] = min_max(v) + min_max(b) + min_max(q)
        scores["rank"] = by_rank(v) + by_rank(b) + by_rank(q)
    return scores


def order(scores, n_core, rho):
    """The core by score; then the children of each of its channels, the parent first whose children have the greatest sum."""
    ranked = sorted(range(len(scores)), key=lambda c: (-scores[c], c))
    core, others = ranked[:n_core], ranked[n_core:]
    parents = {a: max(core, key=lambda c: (abs(rho[a, c]), -core.index(c))) for a in others}
    families = [[a for a in others if parents[a] == c] for c in core]
    families.sort(key=lambda family: -sum(scores[a] for a in family))
    attached = [[a, parents[a], rho[a, parents[a]]] for a in sorted(others)]
    return core + [a for family in families for a in family], attached


MASK = (1 << 64) - 1


def mix(value):
    value = (value + 0x9E3779B97F4A7C15) & MASK
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & MASK
    return value ^ (value >> 31)


def derived(seed, stream):
    return mix(mix(seed) ^ stream)


def sequence(seed, n):
    with np.errstate(over="ignore"):
        z = np.uint64(seed) + np.arange(n, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def noise(n, seed):
    """Two planes of 1/f noise, of mean 0 and variance 1."""
    uniform = (sequence(seed, n * n * 8) >> np.uint64(11)).astype(np.float64) / 2.0**53 - 0.5
    normal = uniform.reshape(n, n, 2, 4).sum(-1)
    f = np.fft.fftfreq(n, 1 / n)
    f = np.hypot(f[:, None], f[None])
    f[0, 0] = np.inf
    field = np.fft.ifft2((normal[..., 0] + 1j * normal[..., 1]) / f)
    return [(plane - plane.mean()) / plane.std() for plane in (field.real, field.imag)]


def pink_noise(n_pictures=8, n=256, seed=0):
    pictures = []
    for i in range(n_pictures):
        own = derived(seed, i)
        (grey, red), (green, blue) = noise(n, derived(own, 0)), noise(n, derived(own, 1))
        rgb = 0.5 + 0.18 * grey[..., None] + 0.06 * np.stack([red, green, blue], -1)
        pictures.append(np.round(np.clip(rgb, 0, 1) * 255).astype(np.uint8))
    return np.stack(pictures)


def tensor(pixels):
    return torch.from_numpy(np.asarray(pixels, np.float32) / 255).permute(0, 3, 1, 2)


def built_in():
    model = MeanScaleHyperprior(32, 64).eval()
    model.load_state_dict(load_file(ROOT / "assets/ms_n32_m64.safetensors"))
    return model


def energies(model, x):
    return torch.cat([model.g_a(one[None]) for one in x]).double().transpose(0, 1).reshape(64, -1).var(1, unbiased=False).numpy()


def ablation(model, x):
    """The error with all channels, how much it grows without each, and the bits of each."""
    y = model.g_a(x)
    z_hat, _ = model.entropy_bottleneck(model.h_a(y))
    scales, means = model.h_s(z_hat).chunk(2, 1)
    y_hat, likelihoods = model.gaussian_conditional(y, scales, means=means)
    bits = -likelihoods.double().log2().transpose(0, 1).reshape(64, -1).sum(1)

    def error(latents):
        decoded = torch.cat([model.g_s(one[None]) for one in latents]).clamp(0, 1)
        return float(((decoded.double() - x.double()) ** 2).mean() * 255**2)

    whole, growth = error(y_hat), []
    for channel in range(64):
        without = y_hat.clone()
        without[:, channel] = y_hat[:, channel].mean()
        growth.append(error(without) - whole)
    return whole, np.array(growth), bits.numpy()


def numbers(x):
    return [float(f"{v:.12g}") for v in np.asarray(x).reshape(-1)]


@torch.no_grad()
def goldens():
    small = {}
    for name, build in MODELS.items():
        parameters = {
            n: torch.from_numpy(recipe(n, tuple(p.shape), GAINS.get(name, 1.5))) for n, p in build().named_parameters()
        }
        found = statistics(name, parameters)
        small[name] = {
            "statistics": {kind: numbers(values) for kind, values in found.items()},
            "scores": {preset: numbers(values) for preset, values in presets(found).items()},
            "correlations": numbers(correlations(name, parameters)),
        }
    model = built_in()
    parameters = dict(model.named_parameters())
    found, rho = statistics("mbt2018-mean", parameters), correlations("mbt2018-mean", parameters)
    scores = presets(found)
    orders = {}
    for preset, values in scores.items():
        pi, attached = order(values, 16, rho)
        orders[preset] = {"order": pi, "attached": [[a, c, float(f"{r:.12g}")] for a, c, r in attached]}
    pictures = pink_noise()
    golden = np.asarray(Image.open(DATA / "in_256x128.png").convert("RGB"))
    whole, growth, bits = ablation(model, tensor(golden[None]))
    built = {
        "statistics": {kind: numbers(values) for kind, values in found.items()},
        "scores": {preset: numbers(values) for preset, values in scores.items()},
        "orders": orders,
        "pink_noise": {
            "sums": [int(picture.sum(dtype=np.int64)) for picture in pictures],
            "samples": pictures[7, 100, :16].reshape(-1).tolist(),
            "variances": numbers(energies(model, tensor(pictures))),
        },
        "energy": numbers(energies(model, tensor(golden[None]))),
        "ablation": {"mse": whole, "delta_mse": numbers(growth), "bits": numbers(bits)},
    }
    (DATA / "channels.json").write_text(json.dumps({"small": small, "built_in": built}, separators=(",", ":")) + "\n")


@torch.no_grad()
def kodak(folder):
    model = built_in()
    parameters = dict(model.named_parameters())
    found = statistics("mbt2018-mean", parameters)
    scores = found | presets(found)
    crops = []
    for path in sorted(Path(folder).glob("*.png"))[:12]:
        pixels = np.asarray(Image.open(path).convert("RGB"))
        top, left = (pixels.shape[0] - 256) // 2, (pixels.shape[1] - 256) // 2
        crops.append(pixels[top : top + 256, left : left + 256])
    x = tensor(np.stack(crops))
    scores["pink-noise"], scores["energy"] = energies(model, tensor(pink_noise())), energies(model, x)
    whole, growth, bits = ablation(model, x)
    scores["bits"] = bits
    print(f"mean squared error {whole:.4f}")
    first = set(np.argsort(-growth)[:16])
    for name, values in scores.items():
        overlap = len(first & set(np.argsort(-np.asarray(values), kind="stable")[:16]))
        print(f"{name:22} {spearmanr(values, growth)[0]:+.3f} {spearmanr(values, bits)[0]:+.3f} {overlap}")


if __name__ == "__main__":
    torch.set_num_threads(1)
    if sys.argv[1] == "goldens":
        goldens()
    else:
        kodak(sys.argv[2])
