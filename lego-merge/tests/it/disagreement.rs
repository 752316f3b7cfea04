//! Adapters that disagree: in the modules that they save whole, and in the base model that they name.

use std::path::{Path, PathBuf};

use lego_merge::adapter::{Adapter, AdapterConfig, Output, OutputType, Tensor, convert};
use serde_json::Value;

use crate::adapters::{committed, random};
use crate::command::{run, text};

const HEAD: &str = "score.weight";

/// `x` and `y` in one folder, made alike but for what `change` does by position, and heads of one value each.
fn pair(heads: [(f32, usize); 2], change: impl Fn(usize, &mut AdapterConfig)) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (i, ((value, n_labels), name)) in heads.into_iter().zip(["x", "y"]).enumerate() {
        let made = random(i as u64, 2, 2.0, &["layers.0.q"], [6, 5]);
        let factors = made.factors("layers.0.q").expect("factors");
        let mut config = AdapterConfig::new(2);
        config.modules_to_save = Some(vec!["score".into()]);
        change(i, &mut config);
        let head = Tensor { shape: vec![n_labels, 6], values: vec![value; 6 * n_labels] };
        let factors = [("layers.0.q".to_string(), factors.a, factors.b)];
        let adapter = Adapter::from_parts(name, config, factors, [(HEAD.to_string(), head)]);
        adapter.expect("an adapter").write(folder.path().join(name), false).expect("writes");
    }
    folder
}

