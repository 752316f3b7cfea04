//! Conversions: equal to the released code's, the same function as the source with pooled heads, and the same tensors when read again.

use grouping_core::testing::assert_refused;
use std::fs;
use std::path::{Path, PathBuf};

use grouping_core::files::output::Existing;
use grouping_core::files::tensor_file::{Dtype, TensorFile};
use grouping_core::matrix::Matrix;
use kd_gqa::checkpoint::{AttentionTensors, Checkpoint, Dialect, HeadsRecord};
use kd_gqa::convert::{
    ConvertConfig, ConvertReport, Distances, Form, GroupSizes, Grouping, Pool, PoolWeights, convert,
    similar_groups,
};
use kd_gqa::{Error, Groups};
use proptest::prelude::*;

use crate::models::{self, attend, data, tensors_of};

fn converted(source: &Checkpoint, config: &ConvertConfig, out: &Path) -> ConvertReport {
    convert(source, config, out, Existing::Refuse, |_| {}).expect("converts")
}

#[test]
fn neighbours_and_means_are_those_of_the_released_code() {
    let goldens = TensorFile::open(&data("convert.safetensors")).expect("the goldens");
    let folder = tempfile::tempdir().expect("a folder");
    let cases: Vec<&str> =
        goldens.names().filter_map(|name| name.strip_suffix(".converted.weight")).collect();
    assert_eq!(cases.len(), 11, "all cases");
    for case in cases {
        let (n_heads, n_kv_heads) = case.split_once('x').expect("two numbers");
        let [n_heads, n_kv_heads]: [usize; 2] = [n_heads, n_kv_heads].map(|n| n.parse().expect("a number"));
        let golden = |name: &str| goldens.decode(&format!("{case}.{name}")).expect("a golden");
        let d = n_heads * 2;
        let source = folder.path().join(format!("{case}.safetensors"));
        let proj = models::values("proj", d * d);
        models::write_values(
            &source,
            &[
                ("blocks.0.attn.qkv.weight".into(), vec![3 * d, d], golden("weight").values),
                ("blocks.0.attn.qkv.bias".into(), vec![3 * d], golden("bias").values),
                ("blocks.0.attn.proj.weight".into(), vec![d, d], proj.clone()),
            ],
            Dtype::F32,
        );
        let source = Checkpoint::open_with_heads(&source, Some(n_heads)).expect("opens");
        let out = folder.path().join(format!("{case}-out.safetensors"));
        converted(&source, &ConvertConfig::new(n_kv_heads), &out);
        let made = TensorFile::open(&out).expect("opens");
        // Columns in whole blocks and beyond, groups of 1 to 20: the same order of sums, so the same bits.
        for (name, wanted) in [("weight", "converted.weight"), ("bias", "converted.bias")] {
            let made = made.decode(&format!("blocks.0.attn.qkv.{name}")).expect("decodes");
            let wanted = golden(wanted);
            assert_eq!(made.shape, wanted.shape, "{case}: shape of the {name}");
            let differ = made.values.iter().zip(&wanted.values).filter(|(a, b)| a.to_bits() != b.to_bits());
            assert_eq!(differ.count(), 0, "{case}: values of the {name} that differ");
        }
        assert_eq!(made.decode("blocks.0.attn.proj.weight").expect("decodes").values, proj, "W_O as it was");
    }
}

/// All small checkpoints of six heads of four, and where to write what is made of them.
fn sources(folder: &Path) -> Vec<(Checkpoint, &'static str)> {
    let mut out = vec![];
    for dialect in [Dialect::Timm, Dialect::HuggingFaceVit, Dialect::HuggingFaceVitNew, Dialect::TorchEncoder]
    {
        let path = folder.join(format!("{dialect:?}.safetensors"));
        models::write(&path, &models::vit(dialect, 6, 4), Dtype::F32);
        out.push((Checkpoint::open_with_heads(&path, Some(6)).expect("opens"), ".safetensors"));
    }
    for model_type in ["llama", "qwen2"] {
        let path = folder.join(model_type);
        models::llama_folder(&path, model_type, [6, 6, 4], Dtype::F32);
        out.push((Checkpoint::open(&path).expect("opens"), ""));
    }
    let path = folder.join("model.bin");
    models::llama2c(&path, 6, false);
    out.push((Checkpoint::open(&path).expect("opens"), ".bin"));
    out
}

