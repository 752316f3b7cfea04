//! Decoders of the Llama family against `transformers` (goldens by `oracles/kd-gqa/decoders.py`), and ragged groups in them.

use grouping_core::testing::assert_refused;
use std::ops::ControlFlow;
use std::path::Path;

use burn::tensor::{Device, Int, Tensor, TensorData};
use grouping_core::nn::{
    Attention, AttentionCache, CachedAttention, Decoder, DecoderConfig, Family, GenerationConfig, generate,
    read_llama, write_llama,
};
use kd_gqa::Groups;
use kd_gqa::decoder::{GroupedDecoder, GroupedSelfAttention, LanguageModel, read_decoder};
use proptest::prelude::*;
use safetensors::SafeTensors;
use serde_json::{Value, json};

use crate::data::golden;

const FOLDERS: [&str; 5] = ["llama3", "sharded", "mistral", "qwen2", "qwen2-window"];
/// Tokens of the first row that the golden text continues.
const PROMPT: usize = 5;

fn expected(folder: &Path, name: &str) -> (Vec<usize>, Vec<f32>) {
    let bytes = std::fs::read(folder.join("expected.safetensors")).expect("the golden is committed");
    let tensors = SafeTensors::deserialize(&bytes).expect("the golden is valid");
    let view = tensors.tensor(name).expect("the golden holds the tensor");
    let values = view.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
    (view.shape().to_vec(), values.collect())
}

fn tokens(ids: &[u32], n_rows: usize) -> Tensor<2, Int> {
    let ids: Vec<i32> = ids.iter().map(|id| *id as i32).collect();
    let seq = ids.len() / n_rows;
    Tensor::from_data(TensorData::new(ids, [n_rows, seq]), &Device::flex())
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_into_vec().expect("f32 values")
}

fn ids(values: &[f32]) -> Vec<u32> {
    values.iter().map(|id| *id as u32).collect()
}

fn max_difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len(), "equally many values");
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

fn check_against_transformers<A: CachedAttention>(name: &str, folder: &Path, decoder: &Decoder<A>) {
    let (shape, token_values) = expected(folder, "tokens");
    let all = ids(&token_values);
    let (_, logits) = expected(folder, "logits");
    let found = values(decoder.forward(tokens(&all, shape[0])));
    let difference = max_difference(&found, &logits);
    // Files of bf16 and f16 hold the values that the reference computed with, so all are f32 here.
    assert!(difference < 1e-4, "{name}: logits differ by {difference}");

    let config = GenerationConfig::new().with_max_tokens(16);
    let generation = generate(decoder, &all[..PROMPT], &config, &mut |_| ControlFlow::Continue(()));
    let generation = generation.expect("the prompt fits");
    let (_, greedy) = expected(folder, "greedy");
    assert_eq!(generation.tokens, ids(&greedy), "{name}: the greedy text");
}

#[test]
fn logits_and_greedy_text_equal_those_of_transformers() {
    for name in FOLDERS {
        let folder = golden("decoders").join(name);
        let own = read_llama(&folder, &Device::flex()).expect("the folder is one of the family");
        check_against_transformers(name, &folder, &own);
        let grouped = read_decoder(&folder, &Device::flex()).expect("the folder is one of the family");
        check_against_transformers(name, &folder, &grouped);
    }
}

fn random(config: &DecoderConfig, groups: &Groups) -> GroupedDecoder {
    config.init_with(11, &Device::flex(), |config, layer_idx, init| {
        GroupedSelfAttention::new(config, layer_idx, groups, init)
    })
}

fn configs() -> [DecoderConfig; 3] {
    let plain = DecoderConfig::new(13, 24, 2, 6, 20).with_rope_theta(100.0);
    let windowed = plain.clone().with_family(Family::Mistral).with_sliding_window(Some(3));
    let mixed = plain.clone().with_family(Family::Qwen2).with_sliding_window(Some(2));
    [plain, windowed, mixed.with_full_attention_layers(vec![1])]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn ragged_decoding_gives_the_logits_of_the_whole(
        which in 0..configs().len(),
        cuts in prop::collection::vec(0usize..=6, 2),
        steps in prop::collection::vec(prop::collection::vec(0u32..13, 1..5), 1..8),
        announced in 1usize..20,
    ) {
        let mut cuts = cuts;
        cuts.sort_unstable();
        let groups = Groups::new(vec![cuts[0], cuts[1] - cuts[0], 6 - cuts[1]], 6).expect("they sum to six");
        let decoder = random(&configs()[which], &groups);
        let whole = values(decoder.forward(tokens(&steps.concat(), 1)));
        let mut caches = decoder.new_caches(1, announced);
        let mut n_seen = 0;
        for step in &steps {
            let logits = values(decoder.forward_cached(tokens(step, 1), &mut caches));
            n_seen += step.len();
            let difference = max_difference(&logits, &whole[(n_seen - 1) * 13..][..13]);
            prop_assert!(difference < 1e-5, "{:?}, after {n_seen} tokens: {difference}", groups);
        }
        for cache in &caches {
            prop_assert_eq!(cache.n_positions(), n_seen, "positions are counted");
        }
    }
}

