"""What splat-transform's `--stats json` says of Gaussians of the recipe, some of whose values are NaN or infinite.

    python oracles/shapesplat/stats.py NODE_MODULES shapesplat/tests/data/stats.json

NODE_MODULES holds @playcanvas/splat-transform 3.7.0 (`npm install` beside `package.json`).
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from plyfile import PlyData, PlyElement

from recipe import DC, POSITIONS, ROTATIONS, SCALES, table


def main():
    cli = Path(sys.argv[1]) / "@playcanvas/splat-transform/bin/cli.mjs"
    rows = table(POSITIONS + DC + ["opacity"] + SCALES + ROTATIONS, 500)
    rows["y"][3] = np.nan
    rows["opacity"][[4, 5]] = [np.inf, -np.inf]
    rows["scale_2"][6] = -np.inf
    with tempfile.TemporaryDirectory() as folder:
        given = Path(folder) / "given.ply"
        PlyData([PlyElement.describe(rows, "vertex")], byte_order="<").write(given)
        out = subprocess.run(["node", cli, "-q", "-g", "cpu", given, "--stats", "json", "null"], check=True, capture_output=True)
    said = json.loads(out.stdout)
    Path(sys.argv[2]).write_text(json.dumps(said, indent=1) + "\n")


main()