fn in_folder(folder: &Path, words: &[&str]) -> (Option<i32>, String, String) {
    let known = |w: &&str| ["x", "y"].contains(w) || w.starts_with("out");
    let words = words.iter().map(|w| if known(w) { folder.join(w) } else { PathBuf::from(w) });
    let output = run(words);
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn heads_that_differ_are_an_error_until_a_rule_decides_and_verify_takes_the_rule() {
    let folder = pair([(1.0, 3), (3.0, 3)], |_, _| ());
    let folder = folder.path();
    let (status, _, message) = in_folder(folder, &["merge", "x", "y", "-o", "out"]);
    assert_eq!(status, Some(2), "{message}");
    assert!(message.contains(HEAD) && message.contains("--modules-to-save"), "{message}");
    // (1·1 + 3·3) / 4
    for (rule, expected) in [("first", Some(1.0)), ("average", Some(2.5)), ("drop", None)] {
        let out = format!("out-{rule}");
        let with = ["--modules-to-save", rule, "--weights", "1,3", "--json"];
        let (status, printed, message) =
            in_folder(folder, &[&["merge", "x", "y", "-o", &out], &with[..]].concat());
        assert_eq!(status, Some(0), "{rule}: {message}");
        let merged = Adapter::read(folder.join(&out)).expect("an adapter");
        let found = merged.heads().iter().map(|name| merged.head(name).expect("a head").values);
        let values: Vec<f32> = found.flatten().collect();
        assert_eq!(values, expected.map_or(vec![], |v| vec![v; 18]), "{rule}: the head");
        let saved = expected.map(|_| vec!["score".to_string()]);
        assert_eq!(merged.config().modules_to_save, saved, "{rule}: and the list of heads");
        let report: Value = serde_json::from_str(&printed).expect("one JSON object");
        let field = match rule {
            "first" => "heads",
            "average" => "averaged_heads",
            _ => "dropped_heads",
        };
        assert_eq!(report[field], serde_json::json!([HEAD]), "{rule}: reported in {field}");

        let (status, printed, message) =
            in_folder(folder, &[&["verify", &out, "--sources", "x", "y"], &with[..]].concat());
        assert_eq!(status, Some(0), "{rule}: {printed}{message}");
        let other = if rule == "first" { "average" } else { "first" };
        let with = ["--modules-to-save", other, "--weights", "1,3"];
        let (status, printed, _) =
            in_folder(folder, &[&["verify", &out, "--sources", "x", "y"], &with[..]].concat());
        assert_eq!(status, Some(1), "{rule} is not {other}: {printed}");
        assert!(printed.contains(HEAD), "{rule}: the head is named: {printed}");
    }
    let args = ["merge", "x", "y", "-o", "out", "--modules-to-save", "average", "--weights", "1,-1"];
    let (status, _, message) = in_folder(folder, &args);
    assert_eq!(status, Some(2), "weights that add to nothing have no mean: {message}");
    assert!(message.contains("weights") && message.contains(HEAD), "{message}");
}

#[test]
fn heads_of_different_shapes_have_no_average() {
    let folder = pair([(1.0, 3), (1.0, 4)], |_, _| ());
    let args = ["merge", "x", "y", "-o", "out", "--modules-to-save", "average"];
    let (status, _, message) = in_folder(folder.path(), &args);
    assert_eq!(status, Some(2), "{message}");
    assert!(message.contains("[3, 6]") && message.contains("[4, 6]"), "{message}");
    let args = ["merge", "x", "y", "-o", "out", "--modules-to-save", "first"];
    let (status, _, message) = in_folder(folder.path(), &args);
    assert_eq!(status, Some(0), "the first needs no equal shapes: {message}");
}

#[test]
fn different_base_models_are_an_error_until_they_are_allowed() {
    let bases = ["org/model-a", "org/model-b"];
    let folder =
        pair([(1.0, 3), (1.0, 3)], |i, config| config.base_model_name_or_path = Some(bases[i].into()));
    let folder = folder.path();
    let (status, _, message) = in_folder(folder, &["merge", "x", "y", "-o", "out"]);
    assert_eq!(status, Some(2), "{message}");
    for word in bases.into_iter().chain(["--allow-base-mismatch", "base_model_name_or_path"]) {
        assert!(message.contains(word), "the message does not name `{word}`: {message}");
    }
    assert!(!folder.join("out").exists(), "nothing is written");
    let (status, _, message) = in_folder(folder, &["merge", "x", "y", "-o", "out", "--allow-base-mismatch"]);
    assert_eq!(status, Some(0), "{message}");
    let merged = Adapter::read(folder.join("out")).expect("an adapter");
    assert_eq!(merged.config().base_model_name_or_path.as_deref(), Some(bases[0]), "the first one's");
    let verify = ["verify", "out", "--sources", "x", "y", "--allow-base-mismatch"];
    assert_eq!(in_folder(folder, &verify[..5]).0, Some(2), "verification minds them, too");
    assert_eq!(in_folder(folder, &verify).0, Some(0), "and may be told not to");
    let (status, _, message) = in_folder(folder, &["recipe", "out/merge.json", "-o", "out-again"]);
    assert_eq!(status, Some(0), "the recipe beside the result remembers: {message}");
}

#[test]
fn verification_sees_biases_and_rounds_heads() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("out");
    let [x, y] = [0, 1].map(|i| committed("bias", i));
    let words = |words: &[&str]| words.iter().map(PathBuf::from).collect::<Vec<_>>();
    let merge = [words(&["merge"]), vec![x.clone(), y.clone(), "-o".into(), out.clone()]].concat();
    assert!(run([merge, words(&["--method", "cat"])].concat()).status.success(), "a merge");
    let verify = |more: &[&str]| {
        let all = vec!["verify".into(), out.clone(), "--sources".into(), x.clone(), y.clone()];
        run([all, words(&["--method", "cat"]), words(more)].concat())
    };
    let same = verify(&[]);
    assert_eq!(same.status.code(), Some(0), "{}", text(&same.stdout));
    let file = out.join("adapter_model.safetensors");
    let bytes = std::fs::read(&file).expect("a file");
    let tensors = safetensors::SafeTensors::deserialize(&bytes).expect("safetensors");
    let bias = tensors.tensor("base_model.model.lin.lora_B.bias").expect("a bias").data();
    let at = bias.as_ptr() as usize - bytes.as_ptr() as usize;
    let mut spoilt = bytes.clone();
    spoilt[at..at + 4].copy_from_slice(&1e3f32.to_le_bytes());
    std::fs::write(&file, spoilt).expect("writes");
    let other = verify(&[]);
    assert_eq!(other.status.code(), Some(1), "{}", text(&other.stdout));
    assert!(text(&other.stdout).contains("bias of module lin"), "{}", text(&other.stdout));
    for wrong in ["nan", "-1"] {
        let refused = verify(&["--tolerance", wrong]);
        assert_eq!(refused.status.code(), Some(2), "--tolerance {wrong}: {}", text(&refused.stdout));
        assert!(text(&refused.stderr).contains("tolerance"), "{}", text(&refused.stderr));
    }

    let folder = pair([(0.1, 3), (0.1, 3)], |_, _| ());
    let half = Output::new(folder.path().join("out")).with_type(OutputType::Bf16);
    convert(&Adapter::read(folder.path().join("x")).expect("an adapter"), &half).expect("writes");
    let verify = ["verify", "out", "--sources", "x", "--method", "cat"];
    let (status, printed, _) = in_folder(folder.path(), &verify);
    assert_eq!(status, Some(1), "bf16 is not f32: {printed}");
    let (status, printed, _) = in_folder(folder.path(), &[&verify[..], &["--tolerance", "1e-2"]].concat());
    assert_eq!(status, Some(0), "but for its rounding, of heads, too: {printed}");
}
