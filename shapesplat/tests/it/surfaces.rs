//! Points on surfaces: uniform, on the surface, the same by seed; and what motions and the order of triangles leave alone.

use std::path::Path;

use grouping_core::files::output::Existing;
use grouping_core::testing::assert_refused;
use proptest::prelude::*;
use shapesplat::mesh::{Format, Mesh};

/// The unit square, cut unevenly: along fifths and sevenths, and each cell into two.
fn square() -> Mesh {
    let (xs, ys) = ([0.0, 0.03, 0.2, 0.45, 0.9, 1.0], [0.0, 0.5, 0.51, 0.7, 1.0]);
    let positions = ys.iter().flat_map(|&y| xs.iter().map(move |&x| [x, y, 0.0])).collect();
    let cells = (0..4_u32).flat_map(|row| (0..5_u32).map(move |column| row * 6 + column));
    let triangles = cells.flat_map(|a| [[a, a + 1, a + 7], [a, a + 7, a + 6]]).collect();
    Mesh { positions, triangles, ..Mesh::default() }
}

#[test]
fn points_are_uniform_by_area() {
    const N: usize = 64_000;
    let points = square().sample(N, 3).expect("points");
    let mut counts = [0_usize; 64];
    for [x, y, _] in &points.positions {
        counts[(x * 8.0) as usize * 8 + (y * 8.0) as usize] += 1;
    }
    let wanted = N as f64 / 64.0;
    let chi2: f64 = counts.iter().map(|&n| (n as f64 - wanted).powi(2) / wanted).sum();
    // Of 63 degrees of freedom: a value outside comes once in a million seeds on each side.
    assert!(chi2 > 22.0 && chi2 < 130.0, "χ² of 63 degrees of freedom: {chi2}");
    let second = square().sample(N, 4).expect("points");
    assert!(points != second, "another seed");
    assert!(points == square().sample(N, 3).expect("points"), "the same seed");
    assert_eq!(
        &points.positions[..100],
        &square().sample(100, 3).expect("points").positions,
        "more points go on"
    );
}

#[test]
fn faces_without_area_get_no_point() {
    let mut mesh = square();
    mesh.triangles.insert(0, [0, 0, 1]);
    mesh.triangles.insert(7, [0, 1, 2]);
    mesh.triangles.push([5, 5, 5]);
    assert_eq!(
        mesh.sample(500, 1).expect("points"),
        square().sample(500, 1).expect("points"),
        "the same points"
    );
    assert_eq!(mesh.measures().degenerate, 3, "counted");
    let flat = Mesh { positions: vec![[0.0; 3]; 3], triangles: vec![[0, 1, 2]], ..Mesh::default() };
    assert_refused(flat.sample(5, 0), "expected a surface with an area, found 0");
    assert_refused(square().sample(0, 0), "expected at least one point, found 0");
}

#[test]
fn points_are_written_as_ply() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("points.ply");
    let points = square().sample(3, 5).expect("points");
    points.write_ply(&path, Existing::Refuse).expect("written");
    let bytes = std::fs::read(&path).expect("a file");
    let header = "ply\nformat binary_little_endian 1.0\nelement vertex 3\nproperty float x\nproperty float y\nproperty float z\nproperty float nx\nproperty float ny\nproperty float nz\nproperty uchar red\nproperty uchar green\nproperty uchar blue\nend_header\n";
    assert!(bytes.starts_with(header.as_bytes()), "{}", String::from_utf8_lossy(&bytes));
    let body = &bytes[header.len()..];
    assert_eq!(body.len(), 3 * 27, "three points");
    let x = f32::from_le_bytes(body[..4].try_into().expect("four bytes"));
    assert_eq!((x, body[24]), (points.positions[0][0] as f32, 128), "the first");
    assert_refused(points.write_ply(&path, Existing::Refuse), "exists already");
}

/// A blob: a polygon soup around the origin.
fn soup() -> impl Strategy<Value = Mesh> {
    let point = prop::array::uniform3(-10.0..10.0_f64);
    (
        prop::collection::vec(point, 3..30),
        prop::collection::vec(prop::array::uniform3(any::<prop::sample::Index>()), 1..40),
    )
        .prop_map(|(positions, picks)| {
            let n = positions.len();
            let triangles = picks.iter().map(|t| t.map(|i| i.index(n) as u32)).collect();
            Mesh { positions, triangles, ..Mesh::default() }
        })
}

/// A rotation by a unit quaternion, then a shift.
fn moved(mesh: &Mesh, [w, x, y, z]: [f64; 4], shift: [f64; 3]) -> Mesh {
    let n = w * w + x * x + y * y + z * z;
    let rows = [
        [1.0 - 2.0 * (y * y + z * z) / n, 2.0 * (x * y - z * w) / n, 2.0 * (x * z + y * w) / n],
        [2.0 * (x * y + z * w) / n, 1.0 - 2.0 * (x * x + z * z) / n, 2.0 * (y * z - x * w) / n],
        [2.0 * (x * z - y * w) / n, 2.0 * (y * z + x * w) / n, 1.0 - 2.0 * (x * x + y * y) / n],
    ];
    let turn =
        |p: &[f64; 3]| std::array::from_fn(|i| (0..3).map(|j| rows[i][j] * p[j]).sum::<f64>() + shift[i]);
    Mesh { positions: mesh.positions.iter().map(turn).collect(), ..mesh.clone() }
}