#[test]
fn a_window_bounds_the_cache_and_groups_set_its_size() {
    let bytes = |config: &DecoderConfig, sizes: &[usize]| {
        let decoder = random(config, &Groups::new(sizes.to_vec(), 6).expect("they sum to six"));
        let mut caches = decoder.new_caches(1, 40);
        for token in 0..40 {
            decoder.forward_cached(tokens(&[token % 13], 1), &mut caches);
        }
        caches.iter().map(AttentionCache::n_bytes).collect::<Vec<_>>()
    };
    let [plain, windowed, mixed] = configs();
    // (keys, values) · heads · positions · head_dim · 4 bytes.
    assert_eq!(bytes(&plain, &[3, 2, 1]), [2 * 3 * 40 * 4 * 4; 2], "three heads");
    assert_eq!(bytes(&plain, &[6]), [2 * 40 * 4 * 4; 2], "one head");
    assert_eq!(bytes(&windowed, &[3, 2, 1]), [2 * 3 * 6 * 4 * 4; 2], "two windows of three");
    assert_eq!(
        bytes(&mixed, &[3, 3]),
        [2 * 2 * 4 * 4 * 4, 2 * 2 * 40 * 4 * 4],
        "a window in one layer alone"
    );
}

/// Copies the golden folder `name`, its configuration and, where given, its groups changed.
fn copy(name: &str, to: &Path, fields: &Value, groups: Option<&Value>) {
    std::fs::create_dir_all(to).expect("the folder can be made");
    for entry in std::fs::read_dir(golden("decoders").join(name)).expect("the golden is committed") {
        let entry = entry.expect("the folder can be read");
        std::fs::copy(entry.path(), to.join(entry.file_name())).expect("the file can be copied");
    }
    let path = to.join("config.json");
    let text = std::fs::read_to_string(&path).expect("the configuration is there");
    let mut config: Value = serde_json::from_str(&text).expect("it is JSON");
    for (field, value) in fields.as_object().expect("an object") {
        config[field] = value.clone();
    }
    std::fs::write(&path, config.to_string()).expect("it can be written");
    if let Some(groups) = groups {
        std::fs::write(to.join("kd_gqa.json"), groups.to_string()).expect("it can be written");
    }
}

#[test]
fn a_ragged_folder_computes_what_its_heads_gathered_compute() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let sizes = [[3, 1], [0, 4]];
    let layers = json!([{"groups": sizes[0], "state": {"kept": true}}, {"groups": sizes[1]}]);
    let groups = json!({"n_heads": 4, "head_dim": 8, "layers": layers});
    let path = dir.path().join("ragged");
    copy("llama3", &path, &json!({}), Some(&groups));
    let ragged = read_decoder(&path, &Device::flex()).expect("the folder is read");
    let found: Vec<&[usize]> =
        ragged.model.layers.iter().map(|layer| layer.self_attn.groups().sizes()).collect();
    assert_eq!(found, sizes, "the groups of the file");

    // The same weights with a key and value head for every query head.
    let config = ragged.config().clone().with_n_kv_heads(Some(4));
    let heads = Groups::uniform(4, 4).expect("four of one");
    let mut gathered = random(&config, &heads);
    gathered.model.embed_tokens = ragged.model.embed_tokens.clone();
    gathered.model.norm = ragged.model.norm.clone();
    for (to, from) in gathered.model.layers.iter_mut().zip(&ragged.model.layers) {
        (to.input_layernorm, to.mlp) = (from.input_layernorm.clone(), from.mlp.clone());
        to.post_attention_layernorm = from.post_attention_layernorm.clone();
        let groups = from.self_attn.groups().clone();
        let of_heads: Vec<usize> =
            groups.heads().enumerate().flat_map(|(group, heads)| heads.map(move |_| group)).collect();
        let columns = of_heads.iter().flat_map(|group| (0..8).map(move |d| (8 * group + d) as i32));
        let columns = Tensor::<1, Int>::from_data(&*columns.collect::<Vec<_>>(), &Device::flex());
        let (to, from) = (&mut to.self_attn, &from.self_attn);
        (to.q_proj, to.o_proj) = (from.q_proj.clone(), from.o_proj.clone());
        for (to, from) in [(&mut to.k_proj, &from.k_proj), (&mut to.v_proj, &from.v_proj)] {
            to.weight = to.weight.clone().map(|_| from.weight.val().select(1, columns.clone()));
            let (bias, from) = (to.bias.take().expect("a bias"), from.bias.as_ref().expect("a bias"));
            to.bias = Some(bias.map(|_| from.val().select(0, columns.clone())));
        }
    }
    let (shape, token_values) = expected(&path, "tokens");
    let all = ids(&token_values);
    let logits = |decoder: &GroupedDecoder| values(decoder.forward(tokens(&all, shape[0])));
    let difference = max_difference(&logits(&ragged), &logits(&gathered));
    assert!(difference < 1e-5, "gathered heads differ by {difference}");
    let uniform = read_decoder(&golden("decoders/llama3"), &Device::flex()).expect("the folder is read");
    assert!(max_difference(&logits(&ragged), &logits(&uniform)) > 1e-2, "the groups matter");
}

