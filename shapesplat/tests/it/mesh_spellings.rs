//! What readers of meshes make of every spelling of their formats, and what they refuse.

use std::path::Path;

use grouping_core::testing::assert_refused;
use shapesplat::mesh::{Format, GREY, Mesh, Note};

fn read(text: &str, format: Format) -> shapesplat::Result<(Mesh, Vec<Note>)> {
    Mesh::read(text.as_bytes().to_vec(), format, Path::new("mesh"))
}

pub(crate) fn off(text: &str) -> Mesh {
    read(text, Format::Off).unwrap_or_else(|e| panic!("{text:?}: {e}")).0
}

fn obj(text: &str) -> Mesh {
    read(text, Format::Obj).unwrap_or_else(|e| panic!("{text:?}: {e}")).0
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
