//! Bad input: exit status 2, a message that names file, field, found and expected, and nothing left behind.

use std::fs;
use std::path::{Path, PathBuf};

use grouping_core::files::output::Existing;
use grouping_core::testing::assert_refused;
use lego_merge::adapter::Output;
use serde_json::{Value, json};

use crate::adapters::committed;
use crate::command::{run, text};

const CONFIG: &str = "adapter_config.json";
const TENSORS: &str = "adapter_model.safetensors";

/// A folder with a good adapter `good`, a copy `bad` to be spoilt, and an output `out` that must not appear.
struct Bench {
    folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let bench = Self { folder: tempfile::tempdir().expect("a folder") };
        for name in ["good", "bad"] {
            fs::create_dir(bench.path(name)).expect("a folder");
            for file in [CONFIG, TENSORS] {
                fs::copy(committed("plain", 0).join(file), bench.path(name).join(file)).expect("a copy");
            }
        }
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn config(&self, change: impl FnOnce(&mut Value)) -> &Self {
        let path = self.path("bad").join(CONFIG);
        let mut value: Value = serde_json::from_slice(&fs::read(&path).expect("a file")).expect("JSON");
        change(&mut value);
        fs::write(&path, value.to_string()).expect("writes");
        self
    }

    /// Replaces the tensors' file by this header and as many bytes of data as given.
    fn tensors(&self, header: &Value, data: &[u8]) -> &Self {
        let text = header.to_string();
        let bytes = [&(text.len() as u64).to_le_bytes(), text.as_bytes(), data].concat();
        fs::write(self.path("bad").join(TENSORS), bytes).expect("writes");
        self
    }

    /// Merging `good` and `bad` fails and names all of `words`.
    fn refuses(&self, words: &[&str]) {
        self.refuses_with(&[], words);
    }

    fn refuses_with(&self, options: &[&str], words: &[&str]) {
        let before = listing(self.folder.path());
        let [good, bad, out] = ["good", "bad", "out"].map(|n| self.path(n).display().to_string());
        let output = run([&["merge", &good, &bad, "-o", &out], options].concat());
        let message = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "exit status; stderr: {message}");
        assert!(output.stdout.is_empty(), "no result is printed: {}", text(&output.stdout));
        for word in words {
            assert!(message.contains(word), "the message does not name `{word}`: {message}");
        }
        assert!(!message.contains("panicked"), "an error, not a panic: {message}");
        assert_eq!(listing(self.folder.path()), before, "nothing is left behind");
    }
}

fn listing(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<_> =
        fs::read_dir(folder).expect("a folder").map(|e| e.expect("an entry").path()).collect();
    found.sort();
    found
}

/// One module, A [2, 3] and B [4, 2], 56 bytes.
fn header() -> Value {
    json!({
        "__metadata__": {"format": "pt"},
        "base_model.model.q.lora_A.weight": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]},
        "base_model.model.q.lora_B.weight": {"dtype": "F32", "shape": [4, 2], "data_offsets": [24, 56]},
    })
}

const A: &str = "base_model.model.q.lora_A.weight";
const B: &str = "base_model.model.q.lora_B.weight";

#[test]
fn missing_files() {
    let bench = Bench::new();
    fs::remove_file(bench.path("bad").join(CONFIG)).expect("removes");
    bench.refuses(&["bad", CONFIG]);
    let bench = Bench::new();
    fs::remove_file(bench.path("bad").join(TENSORS)).expect("removes");
    bench.refuses(&["bad", TENSORS]);
    fs::write(bench.path("bad").join("adapter_model.bin"), b"\x80\x02cos\nsystem\n.").expect("writes");
    bench.refuses(&["bad", "adapter_model.bin", "os.system"]);
}

#[test]
fn wrong_configurations_are_named_by_field() {
    let cases: [(&str, Value, &[&str]); 9] = [
        ("r", json!("eight"), &["`r`", "eight"]),
        ("r", json!(0), &["r:", "0"]),
        ("lora_alpha", json!([16]), &["`lora_alpha`", "[16]"]),
        ("use_rslora", json!("yes"), &["`use_rslora`", "yes"]),
        ("rank_pattern", json!({"q": "two"}), &["`rank_pattern`", "two"]),
        ("rank_pattern", json!({"(": 2}), &["rank_pattern", "("]),
        ("alpha_pattern", json!(3), &["`alpha_pattern`", "3"]),
        ("target_modules", json!(7), &["`target_modules`", "7"]),
        ("peft_type", json!("IA3"), &["peft_type", "LORA", "IA3"]),
    ];
    for (field, value, words) in cases {
        let bench = Bench::new();
        bench.config(|c| c[field] = value).refuses(&[&[CONFIG], words].concat());
    }
    let bench = Bench::new();
    fs::write(bench.path("bad").join(CONFIG), b"{\"r\": 4,").expect("writes");
    bench.refuses(&[CONFIG, "bad"]);
}

