//! Meshes against trimesh, and what readers make of every spelling of their formats.

use std::f64::consts::PI;
use std::io::Write;
use std::path::{Path, PathBuf};

use grouping_core::testing::assert_refused;
use serde_json::Value;
use shapesplat::mesh::{Convention, Format, GREY, Mesh, Note};

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/meshes").join(name)
}

fn read(text: &str, format: Format) -> shapesplat::Result<(Mesh, Vec<Note>)> {
    Mesh::read(text.as_bytes().to_vec(), format, Path::new("mesh"))
}

fn off(text: &str) -> Mesh {
    read(text, Format::Off).unwrap_or_else(|e| panic!("{text:?}: {e}")).0
}

fn obj(text: &str) -> Mesh {
    read(text, Format::Obj).unwrap_or_else(|e| panic!("{text:?}: {e}")).0
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

/// A tetrahedron's edge, as the body of an OFF.
const BODY: &str = "0 0 0\n1 0 0\n0 1 0\n0 0 1\n3 0 2 1\n";

#[test]
fn off_takes_every_spelling_of_its_header() {
    let plain = off(&format!("OFF\n4 1 0\n{BODY}"));
    assert_eq!((plain.positions.len(), &plain.triangles[..]), (4, &[[0, 2, 1]][..]), "the plain one");
    for header in [
        "OFF4 1 0\n",
        "OFF 4 1 0\n",
        "OFF\n4 1\n",
        "# before\n\nOFF # after\n\n# between\n 4 1 0 # edges\n\n",
        "OFF\r\n4 1 0\r\n",
        "OFF\r4 1 0\r",
        "OFF4 1\n",
    ] {
        assert_eq!(off(&format!("{header}{BODY}")), plain, "{header:?}");
    }
    let commented = BODY.replace('\n', " # comment\n\n# line\n");
    assert_eq!(off(&format!("OFF\n4 1 0\n{commented}")), plain, "comments between any lines");
    assert_eq!(off(&format!("OFF\n4 1 0\n{}", BODY.replace('\n', "\r\n"))), plain, "lines of Windows");
}

#[test]
fn off_keeps_colours_and_normals() {
    let wanted = [[1.0, 0.0, 0.2], [0.0, 0.4, 0.0], [0.0, 0.0, 1.0]];
    for (a, b, c) in [
        ("255 0 51", "0 102 0", "0 0 255"),
        ("255 0 51 255", "0 102 0 255", "0 0 255 255"),
        ("1.0 0 0.2", "0 0.4 0", "0 0 1"),
        ("1 0 .2 1", "0 4e-1 0 1", "0 0 1 1"),
    ] {
        let mesh = off(&format!("COFF\n3 1 0\n0 0 0 {a}\n1 0 0 {b}\n0 1 0 {c}\n3 0 1 2\n"));
        assert_eq!(mesh.colours, wanted, "vertices: {a:?}");
        let faces = format!("OFF\n3 3 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 2 {a}\n3 0 1 2 {b}\n3 2 1 0 {c}\n");
        assert_eq!(off(&faces).face_colours, wanted, "faces: {a:?}");
    }
    let quad = "OFF\n4 2 0\n0 0 0\n1 0 0\n1 1 0\n0 1 0\n4 0 1 2 3 255 0 0\n3 0 1 2\n";
    assert_eq!(
        off(quad).face_colours,
        [[1.0, 0.0, 0.0], [1.0, 0.0, 0.0], GREY],
        "both triangles, and one without"
    );
    let normals = "NOFF\n3 1 0\n0 0 0 0 0 1\n1 0 0 0 0 1\n0 1 0 0 0 2\n3 0 1 2\n";
    assert_eq!(off(normals).normals, [[0.0, 0.0, 1.0], [0.0, 0.0, 1.0], [0.0, 0.0, 2.0]], "normals");
    let all = "STCNOFF\n3 1 0\n0 0 0 0 0 1 255 0 0 255 .5 1\n1 0 0 0 0 1 255 0 0 255 0 1\n0 1 0 0 0 1 0 0 255 255 1 0\n3 0 1 2\n";
    let all = off(all);
    assert_eq!(
        (all.uvs[0], all.colours[2], all.normals[1]),
        ([0.5, 1.0], [0.0, 0.0, 1.0], [0.0, 0.0, 1.0]),
        "all"
    );
}

#[test]
fn off_says_what_it_leaves_out() {
    let text = "OFF\n3 4 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n2 0 1\n1 0\n3 0 1 2 7\nmore\n";
    let (mesh, notes) = read(text, Format::Off).expect("a mesh");
    let left = |what: &str, count| Note::LeftOut { what: what.into(), count };
    assert_eq!(mesh.triangles.len(), 2, "two triangles");
    let wanted = [
        left("faces of fewer than three corners", 2),
        left("colours by index into a colour map", 1),
        left("lines after the last face", 1),
    ];
    assert_eq!(notes, wanted, "lines, points, a colour map, and what follows");
}

#[test]
fn off_refuses_what_breaks_it_with_the_line() {
    for (text, words) in [
        ("", "`line 1`: expected the keyword OFF, found the end"),
        ("4 1 0\n", "`line 1`: expected the keyword OFF, found `4`"),
        ("OFF BINARY\n\0\0\0\x04", "`OFF BINARY`, which is not read"),
        ("4OFF\n1 1 0\n", "OFF of three dimensions, found `4OFF`"),
        ("nOFF\n4\n1 1 0\n", "OFF of three dimensions, found `nOFF`"),
        ("OFF\n", "the numbers of vertices and faces"),
        ("OFF\n3\n0 0 0\n", "`line 2`: expected the numbers of vertices, faces and edges, found 1 numbers"),
        ("OFF\n-3 1 0\n", "`line 2`: expected a whole number, found `-3`"),
        ("OFF\n4000000000 1 0\n0 0 0\n", "counts that the file can hold"),
        ("OFF\n1 18446744073709551615 0\n0 0 0\n", "counts that the file can hold"),
        ("OFF\n3 1 0\n0 0 0\n1 nan 0\n0 1 0\n3 0 1 2\n", "`line 4`: expected a finite number, found `nan`"),
        ("OFF\n3 1 0\n0 0 0\n1 0 inf\n0 1 0\n3 0 1 2\n", "`line 4`: expected a finite number, found `inf`"),
        (
            "OFF\n3 1 0\n0 0 0\n1 0 1e999\n0 1 0\n3 0 1 2\n",
            "`line 4`: expected a finite number, found `1e999`",
        ),
        ("OFF\n3 1 0\n0 0 0\n1 0\n0 1 0\n3 0 1 2\n", "`line 4`: expected x, y and z"),
        (
            "OFF\n3 1 0\n0 0 0 9\n1 0 0\n0 1 0\n3 0 1 2\n",
            "`line 3`: expected the numbers that the keyword promises",
        ),
        (
            "OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 3\n",
            "`line 6`: expected indices of the 3 vertices, found 3",
        ),
        ("OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 -1\n", "`line 6`: expected a whole number, found `-1`"),
        (
            "OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1\n",
            "`line 6`: expected 3 indices of vertices, found 2 indices",
        ),
        ("OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 2 1 2\n", "`line 6`: expected a colour of 3 or 4 numbers"),
        (
            "OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 2 1 2 300\n",
            "`line 6`: expected a colour from 0 to 1 or from 0 to 255",
        ),
        ("OFF\n3 2 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n", "`line 7`: expected 2 faces, the next is 1"),
        ("OFF\n3 1 0\n0 0 0\n1 0 0\n", "`line 5`: expected 3 vertices, the next is 2"),
        ("OFF\n3 0 0\n0 0 0\n1 0 0\n0 1 0\n", "expected at least one face, found 3 vertices without one"),
        ("COFF\n3 1 0\n0 0 0 1 2\n1 0 0\n0 1 0\n3 0 1 2\n", "a colour of 3 or 4 numbers, found 2 numbers"),
    ] {
        assert_refused(read(text, Format::Off), words);
    }
}

#[test]
fn concave_polygons_have_their_own_area_in_every_format() {
    let square = "0 0 0\n1 0 0\n1 1 0\n.5 .5 0\n0 1 0\n";
    for start in 0..5 {
        let indices: Vec<String> = (0..5).map(|i| ((start + i) % 5).to_string()).collect();
        let from_one: Vec<String> = (0..5).map(|i| ((start + i) % 5 + 1).to_string()).collect();
        let vertices = square.lines().map(|line| format!("v {line}\n")).collect::<String>();
        let header = "ply\nformat ascii 1.0\nelement vertex 5\nproperty double x\nproperty double y\nproperty double z\n";
        let list = "element face 1\nproperty list uchar int vertex_indices\nend_header\n";
        for (text, format) in [
            (format!("OFF\n5 1 0\n{square}5 {}\n", indices.join(" ")), Format::Off),
            (format!("{vertices}f {}\n", from_one.join(" ")), Format::Obj),
            (format!("{header}{list}{square}5 {}\n", indices.join(" ")), Format::Ply),
        ] {
            let (mesh, _) = read(&text, format).unwrap_or_else(|e| panic!("{format:?}: {e}"));
            let area = mesh.measures().area;
            assert!((area - 0.75).abs() < 1e-12, "{format:?} begun at {start}: {area}");
        }
    }
}

const TRIANGLE: &str = "v 0 0 0\nv 1 0 0\nv 0 1 0\n";

#[test]
fn obj_takes_what_tobj_does_not() {
    let plain = obj(&format!("{TRIANGLE}f 1 2 3\n"));
    assert_eq!((plain.triangles.len(), plain.measures().area), (1, 0.5), "the plain one");
    for text in [
        "v 0 0 0\nv 1 0 0\nv 0 1 0\nf -3 -2 -1\n",
        "v 0 0 \\\n 0\nv 1 \\\r\n0 \\\n0\nv 0 1 0\nf 1 2\\\n 3\n",
        "v 0 0 0 # origin\nv 1 0 0\nv 0 1 0\n  f 1 2 3  # all\n",
        "f 1 2 3\nv 0 0 0\nv 1 0 0\nv 0 1 0\n",
        "v 0 0 0\rv 1 0 0\rv 0 1 0\rf 1 2 3\r",
        "v 0 0 0 1\nv 2 0 0 2\nv 0 1 0\nf 1 2 3\n",
        "\u{feff}# text\nv 0 0 0\nv 1 0 0\nv 0 1 0\ns off\nf 1// 2// 3//\n",
    ] {
        let (mesh, _) = read(text, Format::Obj).unwrap_or_else(|e| panic!("{text:?}: {e}"));
        assert_eq!((&mesh.positions, &mesh.triangles), (&plain.positions, &plain.triangles), "{text:?}");
    }
    let parts = obj(&format!("{TRIANGLE}o first one\nf 1 2 3\ng second\nf 3 2 1\nusemtl x\nf 1 3 2\n")).parts;
    let parts: Vec<(&str, usize)> = parts.iter().map(|part| (&part.name[..], part.triangles.len())).collect();
    assert_eq!(parts, [("first one", 1), ("second", 2)], "parts");
}

#[test]
fn obj_mixes_what_corners_have() {
    let text = format!("{TRIANGLE}vt .25 .75\nvn 0 0 2\nf 1/1/1 2//1 3\nf 1 2 3\nf 1/1 2/1 3/-1\n");
    let (mesh, notes) = read(&text, Format::Obj).expect("mixed corners");
    assert_eq!(notes, [], "no texture misses them");
    let [a, b, c] = mesh.triangles[0].map(|vertex| vertex as usize);
    assert_eq!((mesh.uvs[a], mesh.uvs[b], mesh.uvs[c]), ([0.25, 0.75], [0.0; 2], [0.0; 2]), "coordinates");
    assert_eq!(
        (mesh.normals[a], mesh.normals[b], mesh.normals[c]),
        ([0.0, 0.0, 2.0], [0.0, 0.0, 2.0], [0.0; 3]),
        "normals"
    );
    let last = mesh.triangles[2].map(|vertex| mesh.uvs[vertex as usize]);
    assert_eq!(last, [[0.25, 0.75]; 3], "the last face has all");
    assert_eq!(mesh.measures().positions, 3, "three positions");
}

#[test]
fn obj_colours_may_be_on_some_vertices() {
    let all = obj("v 0 0 0 1 0 0\nv 1 0 0 0 1 0\nv 0 1 0 0 0 1 1\nf 1 2 3\n");
    assert_eq!(all.colours, [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]], "on all, one with an alpha");
    let (some, notes) = read("v 0 0 0 1 0 0\nv 1 0 0\nv 0 1 0 2\nf 1 2 3\n", Format::Obj).expect("on some");
    assert_eq!(
        (some.colours, notes),
        (vec![[1.0, 0.0, 0.0], GREY, GREY], vec![Note::NoColour { count: 2 }]),
        "on some"
    );
}

