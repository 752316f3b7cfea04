"""Writes kd-gqa/tests/data/pgqa.json: the noise of the released PGQA on given attention outputs and draws.

    git clone https://github.com/zohaib-khan5040/key-driven-gqa CODE && git -C CODE checkout 8fee9d6
    OMP_NUM_THREADS=1 python oracles/kd-gqa/pgqa.py CODE

Runs get_gaussian itself. The draws are torch.rand's after manual_seed(seed), recorded, so that both they and the arithmetic on
them can be compared. `gradient` is that of the sum of `weights` times the result with respect to the outputs.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch

from allocations import shortest

OUT = Path(__file__).parents[2] / "kd-gqa/tests/data/pgqa.json"


def main(code):
    sys.path.insert(0, code)
    stand_in = type(sys)("einops")  # imported by the package's other modules, not by these
    stand_in.rearrange = stand_in.einsum = None
    sys.modules.setdefault("einops", stand_in)
    from modules.attention.pgqa import get_gaussian

    rng = np.random.default_rng(4)
    cases = []
    for seed, shape in enumerate([(2, 3, 20), (1, 1, 6), (3, 2, 7), (2, 5, 3), (1, 2, 40)]):
        outputs = torch.from_numpy((rng.normal(size=shape) * rng.uniform(0.1, 5) + rng.normal()).astype(np.float32))
        outputs.requires_grad_(True)
        weights = torch.from_numpy(rng.normal(size=shape).astype(np.float32))
        torch.manual_seed(seed)
        uniform = torch.rand(*shape[1:])
        torch.manual_seed(seed)
        result = outputs - get_gaussian(outputs)
        (result * weights).sum().backward()
        flat = lambda x: shortest(x.detach().numpy().ravel())
        values = dict(outputs=outputs, weights=weights, uniform=uniform, result=result, gradient=outputs.grad)
        cases.append({"seed": seed, "shape": list(shape)} | {name: flat(x) for name, x in values.items()})
    OUT.write_text(json.dumps({"torch": torch.__version__, "cases": cases}, separators=(",", ":")).replace("},{", "},\n{") + "\n")
    print(len(cases), "cases,", OUT.stat().st_size, "bytes")


if __name__ == "__main__":
    main(sys.argv[1])
