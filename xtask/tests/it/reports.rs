//! Reports made again, published tables, the list, and the rules of the house.

use std::fs;
use std::path::{Path, PathBuf};

use crate::repro::{command, run, text, workspace};

const TOY: &str = r#"
title = "A toy"
claim = "It is <small> & quick."
source = "here"
scales = { smoke = { seeds = [0], note = "at once" } }
[[stage]]
name = "say"
matrix = { method = ["a", "b"] }
command = ["/bin/sh", "-c", 'echo "{\"event\":\"metric\",\"name\":\"score\",\"value\":$1}"', "say"]
args = ["4{seed}"]
[[table]]
name = "scores"
title = "Scores"
rows = "method"
[[table.column]]
title = "score"
value = { metric = "score" }
best = "max"
[[plot]]
name = "bars"
title = "Scores"
kind = "bars"
x = "method"
y-title = "score"
[[plot.series]]
title = "score"
value = { metric = "score" }
"#;

#[test]
fn reports_are_made_again_and_published() {
    let root = workspace(&[("toy", TOY)]);
    assert!(run(root.path(), &["repro"]).status.success(), "it runs");
    let folder = root.path().join("results/toy/toy/smoke");
    let want = "# A toy\n\nIt is <small> & quick.\n\nSource: here. Made by `cargo xtask repro toy/toy --scale smoke`, seed 0.\n\
                \n## Scores\n\n| method |    score |\n| ------ | -------: |\n| a      | **40.0** |\n| b      | **40.0** |\n\
                \n![Scores](bars.svg)\n";
    assert_eq!(fs::read_to_string(folder.join("table.md")).expect("a table"), want, "the whole page");
    let index = fs::read_to_string(root.path().join("results/index.html")).expect("the page");
    assert!(index.contains("It is &lt;small&gt; &amp; quick."), "text is escaped on the page");

    let file = root.path().join("xtask/experiments/toy/toy.toml");
    fs::write(&file, TOY.replace("title = \"Scores\"", "title = \"Points\"")).expect("written");
    fs::write(
        root.path().join("README.md"),
        "x\n<!-- results toy/toy/smoke scores -->\n<!-- end results -->\n![p](docs/results/toy/toy/smoke/bars.svg)\n",
    )
    .expect("written");
    let output = run(root.path(), &["report", "--publish"]);
    assert!(output.status.success(), "it publishes: {}", text(&output.stderr));
    let page = fs::read_to_string(folder.join("table.md")).expect("a table");
    assert!(page.contains("## Points"), "made again with the file as it is now:\n{page}");
    let readme = fs::read_to_string(root.path().join("README.md")).expect("the README");
    assert!(readme.contains("| a      | **40.0** |"), "the table is in the README:\n{readme}");
    let published = fs::read(root.path().join("docs/results/toy/toy/smoke/bars.svg")).expect("the plot");
    assert_eq!(published, fs::read(folder.join("bars.svg")).expect("the plot"), "the plot is copied");

    let other = root.path().join("docs/results/toy/other/smoke");
    fs::create_dir_all(&other).expect("made");
    fs::write(other.join("bars.svg"), "of another copy").expect("written");
    let old = "<!-- results toy/other/smoke scores -->\nold\n<!-- end results -->\n![p](docs/results/toy/other/smoke/bars.svg)\n";
    fs::write(root.path().join("README.md"), old).expect("written");
    let output = run(root.path(), &["report", "--publish"]);
    assert!(output.status.success(), "what was published stays: {}", text(&output.stderr));
    assert!(text(&output.stdout).contains("left as it is"), "and is named: {}", text(&output.stdout));
    assert_eq!(fs::read_to_string(root.path().join("README.md")).expect("the README"), old, "as it was");

    fs::write(root.path().join("README.md"), "![p](docs/results/toy/toy/smoke/gone.svg)").expect("written");
    let output = run(root.path(), &["report", "--publish"]);
    assert_eq!(output.status.code(), Some(2), "what was not made cannot be published");
    assert!(text(&output.stderr).contains("gone.svg"), "and is named: {}", text(&output.stderr));
}

#[test]
fn the_list_says_what_there_is() {
    let output = run(workspace(&[("toy", TOY)]).path(), &["list"]);
    let list = text(&output.stdout);
    assert!(
        list.contains("toy/toy: A toy") && list.contains("2 stages, 1 seed(s)  at once"),
        "all of it:\n{list}"
    );
}