#[test]
fn obj_says_what_it_leaves_out() {
    let text = format!(
        "{TRIANGLE}l 1 2\nl 2 3\np 1\nf 1 2\ncstype bezier\ncurv 0 1 1 2\nwhat 1\nf 1 2 3\nusemtl gold\nf 3 2 1\n"
    );
    let (mesh, notes) = read(&text, Format::Obj).expect("a mesh");
    assert_eq!(mesh.triangles.len(), 2, "two faces");
    let left = |what: &str, count| Note::LeftOut { what: what.into(), count };
    let wanted = [
        Note::UndefinedMaterial { name: "gold".into() },
        left("faces of fewer than three corners", 1),
        left("free-form curves and surfaces", 1),
        left("lines", 2),
        left("points", 1),
        left("statements `what`", 1),
    ];
    assert_eq!(notes, wanted, "notes");
    assert_eq!(mesh.sample(9, 0).expect("points").colours, [[128; 3]; 9], "grey");
}

#[test]
fn obj_refuses_what_breaks_it_with_the_line() {
    for (text, words) in [
        ("v 0 0 0\nv 1 nan 0\n", "`line 2`: expected a finite number, found `nan`"),
        ("v 0 0 0\nv 1 0\n", "`line 2`: expected 3 coordinates, with a weight or a colour, found 2 numbers"),
        ("v 0 0 0 1 1\n", "`line 1`: expected 3 coordinates, with a weight or a colour, found 5 numbers"),
        ("v 0 0 0 0\n", "`line 1`: expected a weight that leaves coordinates finite, found `0`"),
        ("vt inf 0\n", "`line 1`: expected a finite number, found `inf`"),
        ("vn 0 0\n", "`line 1`: expected a normal of 3 numbers, found 2 numbers"),
        ("v 0 0 0\nf 0 1 1\n", "`line 2`: expected an index from 1"),
        (
            "v 0 0 0\nf 1 1 2\n",
            "`line 2`: expected an index from 1 (or from −1 downwards) of 1 vertices, found 2",
        ),
        ("v 0 0 0\nf 1 1 -2\n", "`line 2`: expected an index from 1"),
        ("v 0 0 0\nf 1/1 1/1 1/1\n", "of 0 texture coordinates, found 1"),
        ("v 0 0 0\nf 1//1 1//1 1//1\n", "of 0 normals, found 1"),
        ("v 0 0 0\nf 1 1 1/1/1/1\n", "`line 2`: expected at most three indices a corner"),
        ("v 0 0 0\nf 1 1 /1\n", "`line 2`: expected the index of a vertex, found `/1`"),
        ("v 0 0 0\nf 1 1 x\n", "`line 2`: expected a whole number, found `x`"),
        ("v 0 0 0\nf 1 1 99999999999999999999\n", "`line 2`: expected a whole number"),
        ("v 0 0 0\n", "expected at least one face, found 0 vertices without one"),
        ("", "expected at least one face"),
    ] {
        assert_refused(read(text, Format::Obj), words);
    }
}

