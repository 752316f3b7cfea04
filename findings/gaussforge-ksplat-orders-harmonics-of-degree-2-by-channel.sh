#!/usr/bin/env bash
# gaussforge 0.6.0 writes the spherical harmonics of a .ksplat of degree 2 in another order than the program that made the format.
#
# A row of compression level 0 ends in 24 floats. GaussianSplats3D 0.4.7, whose format .ksplat is, writes and reads degree 1 of red, green
# and blue, then degree 2 of red, green and blue. gaussforge writes all eight of red, then of green, then of blue, which is the order of
# `f_rest` in a PLY. So either shows the other's files with wrong colours at the sides, and nothing says so. `shapesplat` reads the order of
# GaussianSplats3D. Files of degree 0 and 1 are the same in both orders.
#
# Shown: one Gaussian whose `f_rest_i` is i, written by both. Needs Node, and Python 3.11 with pip.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund @mkkellogg/gaussian-splats-3d@0.4.7 >/dev/null
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check gaussforge==0.6.0 >/dev/null

cat >by_gaussforge.py <<'PY'
import struct
from pathlib import Path

import gaussforge

names = ["x", "y", "z", "f_dc_0", "f_dc_1", "f_dc_2", *(f"f_rest_{i}" for i in range(24)), "opacity"]
names += ["scale_0", "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3"]
row = [0.5, 1.0, 2.0, 0.1, 0.2, 0.3, *range(24), 1.0, -2.0, -2.0, -2.0, 1.0, 0.0, 0.0, 0.0]
header = "ply\nformat binary_little_endian 1.0\nelement vertex 1\n"
header += "".join(f"property float {name}\n" for name in names) + "end_header\n"
ply = header.encode() + struct.pack(f"<{len(row)}f", *row)
Path("one.ply").write_bytes(ply)
written = gaussforge.GaussForge().convert(ply, "ply", "ksplat")
Path("gaussforge.ksplat").write_bytes(bytes(written["data"] if isinstance(written, dict) else written))
PY
venv/bin/python by_gaussforge.py
cat >by_maker.mjs <<'JS'
import { readFileSync, writeFileSync } from "node:fs";
import { PlyParser, SplatBufferGenerator } from "./node_modules/@mkkellogg/gaussian-splats-3d/build/gaussian-splats-3d.module.js";

const { buffer, byteOffset, byteLength } = readFileSync("one.ply");
const splats = PlyParser.parseToUncompressedSplatArray(buffer.slice(byteOffset, byteOffset + byteLength), 2);
const generator = SplatBufferGenerator.getStandardGenerator(0, 0, 2);
writeFileSync("maker.ksplat", new Uint8Array(generator.generateFromUncompressedSplatArray(splats).bufferData));
JS
node by_maker.mjs >/dev/null
order() { # file: the 24 floats behind the header, the section's header, and 44 bytes of place, size, rotation and colour
  venv/bin/python -c 'import struct, sys; print(*(int(v) for v in struct.unpack_from("<24f", open(sys.argv[1], "rb").read(), 4096 + 1024 + 44)))' "$1"
}
{
  echo "gaussforge $(venv/bin/python -c 'from importlib.metadata import version; print(version("gaussforge"))'):     $(order gaussforge.ksplat)"
  echo "GaussianSplats3D $(node -p 'require("./node_modules/@mkkellogg/gaussian-splats-3d/package.json").version'): $(order maker.ksplat)"
} | tee found
cat >expected <<'TEXT'
gaussforge 0.6.0:     0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23
GaussianSplats3D 0.4.7: 0 1 2 8 9 10 16 17 18 3 4 5 6 7 11 12 13 14 15 19 20 21 22 23
TEXT
diff expected found && echo "as stated"
