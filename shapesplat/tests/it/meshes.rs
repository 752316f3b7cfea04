//! Meshes against trimesh: measures, colours, points on surfaces, and how models are normalised.

use std::f64::consts::PI;
use std::io::Write;
use std::path::{Path, PathBuf};

use grouping_core::testing::assert_refused;
use serde_json::Value;
use shapesplat::mesh::{Convention, Mesh, Note};

use crate::mesh_spellings::off;

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/meshes").join(name)
}

fn number(value: &Value) -> f64 {
    value.as_f64().expect("a number")
}

fn assert_near(found: f64, wanted: f64, scale: f64, what: &str) {
    assert!((found - wanted).abs() <= 1e-6 * scale, "{what}: {found}, not {wanted}");
}

/// The names of trimesh's measures are those of `oracles/shapesplat/meshes.py`.
fn assert_measures(mesh: &Mesh, wanted: &Value, name: &str) {
    let found = mesh.measures();
    let scale = found.extents.iter().fold(0.0, |a: f64, &b| a.max(b));
    assert_near(found.area, number(&wanted["area"]), found.area, &format!("{name}: area"));
    for i in 0..3 {
        // ModelNet's centre lies where its area is, to the digits that trimesh's own order of sums keeps.
        assert_near(
            found.centroid[i],
            number(&wanted["centroid"][i]),
            scale,
            &format!("{name}: centroid {i}"),
        );
        for side in 0..2 {
            assert_near(
                found.bounds[side][i],
                number(&wanted["bounds"][side][i]),
                scale,
                &format!("{name}: bounds"),
            );
        }
    }
    let count = |field: &str| number(&wanted[field]) as usize;
    let counts = (found.faces, found.degenerate, found.duplicate, found.duplicate + found.back_to_back);
    let wanted_counts = (count("faces"), count("degenerate"), count("duplicate"), count("doubled"));
    assert_eq!(counts, wanted_counts, "{name}: faces, degenerate, duplicate, doubled");
    assert_eq!(found.watertight, wanted["watertight"].as_bool().expect("a flag"), "{name}: watertight");
    match (found.volume, wanted["volume"].as_f64()) {
        (Some(found), Some(wanted)) => assert_near(found, wanted, found.abs(), &format!("{name}: volume")),
        (found, wanted) => assert_eq!(found, wanted, "{name}: volume"),
    }
}

fn table() -> serde_json::Map<String, Value> {
    let text = std::fs::read_to_string(data("measures.json")).expect("a golden");
    serde_json::from_str(&text).expect("a table")
}

#[test]
fn measures_are_those_of_trimesh_in_every_format() {
    let table = table();
    assert!(table.len() >= 8, "the table holds {} files", table.len());
    for (name, wanted) in table {
        let (mesh, notes) = Mesh::open(&data(&name)).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(notes, [], "{name}: nothing is left out");
        assert_measures(&mesh, &wanted, &name);
    }
}

#[test]
fn points_have_the_mean_and_the_second_moments_of_the_surface() {
    const N: usize = 40_000;
    for (name, wanted) in table() {
        let (mesh, _) = Mesh::open(&data(&name)).expect("a mesh");
        let points = mesh.sample(N, 11).expect("points").positions;
        let extent = mesh.measures().extents.iter().fold(0.0, |a: f64, &b| a.max(b));
        let reach = mesh.measures().bounds.iter().flatten().fold(0.0, |a: f64, &b| a.max(b.abs()));
        for i in 0..3 {
            let mean = points.iter().map(|p| p[i]).sum::<f64>() / N as f64;
            // Five deviations: a value within an extent of e deviates by e/2 at most.
            let tolerance = 5.0 * extent / 2.0 / (N as f64).sqrt();
            let centroid = number(&wanted["centroid"][i]);
            assert!((mean - centroid).abs() < tolerance, "{name}: mean {mean}, not {centroid}");
            for j in 0..3 {
                let moment = points.iter().map(|p| p[i] * p[j]).sum::<f64>() / N as f64;
                let golden = number(&wanted["moments"][i][j]);
                let tolerance = 5.0 * reach * reach / (N as f64).sqrt();
                assert!((moment - golden).abs() < tolerance, "{name}: moment {moment}, not {golden}");
            }
        }
    }
}

