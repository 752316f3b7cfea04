//! Checkpoints of all dialects: what their attention is, and what else they hold.

use grouping_core::testing::assert_refused;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use burn::tensor::{Device, Tensor, TensorData};
use grouping_core::Activation;
use grouping_core::files::output::Existing;
use grouping_core::files::source::TensorSource;
use grouping_core::files::tensor_file::{Dtype, TensorFile};
use kd_gqa::Error;
use kd_gqa::checkpoint::{AttentionPart, Checkpoint, Dialect, HeadsFrom};
use kd_gqa::convert::{ConvertConfig, Form, GroupSizes, Grouping, convert};
use kd_gqa::vit::VitConfig;

use crate::attention::{assert_close, floats};
use crate::models::{self, data};

const VITS: [Dialect; 4] =
    [Dialect::Timm, Dialect::HuggingFaceVit, Dialect::HuggingFaceVitNew, Dialect::TorchEncoder];

#[test]
fn vision_transformers_are_read_in_every_dialect() {
    let folder = tempfile::tempdir().expect("a folder");
    for dialect in VITS {
        let path = folder.path().join("vit.safetensors");
        models::write(&path, &models::vit(dialect, 6, 4), Dtype::F32);
        let checkpoint = Checkpoint::open_with_heads(&path, Some(6)).expect("a known dialect");
        assert_eq!(checkpoint.dialect(), dialect, "the dialect");
        assert_eq!((checkpoint.n_layers(), checkpoint.n_heads(), checkpoint.head_dim()), (2, 6, 4), "sizes");
        assert_eq!(checkpoint.heads_from(), HeadsFrom::Given, "who said so");
        let attention = checkpoint.attention(1).expect("decodes");
        let [q, k, v, o] = [&attention.query, &attention.key, &attention.value, &attention.output];
        assert!([q, k, v, o].iter().all(|m| (m.n_rows(), m.n_cols()) == (24, 24)), "shapes of {dialect:?}");
        assert!(attention.biases.iter().all(|b| b.as_ref().is_some_and(|b| b.len() == 24)), "biases");
        let layer = &checkpoint.layers()[1];
        if layer.is_fused() {
            let all = models::values(layer.weight(AttentionPart::Query), 3 * 24 * 24);
            assert_eq!([q.values(), k.values(), v.values()].concat(), all, "thirds of {dialect:?}");
        }
        let vit = checkpoint.vit().expect("a plain vision transformer");
        let config = VitConfig::of(&vit);
        assert_eq!(
            (config.image_size, config.patch_size, config.n_classes),
            ([8, 8], [4, 4], Some(3)),
            "{dialect:?}"
        );
        assert_eq!(config.norm_first, dialect != Dialect::TorchEncoder, "norms of {dialect:?}");
        let relu = dialect == Dialect::TorchEncoder;
        assert_eq!(config.activation == Activation::Relu, relu, "activation of {dialect:?}");
        assert_eq!(
            vit.names().count(),
            checkpoint.tensors().names().count() + 8 * usize::from(layer.is_fused()),
            "all tensors"
        );
        assert_eq!(vit.read("cls_token").expect("decodes").0, [24], "the token alone");
        let key = vit.read("layers.1.attention.k_proj.weight").expect("decodes");
        assert_eq!((&key.0[..], &key.1[..]), (&[24, 24][..], k.values()), "the key's rows");
        assert_eq!(vit.read("norm.bias").expect("decodes").0, [24], "the last norm");
    }
}

#[test]
fn files_of_torch_are_read_as_data() {
    let nested = Checkpoint::open_with_heads(data("nested.pth"), Some(2)).expect("a nested state dict");
    assert_eq!((nested.dialect(), nested.n_layers(), nested.hidden_size()), (Dialect::Timm, 2, 8), "sizes");
    // The weight is stored transposed: its rows lie apart.
    let name = "blocks.1.attn.qkv.weight";
    let whole = nested.tensors().holder(name).expect("there").decode(name).expect("decodes");
    let attention = nested.attention(1).expect("decodes");
    assert_eq!(attention.key.values(), &whole.values[8 * 8..16 * 8], "rows of keys");
    let encoder = Checkpoint::open_with_heads(data("encoder.pth"), Some(4)).expect("an encoder");
    assert_eq!(
        (encoder.dialect(), encoder.prefix(), encoder.n_layers()),
        (Dialect::TorchEncoder, "", 2),
        "sizes"
    );
    let here = env::current_dir().expect("a folder");
    let error = Checkpoint::open(data("code.pth")).expect_err("code").to_string();
    assert!(error.contains("system") && error.contains("nothing in it is run"), "{error}");
    assert!(!here.join("run-by-a-pickle").exists(), "nothing was run");
}