#[test]
fn what_would_be_merged_wrongly_is_refused_by_name() {
    let cases = [
        ("use_qalora", json!(true)),
        ("bias", json!("all")),
        ("layer_replication", json!([[0, 2]])),
        ("target_parameters", json!(["experts.weight"])),
        ("trainable_token_indices", json!([1])),
        ("init_lora_weights", json!("pissa_niter_4")),
        ("alora_invocation_tokens", json!([3])),
        ("use_bdlora", json!({"nblocks": 2})),
        ("arrow_config", json!({"top_k": 3})),
    ];
    for (field, value) in cases {
        let bench = Bench::new();
        let found = value.to_string();
        bench.config(|c| c[field] = value).refuses(&[CONFIG, field, &found, "not supported"]);
    }
}

#[test]
fn ranks_that_disagree_inside_an_adapter() {
    Bench::new().config(|c| c["r"] = json!(5)).refuses(&["layers.0.q", "5", "4"]);
    let pattern = json!({"layers.1.v": 2});
    Bench::new().config(|c| c["rank_pattern"] = pattern).refuses(&["layers.1.v", "2", "4"]);
    let mut disagreeing = header();
    disagreeing[B] = json!({"dtype": "F32", "shape": [2, 4], "data_offsets": [24, 56]});
    Bench::new().config(|c| c["r"] = json!(2)).tensors(&disagreeing, &[0; 56]).refuses(&["q", "2", "4"]);
}

#[test]
fn hostile_headers() {
    let good = header();
    let with = |name: &str, entry: Value| {
        let mut header = good.clone();
        header[name] = entry;
        header
    };
    let cases: [(Value, &[&str]); 7] = [
        (with(B, json!({"dtype": "F32", "shape": [4, 2], "data_offsets": [16, 48]})), &["lora_"]),
        (
            with(B, json!({"dtype": "F32", "shape": [4, 2], "data_offsets": [24, 1u64 << 40]})),
            &["lora_B", "1099511627776"],
        ),
        (
            with(B, json!({"dtype": "F32", "shape": [1u64 << 62, 1u64 << 62], "data_offsets": [24, 56]})),
            &["lora_B"],
        ),
        (
            with(B, json!({"dtype": "F32", "shape": [4, 3], "data_offsets": [24, 56]})),
            &["lora_B", "48", "32"],
        ),
        (with(B, json!({"dtype": "F8", "shape": [4, 2], "data_offsets": [24, 56]})), &["F8"]),
        (with(B, json!({"dtype": "F32", "shape": [4, 2], "data_offsets": [56, 24]})), &["lora_B"]),
        (with(B, json!("none")), &["lora_B"]),
    ];
    for (header, words) in cases {
        let bench = Bench::new();
        bench.config(|c| c["r"] = json!(2)).tensors(&header, &[0; 56]).refuses(&[&[TENSORS], words].concat());
    }
    // The file ends before, in and after the header, and before the data's end.
    let bench = Bench::new();
    let file = bench.path("bad").join(TENSORS);
    let whole = fs::read(&file).expect("a file");
    for length in [0, 7, 8, 100, whole.len() - 1] {
        fs::write(&file, &whole[..length]).expect("writes");
        bench.refuses(&[TENSORS]);
    }
    // A header that claims to be longer than the file, and one beyond any sense.
    for claim in [whole.len() as u64, 1 << 40, u64::MAX] {
        fs::write(&file, [&claim.to_le_bytes(), &whole[8..]].concat()).expect("writes");
        bench.refuses(&[TENSORS]);
    }
    fs::write(&file, [whole.as_slice(), &[0; 8]].concat()).expect("writes");
    bench.refuses(&[TENSORS]);
}

