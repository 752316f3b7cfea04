//! Elements of a PLY beside its Gaussians: kept value for value, until rows go to which they may refer.

use std::fs;
use std::path::Path;
use std::process::Command;

use grouping_core::files::output::Existing;
use grouping_core::testing::assert_refused;
use proptest::prelude::*;
use shapesplat::Splats;
use shapesplat::edit::{Action, Amount, apply, merge};
use shapesplat::format::{self, WriteOptions};
use shapesplat::splats::Bad;

use crate::recipe::{self, Encoding, Property, body, header, properties};

const ENCODINGS: [Encoding; 3] = [Encoding::Little, Encoding::Big, Encoding::Ascii];

/// What `camera`, `list` and `face` hold in binary, in either order of bytes: two doubles; lists of shorts, each before a byte; a face.
fn lists(is_big: bool) -> [Vec<u8>; 2] {
    let order = |mut bytes: Vec<u8>| {
        if is_big {
            bytes.reverse();
        }
        bytes
    };
    let short = |value: u16| order(value.to_le_bytes().to_vec());
    let int = |value: i32| order(value.to_le_bytes().to_vec());
    let list = [vec![2], short(5), short(600), vec![0], vec![0, 1], vec![1], short(7), vec![254]].concat();
    [list, [vec![3], int(0), int(-1), int(2)].concat()]
}

/// Five Gaussians between other elements.
fn surrounded(encoding: Encoding) -> Vec<u8> {
    let vertex = properties(&recipe::splats(5, 9));
    let before = [Property { name: "time".into(), kind: "double", values: vec![1.0, -2.5] }];
    let head = header(
        encoding,
        &[
            ("camera", 2, &before),
            ("list", 3, &[]),
            ("none", 0, &before),
            ("vertex", 5, &vertex),
            ("face", 1, &[]),
        ],
    );
    let head = head
        .replace("element list 3\n", "element list 3\nproperty list uchar ushort i\nproperty char c\n")
        .replace("element face 1\n", "element face 1\nproperty list uchar int vertex_index\n");
    let [list, face] = match encoding {
        Encoding::Ascii => [b"2 5 600 0\n0 1\n1 7 -2\n".to_vec(), b"3 0 -1 2\n".to_vec()],
        _ => lists(encoding == Encoding::Big),
    };
    [head.as_bytes(), &body(&before, encoding), &list, &body(&vertex, encoding), &face].concat()
}

fn load(bytes: &[u8], bad: Bad) -> shapesplat::Result<format::Loaded> {
    format::load_bytes(bytes, Path::new("in.ply"), bad)
}

fn written(splats: &Splats) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("out.ply");
    let told = format::write(splats, &path, Existing::Refuse, &WriteOptions::default()).expect("written");
    assert_eq!(told.dropped, [""; 0], "PLY holds everything");
    fs::read(path).expect("a file")
}

fn names(splats: &Splats) -> Vec<&str> {
    splats.elements.iter().map(|element| element.name()).collect()
}

#[test]
fn elements_of_any_encoding_are_kept_value_for_value_behind_the_gaussians() {
    for encoding in ENCODINGS {
        let loaded = load(&surrounded(encoding), Bad::Refuse).unwrap_or_else(|e| panic!("{encoding:?}: {e}"));
        assert_eq!(loaded.notes, [""; 0], "{encoding:?}: nothing is lost");
        let splats = loaded.splats;
        assert_eq!(Splats { elements: vec![], ..splats.clone() }, recipe::splats(5, 9), "{encoding:?}");
        assert_eq!(names(&splats), ["camera", "list", "face"], "{encoding:?}: those with a row");
        assert_eq!(splats.elements[1].properties(), ["list uchar ushort i", "char c"], "{encoding:?}");
        let bytes = written(&splats);
        let [list, face] = lists(false);
        let rows = [1.0f64.to_le_bytes().to_vec(), (-2.5f64).to_le_bytes().to_vec(), list, face].concat();
        assert!(bytes.ends_with(&rows), "{encoding:?}: the values, in little-endian order");
        let text = String::from_utf8_lossy(&bytes[..bytes.len() - rows.len()]).into_owned();
        let declared = "property float rot_3\nelement camera 2\nproperty double time\nelement list 3\n\
                        property list uchar ushort i\nproperty char c\nelement face 1\n\
                        property list uchar int vertex_index\nend_header\n";
        assert!(text.contains(declared), "{encoding:?}: {text}");
        assert_eq!(load(&bytes, Bad::Refuse).expect("read").splats, splats, "{encoding:?}: and back");
    }
}

