"""What `iscs-lic reorder` and `iscs-lic prune` write, loaded into CompressAI and compared with the models that it was made of.

    python oracles/iscs-lic/pruned.py target/release/iscs-lic [FOLDER]

For the small models of `networks.py`, and the built-in one, each with M free or not:

- reordered: `load_state_dict`, strict, takes the file; x-hat is that of the model before, and so are the bits by likelihoods;
- pruned: `from_state_dict` takes the file where CompressAI's class leaves M free (mean-scale hyperprior and serial context keep the widths
  that they were trained with before the entropy head: the class is given layers of these widths first); x-hat is that of the whole model whose other channels are the
  constants that `iscs-lic prune --json` stands for them; the strings of `compress` are those of `iscs-lic encode`.

Prints a line a model; exit status 1 where one differs.
"""

import json
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
import torch
import torch.nn as nn
from compressai.layers import MaskedConv2d
from compressai.models import (
    FactorizedPrior,
    FactorizedPriorReLU,
    JointAutoregressiveHierarchicalPriors,
    MeanScaleHyperprior,
    ScaleHyperprior,
)
from compressai.models.utils import conv, deconv
from networks import GAINS, MODELS, picture, recipe
from PIL import Image
from safetensors.torch import load_file, save_file

warnings.filterwarnings("ignore")
ASSETS = Path(__file__).parents[2] / "iscs-lic/assets/ms_n32_m64.safetensors"
PRUNED = {
    "bmshj2018-factorized": FactorizedPrior,
    "bmshj2018-factorized-relu": FactorizedPriorReLU,
    "bmshj2018-hyperprior": ScaleHyperprior,
    "mbt2018-mean": MeanScaleHyperprior,
    "mbt2018": JointAutoregressiveHierarchicalPriors,
}


def run(binary, *arguments):
    result = subprocess.run([binary, *map(str, arguments)], capture_output=True, text=True)
    if result.returncode != 0:
        sys.exit(f"{' '.join(map(str, arguments))}: {result.stderr}")
    return result.stdout


def small(name):
    model = MODELS[name]().eval()
    for n, parameter in model.named_parameters():
        parameter.copy_(torch.from_numpy(recipe(n, tuple(parameter.shape), GAINS.get(name, 1.5))))
    model.update(force=True)
    return model


def coded(model, x):
    """x-hat of real strings, the strings, and the bits by likelihoods."""
    out = model.compress(x)
    x_hat = model.decompress(out["strings"], out["shape"])["x_hat"]
    bits = sum(float(-torch.log2(p).sum()) for p in model(x)["likelihoods"].values())
    return x_hat, [s[0] if isinstance(s, list) else s for s in out["strings"]], bits


def apart(a, b):
    """The greatest difference; `decompress` cuts both to 0...1."""
    return float((a - b).abs().max())


def reorder(binary, folder, name, model, path, x):
    plan, moved = folder / f"{name}.json", folder / f"{name}-moved.safetensors"
    sliced = ["--mode", "model"] if name.startswith(("elic", "ms2020")) else []
    preset = ["--preset", "literal"]
    run(binary, "plan", path, "-o", plan, *preset, *sliced)
    run(binary, "reorder", path, "--plan", plan, "-o", moved)
    other = MODELS[name]().eval() if name in MODELS else MeanScaleHyperprior(32, 64).eval()
    # With empty tables, which take the widths of those in the file.
    other.load_state_dict(load_file(moved), strict=True)
    x_hat, _, bits = coded(model, x)
    x_hat_moved, _, bits_moved = coded(other, x)
    gap, rate = apart(x_hat, x_hat_moved), abs(bits_moved / bits - 1)
    # The small models are not trained: values inside are far above 1.
    ok = gap <= (1e-6 if name == "built-in" else 1e-4) and rate <= 1e-5
    print(f"{name}: reordered, x-hat {gap:.1e} apart, bits {rate:.1e} apart{'' if ok else '  OTHERWISE'}")
    return ok


