//! Vision transformers against timm, transformers and torch (goldens of `oracles/kd-gqa/vit.py`), hooks, groups and training.

use std::path::PathBuf;
use std::sync::Arc;

use burn::optim::{AdamWConfig, GradientsParams};
use burn::tensor::{Device, Int, Tensor, TensorData};
use grouping_core::Activation;
use grouping_core::files::output::Existing;
use grouping_core::files::source::NamedTensors;
use grouping_core::files::tensor_file::Dtype;
use grouping_core::kernels::cross_entropy;
use kd_gqa::calibrate::Calibration;
use kd_gqa::checkpoint::{Checkpoint, Dialect};
use kd_gqa::convert::{Align, ConvertConfig, convert};
use kd_gqa::vit::{Vit, VitConfig, VitSize, read_vit, resample_positions};
use kd_gqa::{Error, Groups};
use safetensors::SafeTensors;

use crate::attention::{assert_close, floats, waves};
use crate::models::write_values;

/// A golden file's tensors.
struct Golden(NamedTensors);

impl Golden {
    fn read(name: &str) -> Self {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/vit").join(name);
        let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let file = SafeTensors::deserialize(&bytes).expect("a safetensors file");
        let mut named = NamedTensors::new();
        for (name, view) in file.tensors() {
            let values =
                view.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
            named.insert(name, (view.shape().to_vec(), values));
        }
        Self(named)
    }

    fn tensor<const D: usize>(&self, name: &str) -> Tensor<D> {
        let (shape, values) = self.0.get(name).unwrap_or_else(|| panic!("no {name}")).clone();
        Tensor::from_data(TensorData::new(values, shape), &Device::flex())
    }

    /// The model's tensors under the neutral names that `rename` gives.
    fn neutral(&self, rename: impl Fn(&str) -> String) -> NamedTensors {
        let mut named = NamedTensors::new();
        for (name, (shape, values)) in &self.0 {
            let Some(name) = name.strip_prefix("model.") else { continue };
            let name = rename(name);
            if let Some(layer) =
                name.strip_suffix("attention.qkv.weight").or(name.strip_suffix("attention.qkv.bias"))
            {
                let (kind, third) = (&name[name.rfind('.').expect("a dot") + 1..], values.len() / 3);
                for (part, values) in ["q_proj", "k_proj", "v_proj"].iter().zip(values.chunks_exact(third)) {
                    let shape = [&[shape[0] / 3], &shape[1..]].concat();
                    named.insert(format!("{layer}attention.{part}.{kind}"), (shape, values.to_vec()));
                }
                continue;
            }
            // Tokens and positions have an axis of one image.
            let leading = if name == "cls_token" { 2 } else { usize::from(name == "pos_embed") };
            // A patch is one row.
            let is_patch = name == "patch_embed.weight";
            let shape = if is_patch {
                vec![shape[0], shape[1..].iter().product()]
            } else {
                shape[leading..].to_vec()
            };
            named.insert(name, (shape, values.clone()));
        }
        named
    }
}

fn replace_all(name: &str, pairs: &[(&str, &str)]) -> String {
    pairs.iter().fold(name.to_string(), |name, (from, to)| name.replace(from, to))
}

fn timm() -> (Golden, NamedTensors, VitConfig) {
    let golden = Golden::read("timm.safetensors");
    let names = [
        ("blocks.", "layers."),
        ("attn.proj", "attention.o_proj"),
        ("attn.", "attention."),
        ("patch_embed.proj", "patch_embed"),
    ];
    let weights = golden.neutral(|name| replace_all(name, &names));
    (golden, weights, VitConfig::new([32, 32], [8, 8], 48, 2, 6, 72).with_n_classes(Some(7)))
}

