"""Times NumPy on the work of grouping-core/benches/correlation.rs, on two threads; prints one JSON line."""

import json
import os
import time

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "2"

import numpy as np  # noqa: E402

x = np.random.default_rng(1).random((4096, 100_000), dtype=np.float32)
wall, cpu = time.perf_counter(), time.process_time()
np.corrcoef(x)
wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
print(json.dumps({"event": "bench", "name": "pearson", "wall_secs": wall, "cpu_secs": cpu}), flush=True)
