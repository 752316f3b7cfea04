"""Small scenes in the formats of others, and what others read from them.

    python oracles/shapesplat/formats.py NODE_MODULES shapesplat/tests/data/formats

NODE_MODULES holds @playcanvas/splat-transform 3.7.0 and @mkkellogg/gaussian-splats-3d 0.4.7 (`npm install` beside `package.json`).
Writes, for the degrees 0 to 3, `degree-D.ply` and from it by splat-transform `degree-D.v3.spz`, `degree-D.v4.spz`, `degree-D.glb` and
`degree-D.sog`; by gaussforge `degree-D.splat`, `degree-D.v2.spz` and `degree-D.gaussforge.ksplat`; by GaussianSplats3D `level-L.ksplat`
of the three levels. What splat-transform reads from a file `NAME` is `NAME.ply`; what it cannot read (version 1 of `.spz`, degree 4) is
packed here by the description of the format.
"""

import gzip
import struct
import subprocess
import sys
from pathlib import Path

import gaussforge
import numpy as np

ROWS = 24


def scene(degree):
    """Gaussians with the values that formats stumble on; every one of them finite."""
    random = np.random.default_rng(100 + degree)
    n_rest = 3 * ((degree + 1) ** 2 - 1)
    names = ["x", "y", "z", *(f"f_dc_{i}" for i in range(3)), *(f"f_rest_{i}" for i in range(n_rest))]
    names += ["opacity", *(f"scale_{i}" for i in range(3)), *(f"rot_{i}" for i in range(4))]
    table = {name: random.normal(size=ROWS).astype(np.float32) for name in names}
    for name in "xyz":
        table[name] *= np.float32(10)
    table["x"][0], table["y"][1] = 1999.75, -2047.5
    for i in range(3):
        table[f"scale_{i}"] = table[f"scale_{i}"] * np.float32(1.5) - np.float32(4)
        table[f"f_dc_{i}"] *= np.float32(1.3)
    table["scale_0"][2], table["scale_1"][3] = -12.75, 6.5
    table["f_dc_0"][4], table["f_dc_1"][5] = 4, -4
    for i in range(n_rest):
        table[f"f_rest_{i}"] *= np.float32(0.35)
    table["opacity"] *= np.float32(3)
    table["opacity"][6], table["opacity"][7] = 30, -30
    # Small, equal and negative parts; burger.ply's norms are 0.003 to 0.015.
    for i in range(4):
        table[f"rot_{i}"][8:16] *= np.float32(0.004)
        table[f"rot_{i}"][16], table[f"rot_{i}"][17] = 0.5, (-1) ** i * 0.5
        table[f"rot_{i}"][18], table[f"rot_{i}"][19] = float(i == 0), -float(i == 3)
    return table


def write_ply(path, table):
    rows = np.empty(ROWS, [(name, "<f4") for name in table])
    for name, values in table.items():
        rows[name] = values
    header = ["ply", "format binary_little_endian 1.0", f"element vertex {ROWS}"]
    header += [f"property float {name}" for name in table] + ["end_header", ""]
    path.write_bytes("\n".join(header).encode() + rows.tobytes())


def version_1(table):
    """Positions in half floats, rotations in three bytes."""

    def bytes_of(values):
        return np.clip(np.floor(values + 0.5), 0, 255).astype(np.uint8)

    def columns(*names):
        return np.stack([table[name].astype(np.float64) for name in names], 1)

    positions = columns("x", "y", "z").astype("<f2").tobytes()
    alphas = bytes_of(255 / (1 + np.exp(-columns("opacity")))).tobytes()
    colours = bytes_of(columns("f_dc_0", "f_dc_1", "f_dc_2") * 38.25 + 127.5).tobytes()
    scales = bytes_of((columns("scale_0", "scale_1", "scale_2") + 10) * 16).tobytes()
    rotations = columns("rot_0", "rot_1", "rot_2", "rot_3")
    rotations /= np.linalg.norm(rotations, axis=1, keepdims=True)
    rotations *= np.where(rotations[:, :1] < 0, -1, 1)
    rotations = bytes_of(rotations[:, 1:] * 127.5 + 127.5).tobytes()
    header = b"NGSP" + struct.pack("<IIBBBB", 1, ROWS, 0, 12, 1, 0)
    return gzip.compress(header + positions + alphas + colours + scales + rotations, mtime=0)


def main():
    modules, folder = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    cli = modules / "@playcanvas/splat-transform/bin/cli.mjs"
    forge = gaussforge.GaussForge()

    def transform(*files):
        subprocess.run(["node", cli, "-q", "-w", "-g", "cpu", *files], check=True)

    def reread(name):
        transform(folder / name, folder / f"{name}.ply")

    def forged(content, target, **options):
        result = forge.convert(content, "ply", target, **options)
        if "error" in result:
            raise SystemExit(f"gaussforge: {result['error']}")
        return result["data"]

    for degree in range(4):
        given = folder / f"degree-{degree}.ply"
        table = scene(degree)
        write_ply(given, table)
        for version in (3, 4):
            name = f"degree-{degree}.v{version}.spz"
            transform(given, "--spz-version", str(version), folder / name)
        reread(f"degree-{degree}.v4.spz")
        for name in (f"degree-{degree}.glb", f"degree-{degree}.sog"):
            transform(given, folder / name)
        reread(f"degree-{degree}.sog")
        content = given.read_bytes()
        (folder / f"degree-{degree}.v2.spz").write_bytes(forged(content, "spz", spz_version=2))
        if degree in (0, 2):
            reread(f"degree-{degree}.v2.spz")
        if degree < 2:
            (folder / f"degree-{degree}.gaussforge.ksplat").write_bytes(
                forged(content, "ksplat")
            )
    (folder / "degree-0.v1.spz").write_bytes(version_1(scene(0)))
    (folder / "degree-0.splat").write_bytes(forged((folder / "degree-0.ply").read_bytes(), "splat"))
    reread("degree-0.splat")
    script = Path(__file__).with_name("ksplat.mjs")
    for level in range(3):
        name = f"level-{level}.ksplat"
        subprocess.run(["node", script, modules, folder / "degree-2.ply", str(level), folder / name], check=True)
        reread(name)


main()