#[test]
fn stl_takes_upper_case_no_name_and_several_solids() {
    let facet = "facet normal 0 0 1\n outer loop\n  vertex 0 0 0\n  vertex 1 0 0\n  vertex 0 1 0\n endloop\nendfacet\n";
    let plain = read(&format!("solid a b\n{facet}endsolid a b\n"), Format::Stl).expect("a mesh").0;
    assert_eq!((plain.triangles.len(), &plain.parts[0].name[..]), (1, "a b"), "the plain one");
    for text in [
        format!("solid\n{facet}endsolid\n"),
        format!("SOLID x\n{}ENDSOLID X\n", facet.to_uppercase()),
        format!("  solid\r\n\r\n{}endsolid", facet.replace('\n', "\r\n")),
    ] {
        let (mesh, notes) = read(&text, Format::Stl).unwrap_or_else(|e| panic!("{text:?}: {e}"));
        assert_eq!(
            (mesh.positions, mesh.triangles, notes),
            (plain.positions.clone(), plain.triangles.clone(), vec![]),
            "{text:?}"
        );
    }
    let (two, _) =
        read(&format!("solid a\n{facet}endsolid a\nsolid b\n{facet}{facet}endsolid\n"), Format::Stl)
            .expect("two");
    let parts: Vec<(&str, usize)> =
        two.parts.iter().map(|part| (&part.name[..], part.triangles.len())).collect();
    assert_eq!(
        (parts, two.positions.len()),
        (vec![("a", 1), ("b", 2)], 3),
        "two solids on the same vertices"
    );
    for (text, words) in [
        (format!("solid\n{facet}"), "expected the word endsolid, found the end"),
        ("solid\nendsolid\n".into(), "expected at least one face"),
        (
            format!("solid\n{}endsolid\n", facet.replace("1 0 0", "1 nan 0")),
            "`line 5`: expected a finite number, found `nan`",
        ),
        (
            format!("solid\n{}endsolid\n", facet.replace("1 0 0", "1e39 0 0")),
            "`line 5`: expected a number of 32 bits",
        ),
        (
            format!("solid\n{}endsolid\n", facet.replace("1 0 0", "1 0")),
            "`line 5`: expected 3 coordinates, found 2 numbers",
        ),
        (
            format!("solid\n{}endsolid\n", facet.replace("endloop", "loopend")),
            "`line 7`: expected facet, outer loop",
        ),
        ("no stl".into(), "an STL of at least 84 bytes, or the word solid, found 6 bytes"),
    ] {
        assert_refused(read(&text, Format::Stl), words);
    }
}