#[test]
fn elements_beside_packed_gaussians_are_kept_too() {
    let splats = recipe::splats(5, 9);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.compressed.ply");
    format::write(&splats, &path, Existing::Refuse, &WriteOptions::default()).expect("written");
    let bytes = fs::read(&path).expect("a file");
    let end = b"end_header\n";
    let at = bytes.windows(end.len()).position(|window| window == end).expect("a header");
    let (head, body) = (&bytes[..at], &bytes[at + end.len()..]);
    let declared = "element face 1\nproperty list uchar int vertex_index\nend_header\n";
    let [_, face] = lists(false);
    let longer = [head, declared.as_bytes(), body, &face].concat();
    let loaded = load(&longer, Bad::Refuse).expect("read");
    assert_eq!(loaded.notes, [""; 0], "nothing is lost");
    assert_eq!(names(&loaded.splats), ["face"], "a face behind");
    assert!(written(&loaded.splats).ends_with(&face), "and in a PLY of it");
}

#[test]
fn other_formats_say_that_they_hold_none() {
    let splats = load(&surrounded(Encoding::Little), Bad::Refuse).expect("read").splats;
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["a.splat", "a.spz", "a.sog", "a.glb", "a.compressed.ply"] {
        let path = folder.path().join(name);
        let told =
            format::write(&splats, &path, Existing::Refuse, &WriteOptions::default()).expect("written");
        let of_face = told.dropped.iter().filter(|words| words.starts_with("element face (1 rows)"));
        assert_eq!(of_face.count(), 1, "{name}: {:?}", told.dropped);
    }
}

#[test]
fn rows_that_go_take_what_may_refer_to_them_along() {
    let given = load(&surrounded(Encoding::Little), Bad::Refuse).expect("read").splats;
    let mut fewer = given.clone();
    let changes =
        apply(&mut fewer, &[Action::Keep(Amount::Count(5)), Action::Keep(Amount::Count(3))]).expect("edits");
    assert_eq!(changes[0].notes, [""; 0], "all stay");
    let note = "element face (1 rows): not kept, since it may refer to rows, some of which are gone";
    assert_eq!(changes[1].notes, [note], "two go");
    assert_eq!(names(&fewer), ["camera", "list"], "the others stay");
    // With as many rows as there are Gaussians, a list may be of them.
    let three = apply(&mut fewer, &[Action::Keep(Amount::Count(2))]).expect("edits");
    assert_eq!((names(&fewer), three[0].notes.len()), (vec!["camera"], 1), "{:?}", three[0].notes);

    let mut moved = given.clone();
    let changes = apply(&mut moved, &[Action::Scale(2.0), Action::Degree(0)]).expect("edits");
    assert_eq!(names(&moved), ["camera", "list", "face"], "all are kept");
    let notes = ["camera (2 rows)", "list (3 rows)"]
        .map(|it| format!("element {it}: kept as it is, and not moved along"));
    assert_eq!(changes[0].notes, notes, "faces have nothing to move");
    assert_eq!(changes[1].notes, [""; 0], "nothing was moved");

    let mut spoilt = surrounded(Encoding::Little);
    let x = spoilt.len() - lists(false)[1].len() - 5 * 4 * given.columns().len();
    spoilt[x..x + 4].copy_from_slice(&f32::NAN.to_le_bytes());
    let loaded = load(&spoilt, Bad::Drop).expect("read");
    assert_eq!((loaded.n_dropped, names(&loaded.splats)), (1, vec!["camera", "list"]), "a bad row");
    assert_eq!(loaded.notes, ["element face (1 rows): it may refer to rows, some of which were dropped"]);

    let merged = merge(vec![given.clone(), given.clone()]).expect("a scene");
    assert_eq!(
        names(&merged.splats),
        ["camera", "list", "face"],
        "the first scene's rows stay where they are"
    );
    assert_eq!(merged.notes.len(), 3, "the second's elements are told: {:?}", merged.notes);
}

