"""llama2.c by numpy alone: tiny random checkpoints with their logits, and the greedy text of a real one.

Run: python oracles/kd-gqa/llama2c.py                     (writes kd-gqa/tests/data/llama2c)
     python oracles/kd-gqa/llama2c.py MODEL TOKENIZER [PROMPT]   (prints the greedy continuation, 256 tokens at most)

The forward pass follows the layout of `run.c`: one token a step, a cache of keys and values, pairs (2j, 2j+1) turned.
"""

import json
import shutil
import struct
import sys
from pathlib import Path

import numpy as np

OUT = Path(__file__).resolve().parents[2] / "kd-gqa" / "tests" / "data" / "llama2c"
f32 = np.float32


def layout(dim, ffn, layers, heads, kv_heads, vocab, positions):
    head, kv, n = dim // heads, dim // heads * kv_heads, abs(vocab)
    parts = [
        ("emb", (n, dim)),
        ("rms_att", (layers, dim)),
        ("wq", (layers, dim, dim)),
        ("wk", (layers, kv, dim)),
        ("wv", (layers, kv, dim)),
        ("wo", (layers, dim, dim)),
        ("rms_ffn", (layers, dim)),
        ("w1", (layers, ffn, dim)),
        ("w2", (layers, dim, ffn)),
        ("w3", (layers, ffn, dim)),
        ("rms_f", (dim,)),
        ("cos", (positions, head // 2)),
        ("sin", (positions, head // 2)),
    ]
    return parts + ([("head", (n, dim))] if vocab < 0 else [])


def read_model(path):
    data = Path(path).read_bytes()
    header = struct.unpack("<7i", data[:28])
    weights, at = {}, 28
    for name, shape in layout(*header):
        n = int(np.prod(shape))
        weights[name] = np.frombuffer(data, "<f4", n, at).reshape(shape)
        at += 4 * n
    assert at == len(data), (at, len(data))
    return header, weights


def rms_norm(x, weight):
    return weight * x / np.sqrt((x * x).mean() + f32(1e-5))


class Model:
    def __init__(self, header, weights):
        self.dim, self.ffn, self.layers, self.heads, self.kv_heads, _, _ = header
        self.weights, self.keys, self.values = weights, [[] for _ in range(self.layers)], [[] for _ in range(self.layers)]

    def turn(self, x, position):
        head = self.dim // self.heads
        x = x.reshape(-1, head // 2, 2)
        angle = position * 10000.0 ** (-np.arange(0, head, 2) / head)
        cos, sin = np.cos(angle).astype(f32), np.sin(angle).astype(f32)
        return np.stack([x[..., 0] * cos - x[..., 1] * sin, x[..., 0] * sin + x[..., 1] * cos], -1).reshape(-1, head)

    def step(self, token):
        w, head, group = self.weights, self.dim // self.heads, self.heads // self.kv_heads
        x = w["emb"][token].copy()
        for layer in range(self.layers):
            h = rms_norm(x, w["rms_att"][layer])
            position = len(self.keys[layer])
            q = self.turn(w["wq"][layer] @ h, position)
            self.keys[layer].append(self.turn(w["wk"][layer] @ h, position))
            self.values[layer].append((w["wv"][layer] @ h).reshape(self.kv_heads, head))
            keys, values = np.stack(self.keys[layer]), np.stack(self.values[layer])
            out = []
            for i in range(self.heads):
                scores = keys[:, i // group] @ q[i] / np.sqrt(f32(head))
                p = np.exp(scores - scores.max())
                out.append((p / p.sum()) @ values[:, i // group])
            x = x + w["wo"][layer] @ np.concatenate(out)
            h = rms_norm(x, w["rms_ffn"][layer])
            gate = w["w1"][layer] @ h
            x = x + w["w2"][layer] @ (gate / (1 + np.exp(-gate)) * (w["w3"][layer] @ h))
        return w.get("head", w["emb"]) @ rms_norm(x, w["rms_f"])


def read_tokenizer(path):
    data, at, pieces = Path(path).read_bytes(), 4, []
    while at < len(data):
        score, n = struct.unpack_from("<fi", data, at)
        pieces.append((data[at + 8 : at + 8 + n], score))
        at += 8 + n
    return pieces


def encode(pieces, text):
    """`encode` of run.c with BOS, but never to one of the first 259 tokens by its spelling."""
    ids = {}
    for token, (piece, _) in enumerate(pieces):
        if token >= 259:
            ids.setdefault(piece, token)
    tokens = []
    for char in (" " + text) if text else "":
        piece = char.encode()
        tokens += [ids[piece]] if piece in ids else [byte + 3 for byte in piece]
    while True:
        best = None
        for i in range(len(tokens) - 1):
            token = ids.get(pieces[tokens[i]][0] + pieces[tokens[i + 1]][0])
            if token is not None and (best is None or pieces[token][1] > best[0]):
                best = (pieces[token][1], i, token)
        if best is None:
            return [1] + tokens
        tokens[best[1] : best[1] + 2] = [best[2]]


def decode(pieces, tokens):
    out = b""
    for previous, token in zip([None] + tokens, tokens):
        if token < 3:
            continue
        piece = bytes([token - 3]) if token < 259 else pieces[token][0]
        out += piece[1:] if previous == 1 and piece.startswith(b" ") else piece
    return out.decode(errors="replace")


def greedy(model, prompt, n):
    for token in prompt:
        logits = model.step(token)
    new, margin = [], np.inf
    while len(new) < n:
        best = np.sort(logits)[-2:]
        margin = min(margin, best[1] - best[0])
        token = int(np.argmax(logits))
        if token in (1, 2):
            break
        new.append(token)
        logits = model.step(token)
    return new, margin


def write_tokenizer(path):
    """Bytes and a few pieces whose scores say in which order they merge."""
    words = [" ", "a", "b", "c", "e", "h", "t", "ü", "th", "he", "the", " t", " the", "ab", "bc", "abc", "ea", " ab"]
    scores = [-1.0, -2.0, -3.0, -4.0, -5.0, -6.0, -7.0, -8.0, 6.0, 7.0, 5.0, 4.0, 3.0, 2.0, 2.5, 1.0, 2.0, 9.0]
    first = [(b"<unk>", 0.0), (b"\n<s>\n", 0.0), (b"\n</s>\n", 0.0)]
    pieces = first + [(f"<0x{byte:02X}>".encode(), 0.0) for byte in range(256)]
    pieces += [(word.encode(), score) for word, score in zip(words, scores)]
    data = struct.pack("<i", max(len(piece) for piece, _ in pieces))
    for piece, score in pieces:
        data += struct.pack("<fi", score, len(piece)) + piece
    path.write_bytes(data)
    return pieces


def main():
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    pieces = write_tokenizer(OUT / "tokenizer.bin")
    texts = ["", "the cab", "abc the", "ththe", "Grüße ✓", "<s><0x41>", "  a\n", "abcabc abab eat the heat"]
    expected = {"texts": []}
    for text in texts:
        ids = encode(pieces, text)
        expected["texts"].append({"text": text, "ids": ids, "decoded": decode(pieces, ids)})
    rng = np.random.default_rng(3)
    for name, vocab in [("tied", len(pieces)), ("untied", -len(pieces))]:
        header = (16, 24, 2, 4, 2, vocab, 32)
        weights = {}
        for part, shape in layout(*header):
            weights[part] = (rng.standard_normal(shape) * 0.5).astype(f32)
        for part in ["rms_att", "rms_ffn", "rms_f"]:
            weights[part] = weights[part] + f32(1)
        angle = np.outer(np.arange(32), 10000.0 ** (-np.arange(0, 4, 2) / 4))
        weights["cos"], weights["sin"] = np.cos(angle).astype(f32), np.sin(angle).astype(f32)
        data = struct.pack("<7i", *header) + b"".join(weights[part].tobytes() for part, _ in layout(*header))
        (OUT / f"{name}.bin").write_bytes(data)
        header, weights = read_model(OUT / f"{name}.bin")
        model = Model(header, weights)
        tokens = encode(pieces, "the cab")
        logits = [model.step(token) for token in tokens]
        new, margin = greedy(Model(header, weights), tokens, 12)
        assert margin > 1e-3, margin
        expected[name] = {
            "tokens": tokens,
            "last_logits": [float(f"{logit:.7g}") for logit in logits[-1]],
            "greedy": new,
            "text": decode(pieces, tokens + new),
        }
    (OUT / "expected.json").write_text(json.dumps(expected, ensure_ascii=False, indent=1) + "\n")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        pieces = read_tokenizer(sys.argv[2])
        prompt = encode(pieces, sys.argv[3] if len(sys.argv) > 3 else "")
        new, margin = greedy(Model(*read_model(sys.argv[1])), prompt, 256)
        print(decode(pieces, prompt + new))
        print(f"{len(new)} tokens, closest choice {margin:.3g}", file=sys.stderr)
    else:
        main()
