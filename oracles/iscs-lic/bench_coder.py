"""The work of `iscs-lic/benches/coder.rs` by CompressAI's rANS coder: 589,824 symbols by the 64 Gaussian tables.

    python oracles/iscs-lic/bench_coder.py

Prints a JSON line for `coder/encode` and one for `coder/decode`: the median wall time and the mean CPU time of one pass. A pass takes lists, as
`EntropyModel.compress` and `decompress` hand them over; the lists are made before the clock starts.
"""

import json
import statistics
import time
import warnings
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

warnings.filterwarnings("ignore")
DATA = Path(__file__).parents[2] / "iscs-lic"
REPEATS = 72


def split_mix(n):
    with np.errstate(over="ignore"):
        z = np.arange(1, n + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def measure(name, work, least_secs=2.0, least_runs=5):
    work()
    walls, first, cpu = [], time.perf_counter(), time.process_time()
    while len(walls) < least_runs or time.perf_counter() - first < least_secs:
        start = time.perf_counter()
        work()
        walls.append(time.perf_counter() - start)
    cpu_secs = (time.process_time() - cpu) / len(walls)
    print(json.dumps({"event": "bench", "name": name, "wall_secs": statistics.median(walls), "cpu_secs": cpu_secs}), flush=True)


def main():
    from compressai import ans

    model = load_file(DATA / "assets" / "ms_n32_m64.safetensors")
    cdf, lengths, offsets = (model[f"gaussian_conditional.{k}"] for k in ("_quantized_cdf", "_cdf_length", "_offset"))
    indexes = load_file(DATA / "tests" / "data" / "golden_256x128.safetensors")["indexes"].reshape(-1)
    rows = np.tile(np.minimum(indexes + 1, 63), REPEATS)
    counts = (split_mix(len(rows)) >> np.uint64(48)).astype(np.int64)
    symbols = np.empty(len(rows), np.int64)
    for row in np.unique(rows):
        here = rows == row
        symbols[here] = np.searchsorted(cdf[row, : lengths[row]], counts[here], side="right") - 1 + offsets[row]
    tables = cdf.tolist(), lengths.tolist(), offsets.tolist()
    rows, symbols = rows.tolist(), symbols.tolist()
    stream = ans.RansEncoder().encode_with_indexes(symbols, rows, *tables)
    assert ans.RansDecoder().decode_with_indexes(stream, rows, *tables) == symbols
    measure("coder/encode", lambda: ans.RansEncoder().encode_with_indexes(symbols, rows, *tables))
    measure("coder/decode", lambda: ans.RansDecoder().decode_with_indexes(stream, rows, *tables))
    print(json.dumps({"bytes": len(stream), "sum": sum(stream)}))


if __name__ == "__main__":
    main()
