"""The work of `xtask/benches/shapesplat.toml` by plyfile, gaussforge and splat-transform.

    python oracles/shapesplat/bench.py NAME FILE FOLDER

FILE is one that the benches make of a million Gaussians, FOLDER a place for outputs. NAME is `TOOL/WORK`: `plyfile/columns` reads 14 columns,
`gaussforge/ply` and `splat-transform/compressed.ply` convert to that format. Node's modules are found by the environment variable
`NODE_MODULES`, or in the folder `node_modules` beside the Python environment. Prints a JSON line: the median wall and CPU time, of Python's
tools from the file to the file, without the start of Python; of splat-transform as a user runs it; and the bytes of what was written.
"""

import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import gaussforge
import numpy as np
from plyfile import PlyData

COLUMNS = "x y z opacity scale_0 scale_1 scale_2 rot_0 rot_1 rot_2 rot_3 f_dc_0 f_dc_1 f_dc_2".split()


def columns(given):
    vertex = PlyData.read(given)["vertex"]
    read = [np.ascontiguousarray(vertex[name]) for name in COLUMNS]
    assert len(read[0]) > 0


def forge(given, out, work):
    kind = "compressed.ply" if given.name.endswith(".compressed.ply") else given.suffix[1:]
    found = gaussforge.GaussForge().convert(given.read_bytes(), kind, work)
    assert "error" not in found, found
    out.write_bytes(found["data"])


def transform(given, out):
    modules = os.environ.get("NODE_MODULES") or Path(sys.prefix).parent / "node_modules"
    cli = Path(modules) / "@playcanvas/splat-transform/bin/cli.mjs"
    subprocess.run(["node", cli, "-q", "-w", "-g", "cpu", given, out], check=True, stdout=subprocess.DEVNULL)


def cpu():
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in usage)


def main():
    name, given, folder = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    folder.mkdir(parents=True, exist_ok=True)
    tool, work = name.split("/", 1)
    out = folder / f"reference.{work}"
    run = {
        "plyfile": lambda: columns(given),
        "gaussforge": lambda: forge(given, out, work),
        "splat-transform": lambda: transform(given, out),
    }[tool]
    runs = []
    for _ in range({"plyfile": 5, "gaussforge": 3, "splat-transform": 1}[tool]):
        wall, before = time.perf_counter(), cpu()
        run()
        runs.append((time.perf_counter() - wall, cpu() - before))
    wall, spent = (sorted(one[i] for one in runs)[len(runs) // 2] for i in range(2))
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) * 1024
    event = {"event": "bench", "name": name, "wall_secs": wall, "cpu_secs": spent, "peak_memory_bytes": peak}
    if out.exists():
        event["output_bytes"] = out.stat().st_size
        out.unlink()
    print(json.dumps(event))


main()