#[test]
fn llamas_are_read_by_their_configuration() {
    let folder = tempfile::tempdir().expect("a folder");
    for (model_type, heads) in [("llama", [6, 6, 4]), ("mistral", [4, 2, 8]), ("qwen2", [6, 2, 4])] {
        let path = folder.path().join(model_type);
        models::llama_folder(&path, model_type, heads, Dtype::BF16);
        let checkpoint = Checkpoint::open(&path).expect("a folder of the family");
        let groups = &checkpoint.groups()[1];
        assert_eq!([checkpoint.n_heads(), groups.n_kv_heads(), checkpoint.head_dim()], heads, "{model_type}");
        let attention = checkpoint.attention(1).expect("decodes");
        assert_eq!(attention.output.n_cols(), heads[0] * heads[2], "columns of W_O");
        assert_eq!(attention.biases[1].is_some(), model_type == "qwen2", "biases of {model_type}");
        assert_refused(checkpoint.vit(), "expected a vision transformer");
    }
    // Mistral's default is 8 key/value heads, which this folder does not have.
    let config = folder.path().join("mistral/config.json");
    let text = fs::read_to_string(&config).expect("a file").replace("\"num_key_value_heads\":2", "\"x\":2");
    fs::write(&config, text).expect("writes");
    let error = Checkpoint::open(folder.path().join("mistral")).expect_err("8 heads").to_string();
    assert!(error.contains("num_key_value_heads") && error.contains("16 rows"), "{error}");
}

#[test]
fn llama2c_files_are_read_by_their_header() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("model.bin");
    for (n_kv_heads, is_tied) in [(6, true), (3, false)] {
        models::llama2c(&path, n_kv_heads, is_tied);
        let checkpoint = Checkpoint::open(&path).expect("a file of llama2.c");
        assert_eq!(checkpoint.dialect(), Dialect::Llama2c, "the dialect");
        assert_eq!(checkpoint.groups()[1].n_kv_heads(), n_kv_heads, "key/value heads");
        assert_eq!(checkpoint.tensors().shape("output.weight").is_some(), !is_tied, "weights of the head");
        // Embedding, both layers' norms, then W_Q of the second layer.
        let all = models::values("llama2c", 9 * 24 + 2 * 24 + 2 * 24 * 24);
        let attention = checkpoint.attention(1).expect("decodes");
        assert_eq!(attention.query.values(), &all[all.len() - 24 * 24..], "the second layer's queries");
    }
}

#[test]
fn heads_are_asked_for_where_nothing_says_them() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("vit.safetensors");
    models::write(&path, &models::vit(Dialect::Timm, 6, 4), Dtype::F32);
    let error = Checkpoint::open(&path).expect_err("heads of 64").to_string();
    assert!(error.contains("n_heads: expected") && error.contains("24 rows"), "{error}");
    let error = Checkpoint::open_with_heads(&path, Some(5)).expect_err("no divisor").to_string();
    assert!(error.contains("a divisor of 24"), "{error}");
    models::write(&path, &models::vit(Dialect::HuggingFaceVit, 6, 4), Dtype::F32);
    let config = |text: &str| fs::write(folder.path().join("config.json"), text).expect("writes");
    config(
        r#"{"model_type": "vit", "num_attention_heads": 6, "layer_norm_eps": 1e-6, "hidden_act": "relu"}"#,
    );
    let checkpoint = Checkpoint::open(&path).expect("the configuration beside it");
    assert_eq!(checkpoint.heads_from(), HeadsFrom::Configuration, "who says so");
    let vit = checkpoint.vit().expect("a vision transformer");
    assert_eq!((vit.shape().norm_eps, vit.shape().activation), (1e-6, Activation::Relu), "settings");
    assert!(
        matches!(
            Checkpoint::open_with_heads(&path, Some(4)),
            Err(Error::Core(grouping_core::Error::Setting { .. }))
        ),
        "another number"
    );
    let folder = folder.path().join("folder");
    fs::create_dir(&folder).expect("a folder");
    fs::rename(&path, folder.join("model.safetensors")).expect("moves");
    fs::rename(path.with_file_name("config.json"), folder.join("config.json")).expect("moves");
    assert_eq!(Checkpoint::open(&folder).expect("a folder").n_heads(), 6, "the whole folder");
}