/// A binary STL of these facets, under a header.
fn stl(header: &[u8], facets: &[[f32; 12]], attribute: u16) -> Vec<u8> {
    let mut bytes = vec![b' '; 80];
    bytes[..header.len()].copy_from_slice(header);
    bytes.extend((facets.len() as u32).to_le_bytes());
    for facet in facets {
        bytes.extend(facet.iter().flat_map(|x| x.to_le_bytes()));
        bytes.extend(attribute.to_le_bytes());
    }
    bytes
}

#[test]
fn binary_stl_may_begin_with_solid() {
    let facet = [0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0];
    let read = |bytes: Vec<u8>| Mesh::read(bytes, Format::Stl, Path::new("mesh.stl"));
    let (plain, notes) = read(stl(b"made by", &[facet], 0)).expect("a mesh");
    assert_eq!((plain.measures().area, notes), (0.5, vec![]), "the plain one");
    for header in [&b"solid"[..], b"solid name\n", b"SOLID"] {
        let (mesh, _) = read(stl(header, &[facet], 0)).unwrap_or_else(|e| panic!("{header:?}: {e}"));
        assert_eq!(mesh, plain, "{header:?}");
    }
    let mut longer = stl(b"solid\0", &[facet], 7);
    longer.extend([1, 2, 3]);
    let (_, notes) = read(longer).expect("more bytes");
    let left = |what: &str, count| Note::LeftOut { what: what.into(), count };
    assert_eq!(
        notes,
        [left("attributes of facets", 1), left("bytes after the last facet", 3)],
        "what is left out"
    );
    let mut short = stl(b"", &[facet], 0);
    short.pop();
    assert_refused(read(short), "expected 134 bytes of 1 facets, found 133 bytes");
    let mut many = stl(b"", &[facet], 0);
    many[80..84].fill(0xff);
    assert_refused(read(many), "bytes of 4294967295 facets, found 134 bytes");
    let mut nan = facet;
    nan[5] = f32::NAN;
    assert_refused(read(stl(b"", &[facet, nan], 0)), "`facet 1`: expected finite coordinates");
}