fn out_of(folder: &Path, name: &str, extension: &str) -> PathBuf {
    let folder = folder.join(name);
    fs::create_dir_all(&folder).expect("a folder");
    folder.join(format!("out{extension}"))
}

fn weights_file(folder: &Path) -> PathBuf {
    let path = folder.join("weights.json");
    let layer = r#"{"k":[1,2,3,4,5,6],"v":[6,5,4,3,2,1]}"#;
    fs::write(&path, format!("{{\"layers\":[{layer},{layer}]}}")).expect("writes");
    path
}

/// The source's attention with each key/value head replaced by what its group is pooled to.
fn pooled(
    source: &AttentionTensors,
    members: &[Vec<usize>],
    pool: &str,
    head_dim: usize,
) -> AttentionTensors {
    let mut out = source.clone();
    let replace = |side: usize, values: &mut [f32]| {
        let n = values.len() / 6;
        let old = values.to_vec();
        for group in members {
            let weights: Vec<f64> = match pool {
                "mean" => vec![1.0; group.len()],
                "first" => (0..group.len()).map(|i| f64::from(i == 0)).collect(),
                _ => group.iter().map(|&j| if side == 0 { j as f64 + 1.0 } else { 6.0 - j as f64 }).collect(),
            };
            let sum: f64 = weights.iter().sum();
            for i in 0..n {
                let value: f64 =
                    group.iter().zip(&weights).map(|(&j, w)| w / sum * f64::from(old[j * n + i])).sum();
                group.iter().for_each(|&j| values[j * n + i] = value as f32);
            }
        }
    };
    replace(0, out.key.values_mut());
    replace(1, out.value.values_mut());
    for side in 0..2 {
        if let Some(bias) = &mut out.biases[side + 1] {
            replace(side, bias);
        }
    }
    assert_eq!(out.key.n_rows(), 6 * head_dim, "six heads");
    out
}

#[test]
fn what_is_written_computes_what_pooled_heads_compute() {
    let folder = tempfile::tempdir().expect("a folder");
    let weights = weights_file(folder.path());
    let pools = [
        ("mean", Pool::Mean),
        ("first", Pool::First),
        ("weighted", Pool::Weighted(PoolWeights::read(&weights).expect("weights"))),
    ];
    let x = Matrix::new(5, 24, models::values("x", 5 * 24)).expect("a matrix");
    let ones = Groups::uniform(6, 6).expect("groups");
    for (i, (source, extension)) in sources(folder.path()).into_iter().enumerate() {
        for (j, (rule, pool)) in pools.iter().enumerate() {
            for (k, grouping) in [Grouping::Neighbour, Grouping::Similarity].into_iter().enumerate() {
                for (n_kv_heads, sizes, form) in [
                    (3, GroupSizes::Equal, Form::Grouped),
                    (4, GroupSizes::Any, Form::Grouped),
                    (2, GroupSizes::Equal, Form::Expanded),
                    (4, GroupSizes::Any, Form::Uniform),
                ] {
                    let label = format!("{:?} {rule} {grouping:?} {n_kv_heads} {form:?}", source.dialect());
                    let name = format!("{i}-{j}-{k}-{n_kv_heads}-{form:?}");
                    let out = out_of(folder.path(), &name, extension);
                    let config = ConvertConfig::new(n_kv_heads)
                        .with_grouping(grouping)
                        .with_pool(pool.clone())
                        .with_sizes(sizes)
                        .with_form(form);
                    let report = converted(&source, &config, &out);
                    // The heads are in the header, in the configuration or in the record.
                    let made = Checkpoint::open(&out).expect("reads what it wrote");
                    assert_eq!(made.n_heads(), 6, "{label}: heads");
                    assert_eq!(report.n_parameters[1], made.n_parameters(), "{label}: parameters");
                    for layer in 0..2 {
                        let LayerOf { members, written } = layer_of(&report, layer);
                        assert_eq!(&made.groups()[layer], &written, "{label}: groups");
                        if form != Form::Grouped {
                            assert!(written.uniform_size().is_some(), "{label}: one size");
                        }
                        let wanted = pooled(&source.attention(layer).expect("decodes"), &members, rule, 4);
                        let wanted = attend(&wanted, &ones, 4, &x);
                        let found = made.attention(layer).expect("decodes");
                        let found = attend(&found, &written, 4, &x);
                        // Pooled in f32: outputs of size 1 to 10 differ by a few units in the last place of f32.
                        let gap = wanted.iter().zip(&found).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
                        assert!(gap < 2e-5, "{label}: layer {layer} differs by {gap}");
                    }
                    let attention: Vec<&str> = source.layers().iter().flat_map(attention_names).collect();
                    for name in source.tensors().names().filter(|name| !attention.contains(name)) {
                        let bytes = |of: &Checkpoint| of.tensors().holder(name).expect("there").bytes(name);
                        assert!(bytes(&source) == bytes(&made), "{label}: {name} byte for byte");
                    }
                }
            }
        }
    }
}

