//! The commands `mesh` and `synth`: results on stdout, warnings on stderr, outputs whole or absent, exit codes.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

fn run(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_shapesplat"));
    command.args(arguments).current_dir(folder).output().expect("the binary runs")
}

fn said(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

const OBJ: &str = "mtllib absent.mtl\nv 0 0 0\nv 2 0 0\nv 2 2 0\nv 0 2 0\nl 1 2\nusemtl x\nf 1 2 3 4\n";

#[test]
fn inspect_tells_sizes_and_warns() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("a.obj"), OBJ).expect("a file");
    let output = run(folder.path(), &["mesh", "inspect", "a.obj", "--json"]);
    let value: Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
    assert_eq!(
        (value["faces"].as_u64(), value["area"].as_f64(), value["watertight"].as_bool()),
        (Some(2), Some(4.0), Some(false)),
        "{value}"
    );
    assert_eq!(value["warnings"].as_array().map(Vec::len), Some(2), "a library and a line: {value}");
    let errors = said(&output.stderr);
    assert!(errors.contains("warning: a.obj: the materials absent.mtl cannot be read"), "{errors}");
    assert!(errors.contains("warning: a.obj: left out: 1 lines"), "{errors}");
    let text = said(&run(folder.path(), &["mesh", "inspect", "a.obj"]).stdout);
    assert!(text.contains("faces      2\n") && text.contains("area       4\n"), "{text}");
}

#[test]
fn sample_writes_the_same_points_by_seed_and_overwrites_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("a.obj"), OBJ).expect("a file");
    let sample = |output: &str, more: &[&str]| {
        run(folder.path(), &[&["mesh", "sample", "a.obj", output, "--n", "100"][..], more].concat())
    };
    for (name, seed) in [("a.ply", "5"), ("b.ply", "5"), ("c.ply", "6")] {
        let output = sample(name, &["--seed", seed]);
        assert!(output.status.success(), "{}", said(&output.stderr));
        assert!(said(&output.stdout).contains("100 points on an area of 4"), "{}", said(&output.stdout));
    }
    let bytes = |name: &str| std::fs::read(folder.path().join(name)).expect("a file");
    assert!(bytes("a.ply") == bytes("b.ply") && bytes("a.ply") != bytes("c.ply"), "by seed");
    let again = sample("a.ply", &[]);
    assert_eq!(again.status.code(), Some(2), "nothing is overwritten");
    assert!(said(&again.stderr).contains("the output exists already; --force"), "{}", said(&again.stderr));
    assert!(sample("a.ply", &["--force", "--normalise", "modelnet"]).status.success(), "unless asked");
    let other = sample("a.txt", &[]);
    assert!(said(&other.stderr).contains("an output that ends in .ply"), "{}", said(&other.stderr));
    let none = run(folder.path(), &["mesh", "sample", "a.obj", "d.ply", "--n", "0"]);
    assert!(
        said(&none.stderr).contains("--n: expected at least one point, found 0"),
        "{}",
        said(&none.stderr)
    );
    assert!(!folder.path().join("d.ply").exists(), "nothing is written");
}

#[test]
fn bad_meshes_end_with_2_and_their_place() {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text, words) in [
        (
            "a.off",
            "OFF\n3 1 0\n0 0 0\n1 nan 0\n0 1 0\n3 0 1 2\n",
            "a.off: `line 4`: expected a finite number, found `nan`",
        ),
        ("a.txt", "nothing", "a.txt: `content`: expected a mesh"),
        ("b.obj", "v 0 0 0\n", "b.obj: `faces`: expected at least one face"),
    ] {
        std::fs::write(folder.path().join(name), text).expect("a file");
        let output = run(folder.path(), &["mesh", "inspect", name]);
        assert_eq!(output.status.code(), Some(2), "{name}");
        assert!(said(&output.stderr).contains(words), "{name}: {}", said(&output.stderr));
        assert!(output.stdout.is_empty(), "{name}: no result");
    }
}

#[test]
fn synth_makes_a_folder() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = run(folder.path(), &["synth", "toys", "--per-class", "1", "--seed", "4"]);
    assert!(output.status.success(), "{}", said(&output.stderr));
    assert_eq!(
        said(&output.stdout),
        "toys: 10 objects of 10 classes, 10 to train, 0 to test\n",
        "the result"
    );
    let inspected = run(folder.path(), &["mesh", "inspect", "toys/mug/train/mug_0001/model.obj", "--json"]);
    let value: Value = serde_json::from_slice(&inspected.stdout).expect("one JSON object");
    assert_eq!(
        (value["watertight"].as_bool(), &value["warnings"]),
        (Some(true), &serde_json::json!([])),
        "{value}"
    );
    let again = run(folder.path(), &["synth", "toys", "--per-class", "1", "--json", "--force"]);
    let manifest: Value = serde_json::from_slice(&again.stdout).expect("the manifest");
    assert_eq!(manifest["objects"].as_array().map(Vec::len), Some(10), "objects");
}