#[test]
fn damaged_elements_are_refused_by_row_and_property() {
    for encoding in ENCODINGS {
        let bytes = surrounded(encoding);
        let n_behind = if encoding == Encoding::Ascii { 9 } else { 13 };
        for n in 1..n_behind {
            let cut = load(&bytes[..bytes.len() - n], Bad::Refuse);
            // A number may be cut in two and a line lack its end.
            if encoding != Encoding::Ascii || n > 2 {
                assert_refused(cut, "face");
            }
        }
    }
    let text = String::from_utf8(surrounded(Encoding::Ascii)).expect("text");
    for (from, to, words) in [
        (
            "3 0 -1 2\n",
            "3 0 -1\n",
            "face, row 0, vertex_index`: expected a number of its type, found the end of the line",
        ),
        ("3 0 -1 2\n", "3 0 -1 x\n", "face, row 0, vertex_index`: expected a number of its type, found `x`"),
        (
            "3 0 -1 2\n",
            "-1 0 -1 2\n",
            "face, row 0, vertex_index`: expected a number of its type, found `-1`",
        ),
        ("3 0 -1 2\n", "2 0 -1 2\n", "face, row 0`: expected the numbers of its properties, found 1 more"),
        ("1 7 -2\n", "1 70000 -2\n", "list, row 2, i`: expected a number of its type, found `70000`"),
        ("list uchar int vertex_index", "list float int vertex_index", "face, row 0, vertex_index`"),
    ] {
        assert!(text.contains(from), "{from:?} is there to be replaced");
        assert_refused(load(text.replace(from, to).as_bytes(), Bad::Refuse), words);
    }
    let many = text.replace("element face 1\n", "element face 999999999999999999\n");
    assert_refused(
        load(many.as_bytes(), Bad::Refuse),
        "face`: expected 999999999999999999 rows, found 1 rows",
    );
    // The length of a list beyond the file.
    let mut bytes = surrounded(Encoding::Little);
    let at = bytes.len() - 13;
    bytes[at] = 200;
    assert_refused(
        load(&bytes, Bad::Refuse),
        "face, row 0, vertex_index`: expected values, found the end of the file",
    );
}

#[test]
fn the_command_keeps_them_and_inspect_lists_them() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("in.ply"), surrounded(Encoding::Big)).expect("a file");
    let run = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_shapesplat"));
        let output = command.args(arguments).current_dir(folder.path()).output().expect("the binary runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{arguments:?}: {said}");
        (String::from_utf8_lossy(&output.stdout).into_owned(), said)
    };
    let (_, said) = run(&["convert", "in.ply", "out.ply"]);
    assert_eq!(said, "", "nothing is lost");
    let (_, said) = run(&["convert", "out.ply", "few.ply", "--keep", "2"]);
    assert!(said.contains("note: keep 2: element face (1 rows): not kept"), "{said}");
    let (_, said) = run(&["convert", "out.ply", "out.splat"]);
    assert!(said.contains("not kept: element camera (2 rows): .splat holds none"), "{said}");
    let (shown, _) = run(&["inspect", "out.ply"]);
    assert!(shown.contains("element     face (1 rows)\n"), "{shown}");
    let (shown, _) = run(&["inspect", "out.ply", "--json"]);
    let value: serde_json::Value = serde_json::from_str(&shown).expect("JSON");
    assert_eq!(value["elements"][2]["properties"][0], "list uchar int vertex_index", "{shown}");
}

/// Rows of a list of floats and a short.
fn any_rows() -> impl Strategy<Value = Vec<(Vec<f32>, i16)>> {
    let finite =
        any::<u32>().prop_map(|bits| Some(f32::from_bits(bits)).filter(|v| v.is_finite()).unwrap_or(-0.0));
    prop::collection::vec((prop::collection::vec(finite, 0..5), any::<i16>()), 1..20)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn lists_of_any_length_are_one_in_every_encoding(rows in any_rows(), is_before in any::<bool>()) {
        let vertex = properties(&recipe::splats(3, 0));
        let of = |encoding: Encoding| {
            let elements: [(&str, usize, &[Property]); 2] = [("other", rows.len(), &[]), ("vertex", 3, &vertex)];
            let elements = if is_before { elements } else { [elements[1], elements[0]] };
            let name = format!("element other {}\n", rows.len());
            let declared = format!("{name}property list ushort float values\nproperty short s\n");
            let head = header(encoding, &elements).replace(&name, &declared);
            let mut body_of_rows = Vec::new();
            for (values, s) in &rows {
                if encoding == Encoding::Ascii {
                    let words: Vec<String> = values.iter().map(|value| format!("{value:e}")).collect();
                    body_of_rows.extend(format!("{} {} {s}\n", values.len(), words.join(" ")).bytes());
                    continue;
                }
                let mut put = |mut bytes: Vec<u8>| {
                    if encoding == Encoding::Big {
                        bytes.reverse();
                    }
                    body_of_rows.extend(bytes);
                };
                put((values.len() as u16).to_le_bytes().to_vec());
                values.iter().for_each(|value| put(value.to_le_bytes().to_vec()));
                put(s.to_le_bytes().to_vec());
            }
            let of_vertex = body(&vertex, encoding);
            let parts = if is_before { [body_of_rows, of_vertex] } else { [of_vertex, body_of_rows] };
            load(&[head.as_bytes(), &parts.concat()].concat(), Bad::Refuse).expect("read").splats
        };
        let little = of(Encoding::Little);
        prop_assert_eq!(little.elements.len(), 1);
        prop_assert_eq!(&of(Encoding::Big), &little);
        prop_assert_eq!(&of(Encoding::Ascii), &little);
        prop_assert_eq!(&load(&written(&little), Bad::Refuse).expect("read").splats, &little);
    }
}