struct LayerOf {
    members: Vec<Vec<usize>>,
    written: Groups,
}

fn layer_of(report: &ConvertReport, layer: usize) -> LayerOf {
    let layer = &report.layers[layer];
    LayerOf { members: layer.members.clone(), written: layer.written.clone() }
}

fn attention_names(layer: &kd_gqa::checkpoint::Layer) -> impl Iterator<Item = &str> {
    use kd_gqa::checkpoint::AttentionPart::{Key, Output, Query, Value};
    [Query, Key, Value, Output].into_iter().flat_map(|p| [Some(layer.weight(p)), layer.bias(p)]).flatten()
}

#[test]
fn outputs_say_what_readers_need() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("llama");
    models::llama_folder(&path, "llama", [6, 6, 4], Dtype::BF16);
    let source = Checkpoint::open(&path).expect("opens");
    let out = folder.path().join("uniform");
    converted(&source, &ConvertConfig::new(2), &out);
    let config = |folder: &Path| -> serde_json::Value {
        serde_json::from_slice(&fs::read(folder.join("config.json")).expect("a file")).expect("JSON")
    };
    assert_eq!(
        (&config(&out)["num_key_value_heads"], &config(&out)["head_dim"]),
        (&2.into(), &4.into()),
        "heads"
    );
    assert_eq!(config(&out)["rope_theta"], config(&path)["rope_theta"], "all else is kept");
    let listing = |folder: &Path| {
        let mut names: Vec<String> = fs::read_dir(folder)
            .expect("a folder")
            .map(|entry| entry.expect("an entry").file_name().into_string().expect("a name"))
            .collect();
        names.sort();
        names
    };
    let mut wanted = listing(&path);
    wanted.push("kd_gqa.json".into());
    wanted.sort();
    assert_eq!(listing(&out), wanted, "shards, index, configuration, tokenizer and the record");
    let index: serde_json::Value =
        serde_json::from_slice(&fs::read(out.join("model.safetensors.index.json")).expect("a file"))
            .expect("JSON");
    let n_bytes: usize = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
        .iter()
        .flat_map(|name| tensors_of(&out.join(name)).into_values())
        .map(|(dtype, _, bytes)| {
            assert_eq!(dtype, Dtype::BF16, "types are kept");
            bytes.len()
        })
        .sum();
    assert_eq!(index["metadata"]["total_size"], n_bytes, "the index counts the new tensors");

    let ragged = folder.path().join("ragged");
    converted(&source, &ConvertConfig::new(4).with_sizes(GroupSizes::Any), &ragged);
    assert_eq!(config(&ragged)["num_key_value_heads"], 6, "readers of one ratio find other shapes, and fail");
    let record = HeadsRecord::read(&ragged.join("kd_gqa.json")).expect("a record");
    assert_eq!(record.layers[1].groups, [2, 2, 1, 1], "its groups");

    let path = folder.path().join("vit.safetensors");
    models::write(&path, &models::vit(Dialect::Timm, 6, 4), Dtype::F16);
    let source = Checkpoint::open_with_heads(&path, Some(6)).expect("opens");
    let out = folder.path().join("made/vit.safetensors");
    converted(&source, &ConvertConfig::new(4).with_sizes(GroupSizes::Any), &out);
    let beside = HeadsRecord::read(&out.with_file_name("kd_gqa.json")).expect("a record beside it");
    let within = TensorFile::open(&out).expect("opens").metadata()["kd_gqa.json"].clone();
    let within = HeadsRecord::parse(&out, &within).expect("a record in the header");
    assert_eq!((&within.layers, beside.file.as_deref()), (&beside.layers, Some("vit.safetensors")), "both");
    let qkv = TensorFile::open(&out).expect("opens");
    assert_eq!(qkv.shape("blocks.0.attn.qkv.weight"), Some(&[24 + 2 * 4 * 4, 24][..]), "fused rows");
    assert_eq!(qkv.dtype("blocks.0.attn.qkv.weight"), Some(Dtype::F16), "types are kept");
    let again = convert(&source, &ConvertConfig::new(3), &out, Existing::Refuse, |_| {});
    assert!(
        matches!(again, Err(Error::Core(grouping_core::Error::Exists { .. }))),
        "nothing is replaced unasked"
    );
    convert(&source, &ConvertConfig::new(3), &out, Existing::Replace, |_| {}).expect("replaced when asked");
    assert!(!out.with_file_name("kd_gqa.json").exists(), "what the old record said is no more");

    let path = folder.path().join("model.bin");
    models::llama2c(&path, 6, true);
    let source = Checkpoint::open(&path).expect("opens");
    let out = folder.path().join("made-too/model.bin");
    converted(&source, &ConvertConfig::new(4).with_sizes(GroupSizes::Any), &out);
    let header = |path: &Path| fs::read(path).expect("a file")[16..20].to_vec();
    assert_eq!(header(&out), (-4i32).to_le_bytes(), "readers of one ratio fail");
    assert_eq!(Checkpoint::open(&out).expect("opens").groups()[0].sizes(), [2, 2, 1, 1], "its groups");
    // A second one beside it has a record of its own.
    let second = out.with_file_name("second.bin");
    converted(&source, &ConvertConfig::new(5).with_sizes(GroupSizes::Any), &second);
    let sizes =
        [&out, &second].map(|path| Checkpoint::open(path).expect("opens").groups()[0].sizes().to_vec());
    assert_eq!(sizes, [vec![2, 2, 1, 1], vec![2, 1, 1, 1, 1]], "both records");
    // Once the first has equal groups, the record of the second is still its own.
    convert(&source, &ConvertConfig::new(3), &out, Existing::Replace, |_| {}).expect("equal groups");
    assert!(!out.with_file_name("kd_gqa.json").exists(), "the first's is gone");
    assert_eq!(Checkpoint::open(&second).expect("opens").groups()[0].sizes(), [2, 1, 1, 1, 1], "its own");
    convert(&source, &ConvertConfig::new(3), &second, Existing::Replace, |_| {}).expect("equal groups");
    assert!(!second.with_file_name("second.bin.kd_gqa.json").exists(), "and the second's");
    // A record that names no file is nobody's.
    fs::write(out.with_file_name("kd_gqa.json"), r#"{"n_heads":6,"head_dim":4,"layers":[]}"#)
        .expect("writes");
    let config = ConvertConfig::new(4).with_sizes(GroupSizes::Any);
    convert(&source, &config, &out, Existing::Replace, |_| {}).expect("unequal groups");
    assert_eq!(Checkpoint::open(&out).expect("opens").groups()[0].sizes(), [2, 2, 1, 1], "beside it");
    fs::rename(&out, out.with_file_name("other.bin")).expect("moves");
    assert_refused(Checkpoint::open(out.with_file_name("other.bin")), "that names the file");
}