/// The model of a golden file of `oracles/kd-gqa/vit.py` as a checkpoint of its own, its images and logits.
pub(crate) fn golden_vit(name: &str, place: &Path) -> [(Vec<usize>, Vec<f32>); 2] {
    let golden = TensorFile::open(&data("vit").join(name)).expect("a golden file");
    let model = golden.names().filter_map(|name| {
        let tensor = golden.decode(name).expect("decodes");
        Some((name.strip_prefix("model.")?.to_string(), tensor.shape, tensor.values))
    });
    models::write_values(place, &model.collect::<Vec<_>>(), Dtype::F32);
    ["image", "logits"].map(|name| {
        let tensor = golden.decode(name).expect("decodes");
        (tensor.shape, tensor.values)
    })
}

pub(crate) fn logits(checkpoint: &Checkpoint, image: &(Vec<usize>, Vec<f32>)) -> Vec<f64> {
    let vit = checkpoint.vit().expect("a plain vision transformer");
    let device = Device::flex();
    let image = Tensor::<4>::from_data(TensorData::new(image.1.clone(), image.0.clone()), &device);
    let model = VitConfig::of(&vit).load(&vit, &device).expect("all tensors are there");
    floats(model.forward(image).expect("images of its size"))
}

#[test]
fn checkpoints_give_the_logits_of_their_libraries_and_keep_them_when_converted() {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, n_heads) in
        [("timm.safetensors", 6), ("hugging_face.safetensors", 4), ("encoder.safetensors", 4)]
    {
        let place = folder.path().join(name);
        let [image, wanted] = golden_vit(name, &place);
        let wanted: Vec<f64> = wanted.1.iter().map(|&v| f64::from(v)).collect();
        let source = Checkpoint::open_with_heads(&place, Some(n_heads)).expect("opens");
        assert_close(name, &logits(&source, &image), &wanted, 1e-4);
        // As many heads as before: the same function.
        let made = |config: &ConvertConfig, out: &str| {
            let out = folder.path().join(format!("{out}-{name}"));
            convert(&source, config, &out, Existing::Refuse, |_| {}).expect("converts");
            logits(&Checkpoint::open(&out).expect("reads what it wrote"), &image)
        };
        assert_close(name, &made(&ConvertConfig::new(n_heads), "same"), &wanted, 1e-4);
        let config =
            ConvertConfig::new(n_heads - 1).with_sizes(GroupSizes::Any).with_grouping(Grouping::Similarity);
        let grouped = made(&config, "grouped");
        for form in [Form::Expanded, Form::Uniform] {
            let repeated = made(&config.clone().with_form(form), &format!("{form:?}"));
            assert_close(&format!("{name} {form:?}"), &repeated, &grouped, 1e-4);
        }
        let gap = grouped.iter().zip(&wanted).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(gap > 1e-3, "{name}: pooling two heads changes something ({gap})");
    }
}

/// The folder of real models, when the environment names one.
fn real_models() -> Option<PathBuf> {
    let folder = env::var_os("GROUPING_DATA")?;
    Some(Path::new(&folder).join("models"))
}

#[test]
fn real_models_are_understood() {
    let Some(models) = real_models() else {
        // Past the capture of passing tests, so that it is seen and counted.
        let line = b"skipped: real_models_are_understood needs GROUPING_DATA\n";
        let _ = std::io::Write::write_all(&mut std::io::stderr(), line);
        return;
    };
    let vit = Checkpoint::open_with_heads(models.join("vit_cifar10.pth"), Some(8)).expect("the real ViT");
    assert_eq!((vit.dialect(), vit.n_layers(), vit.n_heads()), (Dialect::TorchEncoder, 6, 8), "its sizes");
    assert_eq!(vit.n_parameters(), 811_146, "its parameters");
    let config = VitConfig::of(&vit.vit().expect("a plain one"));
    assert_eq!((config.n_positions(), config.mlp_size, config.n_classes), (65, 256, Some(10)), "its sizes");
    assert!(config.final_norm && config.class_token && !config.norm_first, "its norms and token");
    assert_eq!(config.n_params().expect("sizes"), 811_146, "the same parameters");
    let llama = Checkpoint::open(models.join("stories260K.bin")).expect("the real Llama");
    assert_eq!((llama.n_layers(), llama.n_heads()), (5, 8), "its sizes");
    assert_eq!(llama.groups()[0].sizes(), [2, 2, 2, 2], "its groups");
    assert_eq!(
        llama.n_parameters(),
        (1_056_540 - 28) / 4 - 512 * 8,
        "its parameters, without tables of positions"
    );
}
