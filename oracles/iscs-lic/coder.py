"""Golden tables and streams of CompressAI 1.2.8 for `iscs-lic/tests/it/{tables,coder}.rs`.

    python oracles/iscs-lic/coder.py goldens    # writes iscs-lic/tests/data/{priors,streams,vectorised}.json
    python oracles/iscs-lic/coder.py live [N]   # N random cases through `cargo run -p iscs-lic --example coder_lines`

Priors are random factorized priors of several shapes. PyTorch's own functions differ between instruction sets, so that CompressAI disagrees with
itself about some tables: goldens are those of AVX2 and AVX-512 alike, and `live` counts the rows of each.
Streams have two symbols and more, with escaped integers up to 2²⁷; what lies beyond is decoded by CompressAI, not encoded.
"""

import itertools
import json
import os
import random
import subprocess
import sys
import warnings
from pathlib import Path

warnings.filterwarnings("ignore")
ROOT = Path(__file__).parents[2]
DATA = ROOT / "iscs-lic" / "tests" / "data"
SHAPES = [(32, (3, 3, 3, 3)), (32, (3, 3)), (32, (5, 4)), (32, ()), (32, (2,)), (32, (4, 4, 4))]
SEEDS = 2


def prior(channels, filters, seed, spread=0.5):
    """A random prior, its quantiles near those that `update(update_quantiles=True)` finds, and its tables."""
    import torch
    from compressai.entropy_models import EntropyBottleneck

    torch.manual_seed(seed)
    scale = [1.0, 3.0, 10.0, 30.0][seed % 4]
    model = EntropyBottleneck(channels, filters=filters, init_scale=scale)
    for parameters in (model.matrices, model.biases, model.factors):
        for tensor in parameters:
            tensor.data += spread * torch.randn_like(tensor)
    model._update_quantiles()
    # Rounded, so that every instruction set has the same ones.
    model.quantiles.data = torch.round(model.quantiles.data * 64) / 64
    model.update(force=True)
    return model


def as_lists(model):
    flat = lambda tensor: tensor.detach().reshape(-1).tolist()
    lengths, offsets = flat(model._cdf_length), flat(model._offset)
    return {
        "matrices": [flat(t) for t in model.matrices],
        "biases": [flat(t) for t in model.biases],
        "factors": [flat(t) for t in model.factors],
        "quantiles": flat(model.quantiles),
        "offsets": offsets,
        "rows": [row[:n] for row, n in zip(model._quantized_cdf.tolist(), lengths)],
    }


def tables_of(draw):
    """Random tables of a few bins to many, some of whose bins have one count."""
    rows = []
    for _ in range(draw.randint(1, 6)):
        n = draw.choice([2, 3, 5, 30, 400])
        cuts = sorted(draw.sample(range(1, 65536), n - 1)) if draw.random() < 0.5 else list(range(1, n))
        rows.append([0, *cuts, 65536])
    return rows, [draw.randint(-200, 50) for _ in rows]


def symbols_of(draw, rows, offsets, n, most):
    """Symbols inside and outside the bins of random rows."""
    symbols, which = [], []
    for _ in range(n):
        i = draw.randrange(len(rows))
        n_bins = len(rows[i]) - 2
        value = draw.randrange(n_bins)
        if draw.random() < 0.2:
            far = int(2 ** draw.uniform(0, most))
            value = -far if draw.random() < 0.5 else n_bins - 1 + far
        which.append(i)
        symbols.append(value + offsets[i])
    return symbols, which


def encoded(rows, offsets, symbols, which):
    from compressai import ans

    width = max(map(len, rows))
    padded = [row + [0] * (width - len(row)) for row in rows]
    lengths = [len(row) for row in rows]
    return ans.RansEncoder().encode_with_indexes(symbols, which, padded, lengths, offsets)


def decoded(rows, offsets, stream, which):
    from compressai import ans

    width = max(map(len, rows))
    padded = [row + [0] * (width - len(row)) for row in rows]
    return ans.RansDecoder().decode_with_indexes(stream, which, padded, [len(row) for row in rows], offsets)


def lines(path, items):
    text = ",\n".join(" " + json.dumps(item, separators=(",", ":")) for item in items)
    path.write_text("[\n" + text + "\n]\n")


def vectorised():
    """Values of PyTorch's vectorised functions, as bits of the argument and of the value; their numbers are multiples of 32."""
    import torch

    torch.manual_seed(2)
    bits = lambda x: (x.view(torch.int32).long() & 0xFFFFFFFF).tolist()
    pairs = lambda x, y: list(zip(bits(x), bits(y)))
    x = torch.cat([torch.rand(512) * 60 - 30, torch.rand(512) * 8 - 4])
    y = torch.exp(torch.rand(1024) * 30 - 10)
    softplus = torch.nn.functional.softplus
    return {"sigmoid": pairs(x, torch.sigmoid(x)), "softplus": pairs(x, softplus(x)), "log1p": pairs(y, torch.log1p(y))}


