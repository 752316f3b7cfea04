"""Times PyTorch and fpsample on the work of grouping-core/benches/neighbours.rs, on one thread; prints one JSON line a work.

    python bench_neighbours.py NAME

`farthest/…` is the loop of Point-MAE and others in PyTorch, `bucket/…` fpsample's bucket variant, `nearest/…` distances by `cdist`
and `topk`.
"""

import json
import os
import sys
import time

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import fpsample  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402

torch.set_num_threads(1)


def torch_loop(points, n_samples):
    distances = torch.full((len(points),), torch.inf)
    samples = torch.zeros(n_samples, dtype=torch.long)
    last = 0
    for i in range(n_samples):
        samples[i] = last
        distances = torch.minimum(distances, ((points - points[last]) ** 2).sum(-1))
        last = distances.argmax()
    return samples


def best(work, repeats):
    times = []
    for _ in range(repeats):
        wall, cpu = time.perf_counter(), time.process_time()
        work()
        times.append((time.process_time() - cpu, time.perf_counter() - wall))
    return min(times)


def main(wanted):
    points = np.random.default_rng(1).random((8192, 3), dtype=np.float32)
    tensor = torch.tensor(points)
    centres = tensor[torch_loop(tensor, 512)]
    works = {
        "farthest/8192_to_512": (lambda: torch_loop(tensor, 512), 7),
        "farthest/1024_to_64": (lambda: torch_loop(tensor[:1024], 64), 20),
        "bucket/8192_to_512": (lambda: fpsample.bucket_fps_kdline_sampling(points, 512, h=7, start_idx=0), 50),
        "nearest/512_of_8192": (lambda: torch.cdist(centres, tensor).topk(32, largest=False), 20),
    }
    for name, (work, repeats) in works.items():
        if name == wanted:
            work()
            cpu, wall = best(work, repeats)
            print(json.dumps({"event": "bench", "name": name, "wall_secs": wall, "cpu_secs": cpu}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
