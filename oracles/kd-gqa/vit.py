"""Goldens of small vision transformers: weights by neutral names, images and logits, from timm, transformers and torch.

    python oracles/kd-gqa/vit.py kd-gqa/tests/data/vit

Each file holds the model's own tensors under `model.` + the name that its library gives them, `image` and `logits`, and where the library
can, `larger.image` and `larger.logits` of another image size. All weights are random from a fixed seed, norms and biases too.
"""

import sys
from pathlib import Path

import timm
import torch
from safetensors.torch import save_file
from timm.layers import resample_abs_pos_embed
from transformers import ViTConfig, ViTForImageClassification

SIZE, PATCH, CLASSES = 32, 8, 7


def randomise(model, seed):
    """Every parameter anew: norms near 1, everything else small and normal."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            noise = torch.randn(parameter.shape, generator=generator)
            is_norm = "norm" in name and name.endswith("weight")
            fan_in = parameter[0].numel() if parameter.dim() > 1 else 25
            parameter.copy_(1 + 0.2 * noise if is_norm else noise / fan_in**0.5)
    return model.eval()


def images(n, size, seed):
    return torch.randn(n, 3, *size, generator=torch.Generator().manual_seed(seed))


def save(path, model, image, logits, larger=None):
    tensors = {f"model.{name}": value.contiguous() for name, value in model.state_dict().items()}
    tensors |= {"image": image, "logits": logits}
    if larger is not None:
        tensors |= {"larger.image": larger[0], "larger.logits": larger[1]}
    save_file({name: value.float() for name, value in tensors.items()}, path)
    print(path.name, logits.flatten()[:3].tolist(), path.stat().st_size)


class Encoder(torch.nn.Module):
    """A transformer encoder of torch around patches: norms after the sums, ReLU, and a norm and a product as head."""

    def __init__(self, d=32, heads=4, layers=2, mlp=48):
        super().__init__()
        self.patch = torch.nn.Conv2d(3, d, PATCH, PATCH)
        self.cls = torch.nn.Parameter(torch.zeros(1, 1, d))
        self.positions = torch.nn.Parameter(torch.zeros(1, (SIZE // PATCH) ** 2 + 1, d))
        layer = torch.nn.TransformerEncoderLayer(d, heads, mlp, 0.0, activation="relu", batch_first=True)
        self.encoder = torch.nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.head_norm = torch.nn.LayerNorm(d)
        self.head = torch.nn.Linear(d, CLASSES)

    def forward(self, x):
        x = self.patch(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls.expand(len(x), -1, -1), x], 1) + self.positions
        return self.head(self.head_norm(self.encoder(x)[:, 0]))


@torch.no_grad()
def main(folder):
    folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    image = images(2, (SIZE, SIZE), 1)

    kwargs = dict(img_size=SIZE, patch_size=PATCH, embed_dim=48, depth=2, num_heads=6, mlp_ratio=1.5, num_classes=CLASSES)
    model = randomise(timm.models.VisionTransformer(**kwargs), 2)
    larger = images(1, (40, 24), 3)
    resized = timm.models.VisionTransformer(**(kwargs | {"img_size": (40, 24)}))
    state = model.state_dict()
    state["pos_embed"] = resample_abs_pos_embed(state["pos_embed"], new_size=(5, 3), num_prefix_tokens=1, verbose=False)
    resized.load_state_dict(state)
    save(folder / "timm.safetensors", model, image, model(image), (larger, resized.eval()(larger)))

    normed = dict(img_size=SIZE, patch_size=PATCH, embed_dim=24, depth=2, num_heads=3, mlp_ratio=1.5, num_classes=CLASSES)
    model = randomise(timm.models.VisionTransformer(**normed, qk_norm=True), 7)
    save(folder / "timm_qk_norm.safetensors", model, image, model(image))

    config = ViTConfig(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=48, image_size=SIZE, patch_size=PATCH,
        num_labels=CLASSES, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
    )
    model = randomise(ViTForImageClassification(config), 4)
    save(folder / "hugging_face.safetensors", model, image, model(image).logits)

    model = randomise(Encoder(), 5)
    save(folder / "encoder.safetensors", model, image, model(image))

    positions = images(1, (7, 5), 6)[0].permute(1, 2, 0)  # [7, 5, 3]
    tensors = {"old": positions.contiguous()}
    for rows, columns in [(7, 9), (14, 10), (3, 2), (20, 4), (1, 1)]:
        new = resample_abs_pos_embed(positions.reshape(1, 35, 3), (rows, columns), (7, 5), num_prefix_tokens=0)
        tensors[f"new.{rows}x{columns}"] = new.reshape(rows, columns, 3).contiguous()
    save_file(tensors, folder / "positions.safetensors")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