#[test]
fn normed_heads_are_timms() {
    let golden = Golden::read("timm_qk_norm.safetensors");
    let names = [
        ("blocks.", "layers."),
        ("attn.proj", "attention.o_proj"),
        ("attn.", "attention."),
        ("patch_embed.proj", "patch_embed"),
    ];
    let weights = golden.neutral(|name| replace_all(name, &names));
    let config = VitConfig::new([32, 32], [8, 8], 24, 2, 3, 36).with_n_classes(Some(7)).with_qk_norm(true);
    let vit = load(&config, &weights);
    let logits = floats(vit.forward(golden.tensor("image")).expect("an image of its size"));
    assert_close("logits", &logits, &floats(golden.tensor::<2>("logits")), 1e-4);
    let n = weights.values().map(|(_, values)| values.len()).sum::<usize>();
    assert_eq!(config.n_params().expect("sizes"), n, "its parameters");

    // The same through a file in timm's names, and values aligned without their keys.
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("vit.safetensors");
    vit.save(&path, None, Existing::Refuse).expect("a file");
    let source = Checkpoint::open(&path).expect("a checkpoint");
    let read = read_vit(&source, &Device::flex()).expect("a model");
    assert_eq!(read.tensors(), weights, "all tensors");
    let mut calibration = Calibration::new(source.groups(), source.head_dim());
    vit.forward_hooked(golden.tensor("image"), &mut |call| calibration.attend(call)).expect("activations");
    let config = ConvertConfig::new(1).with_align(Align::Procrustes).with_calibration(Arc::new(calibration));
    let out = folder.path().join("out.safetensors");
    let report = convert(&source, &config, &out, Existing::Refuse, |_| {}).expect("a conversion");
    assert!(report.keys_unaligned, "it says so");
    let [before, after] =
        [&source, &Checkpoint::open(&out).expect("opens")].map(|c| c.attention(0).expect("reads"));
    let mean = |column: usize| (0..3).map(|head| before.key.view().row(8 * head)[column]).sum::<f32>() / 3.0;
    assert!((after.key.view().row(0)[5] - mean(5)).abs() < 1e-6, "keys are the plain mean");
    assert_eq!(before.query, after.query, "queries as they were");
    assert_ne!(before.output, after.output, "values are turned");
}

fn load(config: &VitConfig, weights: &NamedTensors) -> Vit {
    config.load(weights, &Device::flex()).expect("all tensors are there")
}

#[test]
fn logits_are_timms_at_any_image_size() {
    let (golden, weights, config) = timm();
    let vit = load(&config, &weights);
    let logits = floats(vit.forward(golden.tensor("image")).expect("an image of its size"));
    assert_close("logits", &logits, &floats(golden.tensor::<2>("logits")), 1e-4);
    let larger = floats(vit.forward(golden.tensor("larger.image")).expect("whole patches"));
    assert_close("logits of 40×24", &larger, &floats(golden.tensor::<2>("larger.logits")), 1e-4);
}

#[test]
fn logits_are_those_of_transformers() {
    let golden = Golden::read("hugging_face.safetensors");
    let names = [
        ("vit.embeddings.position_embeddings", "pos_embed"),
        ("vit.embeddings.cls_token", "cls_token"),
        ("vit.embeddings.patch_embeddings.projection", "patch_embed"),
        ("vit.layernorm", "norm"),
        ("classifier", "head"),
        ("vit.layers", "layers"),
        ("layernorm_before", "norm1"),
        ("layernorm_after", "norm2"),
    ];
    let weights = golden.neutral(|name| replace_all(name, &names));
    let config = VitConfig::new([32, 32], [8, 8], 32, 2, 4, 48).with_n_classes(Some(7)).with_norm_eps(1e-12);
    let logits = floats(load(&config, &weights).forward(golden.tensor("image")).expect("fits"));
    assert_close("logits", &logits, &floats(golden.tensor::<2>("logits")), 1e-4);
}

