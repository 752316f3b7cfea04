"""Writes shapesplat/tests/data/edit.json: a scene of 12 Gaussians, and what splat-transform 3.7.0 makes of it.

    npm install @playcanvas/splat-transform@3.7.0
    python edit.py node_modules/.bin/splat-transform ../../shapesplat/tests/data/edit.json

splat-transform moves, turns and filters in its engine's frame, half a turn about z from the file's: its x and y, and its angles about
x and y, are the negatives of ours.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

COLUMNS = (
    ["x", "y", "z"]
    + [f"f_dc_{i}" for i in range(3)]
    + [f"f_rest_{i}" for i in range(45)]
    + ["opacity"]
    + [f"scale_{i}" for i in range(3)]
    + [f"rot_{i}" for i in range(4)]
)

# Ours, theirs.
CASES = [
    ("rotate 0,90,0", ["-r", "0,-90,0"]),
    ("rotate 30,40,50", ["-r", "-30,-40,50"]),
    ("rotate -170,12.5,3", ["-r", "170,-12.5,3"]),
    ("scale 2.5", ["-s", "2.5"]),
    ("translate 1,-2,3", ["-t", "-1,2,3"]),
    ("scale 0.5; translate 1,0,0; rotate 0,0,45", ["-s", "0.5", "-t", "-1,0,0", "-r", "0,0,45"]),
    ("degree 1", ["--filter-harmonics", "1"]),
    ("filter opacity>0.5", ["--filter-value", "opacity,gt,0.5"]),
    ("filter scale_1<=1", ["--filter-value", "scale_1,lte,1"]),
    ("filter f_dc_0<0.5", ["--filter-value", "f_dc_0,lt,0.5"]),
    ("filter opacity_raw>=-2", ["--filter-value", "opacity_raw,gte,-2"]),
    ("filter x>=0", ["--filter-value", "x,lte,0"]),
]


def write(path, columns):
    n = len(columns["x"])
    header = "ply\nformat binary_little_endian 1.0\n" + f"element vertex {n}\n"
    header += "".join(f"property float {name}\n" for name in columns) + "end_header\n"
    rows = np.stack(list(columns.values()), axis=1).astype("<f4")
    path.write_bytes(header.encode() + rows.tobytes())


def read(path):
    header, body = path.read_bytes().split(b"end_header\n", 1)
    names = [line.split()[2] for line in header.decode().splitlines() if line.startswith("property float")]
    rows = np.frombuffer(body, dtype="<f4").reshape(-1, len(names))
    return {name: rows[:, i] for i, name in enumerate(names)}


def shortest(values):
    """The shortest decimals that read back as the same f32."""
    return [float(str(np.float32(v))) for v in values]


def main(program, out):
    rng = np.random.default_rng(31)
    scale = {"f_rest": 0.3, "scale": 1.0, "rot": 1.0, "opacity": 2.0}
    columns = {}
    for name in COLUMNS:
        factor = scale.get(name.rsplit("_", 1)[0], 1.0)
        columns[name] = np.round(factor * rng.normal(size=12), 4).astype(np.float32)
    cases = []
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "in.ply", Path(folder) / "out.ply"
        write(source, columns)
        for ours, theirs in CASES:
            subprocess.run([program, "-w", "-q", source, *theirs, target], check=True)
            found = read(target)
            # Columns that stay as they were are left out.
            changed = {k: v for k, v in found.items() if len(v) != 12 or not np.array_equal(v, columns[k])}
            if ours.startswith("filter"):
                changed = {"x": found["x"]}
            case = {"actions": ours, "names": [name for name in COLUMNS if name in found]}
            cases.append(case | {"columns": {name: shortest(v) for name, v in changed.items()}})
    scene = {name: shortest(values) for name, values in columns.items()}
    Path(out).write_text(json.dumps({"scene": scene, "cases": cases}) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