#[test]
fn colours_of_trimesh_come_back() {
    let [binary, ascii, glb] = ["capsule.ply", "capsule_ascii.ply", "capsule.glb"]
        .map(|name| Mesh::open(&data(name)).expect("a mesh").0);
    assert_eq!(
        (&binary.triangles, &binary.colours),
        (&ascii.triangles, &ascii.colours),
        "one mesh in two encodings"
    );
    for (a, b) in binary.positions.iter().flatten().zip(ascii.positions.iter().flatten()) {
        assert!((a - b).abs() < 1e-8, "{a} in eight digits is {b}");
    }
    let bytes =
        |mesh: &Mesh| mesh.colours.iter().map(|c| c.map(|x| (x * 255.0).round() as u8)).collect::<Vec<_>>();
    assert!(
        bytes(&binary).iter().any(|c| c[0] > 200) && bytes(&binary).len() == binary.positions.len(),
        "colours"
    );
    // glTF's are linear light.
    let linear = |x: f32| if x <= 0.040_45 { x / 12.92 } else { ((x + 0.055) / 1.055).powf(2.4) };
    for (a, b) in binary.colours.iter().flatten().zip(glb.colours.iter().flatten()) {
        assert!((a - linear(*b)).abs() < 1e-5, "{a} as linear light is {b}");
    }
}

#[test]
fn nodes_place_their_meshes_and_mirrors_turn_them() {
    let (mesh, _) = Mesh::open(&data("boxes.glb")).expect("a mesh");
    let parts: Vec<(&str, usize)> =
        mesh.parts.iter().map(|part| (&part.name[..], part.triangles.len())).collect();
    assert_eq!(parts, [("near", 12), ("far", 12)], "a part a node");
    for triangle in 0..24 {
        let [a, b, c] = mesh.corners(triangle);
        let middle: [f64; 3] = std::array::from_fn(|i| (a[i] + b[i] + c[i]) / 3.0);
        let centre = if triangle < 12 { [0.0; 3] } else { [4.0, 0.0, 0.0] };
        let normal = mesh.normal(triangle, [1.0, 0.0, 0.0]);
        let out: f64 = (0..3).map(|i| f64::from(normal[i]) * (middle[i] - centre[i])).sum();
        assert!(out > 0.2, "triangle {triangle} looks outwards: {out}");
    }
    let texture = mesh.materials[0].texture.as_ref().expect("a texture");
    assert_eq!(texture.image.dimensions(), (8, 8), "the image");
}

#[test]
fn modelnet_is_normalised_as_shapesplat_does() {
    let mesh = off("OFF\n4 4 0\n1 1 1\n5 1 1\n1 3 1\n1 1 2\n3 0 2 1\n3 0 1 3\n3 0 3 2\n3 1 2 3\n");
    let before = mesh.measures();
    let after = mesh.clone().normalised(Convention::ModelNet).expect("an extent").measures();
    assert!(
        after.centroid.iter().all(|x| x.abs() < 1e-15),
        "the centroid is the origin: {:?}",
        after.centroid
    );
    let [x, y, z] = before.extents.map(|e| e / 4.0);
    assert_eq!(after.extents, [y, z, x], "axes turn, the largest extent is 1");
    let volume = after.volume.expect("closed");
    assert!(
        (volume - before.volume.expect("closed") / 64.0).abs() < 1e-15,
        "outside stays outside: {volume}"
    );
    assert_eq!(mesh.clone().normalised(Convention::AsIs).expect("nothing to do"), mesh, "ShapeNet as it is");
    let flat = Mesh { positions: vec![[1.0; 3]; 3], triangles: vec![[0, 1, 2]], ..Mesh::default() };
    assert_refused(flat.normalised(Convention::ModelNet), "expected a mesh with an extent, found 0");
}

