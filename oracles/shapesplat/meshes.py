"""Writes `shapesplat/tests/data/meshes/`: small meshes by trimesh in its formats, and what it measures of them.

    python oracles/shapesplat/meshes.py
    python oracles/shapesplat/meshes.py FILE ...     measures of other files, a JSON line each
    python oracles/shapesplat/meshes.py --bench NAME FILE

The last writes the OFF of `shapesplat/benches/meshes.rs` to FILE and prints a JSON line: the median wall and CPU time of reading it.

Second moments are those of a uniform distribution on the surface; the golden for points that are drawn on it.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
import trimesh
from PIL import Image

OUT = Path(__file__).parents[2] / "shapesplat/tests/data/meshes"


def measures(mesh):
    a, b, c = (mesh.triangles[:, i] for i in range(3))
    # The integral of x xᵀ over a triangle of area A: A/12 · (Σ pᵢpᵢᵀ + s sᵀ) with s the sum of its corners.
    s = a + b + c
    outer = sum(np.einsum("ni,nj->nij", p, p) for p in (a, b, c, s))
    moments = np.einsum("n,nij->ij", mesh.area_faces, outer) / 12 / mesh.area
    return {
        "faces": len(mesh.faces),
        "area": mesh.area,
        "centroid": mesh.centroid.tolist(),
        "bounds": mesh.bounds.tolist(),
        "moments": moments.tolist(),
        "watertight": bool(mesh.is_watertight),
        "volume": float(mesh.volume) if mesh.is_volume else None,
        "degenerate": int((mesh.area_faces == 0).sum()),
        "duplicate": repeats(np.array([np.roll(face, -np.argmin(face)) for face in mesh.faces])),
        "doubled": repeats(np.sort(mesh.faces, axis=1)),
    }


def repeats(rows):
    return int(len(rows) - len(np.unique(rows, axis=0)))


def load(path):
    # `load` merges vertices; of a scene, all parts become one mesh.
    mesh = trimesh.load(path, force="mesh")
    mesh.merge_vertices(merge_tex=True, merge_norm=True)
    return mesh


def fixtures():
    rng = np.random.default_rng(7)
    ball = trimesh.creation.icosphere(subdivisions=2)
    ball.apply_transform(np.diag([1.0, 0.5, 2.0, 1.0]))
    ball.export(OUT / "ball.off")
    ring = trimesh.creation.annulus(r_min=0.5, r_max=1.0, height=0.4, sections=7)
    ring.apply_transform(trimesh.transformations.rotation_matrix(0.7, [1, 2, 3], [0.1, 0.2, 0.3]))
    ring.export(OUT / "ring.stl")
    (OUT / "ring_ascii.stl").write_text(trimesh.exchange.stl.export_stl_ascii(ring))
    capsule = trimesh.creation.capsule(height=1.0, radius=0.4, count=[8, 8])
    capsule.visual.vertex_colors = rng.integers(0, 256, (len(capsule.vertices), 4), dtype=np.uint8)
    capsule.export(OUT / "capsule.ply")
    (OUT / "capsule_ascii.ply").write_bytes(trimesh.exchange.ply.export_ply(capsule, encoding="ascii"))
    capsule.export(OUT / "capsule.glb")
    box = trimesh.creation.box((1, 2, 3))
    box.unmerge_vertices()
    image = Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8))
    box.visual = trimesh.visual.TextureVisuals(uv=rng.random((len(box.vertices), 2)), image=image)
    scene = trimesh.Scene()
    scene.add_geometry(box, node_name="near", transform=trimesh.transformations.rotation_matrix(0.3, [0, 1, 0]))
    mirrored = np.diag([-0.5, 1.0, 1.0, 1.0])
    mirrored[:3, 3] = [4, 0, 0]
    scene.add_geometry(box, node_name="far", transform=mirrored)
    scene.export(OUT / "boxes.glb")
    cut = trimesh.creation.icosphere(subdivisions=1)
    cut.update_faces(np.arange(len(cut.faces)) > 3)
    cut.export(OUT / "cut.obj", include_normals=True)


def main():
    if sys.argv[1:2] == ["--bench"]:
        name, path = sys.argv[2:]
        vertices = np.arange(35_013)[:, None] * np.array([7919, 104_729, 1_299_709]) % 2**32 % 1_000_003 / 1000
        faces = (np.arange(35_331)[:, None] + 11_003 * np.arange(3)) % len(vertices)
        lines = ["OFF", f"{len(vertices)} {len(faces)} 0"]
        lines += ["%.4f %.4f %.4f" % tuple(row) for row in vertices] + ["3 %d %d %d" % tuple(row) for row in faces]
        Path(path).write_text("\n".join(lines) + "\n")
        runs = []
        for _ in range(11):
            wall, start = time.perf_counter(), time.process_time()
            # As it stands: merging vertices is no part of reading.
            trimesh.load(path, process=False)
            runs.append((time.perf_counter() - wall, time.process_time() - start))
        wall, cpu = (sorted(run[i] for run in runs)[len(runs) // 2] for i in range(2))
        print(json.dumps({"event": "bench", "name": name, "wall_secs": wall, "cpu_secs": cpu}))
    elif len(sys.argv) > 1:
        for path in sys.argv[1:]:
            print(json.dumps({"file": Path(path).name, **measures(load(path))}))
    else:
        OUT.mkdir(parents=True, exist_ok=True)
        fixtures()
        files = sorted(path for path in OUT.iterdir() if path.suffix != ".json")
        table = {path.name: measures(load(path)) for path in files if path.suffix not in (".mtl", ".png")}
        (OUT / "measures.json").write_text(json.dumps(table, indent=1) + "\n")


main()