#[test]
fn ply_takes_any_order_encoding_and_spelling() {
    let vertices = "ply\nformat ascii 1.0\ncomment é\nobj_info x\nelement other 1\nproperty list uchar short l\nelement vertex 3\n";
    let properties = "property uchar red\nproperty float z\nproperty double y\nproperty float x\nproperty uchar green\nproperty uchar blue\n";
    let faces = "element face 2\nproperty list uint8 uint32 vertex_index\nproperty int flags\nend_header\n";
    let rows = "2 7 8\n255 0 0 0 0 51\n0 0 .0 1 0 0\n0 0 1E0\n+0 0 255\n3 0 1 2 9\n2 0 1 9\n";
    let text = format!("{vertices}{properties}{faces}{rows}");
    let (mesh, notes) = read(&text, Format::Ply).expect("a mesh");
    assert_eq!(mesh.positions, [[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]], "coordinates by name");
    assert_eq!(mesh.colours[0], [1.0, 0.0, 0.2], "colours");
    let left = |what: &str, count| Note::LeftOut { what: what.into(), count };
    assert_eq!(
        notes,
        [left("rows `other`", 1), left("faces of fewer than three corners", 1)],
        "what is left out"
    );
    let windows = read(&text.replace('\n', "\r\n"), Format::Ply).expect("lines of Windows").0;
    assert_eq!(windows, mesh, "lines of Windows");
    let blank = read(&text.replace("obj_info x\n", "\n  \n"), Format::Ply).expect("blank lines").0;
    assert_eq!(blank, mesh, "blank lines in the header");
}

