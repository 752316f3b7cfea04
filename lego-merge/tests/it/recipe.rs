//! Recipes and verification: a merge as a file, and a merge computed again.

use std::path::{Path, PathBuf};
use std::process::Output;

use lego_merge::adapter::Adapter;
use lego_merge::recipe::content_hash;

use crate::adapters::committed;
use crate::command::{run, text};

/// Two adapters and a recipe of them in one folder.
struct Kitchen(tempfile::TempDir);

impl Kitchen {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        for (i, name) in ["a", "b"].iter().enumerate() {
            let place = folder.path().join(name);
            std::fs::create_dir(&place).expect("a folder");
            for file in ["adapter_config.json", "adapter_model.safetensors"] {
                std::fs::copy(committed("plain", i).join(file), place.join(file)).expect("a copy");
            }
        }
        Self(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn cook(&self, recipe: &str, out: &str) -> Output {
        let file = self.path("recipe.toml");
        std::fs::write(&file, recipe).expect("a recipe");
        run([Path::new("recipe"), &file, Path::new("-o"), &self.path(out)])
    }

    fn run(&self, words: &[&str]) -> Output {
        let place =
            |w: &&str| if self.path(w).exists() || w.starts_with("out") { self.path(w) } else { w.into() };
        run(words.iter().map(place))
    }
}

#[test]
fn a_recipe_merges_as_the_command_does_with_paths_from_its_own_folder() {
    let kitchen = Kitchen::new();
    let hash = content_hash(&kitchen.path("a")).expect("a hash");
    let recipe = format!(
        "[[adapter]]\npath = \"a\"\nweight = 0.5\nsha256 = \"{hash}\"\n[[adapter]]\npath = \"b\"\n[merge]\nmethod = \"svd\"\nrank = 3\n"
    );
    let cooked = kitchen.cook(&recipe, "out-1");
    assert!(cooked.status.success(), "{}", text(&cooked.stderr));
    let merge = ["merge", "a", "b", "-o", "out-2", "--method", "svd", "--rank", "3", "--weights", "0.5,1"];
    assert!(kitchen.run(&merge).status.success(), "the same by arguments");
    let bytes =
        |out: &str| std::fs::read(kitchen.path(out).join("adapter_model.safetensors")).expect("a file");
    assert_eq!(bytes("out-1"), bytes("out-2"), "the same bytes");
}

#[test]
fn a_merge_leaves_a_card_and_a_recipe_that_repeats_it() {
    let kitchen = Kitchen::new();
    let merge =
        ["merge", "a", "b", "-o", "out-1", "--method", "svd", "--rank", "energy:0.9", "--weights", "1,-0.5"];
    assert!(kitchen.run(&merge).status.success(), "a merge");
    let card = std::fs::read_to_string(kitchen.path("out-1").join("README.md")).expect("a card");
    for words in
        ["library_name: peft", "base_model: \"toy-linear\"", "| b | -0.5 |", "`svd`, rank energy:0.9"]
    {
        assert!(card.contains(words), "no `{words}` in the card:\n{card}");
    }
    let recipe = kitchen.path("out-1").join("merge.json");
    let again = run([Path::new("recipe"), &recipe, Path::new("-o"), &kitchen.path("out-2")]);
    assert!(again.status.success(), "{}", text(&again.stderr));
    let bytes =
        |out: &str| std::fs::read(kitchen.path(out).join("adapter_model.safetensors")).expect("a file");
    assert_eq!(bytes("out-1"), bytes("out-2"), "the same bytes");
    let record = std::fs::read_to_string(kitchen.path("out-2").join("merge.json")).expect("a record");
    let hash = content_hash(&kitchen.path("b")).expect("a hash");
    assert!(record.contains(&hash), "a recipe records what it read:\n{record}");
}

#[test]
fn modules_are_merged_by_the_first_pattern_that_fits() {
    let kitchen = Kitchen::new();
    let recipe = r#"
        exclude = "layers.1.v"
        [[adapter]]
        path = "a"
        [[adapter]]
        path = "b"
        [merge]
        method = "cat"
        [[module]]
        pattern = "q$"
        merge = { method = "svd", rank = 2 }
        [[module]]
        pattern = "layers"
        merge = { method = "ties", density = 0.5 }
    "#;
    let cooked = kitchen.cook(recipe, "out");
    assert!(cooked.status.success(), "{}", text(&cooked.stderr));
    let merged = Adapter::read(kitchen.path("out")).expect("an adapter");
    let ranks: Vec<_> = merged.modules().iter().map(|m| (m.name.as_str(), m.rank)).collect();
    assert_eq!(ranks, [("layers.0.q", 2), ("layers.0.v", 4), ("layers.1.q", 2)], "each by its own method");
    assert!(merged.modules().iter().all(|m| m.scale == 1.0), "patterns keep the scale at 1");
}

#[test]
fn what_a_recipe_gets_wrong_is_named() {
    let kitchen = Kitchen::new();
    let two = "[[adapter]]\npath = \"a\"\n[[adapter]]\npath = \"b\"\n";
    let cases = [
        ("[[adapter]]\npath = \"a\"\nsha256 = \"00\"\n".to_string(), "sha256"),
        ("[[adapter]]\npath = \"c\"\n".to_string(), "cannot open"),
        (format!("{two}[merge]\nmethod = \"lego\"\ndensity = 0.5\n"), "density"),
        (format!("{two}[merge]\nmethd = \"lego\"\n"), "methd"),
        (format!("{two}[merge]\nmethod = \"svd\"\nrank = \"energy:2\"\n"), "energy"),
        (format!("include = \"(\"\n{two}"), "include"),
        (
            format!("include = \"nothing\"\n{two}"),
            "include: expected a pattern that leaves a module to merge",
        ),
        (format!("exclude = \"layers\"\n{two}"), "exclude: expected a pattern that leaves a module to merge"),
        (format!("include = \"q\"\nexclude = \"q\"\n{two}"), "include: expected with `exclude` a pattern"),
        (format!("{two}weight = 2.0\n[merge]\nweights = [1.0, 1.0]\n"), "weights"),
        ("adapter = []\n".to_string(), "at least one adapter"),
    ];
    for (recipe, word) in cases {
        let output = kitchen.cook(&recipe, "out");
        let message = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{recipe}: {message}");
        assert!(message.contains(word), "no `{word}` in: {message}");
        assert!(!kitchen.path("out").exists(), "{recipe}: nothing is written");
    }
}

#[test]
fn verification_compares_updates_and_not_factors() {
    let kitchen = Kitchen::new();
    let all = ["merge", "a", "b", "-o", "out-cat", "--method", "cat"];
    assert!(kitchen.run(&all).status.success(), "a merge");
    let verify = |more: &[&str]| kitchen.run(&[&["verify", "out-cat", "--sources", "a", "b"], more].concat());
    let same = verify(&["--method", "cat"]);
    assert_eq!(same.status.code(), Some(0), "{}", text(&same.stdout));
    assert!(text(&same.stdout).contains("equal: 4 modules"), "{}", text(&same.stdout));
    let other_factors = verify(&["--method", "svd", "--rank", "8"]);
    assert_eq!(other_factors.status.code(), Some(0), "the same update by other factors");
    for wrong in [
        &["--method", "cat", "--lambda", "0.5"][..],
        &["--method", "lego"],
        &["--method", "cat", "--exclude", "v"],
    ] {
        let output = verify(wrong);
        assert_eq!(output.status.code(), Some(1), "{wrong:?}: {}", text(&output.stdout));
        let printed = text(&output.stdout);
        assert!(printed.contains("DIFFERS") && printed.contains("layers.0.v"), "{wrong:?}: {printed}");
    }
    assert_eq!(verify(&["--method", "ties"]).status.code(), Some(2), "a method without its density");
}

#[test]
fn a_merge_is_verified_by_the_recipe_that_it_left() {
    let kitchen = Kitchen::new();
    let by_module = r#"
        exclude = "layers.1.v"
        [[adapter]]
        path = "a"
        [[adapter]]
        path = "b"
        weight = -0.5
        [merge]
        method = "cat"
        [[module]]
        pattern = "q$"
        merge = { method = "svd", rank = 2 }
    "#;
    let cooked = kitchen.cook(by_module, "out");
    assert!(cooked.status.success(), "{}", text(&cooked.stderr));
    let record = kitchen.path("out").join("merge.json");
    let (out, record) = (kitchen.path("out"), record.as_path());
    let verify = || run([Path::new("verify"), &out, Path::new("--recipe"), record]);
    let same = verify();
    assert_eq!(same.status.code(), Some(0), "{}{}", text(&same.stdout), text(&same.stderr));
    let both =
        run([Path::new("verify"), &out, Path::new("--recipe"), record, "--method".as_ref(), "cat".as_ref()]);
    assert_eq!(both.status.code(), Some(2), "a recipe and a method: {}", text(&both.stdout));
    let tensors = kitchen.path("a").join("adapter_model.safetensors");
    let mut changed = std::fs::read(&tensors).expect("a file");
    *changed.last_mut().expect("some bytes") ^= 1;
    std::fs::write(&tensors, changed).expect("a changed adapter");
    let other = verify();
    assert!(
        other.status.code() == Some(2) && text(&other.stderr).contains("sha256"),
        "{}",
        text(&other.stderr)
    );
}

#[test]
fn the_base_of_a_dora_adapter_is_recorded_and_verified() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = |name: &str| Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/dora").join(name);
    let (adapter, base, out) = (data("adapter-0"), data("base.safetensors"), folder.path().join("out"));
    let words = |words: &[&str]| words.iter().map(PathBuf::from).collect::<Vec<_>>();
    let merge = [words(&["merge"]), vec![adapter.clone()], words(&["-o"]), vec![out.clone()]].concat();
    let how = [words(&["--method", "svd", "--rank", "3", "--base"]), vec![base.clone()]].concat();
    let merged = run([merge, how.clone()].concat());
    assert!(merged.status.success(), "{}", text(&merged.stderr));
    let twice = [words(&["merge"]), vec![adapter.clone(); 2], words(&["--dry-run"]), how.clone()].concat();
    let notes = text(&run(twice).stderr);
    assert_eq!(notes.matches("note: ").count(), 2, "one note an adapter, though both are the same: {notes}");
    let record = out.join("merge.json");
    assert!(
        std::fs::read_to_string(&record).expect("a record").contains("base.safetensors"),
        "the base is recorded"
    );
    let by_recipe = run([words(&["verify"]), vec![out.clone()], words(&["--recipe"]), vec![record]].concat());
    assert_eq!(by_recipe.status.code(), Some(0), "{}{}", text(&by_recipe.stdout), text(&by_recipe.stderr));
    let by_words = run([words(&["verify"]), vec![out], words(&["--sources"]), vec![adapter], how].concat());
    assert_eq!(by_words.status.code(), Some(0), "{}{}", text(&by_words.stdout), text(&by_words.stderr));
}

