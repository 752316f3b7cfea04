//! The README's conversions run as they stand there.

use std::fs;
use std::process::Command;

use grouping_core::tensor_file::Dtype;
use kd_gqa::checkpoint::{Checkpoint, Dialect};

use crate::models;

#[test]
fn every_conversion_of_the_readme_runs() {
    let readme = include_str!("../../README.md");
    let blocks = readme.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next());
    let lines = blocks.flat_map(str::lines).filter_map(|line| line.strip_prefix("kd-gqa convert "));
    let folder = tempfile::tempdir().expect("a folder");
    let place = |name: &str| folder.path().join(name);
    models::write(&place("vit.safetensors"), &models::vit(Dialect::Timm, 6, 64), Dtype::BF16);
    fs::copy(models::data("encoder.pth"), place("vit.pth")).expect("a copy");
    models::llama_folder(&place("llama"), "llama", [6, 6, 4], Dtype::F32);
    models::llama2c(&place("stories.bin"), 6, true);
    let layer = r#"{"k":[1,2,3,4,5,6],"v":[1,1,1,1,1,1]}"#;
    fs::write(place("weights.json"), format!("{{\"layers\":[{layer},{layer}]}}")).expect("writes");
    let mut n_commands = 0;
    for line in lines {
        let words: Vec<&str> = line.split_whitespace().collect();
        let output = Command::new(env!("CARGO_BIN_EXE_kd-gqa"))
            .arg("convert")
            .args(&words)
            .current_dir(folder.path())
            .output()
            .expect("the binary runs");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "`kd-gqa convert {line}` failed: {errors}");
        assert!(
            String::from_utf8_lossy(&output.stdout).contains("written"),
            "`kd-gqa convert {line}` says so"
        );
        let out = words.iter().skip_while(|word| **word != "-o").nth(1).expect("an output");
        let made = Checkpoint::open(place(out)).expect("what is written can be read");
        assert!(made.n_layers() > 0, "`{out}` has layers");
        n_commands += 1;
    }
    assert!(n_commands >= 4, "the README shows only {n_commands} conversions");
}