#[test]
fn logits_of_files_in_both_spellings_of_transformers_are_the_same() {
    let golden = Golden::read("hugging_face.safetensors");
    let folder = tempfile::tempdir().expect("a folder");
    // What transformers before 5 write, and 5 still does.
    let old = [
        ("vit.layers.", "vit.encoder.layer."),
        ("attention.q_proj", "attention.attention.query"),
        ("attention.k_proj", "attention.attention.key"),
        ("attention.v_proj", "attention.attention.value"),
        ("attention.o_proj", "attention.output.dense"),
        ("mlp.fc1", "intermediate.dense"),
        ("mlp.fc2", "output.dense"),
    ];
    for (dialect, pairs) in [(Dialect::HuggingFaceVit, &old[..]), (Dialect::HuggingFaceVitNew, &[])] {
        let named = golden.0.iter().filter_map(|(name, (shape, values))| {
            Some((replace_all(name.strip_prefix("model.")?, pairs), shape.clone(), values.clone()))
        });
        let path = folder.path().join(format!("{dialect:?}.safetensors"));
        write_values(&path, &named.collect::<Vec<_>>(), Dtype::F32);
        let checkpoint = Checkpoint::open_with_heads(&path, Some(4)).expect("a checkpoint");
        assert_eq!(checkpoint.dialect(), dialect, "its dialect");
        let vit = read_vit(&checkpoint, &Device::flex()).expect("a model");
        let logits = floats(vit.forward(golden.tensor("image")).expect("fits"));
        assert_close(&format!("{dialect:?}"), &logits, &floats(golden.tensor::<2>("logits")), 1e-4);
    }
}

#[test]
fn logits_are_those_of_torchs_encoder() {
    let golden = Golden::read("encoder.safetensors");
    let names = [
        ("encoder.layers", "layers"),
        ("self_attn.in_proj_", "attention.qkv."),
        ("self_attn.out_proj", "attention.o_proj"),
        ("linear1", "mlp.fc1"),
        ("linear2", "mlp.fc2"),
        ("head_norm", "norm"),
        ("patch.", "patch_embed."),
    ];
    let weights = golden.neutral(|name| match name {
        "cls" => "cls_token".into(),
        "positions" => "pos_embed".into(),
        name => replace_all(name, &names),
    });
    let config = VitConfig::new([32, 32], [8, 8], 32, 2, 4, 48)
        .with_n_classes(Some(7))
        .with_norm_first(false)
        .with_activation(Activation::Relu)
        .with_norm_eps(1e-5);
    let logits = floats(load(&config, &weights).forward(golden.tensor("image")).expect("fits"));
    assert_close("logits", &logits, &floats(golden.tensor::<2>("logits")), 1e-4);
}

#[test]
fn positions_are_resampled_as_in_timm() {
    let golden = Golden::read("positions.safetensors");
    let old: Vec<f32> = golden.0["old"].1.clone();
    for [rows, columns] in [[7, 9], [14, 10], [3, 2], [20, 4], [1, 1]] {
        let want = floats(golden.tensor::<3>(&format!("new.{rows}x{columns}")));
        let found: Vec<f64> =
            resample_positions(&old, [7, 5], [rows, columns]).into_iter().map(f64::from).collect();
        assert_close(&format!("{rows}×{columns}"), &found, &want, 2e-6);
    }
    assert_eq!(resample_positions(&old, [7, 5], [7, 5]), old, "the same grid is left alone");
}

#[test]
fn tensors_out_are_tensors_in() {
    let (golden, weights, config) = timm();
    let out = load(&config, &weights).tensors();
    assert_eq!(out, weights, "names, shapes and bytes");
    let logits = load(&config, &out).forward(golden.tensor("image")).expect("fits");
    assert_close("logits", &floats(logits), &floats(golden.tensor::<2>("logits")), 1e-4);
}

