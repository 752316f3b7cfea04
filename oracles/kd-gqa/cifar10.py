"""Writes kd-gqa/tests/data/cifar10.json: what torch computes with the real CIFAR-10 ViT of the data folder.

    cargo build --example image_values
    python oracles/kd-gqa/cifar10.py DATA target/debug/examples/image_values

Images are decoded by the crate, as decoders of JPEG round differently, which moves logits by a tenth; Pillow's stand beside them in `pillow`. DATA holds models/vit_cifar10.pth and cifar10-jpeg.tar.gz. The model is torch's own `nn.TransformerEncoder`, norms after the sums, loaded from the state dict as it is.
`waves` are logits of two images of a formula, which need no decoder of JPEG; `logits` are those of the first test images of some classes by name; `classes` are the
predictions, a digit an image, for the first `n_per_class` test images of each class, classes and images in the order of their names; `closest` is the
least distance between the two greatest logits of an image.
"""

import json
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image

OUT = Path(__file__).parents[2] / "kd-gqa/tests/data/cifar10.json"
N_PER_CLASS = 40
SHOWN = 4
MEAN, STD = [0.4914, 0.4822, 0.4465], [0.2023, 0.1994, 0.2010]


class ViT(torch.nn.Module):
    """By the names of the state dict."""

    def __init__(self, d=128, heads=8, layers=6, mlp=256, patch=4, classes=10):
        super().__init__()
        self.patch_embed = torch.nn.Module()
        self.patch_embed.proj = torch.nn.Conv2d(3, d, patch, patch)
        self.cls_token = torch.nn.Parameter(torch.zeros(1, 1, d))
        self.pos_embed = torch.nn.Parameter(torch.zeros(1, (32 // patch) ** 2 + 1, d))
        layer = torch.nn.TransformerEncoderLayer(d, heads, mlp, 0.0, activation="relu", batch_first=True)
        self.transformer = torch.nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.mlp_head = torch.nn.Sequential(torch.nn.LayerNorm(d), torch.nn.Linear(d, classes))

    def forward(self, x):
        x = self.patch_embed.proj(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], 1) + self.pos_embed
        return self.mlp_head(self.transformer(x)[:, 0])


def waves(n):
    """`[n, 3, 32, 32]` of exact steps from -2 to 2, the same that the tests make."""
    at = np.arange(n * 3 * 32 * 32) * 7919 + 104_729
    return torch.from_numpy((at % 2003).astype(np.float32) / np.float32(500) - np.float32(2)).reshape(n, 3, 32, 32)


def test_images(archive, image_values):
    """(names, the crate's values, Pillow's) of the first test images of each class, by class and name, from 0 to 1."""
    with tarfile.open(archive) as tar, tempfile.TemporaryDirectory() as folder:
        by_class = {}
        for member in tar:
            if member.isfile() and "/test/" in member.name:
                by_class.setdefault(member.name.split("/")[2], []).append(member.name)
        names = [name for label in sorted(by_class) for name in sorted(by_class[label])[:N_PER_CLASS]]
        tar.extractall(folder, names, filter="data")
        root, out = Path(folder), Path(folder) / "out.f32"
        subprocess.run([image_values, root / "cifar10-jpeg/test", "32", out], check=True)
        own = torch.from_numpy(np.fromfile(out, np.float32)).reshape(-1, 3, 32, 32)
        pixels = np.stack([np.array(Image.open(root / name).convert("RGB")) for name in names])
    return names, own, torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255


@torch.no_grad()
def main(data, image_values):
    torch.set_num_threads(1)
    model = ViT().eval()
    model.load_state_dict(torch.load(data / "models/vit_cifar10.pth", map_location="cpu", weights_only=True))
    mean, std = [torch.tensor(v)[:, None, None] for v in (MEAN, STD)]
    run = lambda values: torch.cat([model((part - mean) / std) for part in values.split(100)])
    names, own, pillow = test_images(data / "cifar10-jpeg.tar.gz", image_values)
    steps = ((own - pillow) * 255).abs()
    logits, of_pillow = run(own), run(pillow)
    best = logits.topk(2).values
    closest = (best[:, 0] - best[:, 1]).min().item()
    assert closest > 1e-3, "within the tolerance of the logits a prediction is no golden"
    labels = torch.arange(len(names)) // N_PER_CLASS
    hits = lambda logits: int((logits.argmax(1) == labels).sum())
    rounded = lambda rows: [[round(v, 6) for v in row] for row in rows.tolist()]
    # Another decoder of JPEG moves a few of the images.
    assert abs(hits(logits) - hits(of_pillow)) <= 4, (hits(logits), hits(of_pillow))
    shown = range(0, SHOWN * N_PER_CLASS, N_PER_CLASS)
    golden = {
        "torch": torch.__version__,
        "waves": rounded(model(waves(2))),
        "logits": {names[i].split("/", 1)[1]: rounded(logits[i : i + 1])[0] for i in shown},
        "n_per_class": N_PER_CLASS,
        "classes": "".join(str(v) for v in logits.argmax(1).tolist()),
        "hits": hits(logits),
        "closest": round(closest, 6),
        "pillow": {"hits": hits(of_pillow), "mean_step": round(steps.mean().item(), 4)},
    }
    text = json.dumps(golden, separators=(",", ":"))
    OUT.write_text(text.replace("],", "],\n").replace(',"', ',\n"') + "\n")
    print(golden["hits"], "of", len(names), golden["pillow"], "steps at most", steps.max().item(), OUT.stat().st_size, "bytes")
    print("closest", closest, "logits by Pillow apart by", (logits - of_pillow).abs().max().item())


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