#[test]
fn ply_binaries_are_read_in_both_orders() {
    let header = |order: &str| {
        format!(
            "ply\nformat binary_{order}_endian 1.0\nelement vertex 4\nproperty float x\nproperty float y\nproperty short z\nelement face 1\nproperty list uchar ushort vertex_indices\nproperty float red\nproperty float green\nproperty float blue\nend_header\n"
        )
    };
    let points: [(f32, f32, i16); 4] = [(0.0, 0.0, 0), (1.0, 0.0, 0), (1.0, 1.0, 0), (0.0, 1.0, 0)];
    for order in ["little", "big"] {
        let is_big = order == "big";
        let mut bytes = header(order).into_bytes();
        let mut put =
            |little: &[u8]| if is_big { bytes.extend(little.iter().rev()) } else { bytes.extend(little) };
        for (x, y, z) in points {
            put(&x.to_le_bytes());
            put(&y.to_le_bytes());
            put(&z.to_le_bytes());
        }
        put(&[4]);
        (0..4_u16).for_each(|i| put(&i.to_le_bytes()));
        [1.0_f32, 0.5, 0.0].iter().for_each(|x| put(&x.to_le_bytes()));
        let (mesh, _) = Mesh::read(bytes.clone(), Format::Ply, Path::new("a.ply")).expect("a mesh");
        assert_eq!((mesh.measures().area, mesh.face_colours.len()), (1.0, 2), "{order}: two triangles");
        assert_eq!(mesh.face_colours[0], [1.0, 0.5, 0.0], "{order}: colours");
        for end in 0..bytes.len() {
            let cut = Mesh::read(bytes[..end].to_vec(), Format::Ply, Path::new("a.ply"));
            assert!(cut.is_err(), "{order}: {end} bytes of {} are no mesh", bytes.len());
        }
    }
}

