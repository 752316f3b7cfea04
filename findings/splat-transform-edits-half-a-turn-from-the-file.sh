#!/usr/bin/env bash
# splat-transform 3.7.0 moves and filters a PLY in another frame than its own, and says nothing: x and y have the opposite sign.
#
# `--translate 1,0,0` from PLY to PLY lowers every x of the file by 1, and `--filter-value x,gte,0` keeps the rows whose x in the file is
# not above 0. z is as expected: the frame is half a turn about z from the file's. Columns that are filtered by other names, and a conversion
# without edits, are not turned, so that nothing but the numbers shows it. `shapesplat convert` edits in the frame of the file.
#
# Shown: three Gaussians at x = -2, 0.5, 3, y = 1, z = 4, moved by (1, 0, 0) and by (0, 0, 1), and filtered. Needs Node.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund @playcanvas/splat-transform@3.7.0 >/dev/null

cat >ply.cjs <<'JS'
const fs = require("fs");
const names = "x y z f_dc_0 f_dc_1 f_dc_2 opacity scale_0 scale_1 scale_2 rot_0 rot_1 rot_2 rot_3".split(" ");
const [, , what, path] = process.argv;
if (what === "write") {
  const rows = [-2, 0.5, 3].map((x) => [x, 1, 4, 0, 0, 0, 1, -2, -2, -2, 1, 0, 0, 0]);
  const header = `ply\nformat binary_little_endian 1.0\nelement vertex 3\n${names.map((n) => `property float ${n}\n`).join("")}end_header\n`;
  fs.writeFileSync(path, Buffer.concat([Buffer.from(header), Buffer.from(new Float32Array(rows.flat()).buffer)]));
} else {
  const bytes = fs.readFileSync(path);
  const end = bytes.indexOf("end_header\n") + 11;
  const found = bytes.toString("latin1", 0, end).split("\n").filter((l) => l.startsWith("property float")).map((l) => l.split(" ")[2]);
  const size = 4 * found.length;
  const rows = [];
  for (let at = end; at + size <= bytes.length; at += size) {
    rows.push(["x", "y", "z"].map((n) => bytes.readFloatLE(at + 4 * found.indexOf(n)).toFixed(1)).join(" "));
  }
  console.log(rows.join(" | "));
}
JS
node ply.cjs write in.ply
edited() { # words of the edit
  node_modules/.bin/splat-transform in.ply "$@" out.ply --overwrite >log 2>&1 || { cat log; exit 1; }
  node ply.cjs read out.ply
}
{
  echo "splat-transform:         $(node -p "require(\"./node_modules/@playcanvas/splat-transform/package.json\").version")"
  echo "file:                    $(node ply.cjs read in.ply)"
  echo "--translate 1,0,0:       $(edited --translate 1,0,0)"
  echo "--translate 0,0,1:       $(edited --translate 0,0,1)"
  echo "--filter-value x,gte,0:  $(edited --filter-value x,gte,0)"
} | tee found
cat >expected <<'TEXT'
splat-transform:         3.7.0
file:                    -2.0 1.0 4.0 | 0.5 1.0 4.0 | 3.0 1.0 4.0
--translate 1,0,0:       -3.0 1.0 4.0 | -0.5 1.0 4.0 | 2.0 1.0 4.0
--translate 0,0,1:       -2.0 1.0 5.0 | 0.5 1.0 5.0 | 3.0 1.0 5.0
--filter-value x,gte,0:  -2.0 1.0 4.0
TEXT
diff expected found && echo "as stated"
