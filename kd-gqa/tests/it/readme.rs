//! The README's commands run as they stand there, and commands print what they printed.

use std::fs;
use std::process::Command;

use burn::tensor::Device;
use grouping_core::files::output::Existing;
use grouping_core::files::tensor_file::Dtype;
use grouping_core::testing::{sh_lines, words};
use kd_gqa::checkpoint::Checkpoint;
use kd_gqa::vit::VitConfig;

use crate::data::procedural_images;
use crate::models;

#[test]
fn every_command_of_the_readme_runs() {
    let folder = tempfile::tempdir().expect("a folder");
    let place = |name: &str| folder.path().join(name);
    let config = VitConfig::new([32; 2], [8; 2], 384, 2, 6, 64).with_n_classes(Some(10));
    let vit = config.init(1, &Device::flex()).expect("a model");
    vit.save(&place("vit.safetensors"), None, Existing::Refuse).expect("a checkpoint");
    procedural_images(&place("images"), 1, 0, 0);
    fs::copy(models::data("encoder.pth"), place("vit.pth")).expect("a copy");
    models::llama_folder(&place("llama"), "llama", [6, 6, 4], Dtype::F32);
    models::llama2c(&place("stories.bin"), 6, true);
    fs::copy(models::data("llama2c/tied.bin"), place("story.bin")).expect("a copy");
    fs::copy(models::data("llama2c/tokenizer.bin"), place("tokenizer.bin")).expect("a copy");
    fs::create_dir(place("tiny-llama")).expect("a folder");
    for name in ["config.json", "model.safetensors", "tokenizer.json"] {
        let file = models::data("decoders/llama3").join(name);
        fs::copy(file, place("tiny-llama").join(name)).expect("a copy");
    }
    fs::write(place("tokens.json"), "[[1,2,3,4,5,6,7,8],[3,1,4,1,5,9,2,6]]").expect("writes");
    let layer = r#"{"k":[1,2,3,4,5,6],"v":[1,1,1,1,1,1]}"#;
    fs::write(place("weights.json"), format!("{{\"layers\":[{layer},{layer}]}}")).expect("writes");
    let mut n_conversions = 0;
    for line in sh_lines(include_str!("../../README.md")) {
        if let Some((text, file)) = line.strip_prefix("echo '").and_then(|rest| rest.split_once("' > ")) {
            fs::write(place(file.trim()), text).expect("writes");
            continue;
        }
        let Some(arguments) = line.strip_prefix("kd-gqa ") else { continue };
        let words = words(arguments);
        let output = Command::new(env!("CARGO_BIN_EXE_kd-gqa"))
            .args(&words)
            .current_dir(folder.path())
            .output()
            .expect("the binary runs");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "`{line}` failed: {errors}");
        assert!(!output.stdout.is_empty(), "`{line}` says something");
        if words[0] == "convert" {
            let out = words.iter().skip_while(|word| **word != "-o").nth(1).expect("an output");
            let made = Checkpoint::open(place(out)).expect("what is written can be read");
            assert!(made.n_layers() > 0, "`{out}` has layers");
            n_conversions += 1;
        }
    }
    assert!(n_conversions >= 4, "the README shows only {n_conversions} conversions");
}

// Help names the program with its extension elsewhere.
#[cfg(unix)]
#[test]
fn commands_print_what_they_printed() {
    use std::path::Path;

    use grouping_core::testing::assert_snapshots;

    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    assert_snapshots(&tests.join("cmd"), &tests.join("data"), Path::new(env!("CARGO_BIN_EXE_kd-gqa")));
}
