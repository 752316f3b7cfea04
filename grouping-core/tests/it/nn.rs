//! The decoder against `transformers`, and its checkpoints; goldens by `oracles/grouping-core/decoder.py`.

use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::tensor::{Device, Int, Tensor, TensorData};
use grouping_core::Error;
use grouping_core::files::output::Existing;
use grouping_core::nn::weights::{self, Layout};
use grouping_core::nn::{
    Attention, Decoder, DecoderConfig, Initializer, LowRank, Projection, SelfAttention, read_llama,
    read_llama_with, write_llama,
};
use safetensors::SafeTensors;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/decoder").join(name)
}

fn expected(dir: &Path, name: &str) -> (Vec<usize>, Vec<f32>) {
    let bytes = std::fs::read(dir.join("expected.safetensors")).expect("the golden is committed");
    let tensors = SafeTensors::deserialize(&bytes).expect("the golden is valid");
    let view = tensors.tensor(name).expect("the golden holds the tensor");
    let values = view.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
    (view.shape().to_vec(), values.collect())
}

fn tokens(values: &[i32], shape: [usize; 2], device: &Device) -> Tensor<2, Int> {
    Tensor::from_data(TensorData::new(values.to_vec(), shape), device)
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_into_vec().expect("f32 values")
}

fn max_difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len(), "equally many values");
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

fn tiny_config() -> DecoderConfig {
    DecoderConfig::new(13, 16, 2, 4, 24).with_n_kv_heads(Some(2)).with_rope_theta(1000.0)
}

#[test]
fn logits_equal_those_of_transformers() {
    for name in ["grouped", "tied"] {
        let (dir, device) = (golden(name), Device::flex());
        let decoder = read_llama(&dir, &device).expect("the folder is a Llama folder");
        let (shape, ids) = expected(&dir, "tokens");
        let ids: Vec<i32> = ids.iter().map(|id| *id as i32).collect();
        let logits = decoder.forward(tokens(&ids, [shape[0], shape[1]], &device));
        let (shape, expected) = expected(&dir, "logits");
        assert_eq!(logits.dims().to_vec(), shape, "{name}: shape of the logits");
        let difference = max_difference(&values(logits), &expected);
        assert!(difference < 1e-4, "{name}: logits differ by {difference}");
    }
}

#[test]
fn logits_at_places_are_rows_of_all_logits() {
    let device = Device::flex();
    let decoder = tiny_config().init(3, &device);
    let ids = tokens(&[1, 5, 2, 7, 11, 0, 3, 12], [2, 4], &device);
    let all = values(decoder.forward(ids.clone()));
    let places = Tensor::<1, Int>::from_data([3, 4, 7], &device);
    let some = values(decoder.logits_at(ids, places));
    let rows: Vec<f32> = [3, 4, 7].iter().flat_map(|place| all[place * 13..][..13].to_vec()).collect();
    // The matrix product may cut other shapes into other blocks.
    assert!(max_difference(&some, &rows) < 1e-5, "the same logits at the places asked for");
}

#[test]
fn the_decoder_is_causal() {
    let device = Device::flex();
    let decoder = tiny_config().init(3, &device);
    let run = |last| values(decoder.forward(tokens(&[1, 5, 2, last], [1, 4], &device)));
    let (a, b) = (run(7), run(8));
    assert_eq!(a[..3 * 13], b[..3 * 13], "a later token changes no earlier logits");
    assert_ne!(a[3 * 13..], b[3 * 13..], "the last token changes the last logits");
}

#[test]
fn random_weights_depend_on_the_seed_alone() {
    let device = Device::flex();
    let weights = |seed| {
        let decoder = tiny_config().init(seed, &device);
        values(decoder.model.layers[1].mlp.down_proj.weight.val())
    };
    // Asked for in another order than they were made in.
    let decoder = tiny_config().init(5, &device);
    let first_used = values(decoder.model.layers[1].mlp.down_proj.weight.val());
    let _ = values(decoder.model.embed_tokens.weight.val());
    assert_eq!(first_used, weights(5), "the same seed gives the same weights");
    assert_ne!(weights(5), weights(6), "another seed gives others");
    let mean_square = first_used.iter().map(|w| f64::from(w * w)).sum::<f64>() / first_used.len() as f64;
    let spread = mean_square.sqrt() * 24f64.sqrt() * 2.0;
    assert!((spread - 1.0).abs() < 0.15, "N(0, 1/fan_in) over sqrt(2·n_layers); found {spread}");
}