#[test]
fn key_heads_that_are_repeated_in_a_checkpoint_are_the_same_model_with_groups() {
    let (golden, weights, config) = timm();
    // Unequal groups: key heads 0, 1 of the model serve the heads of their group.
    let groups = Groups::new(vec![4, 2], 6).expect("six heads");
    let (mut grouped, mut repeated) = (weights.clone(), weights);
    for layer_idx in 0..2 {
        for name in ["k_proj.weight", "k_proj.bias", "v_proj.weight", "v_proj.bias"] {
            let name = format!("layers.{layer_idx}.attention.{name}");
            let (shape, values) = grouped[&name].clone();
            let head = values.len() / 6;
            let two = values[..2 * head].to_vec();
            let mut all = Vec::new();
            for (group, heads) in groups.heads().enumerate() {
                heads.for_each(|_| all.extend_from_slice(&two[group * head..][..head]));
            }
            repeated.insert(name.clone(), (shape.clone(), all));
            grouped.insert(name, ([&[shape[0] / 3], &shape[1..]].concat(), two));
        }
    }
    let image = golden.tensor::<4>("image");
    let want = floats(load(&config, &repeated).forward(image.clone()).expect("fits"));
    let config = config.with_groups(Some(vec![groups; 2]));
    assert_close("grouped", &floats(load(&config, &grouped).forward(image).expect("fits")), &want, 1e-5);
}

#[test]
fn a_hook_sees_every_layer() {
    let (golden, weights, config) = timm();
    let vit = load(&config, &weights);
    let image = golden.tensor::<4>("image");
    let mut seen = Vec::new();
    let logits = vit.forward_hooked(image.clone(), &mut |call| {
        seen.push((call.layer_idx, call.input.dims(), call.k.dims(), call.v.dims()));
        call.run()
    });
    // Without a hook the last layer attends for the class token alone, in another order of sums.
    let want = floats(vit.forward(image.clone()).expect("fits"));
    assert_close("seeing changes nothing", &floats(logits.expect("fits")), &want, 1e-5);
    let layer = |layer_idx| (layer_idx, [2, 17, 48], [2, 6, 17, 8], [2, 6, 17, 8]);
    assert_eq!(seen, [layer(0), layer(1)], "layers, inputs, keys and values");
    let refused = vit.forward_hooked(image, &mut |call| call.run_with(&Groups::uniform(6, 3)?));
    assert!(
        matches!(refused, Err(Error::Core(grouping_core::Error::Shape { what, .. })) if what == "k"),
        "a hook's error comes back"
    );
}

#[test]
fn what_does_not_fit_is_a_typed_error() {
    let (_, weights, config) = timm();
    let fail = |config: &VitConfig, weights: &NamedTensors| {
        config.load(weights, &Device::flex()).expect_err("does not fit").to_string()
    };
    let mut missing = weights.clone();
    missing.remove("layers.1.mlp.fc2.bias");
    let message = fail(&config, &missing);
    assert!(
        message.ends_with("`layers.1.mlp.fc2.bias`: expected a tensor of this name, found none"),
        "{message}"
    );
    let message = fail(&config.clone().with_n_classes(Some(9)), &weights);
    assert!(message.ends_with("`head.weight`: expected shape [9, 48], found [7, 48]"), "{message}");
    let message = fail(&VitConfig { patch_size: [5, 8], ..config.clone() }, &weights);
    assert!(message.contains("image_size: expected height and width in whole patches of 5×8"), "{message}");
    let message = fail(&VitConfig { n_layers: 0, ..config.clone() }, &weights);
    assert!(message.contains("n_layers"), "{message}");
    let groups = Some(vec![Groups::uniform(6, 3).expect("three")]);
    let message = fail(&config.clone().with_groups(groups), &weights);
    assert!(message.contains("groups: expected those of 2 layers, found 1"), "{message}");

    let vit = load(&config, &weights);
    let message = vit.forward(Tensor::zeros([1, 1, 32, 32], &Device::flex())).expect_err("grey").to_string();
    assert_eq!(message, "image: expected 3 channels, found 1", "a grey image");
    let message = vit.forward(Tensor::zeros([1, 3, 32, 30], &Device::flex())).expect_err("30").to_string();
    assert_eq!(
        message, "image_size: expected height and width in whole patches of 8×8, found 32×30",
        "its size"
    );
    let message = vit.forward(Tensor::zeros([0, 3, 32, 32], &Device::flex())).expect_err("none").to_string();
    assert_eq!(message, "images: expected at least one, found 0", "no image");
}