#[test]
fn grouped_sources_are_pooled_further() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("mistral");
    models::llama_folder(&path, "mistral", [8, 4, 4], Dtype::F32);
    let source = Checkpoint::open(&path).expect("opens");
    let out = folder.path().join("out");
    let report = converted(&source, &ConvertConfig::new(2), &out);
    let made = Checkpoint::open(&out).expect("opens");
    assert_eq!(made.groups()[0].sizes(), [4, 4], "eight query heads on two");
    assert_eq!(report.layers[0].members, [[0, 1], [2, 3]], "of four");
    let [old, new] = [&source, &made].map(|of| of.attention(0).expect("decodes"));
    assert_eq!(old.query, new.query, "queries keep their order");
    let mean = (old.key.values()[0] + old.key.values()[4 * 24]) / 2.0;
    assert_eq!(new.key.values()[0], mean, "the mean of two heads");
    // The same number of heads, and the other form, of an export of unequal groups.
    let ragged = folder.path().join("ragged");
    converted(&source, &ConvertConfig::new(3).with_sizes(GroupSizes::Any), &ragged);
    let ragged = Checkpoint::open(&ragged).expect("opens");
    assert_eq!(ragged.groups()[0].sizes(), [4, 2, 2], "unions of groups of two");
    let uniform = folder.path().join("uniform");
    converted(&ragged, &ConvertConfig::new(3).with_form(Form::Uniform), &uniform);
    let uniform = Checkpoint::open(&uniform).expect("opens");
    assert_eq!(uniform.groups()[0].sizes(), [2, 2, 2, 2], "one head twice");
    let error = convert(&ragged, &ConvertConfig::new(2), &folder.path().join("x"), Existing::Refuse, |_| {});
    assert!(
        error
            .expect_err("unequal")
            .to_string()
            .contains("a divisor of the 3 heads, or unequal groups (`sizes`)"),
        "unequal groups are asked for"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn searches_keep_to_their_sizes_and_beat_neighbours(
        n_groups in 1usize..5, size in 1usize..5, any: bool, seed: u64, values in prop::collection::vec(0.0f64..1.0, 190),
    ) {
        let n = n_groups * size;
        let distances = Distances::from_fn(n, |i, j| values[(i * 31 + j * 7) % values.len()]);
        let sizes = if any { GroupSizes::Any } else { GroupSizes::Equal };
        let groups = similar_groups(&distances, n_groups, sizes, seed);
        let mut all: Vec<usize> = groups.concat();
        all.sort_unstable();
        prop_assert_eq!(all, (0..n).collect::<Vec<_>>(), "every head once");
        prop_assert_eq!(groups.len(), n_groups, "as many groups as wanted");
        prop_assert!(groups.iter().all(|g| !g.is_empty() && (any || g.len() == size)), "sizes {:?}", groups);
        let neighbours: Vec<Vec<usize>> = (0..n_groups).map(|g| (g * size..(g + 1) * size).collect()).collect();
        prop_assert!(distances.cost(&groups) <= distances.cost(&neighbours) + 1e-9, "no worse than neighbours");
        prop_assert_eq!(&groups, &similar_groups(&distances, n_groups, sizes, seed), "the same again");
    }

    #[test]
    fn clear_groups_are_found(n_groups in 2usize..5, size in 2usize..5, seed: u64, any: bool) {
        // Heads with one remainder by the number of groups are alike.
        let n = n_groups * size;
        let distances = Distances::from_fn(n, |i, j| if i % n_groups == j % n_groups { 0.01 } else { 1.0 });
        let sizes = if any { GroupSizes::Any } else { GroupSizes::Equal };
        let groups = similar_groups(&distances, n_groups, sizes, seed);
        prop_assert!(groups.iter().all(|g| g.iter().all(|h| h % n_groups == g[0] % n_groups)), "{:?}", groups);
    }
}