#[test]
fn a_dry_run_says_ranks_and_writes_nothing() {
    let kitchen = Kitchen::new();
    let output = kitchen.run(&["merge", "a", "b", "--method", "cat", "--dry-run"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(!kitchen.path("out").exists(), "nothing is written");
    let printed = text(&output.stdout);
    assert!(printed.contains("layers.1.q") && printed.contains("rank 8 at most"), "{printed}");
}

#[test]
fn completions_name_the_commands() {
    for shell in ["bash", "zsh", "fish"] {
        let output = run(["completions", shell]);
        assert!(output.status.success(), "{shell}: {}", text(&output.stderr));
        assert!(text(&output.stdout).contains("compare"), "{shell}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn adapters_whose_names_are_no_text_merge() {
    use std::os::unix::ffi::OsStrExt;
    let kitchen = Kitchen::new();
    let odd = kitchen.0.path().join(std::ffi::OsStr::from_bytes(b"odd\xff\n|"));
    std::fs::rename(kitchen.path("b"), &odd).expect("a name that is no text");
    let out = kitchen.path("out");
    let output = run([
        "merge".as_ref(),
        kitchen.path("a").as_os_str(),
        odd.as_os_str(),
        "-o".as_ref(),
        out.as_os_str(),
    ]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let card = std::fs::read_to_string(out.join("README.md")).expect("a card");
    assert!(card.contains("| odd\u{fffd} \\| | 1 |"), "one line of the table, marked:\n{card}");
}