def loaded(name, state):
    """The pruned model, by CompressAI's class."""
    cls = PRUNED[name]
    if not name.startswith("mbt2018"):
        return cls.from_state_dict(state).eval()
    n, m = state["g_a.0.weight"].shape[0], state["g_a.6.weight"].shape[0]
    wide, wider = state["h_s.0.weight"].shape[1], state["h_s.2.weight"].shape[1]
    model = cls(n, m)
    model.h_s = nn.Sequential(
        deconv(n, wide), nn.LeakyReLU(inplace=True), deconv(wide, wider), nn.LeakyReLU(inplace=True),
        conv(wider, state["h_s.4.weight"].shape[0], stride=1, kernel_size=3),
    )
    if name == "mbt2018":
        shapes = [state[f"entropy_parameters.{i}.weight"].shape for i in (0, 2, 4)]
        first, second, third = (nn.Conv2d(shape[1], shape[0], 1) for shape in shapes)
        act = nn.LeakyReLU(inplace=True)
        model.entropy_parameters = nn.Sequential(first, act, second, act, third)
        n_out = state["context_prediction.weight"].shape[0]
        model.context_prediction = MaskedConv2d(m, n_out, kernel_size=5, padding=2, stride=1)
    model.load_state_dict(state)
    return model.eval()


def mute(name, model, kept, constants):
    """Makes all channels but these constants, and predicts them as such."""
    m = len(constants)
    for c in sorted(set(range(m)) - set(kept)):
        model.g_a[6].weight[c], model.g_a[6].bias[c] = 0, constants[c]
        if name == "bmshj2018-hyperprior":
            model.h_s[4].weight[c], model.h_s[4].bias[c] = 0, 0.11
        if name.startswith("mbt2018"):
            head = model.h_s[4] if name == "mbt2018-mean" else model.entropy_parameters[4]
            head.weight[c], head.bias[c] = 0, 0.11
            head.weight[m + c], head.bias[m + c] = 0, constants[c]


def prune(binary, folder, name, model, path, x, photo):
    out, cai = folder / f"{name}-pruned.safetensors", folder / f"{name}.cai"
    report = json.loads(run(binary, "prune", path, "-o", out, "--keep", 0.25, "--preset", "literal", "--json"))
    pruned = loaded(name, load_file(out))
    mute(name, model, report["kept"], report["constants"])
    wanted, _, _ = coded(model, x)
    found, strings, _ = coded(pruned, x)
    gap = apart(wanted, found)
    run(binary, "encode", photo, "-o", cai, "--model", out)
    same = all(string in cai.read_bytes() for string in strings)
    ok = gap <= 1e-5 and same
    shape = f"M {len(report['constants'])} to {pruned.g_a[6].weight.shape[0]}"
    print(f"{name}: pruned, {shape}, x-hat {gap:.1e} apart, strings {'equal' if same else 'OTHER'}{'' if ok else '  OTHERWISE'}")
    return ok


@torch.no_grad()
def main():
    torch.set_num_threads(1)
    binary = Path(sys.argv[1]).resolve()
    pixels = picture()
    x = torch.from_numpy(pixels).float().unsqueeze(0) / 255
    all_hold = True
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(sys.argv[2] if len(sys.argv) > 2 else folder)
        folder.mkdir(exist_ok=True)
        photo = folder / "photo.png"
        Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0))).save(photo)
        for name in [n for n in MODELS if n != "ms2020"]:
            model, path = small(name), folder / f"{name}.safetensors"
            model(x)
            save_file({k: v.contiguous() for k, v in model.state_dict().items()}, path)
            all_hold &= reorder(binary, folder, name, model, path, x)
            if name in PRUNED:
                all_hold &= prune(binary, folder, name, model, path, x, photo)
        built_in = MeanScaleHyperprior.from_state_dict(load_file(ASSETS)).eval()
        all_hold &= reorder(binary, folder, "built-in", built_in, ASSETS, x)
        (folder / "built-in").mkdir(exist_ok=True)
        all_hold &= prune(binary, folder / "built-in", "mbt2018-mean", built_in, ASSETS, x, photo)
    sys.exit(0 if all_hold else 1)


main()