#[test]
fn tensors_that_are_no_factors_of_linear_layers() {
    let cases: [(&str, Value, &[&str]); 9] = [
        ("q.lora_A.weight", json!([2, 3]), &["q.lora_A.weight", "base_model.model."]),
        ("lora_unet_q.lora_down.weight", json!([2, 3]), &["lora_unet_q.lora_down.weight"]),
        ("base_model.model.e.lora_embedding_A", json!([2, 3]), &["e.lora_B"]),
        ("base_model.model.q.lora_magnitude_vector", json!([4]), &["q.lora_magnitude_vector", "use_dora"]),
        ("base_model.model.q.lora_magnitude_vector", json!([6]), &["lora_magnitude_vector", "[6]", "4"]),
        ("base_model.model.q.lora_B.bias", json!([4]), &["q.lora_B.bias", "lora_bias"]),
        ("base_model.model.q.lora_C.weight", json!([6]), &["q.lora_C.weight", "not supported"]),
        ("base_model.model.c.lora_A.weight", json!([6]), &["c.lora_B"]),
        ("base_model.model.c.lora_A.weight", json!([2, 3]), &["c.lora_B.weight"]),
    ];
    for (name, shape, words) in cases {
        let mut header = header();
        let n_bytes: u64 =
            4 * shape.as_array().expect("a shape").iter().filter_map(Value::as_u64).product::<u64>();
        header[name] = json!({"dtype": "F32", "shape": shape, "data_offsets": [56, 56 + n_bytes]});
        let bench = Bench::new();
        bench
            .config(|c| c["r"] = json!(2))
            .tensors(&header, &vec![0; 56 + n_bytes as usize])
            .refuses(&[&[TENSORS], words].concat());
    }
    let mut integers = header();
    integers[A] = json!({"dtype": "I32", "shape": [2, 3], "data_offsets": [0, 24]});
    let bench = Bench::new();
    bench.config(|c| c["r"] = json!(2)).tensors(&integers, &[0; 56]).refuses(&["lora_A", "I32", "F32"]);
    let mut doubled = header();
    for (i, suffix) in ["", ".weight"].into_iter().enumerate() {
        let offsets = [56 + 16 * i, 72 + 16 * i];
        doubled[format!("base_model.model.q.lora_magnitude_vector{suffix}")] =
            json!({"dtype": "F32", "shape": [4], "data_offsets": offsets});
    }
    let bench = Bench::new();
    let words = ["one name for magnitude of module q", "lora_magnitude_vector.weight"];
    bench.config(|c| c["r"] = json!(2)).tensors(&doubled, &[0; 88]).refuses(&words);
}

#[test]
fn values_that_are_not_finite() {
    for (value, word) in [(f32::NAN, "NaN"), (f32::INFINITY, "inf")] {
        let bench = Bench::new();
        let file = bench.path("bad").join(TENSORS);
        let mut bytes = fs::read(&file).expect("a file");
        let end = bytes.len();
        bytes[end - 4..].copy_from_slice(&value.to_le_bytes());
        fs::write(&file, bytes).expect("writes");
        bench.refuses(&[TENSORS, "layers.1.v.lora_B.weight", word, "index 23"]);
    }
}