#[test]
fn real_meshes_measure_as_trimesh_says() {
    let Some(folder) = std::env::var_os("GROUPING_DATA") else {
        // Past the capture of the test's output.
        let _ = std::io::stderr()
            .write_all(b"skipped: real_meshes_measure_as_trimesh_says needs GROUPING_DATA\n");
        return;
    };
    let open = |name: &str| Mesh::open(&Path::new(&folder).join("meshes").join(name)).expect("a real mesh");
    let (airplane, notes) = open("modelnet_airplane_0527.off");
    let measures = airplane.measures();
    assert_eq!(notes, [], "nothing is left out");
    assert_eq!(
        (measures.vertices, measures.faces, measures.degenerate, measures.duplicate),
        (35_013, 35_331, 147, 110),
        "counts"
    );
    assert_eq!(measures.duplicate + measures.back_to_back, 16_406, "surfaces with two sides");
    for (found, wanted) in measures.centroid.iter().zip([96.3725, 626.4285, 126.5572]) {
        assert!((found - wanted).abs() < 5e-4, "centroid {found}, not {wanted}");
    }
    assert!((measures.extents[0] - 1019.685).abs() < 1e-9, "along x: {:?}", measures.extents);
    assert!(
        (measures.extents[1] - 1_051.303_15).abs() < 1e-9,
        "the largest extent, along y: {:?}",
        measures.extents
    );
    let after = airplane.normalised(Convention::ModelNet).expect("an extent").measures();
    assert!((after.extents[0] - 1.0).abs() < 1e-12, "y lies along x: {:?}", after.extents);
    assert!(
        (after.extents[2] - 1019.685 / 1_051.303_15).abs() < 1e-12,
        "x lies along −z: {:?}",
        after.extents
    );
    let (shapenet, notes) = open("shapenet_02691156_76811819.obj");
    let measures = shapenet.measures();
    assert_eq!((measures.positions, measures.faces, shapenet.parts.len()), (1_210, 4_874, 40), "counts");
    assert_eq!((measures.degenerate, measures.back_to_back), (22, 2_437), "flaws");
    let [Note::MissingMaterials { .. }, Note::LeftOut { count: 180, .. }] = &notes[..] else {
        panic!("the library is missing, and 180 lines are no surface: {notes:?}");
    };
    assert_eq!(measures.vertices, 5_364, "as many as trimesh makes of them");
    let diagonal = measures.extents.iter().map(|e| e * e).sum::<f64>().sqrt();
    assert!((diagonal - 1.0).abs() < 1e-6, "ShapeNet's diagonal: {diagonal}");
    for (name, faces, area, volume) in [
        ("cow.obj", 5_804, 108.845_364_122_970_15, Some(53.567_445_842_479_465)),
        ("fandisk.obj", 12_946, 60.669_109_234_919_674, Some(20.243_374_882_839_458)),
        ("homer.obj", 12_000, 0.663_863_217_640_813, Some(0.021_241_926_893_821_757)),
        ("rocker-arm.obj", 20_088, 1.296_551_860_698_184_3, Some(0.042_513_623_580_529_09)),
        ("spot.obj", 5_856, 5.709_518_785_165_158, Some(0.718_258_788_099_864_7)),
        ("stanford-bunny.obj", 69_451, 0.057_128_786_060_864_294, None),
        ("suzanne.obj", 968, 12.468_539_112_387_251, None),
        ("teapot.obj", 6_320, 52.660_793_425_505_9, None),
    ] {
        let measures = open(name).0.measures();
        assert_eq!(measures.faces, faces, "{name}: faces");
        assert_near(measures.area, area, area, name);
        match (measures.volume, volume) {
            (Some(found), Some(wanted)) => assert_near(found, wanted, wanted, name),
            (found, wanted) => assert_eq!(found, wanted, "{name}: volume"),
        }
    }
}

#[test]
fn a_ball_has_the_area_of_a_ball() {
    let (ball, _) = Mesh::open(&data("cut.obj")).expect("a mesh");
    let cut = ball.measures();
    assert!(cut.area < 4.0 * PI && cut.area > 3.0 * PI && !cut.watertight, "a cut ball: {cut:?}");
}
