"""Times scikit-learn on the work of grouping-core/benches/kmeans.rs, on one thread; prints one JSON line a bench.

    OMP_NUM_THREADS=1 python bench_kmeans.py [modules] [direct]

`modules` is all 224 problems, each with the gluing of its factors into rows; `direct` is 30 iterations.
"""

import json
import os
import sys
import time
import warnings

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import numpy as np  # noqa: E402
from sklearn.cluster import KMeans  # noqa: E402
from sklearn.exceptions import ConvergenceWarning  # noqa: E402

N_ADAPTERS, RANK, N_LAYERS = 7, 8, 32
LAYER = [(4096, 4096)] * 4 + [(4096, 11008)] * 2 + [(11008, 4096)]


def uniform(rng, *shape):
    return rng.uniform(-1.0, 1.0, size=shape).astype(np.float32)


def report(name, work):
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    print(json.dumps({"event": "bench", "name": name, "wall_secs": wall, "cpu_secs": cpu}), flush=True)


def modules():
    rng = np.random.default_rng(1)
    layer = [
        [(uniform(rng, RANK, d_in), uniform(rng, d_out, RANK)) for _ in range(N_ADAPTERS)] for d_in, d_out in LAYER
    ]

    def work():
        for _ in range(N_LAYERS):
            for adapters in layer:
                units = np.concatenate([np.concatenate([a, b.T], axis=1) for a, b in adapters])
                KMeans(8, n_init=10, random_state=0).fit(units)

    report("modules", work)


def direct():
    x = uniform(np.random.default_rng(2), 100_000, 64)
    warnings.simplefilter("ignore", ConvergenceWarning)
    kmeans = KMeans(64, init=x[:64], n_init=1, algorithm="lloyd", tol=0.0, max_iter=30)
    report("direct", lambda: kmeans.fit(x))


if __name__ == "__main__":
    wanted = sys.argv[1:] or ["modules", "direct"]
    for bench in (modules, direct):
        if bench.__name__ in wanted:
            bench()