#[test]
fn a_value_that_is_not_finite_is_named_by_every_command() {
    let bench = Bench::new();
    let file = bench.path("bad").join(TENSORS);
    let mut bytes = fs::read(&file).expect("a file");
    let end = bytes.len();
    bytes[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    fs::write(&file, bytes).expect("writes");
    let [good, bad, out] = ["good", "bad", "out"].map(|name| bench.path(name).display().to_string());
    for args in [
        &["inspect", &bad][..],
        &["compare", &good, &bad],
        &["convert", &bad, "-o", &out],
        &["prune", &bad, "-o", &out, "--rank", "1"],
        &["verify", &bad, "--sources", &good],
        &["verify", &good, "--sources", &bad],
    ] {
        let output = run(args);
        let message = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {message}");
        assert!(output.stdout.is_empty(), "{args:?}: no result");
        for word in [TENSORS, "layers.1.v.lora_B.weight", "NaN", "index 23"] {
            assert!(message.contains(word), "{args:?}: the message does not name `{word}`: {message}");
        }
        assert!(!bench.path("out").exists(), "{args:?}: nothing is written");
    }
}

#[test]
fn names_that_would_steer_a_terminal_are_refused_and_not_printed() {
    let mut steering = header();
    let (a, b) = (steering[A].take(), steering[B].take());
    let object = steering.as_object_mut().expect("an object");
    object.clear();
    object.insert("base_model.model.q\u{1b}[2J.lora_A.weight".into(), a);
    object.insert("base_model.model.q\u{1b}[2J.lora_B.weight".into(), b);
    let bench = Bench::new();
    bench.config(|c| c["r"] = json!(2)).tensors(&steering, &[0; 56]);
    bench.refuses(&[TENSORS, r"q\u{1b}[2J", "control characters"]);
    let output = run(["inspect".into(), bench.path("bad")]);
    assert!(!text(&output.stderr).contains('\u{1b}'), "{}", text(&output.stderr));
}

#[test]
#[cfg(unix)]
fn texts_without_an_end_are_refused_and_not_held() {
    let bench = Bench::new();
    let config = bench.path("bad").join(CONFIG);
    fs::remove_file(&config).expect("removes");
    std::os::unix::fs::symlink("/dev/zero", &config).expect("a link");
    bench.refuses(&[CONFIG, "at most", "bytes"]);
    let out = bench.path("out").display().to_string();
    let output = run(["recipe", "/dev/zero", "-o", &out]);
    let message = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert!(message.contains("/dev/zero") && message.contains("at most"), "{message}");
}

#[test]
fn adapters_that_do_not_fit_each_other() {
    let other_shape = Bench::new();
    let mut header = header();
    let (a, b) = (header[A].take(), header[B].take());
    let object = header.as_object_mut().expect("an object");
    object.clear();
    object.insert("base_model.model.layers.0.q.lora_A.weight".into(), a);
    object.insert("base_model.model.layers.0.q.lora_B.weight".into(), b);
    let other_shape = other_shape.config(|c| c["r"] = json!(2)).tensors(&header, &[0; 56]);
    other_shape.refuses(&["layers.0.q", "[12, 12]", "[4, 3]"]);
    Bench::new().config(|c| c["fan_in_fan_out"] = json!(true)).refuses(&["fan_in_fan_out", "false", "true"]);

    let heads = Bench::new();
    let conv = committed("conv1d", 0);
    for name in ["good", "bad"] {
        for file in [CONFIG, TENSORS] {
            fs::copy(conv.join(file), heads.path(name).join(file)).expect("a copy");
        }
    }
    let equal =
        run(["merge".into(), heads.path("good"), heads.path("bad"), "-o".into(), heads.path("equal")]);
    assert!(equal.status.success(), "equal heads are carried: {}", text(&equal.stderr));
    let file = heads.path("bad").join(TENSORS);
    let mut bytes = fs::read(&file).expect("a file");
    let end = bytes.len();
    bytes[end - 4] ^= 1;
    fs::write(&file, bytes).expect("writes");
    heads.refuses(&["score.weight", "bad", "good"]);
}

#[test]
fn a_module_that_is_a_head_elsewhere() {
    let bench = Bench::new();
    for file in [CONFIG, TENSORS] {
        fs::copy(committed("conv1d", 0).join(file), bench.path("good").join(file)).expect("a copy");
    }
    let mut header = header();
    let (a, b) = (header[A].take(), header[B].take());
    let object = header.as_object_mut().expect("an object");
    object.clear();
    object.insert("base_model.model.score.lora_A.weight".into(), a);
    object.insert("base_model.model.score.lora_B.weight".into(), b);
    let change = |c: &mut Value| (c["r"], c["fan_in_fan_out"]) = (json!(2), json!(true));
    bench.config(change).tensors(&header, &[0; 56]).refuses(&["score", "good", "bad"]);
}

#[test]
fn options_that_do_not_fit() {
    let cases: [(&[&str], &[&str]); 40] = [
        (&["--method", "knit"], &["knit", "lego", "svd"]),
        (&["--method", "ties"], &["--density", "ties"]),
        (&["--method", "ties", "--density", "0"], &["density", "0"]),
        (&["--method", "dare-ties", "--density=-0.5"], &["density", "-0.5"]),
        (&["--method", "svd", "--density", "0.5"], &["--density", "svd"]),
        (
            &["--method", "dare-linear", "--density", "0.5", "--majority-sign", "total"],
            &["--majority-sign", "ties"],
        ),
        (&["--method", "knots"], &["--density", "knots", "ties"]),
        (&["--method", "core-space", "--inner", "dare"], &["--density", "core-space", "dare"]),
        (&["--method", "knots", "--inner", "ta", "--density", "0.5"], &["--density", "knots", "ta"]),
        (
            &["--method", "core-space", "--inner", "tsv", "--density", "0.5"],
            &["--density", "core-space", "tsv"],
        ),
        (&["--method", "tsv", "--density", "0.5"], &["--density", "tsv"]),
        (&["--method", "knots", "--inner", "tsv"], &["inner", "knots", "dare", "tsv"]),
        (&["--method", "tsv", "--inner", "ta"], &["--inner", "knots", "core-space", "tsv"]),
        (&["--method", "knots", "--density", "0.5", "--rank", "9"], &["rank", "8", "9"]),
        (&["--method", "average", "--rank", "4"], &["rank", "average"]),
        (&["--lambda", "inf"], &["lambda", "inf"]),
        (&["--rank", "9"], &["rank", "8", "9"]),
        (&["--rank", "0"], &["rank", "0"]),
        (&["--rank", "many"], &["--rank", "many"]),
        (&["--method", "cat", "--rank", "4"], &["rank", "cat"]),
        (&["--weights", "1"], &["weights", "2", "1"]),
        (&["--weights", "1,nan"], &["weights", "NaN"]),
        (&["--weights", "1,x"], &["--weights", "x"]),
        (&["--method", "svd", "--no-output-reweighting"], &["--no-output-reweighting", "lego"]),
        (&["--rank", "energy:0"], &["--rank", "energy:0"]),
        (&["--rank", "ratio:x"], &["--rank", "ratio:x"]),
        (&["--method", "cat", "--rank", "auto"], &["rank", "cat", "auto"]),
        (&["--restarts", "0"], &["restarts", "at least 1", "0"]),
        (&["--ref-rank", "0"], &["--ref-rank", "median", "0"]),
        (&["--norm", "l1"], &["--norm", "l1", "inf", "l2"]),
        (&["--norm", "l2", "--no-parameter-reweighting"], &["norm", "--no-parameter-reweighting", "l2"]),
        (&["--ref-rank", "max", "--no-output-reweighting"], &["ref-rank", "--no-output-reweighting", "max"]),
        (&["--preset", "smoea"], &["rank", "8", "16"]),
        (&["--method", "svd", "--preset", "nsc"], &["--preset", "lego", "svd"]),
        (&["--method", "cat", "--antipodal"], &["--antipodal", "lego", "cat"]),
        (&["--method", "ties", "--density", "0.5", "--features", "raw"], &["--features", "lego", "ties"]),
        (&["--method", "ties-svd"], &["density", "ties-svd"]),
        (
            &["--method", "ties-svd", "--density", "0.5", "--masks", "m"],
            &["--masks", "dare-linear", "ties-svd"],
        ),
        (
            &["--method", "dare-delta", "--density", "0.5", "--majority-sign", "total"],
            &["--majority-sign", "ties-delta"],
        ),
        (&["--speed", "9"], &["--speed"]),
    ];
    for (options, words) in cases {
        Bench::new().refuses_with(options, words);
    }
}

#[test]
fn outputs_that_cannot_be_written() {
    let bench = Bench::new();
    let merge_to = |out: &Path, force: bool| {
        let mut args = vec![
            "merge".into(),
            bench.path("good").into_os_string(),
            "-o".into(),
            out.as_os_str().to_owned(),
        ];
        args.extend(force.then(|| "--force".into()));
        let output = run(args);
        assert_eq!(output.status.code(), Some(2), "{}: {}", out.display(), text(&output.stderr));
        text(&output.stderr)
    };
    let taken = bench.path("bad");
    let before = listing(&taken);
    assert!(merge_to(&taken, false).contains("--force"), "an existing output is refused, with the way out");
    assert_eq!(listing(&taken), before, "it is untouched");
    let inside = taken.join(TENSORS);
    let tensors = fs::read(&inside).expect("a file");
    let message = merge_to(&inside, true);
    assert!(message.contains(CONFIG), "tensors alone are not replaced beside a configuration: {message}");
    assert_eq!(fs::read(&inside).expect("a file"), tensors, "they are untouched");

    let full = bench.path("full");
    fs::create_dir(&full).expect("a folder");
    fs::write(full.join("thesis.tex"), "years of work").expect("writes");
    for (place, word) in [(&full, "thesis.tex"), (&inside, CONFIG)] {
        let output = Output::new(place).with_existing(Existing::Replace);
        assert_refused(output.check(), word);
    }
    let message = merge_to(&full, true);
    assert!(message.contains("full") && message.contains("thesis.tex"), "not an adapter's folder: {message}");
    assert!(full.join("thesis.tex").exists(), "--force replaces adapters only");

    let file = bench.path("file");
    fs::write(&file, "a file").expect("writes");
    assert_refused(Output::new(&file).with_existing(Existing::Replace).check(), "expected a folder");
    assert!(merge_to(&file.join("out"), false).contains("file"), "a file is no place for a folder");
    assert!(merge_to(&file, true).contains("file"), "a file is not replaced");
    assert_eq!(listing(bench.folder.path()).len(), 4, "nothing is left behind");

    let folder = bench.path("folder.safetensors");
    fs::rename(&taken, &folder).expect("an adapter's folder of another name");
    let output = Output::new(&folder).with_existing(Existing::Replace);
    assert_refused(output.check(), "an adapter's file to replace");
}

#[test]
fn masks_that_are_missing_misshapen_or_no_masks_are_named() {
    const DENSE: &str = "layers.1.v.delta.1";
    const FACTOR: &str = "layers.0.q.lora_A.0";
    type Change = fn(&mut Value, &mut Vec<u8>);
    let cases: [(&str, &str, Change, &[&str]); 6] = [
        (
            "dare-linear-svd",
            DENSE,
            |header, _| drop(header.as_object_mut().map(|h| h.remove(DENSE))),
            &["none"],
        ),
        ("dare-ties", FACTOR, |header, _| header[FACTOR]["shape"] = json!([12, 4]), &["[4, 12]", "[12, 4]"]),
        ("dare-delta", DENSE, |header, _| header[DENSE]["dtype"] = json!("I8"), &["U8, BOOL or F32", "I8"]),
        ("dare-linear", FACTOR, |header, data| spoil(header, FACTOR, data), &["zeros and ones", "index 0"]),
        ("dare-ties-svd", DENSE, |header, data| spoil(header, DENSE, data), &["zeros and ones", "index 0"]),
        ("dare-ties-svd", "header's length", |_, data| data.clear(), &["expected"]),
    ];
    for (method, name, change, words) in cases {
        let bench = Bench::new();
        let bytes =
            fs::read(crate::adapters::data().join("masks/plain.safetensors")).expect("committed masks");
        let length = u64::from_le_bytes(bytes[..8].try_into().expect("a length")) as usize;
        let mut header: Value = serde_json::from_slice(&bytes[8..8 + length]).expect("a header");
        let mut data = bytes[8 + length..].to_vec();
        change(&mut header, &mut data);
        let text = header.to_string();
        let mut file = [&(text.len() as u64).to_le_bytes(), text.as_bytes(), &data].concat();
        if data.is_empty() {
            file.truncate(20);
        } else if !text.contains(DENSE) {
            // A hole in the data is no file at all: the masks that remain, packed anew.
            file = packed(&header, &data);
        }
        fs::write(bench.path("masks"), file).expect("writes");
        let masks = bench.path("masks").display().to_string();
        let options = ["--method", method, "--density", "0.6", "--masks", &masks];
        bench.refuses_with(&options, &[&["masks", name], words].concat());
    }
    let bench = Bench::new();
    let absent = bench.path("absent").display().to_string();
    let options = ["--method", "dare-linear", "--density", "0.6", "--masks", &absent];
    bench.refuses_with(&options, &["absent", "open"]);
}

/// Puts a 7 where the mask begins.
fn spoil(header: &Value, name: &str, data: &mut [u8]) {
    data[header[name]["data_offsets"][0].as_u64().expect("an offset") as usize] = 7;
}

/// A safetensors file of the tensors in `header`, their data moved together.
fn packed(header: &Value, data: &[u8]) -> Vec<u8> {
    let mut header = header.as_object().expect("an object").clone();
    let mut kept = vec![];
    for (name, entry) in header.iter_mut().filter(|(name, _)| *name != "__metadata__") {
        let at = |i: usize| {
            entry["data_offsets"][i].as_u64().unwrap_or_else(|| panic!("{name}: no offset")) as usize
        };
        let (from, to) = (kept.len(), kept.len() + at(1) - at(0));
        kept.extend_from_slice(&data[at(0)..at(1)]);
        entry["data_offsets"] = json!([from, to]);
    }
    let text = Value::from(header).to_string();
    [&(text.len() as u64).to_le_bytes(), text.as_bytes(), &kept].concat()
}