#[test]
fn ply_texture_coordinates_of_corners_split_vertices() {
    let text = "ply\nformat ascii 1.0\nelement vertex 4\nproperty float x\nproperty float y\nproperty float z\nelement face 2\nproperty list uchar int vertex_indices\nproperty list uchar float texcoord\nend_header\n0 0 0\n1 0 0\n1 1 0\n0 1 0\n3 0 1 2 6 0 0 1 0 1 1\n3 0 2 3 6 0 0 .5 .5 0 1\n";
    let (mesh, _) = read(text, Format::Ply).expect("a mesh");
    assert_eq!(mesh.positions.len(), 5, "one corner differs");
    let uvs: Vec<[[f32; 2]; 3]> = mesh.triangles.iter().map(|t| t.map(|v| mesh.uvs[v as usize])).collect();
    assert_eq!(
        uvs,
        [[[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]], [[0.0, 0.0], [0.5, 0.5], [0.0, 1.0]]],
        "coordinates"
    );
    assert_eq!(mesh.measures().positions, 4, "positions are as they were");
}

#[test]
fn ply_refuses_what_breaks_it() {
    let start =
        "ply\nformat ascii 1.0\nelement vertex 3\nproperty float x\nproperty float y\nproperty float z\n";
    let list = "element face 1\nproperty list uchar int vertex_indices\nend_header\n";
    let points = "0 0 0\n1 0 0\n0 1 0\n";
    for (text, words) in [
        (
            format!("{start}{list}{points}3 0 1 3\n"),
            "`row 0 of `face``: expected indices of the 3 vertices, found 3",
        ),
        (format!("{start}{list}{points}3 0 1 -1\n"), "`line 13`: expected an index from 0, found -1"),
        (format!("{start}{list}{points}3 0 1 1.5\n"), "expected an index from 0, found 1.5"),
        (format!("{start}{list}{points}3 0 1\n"), "the end of the file"),
        (format!("{start}{list}{points}200 0 1 2\n"), "a list that 7 bytes can hold, found 200 values"),
        (
            format!("{start}{list}0 0 0\n1 nan 0\n0 1 0\n3 0 1 2\n"),
            "`line 11`: expected a finite number, found NaN",
        ),
        (format!("{start}{list}0 0 0\n1 x 0\n0 1 0\n3 0 1 2\n"), "`line 11`: expected a number, found `x`"),
        (
            format!("{start}property float x\n{list}"),
            "`line 7`: expected properties of different names, found `x`",
        ),
        (format!("{start}element vertex 3\n{list}"), "`line 7`: expected elements of different names"),
        (format!("{}{list}", start.replace("vertex 3", "vertex 4000000000")), "a count that"),
        (format!("{}{list}", start.replace("vertex 3", "vertex 99999999999999999999")), "a whole number"),
        (
            format!("{}{list}{points}3 0 1 2\n", start.replace("vertex 3", "vertex 90")),
            "90 rows of at least 6 bytes",
        ),
        (format!("{start}end_header\n{points}"), "expected at least one face, found 3 vertices without one"),
        (format!("{}{list}", start.replace("property float z\n", "")), "a list that"),
        (
            format!(
                "{start}element tristrips 1\nproperty list int int vertex_indices\nend_header\n{points}3 0 1 2\n"
            ),
            "strips, which are not read",
        ),
        (format!("{start}what\n{list}"), "`line 7`: expected a line of a header, found `what`"),
        (start.to_owned(), "expected the line `end_header`, found the end of the file"),
    ] {
        match words {
            "a list that" => assert!(read(&text, Format::Ply).is_err(), "no z"),
            words => assert_refused(read(&text, Format::Ply), words),
        }
    }
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
