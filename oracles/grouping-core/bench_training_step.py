"""The training step of `grouping-core/benches/training_step.rs` in PyTorch, on two threads.

Prints one JSON line: the median wall time of a step and the CPU time of a step.
"""

import json
import statistics
import time

import torch
import torch.nn as nn
import torch.nn.functional as F

VOCAB, HIDDEN, LAYERS, HEADS, FFN = 48, 96, 3, 4, 256
BATCH, SEQ, ANSWERS = 128, 13, 6
HEAD_DIM = HIDDEN // HEADS


class Layer(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm_1 = nn.Parameter(torch.ones(HIDDEN))
        self.norm_2 = nn.Parameter(torch.ones(HIDDEN))
        self.qkv = nn.Linear(HIDDEN, 3 * HIDDEN, bias=False)
        self.out = nn.Linear(HIDDEN, HIDDEN, bias=False)
        self.gate_up = nn.Linear(HIDDEN, 2 * FFN, bias=False)
        self.down = nn.Linear(FFN, HIDDEN, bias=False)

    def forward(self, x, cos, sin):
        batch, seq, _ = x.shape
        qkv = self.qkv(F.rms_norm(x, (HIDDEN,), self.norm_1, 1e-6))
        qkv = qkv.view(batch, seq, 3, HEADS, HEAD_DIM).permute(2, 0, 3, 1, 4)
        # Queries and keys are rotated in one go.
        qk, v = qkv[:2], qkv[2]
        a, b = qk.chunk(2, dim=-1)
        q, k = torch.cat((a * cos - b * sin, b * cos + a * sin), dim=-1)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(y.transpose(1, 2).reshape(batch, seq, HIDDEN))
        gate, up = self.gate_up(F.rms_norm(x, (HIDDEN,), self.norm_2, 1e-6)).chunk(2, dim=-1)
        return x + self.down(F.silu(gate) * up)


class Decoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(VOCAB, HIDDEN)
        nn.init.normal_(self.embed.weight, std=HIDDEN**-0.5)
        self.layers = nn.ModuleList(Layer() for _ in range(LAYERS))
        self.norm = nn.Parameter(torch.ones(HIDDEN))
        frequencies = 1000.0 ** (-torch.arange(HEAD_DIM // 2) / (HEAD_DIM // 2))
        angles = torch.arange(SEQ)[:, None] * frequencies
        self.register_buffer("cos", angles.cos())
        self.register_buffer("sin", angles.sin())

    def forward(self, tokens):
        x = self.embed(tokens)
        for layer in self.layers:
            x = layer(x, self.cos, self.sin)
        # The answers are the last positions, so a slice selects them.
        x = F.rms_norm(x[:, SEQ - ANSWERS :], (HIDDEN,), self.norm, 1e-6)
        return x @ self.embed.weight.t()


def main():
    torch.set_num_threads(2)
    torch.manual_seed(0)
    model = Decoder()
    groups = dict(lr=1e-3, betas=(0.9, 0.98), eps=1e-8, weight_decay=0.01)
    optimizer = torch.optim.AdamW(model.parameters(), fused=True, **groups)

    def step():
        tokens = torch.randint(VOCAB, (BATCH, SEQ))
        targets = torch.randint(VOCAB, (BATCH * ANSWERS,))
        loss = F.cross_entropy(model(tokens).view(-1, VOCAB), targets)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return loss.item()

    for _ in range(20):
        step()
    walls, cpu = [], time.process_time()
    for _ in range(100):
        start = time.perf_counter()
        step()
        walls.append(time.perf_counter() - start)
    cpu = (time.process_time() - cpu) / len(walls)
    line = {"event": "bench", "name": "training_step", "wall_secs": statistics.median(walls), "cpu_secs": cpu}
    print(json.dumps(line))


if __name__ == "__main__":
    main()