/// This workspace itself; none when the package stands alone.
fn repository() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent()?;
    root.join("ARCHITECTURE.md").is_file().then(|| root.to_owned())
}

#[test]
fn the_experiments_of_this_workspace_can_be_planned() {
    let root = repository().expect("xtask is never packaged apart from its workspace");
    let output = command(&root, &["list"]).output().expect("xtask starts");
    assert!(output.status.success(), "each scale of each experiment is planned: {}", text(&output.stderr));
    assert!(text(&output.stdout).contains("lego-merge/multitask"), "the first experiment is there");
}

/// A workspace that is tidy, then broken in one way at a time.
#[test]
fn tidy_names_what_is_wrong() {
    let root = workspace(&[("toy", TOY)]);
    let write = |path: &str, text: &str| {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(path, text).expect("written");
    };
    let inherits =
        "version = \"0.1.0\"\nedition = \"2024\"\nlicense.workspace = true\n[lints]\nworkspace = true\n";
    let package = |name: &str, rest: &str| {
        write(&format!("{name}/Cargo.toml"), &format!("[package]\nname = \"{name}\"\n{inherits}{rest}"));
        write(&format!("{name}/src/lib.rs"), "//! A crate.\n");
        write(&format!("{name}/README.md"), "# A crate\n");
    };
    write(
        "Cargo.toml",
        "[workspace]\nresolver = \"3\"\nmembers = [\"grouping-core\", \"paper-a\", \"paper-b\"]\n\
         [workspace.package]\nlicense = \"MIT OR Apache-2.0\"\n[workspace.lints.rust]\nmissing_docs = \"warn\"\n",
    );
    package("grouping-core", "");
    package("paper-a", "[dependencies]\ngrouping-core = { path = \"../grouping-core\" }\n");
    package("paper-b", "");
    write("paper-b/src/part/mod.rs", "//! A part.\n");
    write("README.md", "`paper-a/src/lib.rs`, [b](paper-b/README.md)\n");
    write("xtask/benches/paper-a.toml", "case = []\n");
    write("oracles/paper-a/make.py", "save('golden.json')\n");
    write("paper-a/tests/data/golden.json", "{}\n");
    let tidy = || {
        let output = run(root.path(), &["tidy"]);
        (output.status.code(), text(&output.stdout) + &text(&output.stderr))
    };
    let (code, said) = tidy();
    assert_eq!(code, Some(0), "a tidy workspace: {said}");

    let depend = format!(
        "[package]\nname = \"paper-b\"\n{inherits}[dependencies]\npaper-a = {{ path = \"../paper-a\" }}\n"
    );
    for (path, broken, want) in [
        ("paper-b/Cargo.toml", depend.as_str(), "must not depend on `paper-a`"),
        ("paper-b/src/helpers.rs", "//! x\n", "says nothing"),
        ("paper-b/src/a.rs", "fn f() {}\n", "does not open"),
        ("paper-a/tests/data/lost.bin", "x", "no script"),
        ("paper-a/target/a.json", "{}", "a build output"),
        ("ARCHITECTURE.md", "# Map\n`paper-a/src`\n", "does not name `paper-b/src/part`"),
        ("README.md", "`paper-a/src/gone.rs`\n", "gone.rs"),
        ("xtask/experiments/toy/bad.toml", "title = 1\n", "bad.toml"),
        ("xtask/experiments/toy/bad.toml", &TOY.replace("4{seed}", "4{sed}"), "{sed}"),
        ("xtask/benches/paper-a.toml", "case = [{ name = \"x\" }]\n", "paper-a.toml"),
    ] {
        let before = fs::read(root.path().join(path)).ok();
        write(path, broken);
        let (code, said) = tidy();
        assert_eq!(code, Some(1), "{path} is not tidy: {said}");
        assert!(said.contains(want), "{path}: `{want}` is said: {said}");
        match before {
            Some(bytes) => fs::write(root.path().join(path), bytes).expect("restored"),
            None => fs::remove_file(root.path().join(path)).expect("removed"),
        }
    }
    assert_eq!(tidy().0, Some(0), "each was restored: {}", tidy().1);
}
