//! The command `generate`.

use std::fs;
use std::process::{Command, Output};

use serde_json::Value;

use crate::data::golden;

fn run(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kd-gqa"));
    command.arg("generate").args(args).output().expect("the command runs")
}

fn model() -> String {
    golden("llama2c/tied.bin").display().to_string()
}

fn expected() -> (String, Vec<u64>) {
    let text = fs::read_to_string(golden("llama2c/expected.json")).expect("the golden is committed");
    let run: Value = serde_json::from_str(&text).expect("the golden is valid");
    let tokens = run["tied"]["greedy"].as_array().expect("tokens");
    (
        run["tied"]["text"].as_str().expect("a text").to_owned(),
        tokens.iter().filter_map(Value::as_u64).collect(),
    )
}

#[test]
fn the_text_goes_to_stdout_and_the_figures_to_stderr() {
    let output = run(&["--model", &model(), "--prompt", "the cab", "--max-tokens", "12"]);
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{stderr}");
    assert_eq!(stdout, expected().0 + "\n", "the text alone");
    // Layers · (keys, values) · heads · positions · head_dim · 4 bytes.
    let bytes = 2 * 2 * 2 * (5 + 12) * 4 * 4;
    for wanted in ["tokens/s", &format!("cache {bytes} bytes"), "5 tokens of prompt", "12 tokens in"] {
        assert!(stderr.contains(wanted), "`{wanted}` is in: {stderr}");
    }
}

#[test]
fn json_is_one_object() {
    let output = run(&["--model", &model(), "--prompt", "the cab", "--max-tokens", "12", "--json"]);
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert_eq!(stdout.lines().count(), 1, "one line: {stdout}");
    let object: Value = serde_json::from_str(&stdout).expect("an object");
    let (text, tokens) = expected();
    assert_eq!(object["text"], text.as_str(), "prompt and continuation");
    assert_eq!(
        format!("the cab{}", object["completion"].as_str().expect("a text")),
        text,
        "the continuation"
    );
    assert_eq!(object["tokens"], Value::from(tokens), "the tokens");
    assert_eq!(object["stop"], "length", "why it ended");
}

#[test]
fn seeds_determine_draws() {
    let draw = |seed: &str| {
        let args =
            ["--model", &model(), "--max-tokens", "20", "--temperature", "3", "--json", "--seed", seed];
        String::from_utf8(run(&args).stdout).expect("UTF-8")
    };
    assert_eq!(draw("4"), draw("4"), "equal seeds draw equally");
    assert_ne!(draw("4"), draw("5"), "others do not");
}

#[test]
fn what_cannot_be_is_said_with_status_2() {
    let tokenizer = golden("llama2c/tokenizer.bin").display().to_string();
    let folder = golden("decoders/mistral").display().to_string();
    let pickle = golden("encoder.pth").display().to_string();
    for (args, wanted) in [
        (vec!["--model", "no/such/model"], "no/such/model"),
        (vec!["--model", &tokenizer], "tokenizer.bin"),
        (vec!["--model", &folder], "tokenizer.json"),
        (vec!["--model", &pickle], "a folder of the Llama family"),
        (vec!["--model", &model(), "--tokenizer", "no/such/file"], "no/such/file"),
        (vec!["--model", &model(), "--temperature", "-1"], "temperature"),
        (vec!["--model", &model(), "--top-p", "0"], "--top-p: expected a number above 0"),
        (vec!["--model", &model(), "--device", "cuda"], "cuda"),
        (vec!["--model", &model(), "--prompt", &"the ".repeat(40)], "1 to 32 tokens"),
    ] {
        let output = run(&args);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {stderr}");
        assert!(stderr.contains(wanted), "`{wanted}` is named in: {stderr}");
        assert!(output.stdout.is_empty(), "{args:?}: nothing on stdout");
    }
}