#[test]
fn a_written_folder_reads_back_bit_for_bit() {
    let device = Device::flex();
    let dir = tempfile::tempdir().expect("a temporary folder");
    for config in [tiny_config(), tiny_config().with_tied_embeddings(false).with_attention_bias(true)] {
        let decoder = config.init(9, &device);
        let path = dir.path().join(format!("tied-{}", config.tied_embeddings));
        write_llama(&decoder, &path, Existing::Refuse).expect("the folder can be written");
        let again = read_llama(&path, &device).expect("what was written can be read");
        assert_eq!(again.config().n_kv_heads(), 2, "key and value heads are kept");
        assert_eq!(again.lm_head.is_none(), config.tied_embeddings, "the head is kept");
        let ids = || tokens(&[1, 2, 3, 4, 5, 6], [2, 3], &device);
        assert_eq!(values(decoder.forward(ids())), values(again.forward(ids())), "the same logits");
        let copy = dir.path().join(format!("copy-{}", config.tied_embeddings));
        write_llama(&again, &copy, Existing::Refuse).expect("the folder can be written");
        for file in ["config.json", "model.safetensors"] {
            let bytes = |dir: &Path| std::fs::read(dir.join(file)).expect("the file was written");
            assert_eq!(bytes(&path), bytes(&copy), "{file}: equal weights give equal bytes");
        }
        let error = write_llama(&again, &copy, Existing::Refuse).expect_err("an existing output is refused");
        assert!(error.to_string().contains("exists"), "the error says so: {error}");
    }
    let path = dir.path().join("copy-true");
    let other = tiny_config().init(10, &device);
    write_llama(&other, &path, Existing::Replace).expect("the folder can be replaced");
    let again = read_llama(&path, &device).expect("the new folder can be read");
    let weight = |decoder: &Decoder| values(decoder.model.embed_tokens.weight.val());
    assert_eq!(weight(&again), weight(&other), "the new content is in place");
    let stranger = path.join("thesis.tex");
    std::fs::write(&stranger, "years of work").expect("the file can be written");
    let error = write_llama(&other, &path, Existing::Replace).expect_err("it is no output");
    assert!(error.to_string().contains("thesis.tex"), "what it holds is named: {error}");
    assert!(stranger.exists(), "and is still there");
    let left: Vec<_> = std::fs::read_dir(dir.path()).expect("the folder is there").collect();
    assert_eq!(left.len(), 4, "nothing but the outputs is left: {left:?}");
}

#[test]
fn damaged_folders_are_errors_that_name_what_is_wrong() {
    let device = Device::flex();
    let check = |damage: &dyn Fn(&Path), wanted: &[&str]| {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("model");
        write_llama(&tiny_config().init(1, &device), &path, Existing::Refuse)
            .expect("the folder can be written");
        damage(&path);
        let error = read_llama(&path, &device).expect_err("a damaged folder is refused").to_string();
        for word in wanted {
            assert!(error.contains(word), "`{word}` is named in: {error}");
        }
    };
    let edit = |from: &'static str, to: &'static str| {
        move |dir: &Path| {
            let path = dir.join("config.json");
            let text = std::fs::read_to_string(&path).expect("the configuration is there");
            assert!(text.contains(from), "{from} is in the configuration");
            std::fs::write(&path, text.replace(from, to)).expect("the configuration can be written");
        }
    };
    let weights = |bytes: &'static dyn Fn(Vec<u8>) -> Vec<u8>| {
        move |dir: &Path| {
            let path = dir.join("model.safetensors");
            let whole = std::fs::read(&path).expect("the weights are there");
            std::fs::write(&path, bytes(whole)).expect("the weights can be written");
        }
    };
    check(
        &edit("\"hidden_size\": 16", "\"hidden_size\": 20"),
        &["model.safetensors", "[13, 20]", "[13, 16]"],
    );
    check(&edit("\"hidden_size\": 16", "\"hidden_size\": -3"), &["config.json", "hidden_size", "-3"]);
    check(&edit("\"vocab_size\": 13", "\"vocab_size\": 4000000000"), &["embed_tokens", "4000000000"]);
    check(&edit("\"num_hidden_layers\": 2", "\"num_hidden_layers\": 4000000000"), &["num_hidden_layers"]);
    check(&edit("\"num_hidden_layers\": 2", "\"num_hidden_layers\": 3"), &["model.layers.2."]);
    check(
        &edit("\"num_key_value_heads\": 2", "\"num_key_value_heads\": 3"),
        &["num_key_value_heads", "divisor"],
    );
    check(&edit("\"silu\"", "\"gelu\""), &["hidden_act", "gelu"]);
    check(&edit("\"llama\"", "\"gemma\""), &["model_type", "gemma"]);
    check(&edit("\"default\"", "\"yarn\""), &["rope_parameters", "yarn"]);
    check(&edit("{\n", "{ nonsense\n"), &["config.json"]);
    check(&weights(&|whole| whole[..whole.len() / 2].to_vec()), &["model.safetensors", "safetensors"]);
    check(&weights(&|_| vec![0xff; 64]), &["model.safetensors", "safetensors"]);
    let not_a_number = |mut whole: Vec<u8>| {
        let end = whole.len();
        whole[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
        whole
    };
    let leaked: &'static dyn Fn(Vec<u8>) -> Vec<u8> = Box::leak(Box::new(not_a_number));
    check(&weights(leaked), &["finite values", "`model."]);
    let absent = read_llama(Path::new("no/such/folder"), &device).expect_err("an absent folder is refused");
    assert!(matches!(absent, Error::Io { .. }), "absent files are the system's errors: {absent}");
}