#[test]
fn published_sizes_have_their_parameters() {
    for (size, n_params) in [
        (VitSize::Tiny, 5_717_416),
        (VitSize::Small, 22_050_664),
        (VitSize::Base, 86_567_656),
        (VitSize::Large, 304_326_632),
    ] {
        let config = VitConfig::of_size(size, 224, 16, 1000);
        assert_eq!(config.n_params().expect("a model"), n_params, "{size:?}");
    }
    let half = VitConfig::of_size(VitSize::Small, 224, 16, 1000).with_kv_heads(3).expect("three");
    // K and V of twelve layers lose 3 heads of 64 with their biases.
    assert_eq!(half.n_params().expect("a model"), 22_050_664 - 12 * 2 * 192 * 385, "half the key heads");
    let error = VitConfig::of_size(VitSize::Tiny, 224, 16, 10).with_kv_heads(2).expect_err("3 by 2");
    assert!(matches!(error, Error::Indivisible { n_heads: 3, n_kv_heads: 2 }), "{error}");
    let vit = VitConfig::new([16, 16], [8, 8], 24, 3, 3, 40).with_n_classes(Some(5)).init(1, &Device::flex());
    let vit = vit.expect("a model");
    let n: usize = vit.tensors().values().map(|(_, values)| values.len()).sum();
    assert_eq!(vit.config().n_params().expect("counted"), n, "counted and made");
}

#[test]
fn without_class_token_head_or_final_norm() {
    let config = VitConfig::new([16, 16], [8, 8], 24, 2, 3, 40);
    let image = waves([2, 3, 16, 16], 1, &Device::flex());
    for config in [
        config.clone().with_class_token(false).with_n_classes(Some(5)),
        config.clone().with_final_norm(false).with_attention_bias(false),
        config.with_norm_first(false),
    ] {
        let vit = config.init(1, &Device::flex()).expect("a model");
        let out = vit.forward(image.clone()).expect("fits");
        assert_eq!(out.dims(), [2, config.n_classes.unwrap_or(24)], "{config:?}");
        let again = load(&config, &vit.tensors()).forward(image.clone()).expect("fits");
        assert_eq!(floats(again), floats(out), "written and read again");
    }
}

#[test]
fn a_random_model_learns_two_classes() {
    let device = Device::flex().autodiff();
    let config = VitConfig::new([16, 16], [8, 8], 24, 2, 4, 48)
        .with_n_classes(Some(2))
        .with_groups(Some(vec![Groups::new(vec![3, 1], 4).expect("four heads"); 2]));
    let mut vit = config.init(5, &device).expect("a model");
    let images =
        Tensor::cat(vec![waves::<4>([4, 3, 16, 16], 1, &device), waves([4, 3, 16, 16], 2, &device)], 0);
    let classes = Tensor::<1, Int>::from_ints([0, 1, 0, 1, 0, 1, 0, 1], &device);
    let mut optimizer = AdamWConfig::new().init();
    let mut losses = Vec::new();
    for _ in 0..40 {
        let logits = vit.forward(images.clone()).expect("fits");
        let loss = cross_entropy(logits, classes.clone());
        losses.push(loss.clone().into_scalar::<f32>());
        let gradients = GradientsParams::from_grads(loss.backward(), &vit);
        vit = optimizer.step(3e-3, vit, gradients);
    }
    assert!(losses[39] < 0.1 * losses[0], "the loss went from {} to {}", losses[0], losses[39]);
    let again = config.init(5, &device).expect("a model").tensors();
    assert_eq!(again, config.init(5, &device).expect("a model").tensors(), "one seed, one model");
}
