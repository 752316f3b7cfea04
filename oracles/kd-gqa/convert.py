"""Goldens of `kd-gqa convert`: what the released code makes of small random attention weights, and files of torch.save.

    convert.py CLONE    CLONE: a checkout of the paper's released code (key-driven-gqa @ 8fee9d6)

Writes to kd-gqa/tests/data/:
  convert.safetensors  for each number of heads H and of key/value heads G: `HxG.weight [3d, d]`, `HxG.bias [3d]` and the released
                       code's `att_weight_conversion` of them, `HxG.converted.{weight,bias}`: q, k and v one after another
  nested.pth           a state dict in timm's names inside a dictionary with an epoch and an optimizer's state; one weight is stored
                       transposed
  encoder.pth          a state dict of nn.TransformerEncoder
  code.pth             a pickle that would run a command
"""

import os
import sys
import types
from pathlib import Path

import torch
from safetensors.torch import save_file

DATA = Path(__file__).parents[2] / "kd-gqa/tests/data"
HEAD_DIM = 2
CASES = [(6, 6), (6, 3), (6, 2), (6, 1), (8, 4), (8, 2), (8, 1), (12, 4), (12, 2), (15, 3), (20, 1)]


def released_attention(clone):
    # The class imports a package that the conversion does not use.
    sys.modules.setdefault("einops", types.SimpleNamespace(rearrange=None, einsum=None))
    sys.path.insert(0, str(clone))
    from modules.attention.gqa import GQA

    return GQA


def conversions(GQA):
    tensors = {}
    for n_heads, n_kv_heads in CASES:
        d = n_heads * HEAD_DIM
        module = GQA(d, num_heads=n_heads, num_kv_heads=n_kv_heads, qkv_bias=True)
        name = f"{n_heads}x{n_kv_heads}"
        tensors[f"{name}.weight"] = torch.randn(3 * d, d)
        tensors[f"{name}.bias"] = torch.randn(3 * d)
        for part in ["weight", "bias"]:
            made = module.att_weight_conversion(tensors[f"{name}.{part}"], is_bias=part == "bias")
            tensors[f"{name}.converted.{part}"] = torch.cat([made[key] for key in "qkv"])
    return {name: tensor.contiguous() for name, tensor in tensors.items()}


def timm_like(n_layers, d, n_heads):
    state = {"cls_token": torch.randn(1, 1, d), "head.weight": torch.randn(3, d)}
    for i in range(n_layers):
        state[f"blocks.{i}.attn.qkv.weight"] = torch.randn(d, 3 * d).t()
        state[f"blocks.{i}.attn.qkv.bias"] = torch.randn(3 * d)
        state[f"blocks.{i}.attn.proj.weight"] = torch.randn(d, d)
        state[f"blocks.{i}.attn.proj.bias"] = torch.randn(d)
    return state


class Code:
    def __reduce__(self):
        return os.system, ("touch run-by-a-pickle",)


def main():
    torch.manual_seed(0)
    save_file(conversions(released_attention(Path(sys.argv[1]))), DATA / "convert.safetensors")
    weight = torch.nn.Parameter(torch.randn(2, 2))
    weight.grad = torch.ones(2, 2)
    optimizer = torch.optim.AdamW([weight])
    optimizer.step()
    nested = {"epoch": 3, "model": timm_like(2, 8, 2), "optimizer": optimizer.state_dict()}
    torch.save(nested, DATA / "nested.pth")
    layer = torch.nn.TransformerEncoderLayer(8, 4, 16, batch_first=True)
    torch.save(torch.nn.TransformerEncoder(layer, 2).state_dict(), DATA / "encoder.pth")
    torch.save({"blocks.0.attn.qkv.weight": Code()}, DATA / "code.pth")
    print({path.name: path.stat().st_size for path in sorted(DATA.iterdir())})


if __name__ == "__main__":
    main()
