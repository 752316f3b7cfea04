"""Opens what shapesplat writes with plyfile, splat-transform and gaussforge, and compares what they read.

    python oracles/shapesplat/opens.py SHAPESPLAT NODE_MODULES FILE.ply…

SHAPESPLAT is our binary, NODE_MODULES holds @playcanvas/splat-transform 3.7.0. Each file is converted to every format; each tool that reads
the format must find as many Gaussians, and the values that we read from the same file. Prints a line a format and tool; exits with 1 where
one differs.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import gaussforge
import numpy as np
from plyfile import PlyData

# What each format is called by gaussforge; none where it does not read it.
FORMATS = {"ply": "ply", "compressed.ply": "compressed.ply", "splat": "splat", "spz": "spz", "sog": "sog"}


def columns(path):
    """The columns of a splat in a PLY; opacities as alphas, for the logit of 1 is what each tool likes."""
    vertex = PlyData.read(path)["vertex"]
    found = {name: np.asarray(vertex[name], np.float64) for name in vertex.data.dtype.names}
    if "opacity" in found:
        with np.errstate(over="ignore"):
            found["opacity"] = 1 / (1 + np.exp(-found["opacity"]))
    return {name: values for name, values in found.items() if not name.startswith("n")}


def rotations(found):
    """Unit quaternions, of which q and -q are one."""
    q = np.stack([found[f"rot_{i}"] for i in range(4)], 1)
    q /= np.linalg.norm(q, axis=1, keepdims=True)
    return q * np.where(q[np.arange(len(q)), np.abs(q).argmax(1)] < 0, -1, 1)[:, None]


def differ(ours, theirs):
    """The greatest difference of any value, of rotations between unit quaternions."""
    if len(ours["x"]) != len(theirs["x"]):
        return f"{len(theirs['x'])} Gaussians instead of {len(ours['x'])}"
    names = [name for name in ours if name in theirs and not name.startswith("rot_")]
    missing = [name for name in ours if name not in theirs and np.any(ours[name] != 0)]
    if missing:
        return f"no {', '.join(missing)}"
    greatest = max((float(np.abs(ours[n] - theirs[n]).max(initial=0)), n) for n in names)
    turned = float(np.abs(rotations(ours) - rotations(theirs)).max(initial=0))
    greatest = max(greatest, (turned, "rotation"))
    return None if greatest[0] < 2e-3 else f"{greatest[1]} differs by {greatest[0]:.3g}"


def forged(path, format, out):
    """What gaussforge reads, as it writes it to a PLY: its `read` fails on files of degree 0."""
    found = gaussforge.GaussForge().convert(path.read_bytes(), format, "ply")
    if "error" in found:
        raise ValueError(found["error"])
    out.write_bytes(found["data"])
    return columns(out)


def main():
    ours, cli = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve() / "@playcanvas/splat-transform/bin/cli.mjs"
    all_open = True
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        for given in sys.argv[3:]:
            for extension, forge in FORMATS.items():
                out, back, theirs = folder / f"out.{extension}", folder / "back.ply", folder / "theirs.ply"
                convert = [ours, "convert", "--force", "--json"]
                told = json.loads(subprocess.run([*convert, given, out], check=True, capture_output=True).stdout)
                subprocess.run([*convert, out, back], check=True, capture_output=True)
                wanted = columns(back)
                tools = {"splat-transform": lambda: (subprocess.run(["node", cli, "-q", "-w", "-g", "cpu", out, theirs], check=True), columns(theirs))[1]}
                if forge:
                    tools["gaussforge"] = lambda: forged(out, forge, theirs)
                if extension.endswith("ply"):
                    count = len(PlyData.read(out)["vertex"].data)
                    tools["plyfile"] = lambda: columns(out) if extension == "ply" else {**wanted, "x": wanted["x"][:count]}
                for tool, read in tools.items():
                    try:
                        problem = differ(wanted, read())
                    except Exception as error:
                        problem = f"{type(error).__name__}: {error}"
                    all_open &= problem is None
                    print(f"{Path(given).name} {extension:15} {tool:16} {told['count']:8} {problem or 'the same'}", flush=True)
    sys.exit(0 if all_open else 1)


main()
