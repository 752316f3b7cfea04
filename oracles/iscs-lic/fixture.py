"""Computes again, with CompressAI, what `iscs-lic/tests/data` holds of the small model in `iscs-lic/assets`, and compares or writes it.

`golden_256x128.safetensors` (every tensor on the way), `y.bin` and `z.bin` (the strings), `golden.cai` (the container of CompressAI's
examples/codec.py) and `golden.json` (estimated bits, PSNR) of `in_256x128.png`. With `--write` they are written; without, the strings and
the container must be equal, and the tensors equal to 1e-4.

The curves `bmshj2018-hyperprior-mse.json` and `mbt2018-mean-mse.json` are CompressAI's published Kodak results, rounded.
"""

import json
import math
import pathlib
import struct
import sys

import numpy as np
import torch
from compressai.models import MeanScaleHyperprior
from PIL import Image
from safetensors.numpy import load_file, save_file
from safetensors.torch import load_file as load_torch

root = pathlib.Path(__file__).parents[2] / "iscs-lic"
data = root / "tests/data"
torch.set_num_threads(1)

model = MeanScaleHyperprior(32, 64).eval()
model.load_state_dict(load_torch(root / "assets/ms_n32_m64.safetensors"))
pixels = np.asarray(Image.open(data / "in_256x128.png").convert("RGB"), dtype=np.float32) / 255
x = torch.from_numpy(pixels).permute(2, 0, 1)[None]

with torch.no_grad():
    y = model.g_a(x)
    z = model.h_a(y)
    z_hat, z_lik = model.entropy_bottleneck(z)
    scales, means = model.h_s(z_hat).chunk(2, 1)
    y_hat, y_lik = model.gaussian_conditional(y, scales, means=means)
    x_hat = model.g_s(y_hat)
    indexes = model.gaussian_conditional.build_indexes(scales)
    y_sym = model.gaussian_conditional.quantize(y, "symbols", means)
    strings = model.compress(x)["strings"]

y_bin, z_bin = strings[0][0], strings[1][0]
height, width = x.shape[-2:]
# Model 3 (mbt2018-mean), metric mse, quality 4; the picture's size and bit depth; the shape of z; the strings with their lengths.
cai = struct.pack(">BBIIBIII", 3, 3, height, width, 8, *z.shape[-2:], 2) + b"".join(struct.pack(">I", len(s)) + s for s in (y_bin, z_bin))
tensors = dict(x=x, y=y, z=z, z_hat=z_hat, scales=scales, means=means, indexes=indexes, y_sym=y_sym, y_hat=y_hat, x_hat=x_hat, y_lik=y_lik, z_lik=z_lik)
tensors = {name: tensor.contiguous().numpy() for name, tensor in tensors.items()}
bits = {name: float(-np.log2(tensors[name].astype(np.float64)).sum()) for name in ("y_lik", "z_lik")}
psnr = -10 * math.log10(float(((tensors["x_hat"].clip(0, 1) - tensors["x"]).astype(np.float64) ** 2).mean()))
golden = {"est_bits": {"y": bits["y_lik"], "z": bits["z_lik"]}, "y_bytes": len(y_bin), "z_bytes": len(z_bin), "file_bytes": len(cai), "psnr": psnr}

if "--write" in sys.argv:
    save_file(tensors, data / "golden_256x128.safetensors")
    (data / "y.bin").write_bytes(y_bin)
    (data / "z.bin").write_bytes(z_bin)
    (data / "golden.cai").write_bytes(cai)
    (data / "golden.json").write_text(json.dumps(golden, indent=1))
    sys.exit()

stored = load_file(data / "golden_256x128.safetensors")
for name, tensor in tensors.items():
    difference = float(np.abs(stored[name].astype(np.float64) - tensor.astype(np.float64)).max())
    print(f"{name}: {list(tensor.shape)}, greatest difference {difference:.2g}")
    assert difference <= (0 if name in ("indexes", "y_sym") else 1e-4), name
assert y_bin == (data / "y.bin").read_bytes() and z_bin == (data / "z.bin").read_bytes(), "strings"
assert cai == (data / "golden.cai").read_bytes(), "container"
print("strings and container are equal")
stored = json.loads((data / "golden.json").read_text())
for name, value in golden.items():
    print(name, value, stored[name])