proptest! {
    #[test]
    fn points_lie_on_their_surface(mesh in soup(), seed in any::<u64>()) {
        prop_assume!(mesh.area_and_centroid().0 > 1e-3);
        let points = mesh.sample(50, seed).expect("an area");
        for (point, normal) in points.positions.iter().zip(&points.normals) {
            let on = (0..mesh.triangles.len()).any(|i| distance(mesh.corners(i), *point) < 1e-6);
            prop_assert!(on, "{point:?} lies on a triangle");
            let length: f32 = normal.iter().map(|x| x * x).sum::<f32>().sqrt();
            prop_assert!((length - 1.0).abs() < 1e-5, "normals have length 1, not {length}");
        }
    }

    #[test]
    fn motions_keep_area_and_move_the_centroid(
        mesh in soup(),
        q in prop::array::uniform4(-1.0..1.0_f64).prop_filter("a rotation", |q| q.iter().map(|x| x * x).sum::<f64>() > 0.01),
        shift in prop::array::uniform3(-100.0..100.0_f64),
    ) {
        let (area, centroid) = mesh.area_and_centroid();
        let (after, moved_centroid) = moved(&mesh, q, shift).area_and_centroid();
        prop_assert!((area - after).abs() <= 1e-9 * area.max(1.0), "{area} and {after}");
        prop_assume!(area > 1e-6);
        let single = Mesh { positions: vec![centroid], ..Mesh::default() };
        let wanted = moved(&single, q, shift).positions[0];
        for i in 0..3 {
            prop_assert!((wanted[i] - moved_centroid[i]).abs() < 1e-6, "{wanted:?} and {moved_centroid:?}");
        }
    }

    #[test]
    fn the_order_of_triangles_and_corners_changes_no_measure(mesh in soup(), by in 0..40_usize, turn in 0..3_usize) {
        let mut other = mesh.clone();
        let n = other.triangles.len();
        other.triangles.rotate_left(by % n);
        other.triangles.iter_mut().for_each(|triangle| triangle.rotate_left(turn));
        let (a, b) = (mesh.measures(), other.measures());
        prop_assert!((a.area - b.area).abs() <= 1e-9 * a.area.max(1.0), "{} and {}", a.area, b.area);
        prop_assert_eq!((a.bounds, a.watertight, a.degenerate + a.duplicate + a.back_to_back > 0), (b.bounds, b.watertight, b.degenerate + b.duplicate + b.back_to_back > 0));
    }

    #[test]
    fn no_bytes_make_a_reader_fail_otherwise_than_by_an_error(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        cut in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
        value in any::<u8>(),
    ) {
        for (format, name) in [
            (Format::Off, "ball.off"), (Format::Obj, "cut.obj"), (Format::Ply, "capsule.ply"), (Format::Ply, "capsule_ascii.ply"),
            (Format::Stl, "ring.stl"), (Format::Stl, "ring_ascii.stl"), (Format::Gltf, "boxes.glb"),
        ] {
            let read = |bytes: Vec<u8>| {
                if let Ok((mesh, _)) = Mesh::read(bytes, format, Path::new("none")) {
                    let _ = mesh.measures();
                    let _ = mesh.sample(4, 0);
                }
            };
            read(bytes.clone());
            let mut whole = std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/meshes").join(name)).expect("a file");
            let place = at.index(whole.len());
            whole[place] = value;
            read(whole.clone());
            whole.truncate(cut.index(whole.len()));
            read(whole);
        }
    }
}

/// The distance of a point to a triangle, by the point's shares of its corners, or to its longest edge where it has no area.
fn distance([a, b, c]: [[f64; 3]; 3], p: [f64; 3]) -> f64 {
    let minus = |a: [f64; 3], b: [f64; 3]| [a[0] - b[0], a[1] - b[1], a[2] - b[2]];
    let dot = |a: [f64; 3], b: [f64; 3]| a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
    let (u, v, w) = (minus(b, a), minus(c, a), minus(p, a));
    let (uu, uv, vv, wu, wv) = (dot(u, u), dot(u, v), dot(v, v), dot(w, u), dot(w, v));
    let det = uu * vv - uv * uv;
    let segment = |a: [f64; 3], b: [f64; 3]| {
        let (e, w) = (minus(b, a), minus(p, a));
        let t = if dot(e, e) > 0.0 { (dot(e, w) / dot(e, e)).clamp(0.0, 1.0) } else { 0.0 };
        let d = minus(w, e.map(|x| x * t));
        dot(d, d).sqrt()
    };
    let edges = segment(a, b).min(segment(b, c)).min(segment(c, a));
    if det <= 0.0 {
        return edges;
    }
    let (s, t) = ((vv * wu - uv * wv) / det, (uu * wv - uv * wu) / det);
    if s < 0.0 || t < 0.0 || s + t > 1.0 {
        return edges;
    }
    let d: [f64; 3] = std::array::from_fn(|i| w[i] - s * u[i] - t * v[i]);
    dot(d, d).sqrt()
}