def goldens():
    # The other instruction set answers in a process of its own.
    here = [as_lists(prior(*shape, seed)) for seed in range(SEEDS) for shape in SHAPES]
    there = json.loads(other("avx2"))
    kept = []
    for a, b in zip(here, there):
        assert all(a[k] == b[k] for k in ("matrices", "quantiles", "offsets"))
        a["rows"] = [row if row == other else None for row, other in zip(a["rows"], b["rows"])]
        kept.append(a)
    lines(DATA / "priors.json", kept)
    draw = random.Random(1)
    streams = []
    for n in [2, 2, 2, 3, 3, 3, 4, 5, 8, 13, 50, 200]:
        rows, offsets = tables_of(draw)
        symbols, which = symbols_of(draw, rows, offsets, n, 26.9)
        stream = encoded(rows, offsets, symbols, which)
        assert decoded(rows, offsets, stream, which) == symbols
        streams.append({"rows": rows, "offsets": offsets, "symbols": symbols, "which": which, "stream": stream.hex()})
    lines(DATA / "streams.json", streams)
    (DATA / "vectorised.json").write_text(json.dumps(vectorised(), separators=(",", ":")) + "\n")


def other(capability, *args):
    command = [sys.executable, __file__, "priors", *map(str, args)]
    environment = {**os.environ, "ATEN_CPU_CAPABILITY": capability}
    return subprocess.run(command, env=environment, capture_output=True, check=True, text=True).stdout


def ours(requests):
    """Answers of our coder, one a request."""
    program = os.environ.get("CODER_LINES")
    command = [program] if program else ["cargo", "run", "-q", "-p", "iscs-lic", "--example", "coder_lines"]
    text = "".join(json.dumps(request) + "\n" for request in requests)
    printed = subprocess.run(command, input=text, capture_output=True, check=True, text=True, cwd=ROOT).stdout
    return [json.loads(line) for line in printed.splitlines()]


def live(n):
    draw = random.Random(n)
    cases = []
    for i in range(n):
        rows, offsets = tables_of(draw)
        # Beyond what CompressAI encodes: our stream, its decoder.
        beyond = i % 3 == 0
        length = draw.randint(0, 40) if beyond else draw.randint(2, 400)
        symbols, which = symbols_of(draw, rows, offsets, length, 29.9 if beyond else 26.9)
        cases.append((beyond, rows, offsets, symbols, which))
    requests = [{"rows": r, "offsets": o, "symbols": s, "which": w} for _, r, o, s, w in cases]
    for (beyond, rows, offsets, symbols, which), answer in zip(cases, ours(requests), strict=True):
        stream = bytes.fromhex(answer["stream"])
        if beyond:
            assert decoded(rows, offsets, stream, which) == symbols, "CompressAI decodes our stream"
        else:
            assert stream == encoded(rows, offsets, symbols, which), "both encode the same bytes"
    print(f"{n} streams: the same bytes, or decoded by CompressAI")
    tables = {c: json.loads(other(c, 100, 4)) for c in ("avx512", "avx2", "default")}
    # The search for quantiles may end elsewhere on another instruction set: such priors are not compared.
    same = [i for i, three in enumerate(zip(*tables.values())) if len({tuple(p["quantiles"]) for p in three}) == 1]
    tables = {c: [priors[i] for i in same] for c, priors in tables.items()}
    tables["iscs-lic"] = ours([{k: p[k] for k in ("matrices", "biases", "factors", "quantiles")} for p in tables["avx2"]])
    flat = {name: [tuple(row) for p in priors for row in p["rows"]] for name, priors in tables.items()}
    for a, b in itertools.combinations(flat, 2):
        differ = sum(x != y for x, y in zip(flat[a], flat[b], strict=True))
        print(f"{a} and {b}: {differ} of {len(flat[a])} rows of {len(same)} random priors differ")


if __name__ == "__main__":
    if sys.argv[1:] == ["goldens"]:
        goldens()
    elif sys.argv[1:2] == ["live"]:
        live(int(sys.argv[2]) if len(sys.argv) > 2 else 300)
    elif sys.argv[1:2] == ["priors"]:
        first, n = map(int, sys.argv[2:]) if len(sys.argv) > 2 else (0, SEEDS)
        print(json.dumps([as_lists(prior(*shape, seed)) for seed in range(first, first + n) for shape in SHAPES]))
    else:
        sys.exit(__doc__)