#[test]
fn a_grouped_decoder_is_written_as_its_family() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let folder = golden("decoders/qwen2-window");
    let decoder = read_decoder(&folder, &Device::flex()).expect("the folder is read");
    let path = dir.path().join("again");
    write_llama(&decoder, &path, grouping_core::files::output::Existing::Refuse)
        .expect("the folder can be written");
    check_against_transformers(
        "written again",
        &folder,
        &read_llama(&path, &Device::flex()).expect("it is read"),
    );
    let names: Vec<_> =
        decoder.model.layers[0].self_attn.projections().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["q_proj", "k_proj", "v_proj", "o_proj"], "what a low rank can update");
}

#[test]
fn folders_that_do_not_fit_are_refused() {
    let layers = |groups: Value| json!({"n_heads": 4, "head_dim": 8, "layers": groups});
    let one = json!({"groups": [2, 2]});
    for (fields, groups, wanted) in [
        (
            json!({"num_key_value_heads": 3}),
            None,
            vec!["config.json", "num_key_value_heads", "the 16 rows", "found 3"],
        ),
        (json!({}), Some(layers(json!([one]))), vec!["kd_gqa.json", "layers", "2 layers", "1"]),
        (
            json!({}),
            Some(layers(json!([one, {"groups": [2, 1]}]))),
            vec!["layers[1].groups", "sum to 4", "[2, 1]"],
        ),
        (json!({}), Some(layers(json!([one, {"groups": []}]))), vec!["layers[1].groups", "sum to 4", "[]"]),
        (json!({}), Some(layers(json!([one, {"groups": [5, -1]}]))), vec!["kd_gqa.json", "layers", "-1"]),
        (
            json!({}),
            Some(layers(json!([one, {"groups": [u64::MAX, 5]}]))),
            vec!["layers[1].groups", "sum to 4"],
        ),
        (
            json!({}),
            Some(layers(json!([one, {"groups": [1, 2, 1]}]))),
            vec![
                "layers[1].groups",
                "the 16 rows of model.layers.1.self_attn.k_proj",
                "3 groups of heads of 8",
            ],
        ),
        (json!({}), Some(json!([])), vec!["kd_gqa.json", "layers"]),
        (json!({"eos_token_id": "two"}), None, vec!["eos_token_id", "two", "list of tokens"]),
        (json!({"vocab_size": 40}), None, vec!["embed_tokens", "[40, 16]", "[48, 16]"]),
    ] {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("model");
        copy("llama3", &path, &fields, groups.as_ref());
        let error =
            LanguageModel::open(&path, None, &Device::flex()).expect_err("it does not fit").to_string();
        for word in wanted {
            assert!(error.contains(word), "`{word}` is named for {fields} {groups:?}: {error}");
        }
    }
}

#[test]
fn a_ragged_llama2c_checkpoint_needs_its_groups() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = dir.path().join("ragged.bin");
    let uniform = std::fs::read(golden("llama2c/tied.bin")).expect("the golden is committed");
    let mut bytes = uniform.clone();
    bytes[16..20].copy_from_slice(&(-2i32).to_le_bytes());
    std::fs::write(&path, bytes).expect("it can be written");
    let open = || read_decoder(&path, &Device::flex());
    let error = open().expect_err("no groups").to_string();
    assert!(
        error.contains("ragged.bin") && error.contains("kd_gqa.json") && error.contains("unequal"),
        "{error}"
    );
    let write = |name: &str, groups: Value| {
        std::fs::write(dir.path().join(name), groups.to_string()).expect("it can be written");
    };
    let layers = json!([{"groups": [3, 1]}, {"groups": [0, 4]}]);
    write(
        "kd_gqa.json",
        json!({"file": "other.bin", "n_heads": 1, "head_dim": 1, "layers": [{"groups": [1]}]}),
    );
    assert_refused(open(), "unequal");
    write("kd_gqa.json", json!({"file": "ragged.bin", "n_heads": 4, "head_dim": 4, "layers": layers}));
    let sizes = |decoder: GroupedDecoder| {
        let layers = decoder.model.layers.iter();
        layers.map(|layer| layer.self_attn.groups().sizes().to_vec()).collect::<Vec<_>>()
    };
    assert_eq!(sizes(open().expect("its own groups")), [[3, 1], [0, 4]], "the groups of the file");
    write(
        "ragged.bin.kd_gqa.json",
        json!({"n_heads": 4, "head_dim": 4, "layers": [{"groups": [4, 0]}, {"groups": [1, 3]}]}),
    );
    assert_eq!(sizes(open().expect("its own groups")), [[4, 0], [1, 3]], "its own file goes before");
    let other = dir.path().join("uniform.bin");
    std::fs::write(&other, uniform).expect("it can be written");
    let uniform = read_decoder(&other, &Device::flex()).expect("it needs none");
    assert_eq!(sizes(uniform), [[2, 2], [2, 2]], "groups of another file are left alone");
}