#[test]
fn low_rank_updates_start_without_effect_and_fold_exactly() {
    let device = Device::flex();
    let mut decoder = tiny_config().init(2, &device);
    let ids = || tokens(&[3, 1, 4, 1, 5, 9], [2, 3], &device);
    let before = values(decoder.forward(ids()));
    let mut init = Initializer::new(11, &device);
    for (name, projection) in decoder.projections_mut() {
        if name.ends_with("q_proj") || name.ends_with("down_proj") {
            projection.low_rank = Some(LowRank::new(projection.dims(), 3, 2.0, &mut init));
        }
    }
    assert_eq!(before, values(decoder.forward(ids())), "B starts at zero");
    for (_, projection) in decoder.projections_mut() {
        let dims = projection.dims();
        if let Some(update) = projection.low_rank.take() {
            let (a, b) = update.factors();
            assert!(a.iter().all(|a| a.abs() <= 1.0 / (dims[0] as f32).sqrt()), "A is within ±1/√in");
            let b: Vec<f32> = (0..b.len()).map(|i| (i % 7) as f32 * 0.1 - 0.3).collect();
            let update = LowRank::from_factors(dims, a.clone(), b.clone(), update.scale, &device);
            assert_eq!(update.factors(), (a, b), "factors come back as they were given");
            assert_eq!(update.rank(), 3, "the rank is that of the factors");
            projection.low_rank = Some(update);
        }
    }
    let updated = values(decoder.forward(ids()));
    assert!(max_difference(&before, &updated) > 1e-2, "the update has an effect");
    let refused = write_llama(&decoder, Path::new("never-written"), Existing::Refuse)
        .expect_err("updates would be lost");
    assert!(refused.to_string().contains("q_proj"), "the projection is named: {refused}");
    for (_, projection) in decoder.projections_mut() {
        projection.fold();
        assert!(projection.low_rank.is_none(), "a folded update is detached");
    }
    let folded = values(decoder.forward(ids()));
    assert!(max_difference(&updated, &folded) < 1e-4, "folding changes nothing but rounding");
}

#[test]
fn only_parameters_under_training_are_in_a_training_file() {
    let device = Device::flex().autodiff();
    let mut decoder = tiny_config().init(2, &device).no_grad();
    let mut init = Initializer::new(1, &device);
    let projection = &mut decoder.model.layers[0].self_attn.q_proj;
    projection.low_rank = Some(LowRank::new(projection.dims(), 2, 1.0, &mut init));
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = dir.path().join("parameters.safetensors");
    let save = |metadata| weights::save(&decoder, &path, Layout::Training, metadata);
    save(None).expect("the file can be written");
    let bytes = std::fs::read(&path).expect("the file was written");
    assert_eq!(save(Some(("a", "b"))), Err(Error::Exists { path: path.clone() }), "a new file only");
    assert_eq!(std::fs::read(&path).expect("a file"), bytes, "what is there is untouched");
    let tensors = SafeTensors::deserialize(&bytes).expect("the file is valid");
    let mut names = tensors.names();
    names.sort_unstable();
    let prefix = "model.layers.0.self_attn.q_proj.low_rank";
    assert_eq!(names, [format!("{prefix}.a"), format!("{prefix}.b")], "nothing but the update");
}

/// An attention that sees nothing but the token itself, to show that the decoder takes any.
#[derive(Module, Debug)]
struct SelfOnly {
    v_proj: Projection,
    o_proj: Projection,
}

impl Attention for SelfOnly {
    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        self.o_proj.forward(self.v_proj.forward(x))
    }

    fn projections(&self) -> Vec<(&'static str, &Projection)> {
        vec![("v_proj", &self.v_proj), ("o_proj", &self.o_proj)]
    }

    fn projections_mut(&mut self) -> Vec<(&'static str, &mut Projection)> {
        vec![("v_proj", &mut self.v_proj), ("o_proj", &mut self.o_proj)]
    }
}

#[test]
fn another_attention_takes_its_place_and_loads_what_it_has() {
    let device = Device::flex();
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = dir.path().join("model");
    let config = tiny_config().with_n_kv_heads(None);
    let base = config.init(4, &device);
    write_llama(&base, &path, Existing::Refuse).expect("the folder can be written");
    let decoder: Decoder<SelfOnly> = read_llama_with(&path, &device, |config, layer_idx, init| {
        let SelfAttention { v_proj, o_proj, .. } = SelfAttention::new(config, layer_idx, init);
        SelfOnly { v_proj, o_proj }
    })
    .expect("the tensors it has are in the folder");
    // The first token sees only itself in every attention.
    let ids = || tokens(&[6, 2, 5], [1, 3], &device);
    let (full, own) = (values(base.forward(ids())), values(decoder.forward(ids())));
    assert!(max_difference(&full[..13], &own[..13]) < 1e-5, "the first position is the same");
    assert!(max_difference(&full[13..], &own[13..]) > 1e-3, "later ones are not");
    assert!(decoder.projections().iter().any(|(name, _)| name == "model.layers.1.self_attn.v_proj"), "named");
}
