"""Base models for the oracles: three small ones, and GPT-2 with random weights."""

import torch
from torch import nn
from transformers import GPT2Config, GPT2ForSequenceClassification, GPT2LMHeadModel
from transformers.pytorch_utils import Conv1D

WIDTHS = {"q": (12, 12), "v": (12, 6), "down": (20, 12)}  # name: (in, out)


class Block(nn.Module):
    def __init__(self, layer):
        super().__init__()
        for name, (d_in, d_out) in WIDTHS.items():
            setattr(self, name, layer(d_in, d_out))


class Toy(nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.layers = nn.ModuleList([Block(layer) for _ in range(2)])
        self.score = nn.Linear(12, 3, bias=False)

    def forward(self, x):
        return self.score(x)


class Kinds(nn.Module):
    """Modules of all kinds that carry factors."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(10, 6)
        self.conv = nn.Conv2d(3, 5, (3, 2))
        self.strip = nn.Conv1d(4, 3, 5)
        self.point = nn.Conv2d(5, 4, 1)
        self.lin = nn.Linear(6, 4)

    def forward(self, x):
        return self.lin(self.embed(x))


def base_model(name, task_type=None, n_labels=2):
    """The base model that an adapter's configuration names."""
    torch.manual_seed(0)
    if name == "toy-linear":
        return Toy(lambda d_in, d_out: nn.Linear(d_in, d_out, bias=False))
    if name == "toy-kinds":
        return Kinds()
    if name == "toy-conv1d":
        return Toy(lambda d_in, d_out: Conv1D(d_out, d_in))
    if name in ("gpt2", "openai-community/gpt2"):
        config = GPT2Config(vocab_size=64, num_labels=n_labels)
        return (GPT2ForSequenceClassification if task_type == "SEQ_CLS" else GPT2LMHeadModel)(config)
    raise SystemExit(f"no base model for {name!r}")
