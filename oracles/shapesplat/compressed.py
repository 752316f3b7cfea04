"""Compressed PLY by splat-transform: files that it writes, and what it reads from them.

    python oracles/shapesplat/compressed.py NODE_MODULES shapesplat/tests/data/compressed

NODE_MODULES holds @playcanvas/splat-transform 3.7.0 (`npm install` beside `package.json`). Writes `NAME.compressed.ply` and, as it reads
that again, `NAME.ply`.
"""

import subprocess
import sys
from pathlib import Path

from plyfile import PlyData, PlyElement

from recipe import DC, POSITIONS, REST, ROTATIONS, SCALES, table


def main():
    cli = Path(sys.argv[1]) / "@playcanvas/splat-transform/bin/cli.mjs"
    folder = Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)

    def transform(*files):
        subprocess.run(["node", cli, "-q", "-w", "-g", "cpu", *files], check=True)

    for name, n, n_rest in [("degree-0", 5, 0), ("degree-1", 300, 9), ("degree-2", 8, 24), ("degree-3", 8, 45)]:
        given = folder / "given.ply"
        columns = POSITIONS + DC + REST[:n_rest] + ["opacity"] + SCALES + ROTATIONS
        PlyData([PlyElement.describe(table(columns, n), "vertex")], byte_order="<").write(given)
        compressed = folder / f"{name}.compressed.ply"
        transform(given, compressed)
        transform(compressed, folder / f"{name}.ply")
        given.unlink()


main()
