"""The work of `iscs-lic/benches/codec.rs` by CompressAI: encoding and decoding a picture of 768 × 512 on one thread.

    python oracles/iscs-lic/bench_codec.py NAME          such as codec_cpu/mbt2018-mean/encode
    python oracles/iscs-lic/bench_codec.py --shapes iscs-lic/benches/shapes.json

Prints a JSON line for the case: the median wall time and the mean CPU time of one pass of `compress` or `decompress`. The weights follow from their names, as
in `networks.py`. With `--shapes` it writes the names and shapes of the models' parameters.
"""

import json
import sys
import warnings

import numpy as np
import torch
from compressai.models import JointAutoregressiveHierarchicalPriors, MeanScaleHyperprior, ScaleHyperprior
from compressai.models.sensetime import Elic2022Official

from bench_coder import measure
from networks import GAINS, recipe

warnings.filterwarnings("ignore")
WIDTH, HEIGHT = 768, 512
MODELS = {
    "bmshj2018-hyperprior": lambda: ScaleHyperprior(128, 192),
    "mbt2018-mean": lambda: MeanScaleHyperprior(128, 192),
    "mbt2018": lambda: JointAutoregressiveHierarchicalPriors(192, 192),
    "elic2022-official": lambda: Elic2022Official(),
}


def picture():
    y, x, c = np.mgrid[0:HEIGHT, 0:WIDTH, 0:3]
    return ((x // 3 + y // 5 + 40 * c + 60 * ((x + 2 * y) % 61 > 30) + (37 * x + 59 * y + 83 * c + x * y) % 17) % 256).astype(np.uint8)


@torch.no_grad()
def main():
    torch.set_num_threads(1)
    if sys.argv[1] == "--shapes":
        shapes = {name: {n: list(p.shape) for n, p in model().named_parameters()} for name, model in MODELS.items()}
        with open(sys.argv[2], "w") as file:
            json.dump(shapes, file, separators=(",", ":"))
        return
    _, architecture, direction = sys.argv[1].split("/")
    model = MODELS[architecture]().eval()
    for n, parameter in model.named_parameters():
        parameter.copy_(torch.from_numpy(recipe(n, tuple(parameter.shape), GAINS.get(architecture, 1.5))))
    model.update(force=True)
    x = torch.from_numpy(picture()).permute(2, 0, 1)[None].float() / 255
    # The masked convolutions put their masks on at the first forward pass.
    model(x[..., :64, :64])
    if direction == "encode":
        return measure(sys.argv[1], lambda: model.compress(x), least_runs=3)
    out = model.compress(x)
    measure(sys.argv[1], lambda: model.decompress(out["strings"], out["shape"]), least_runs=3)


main()
