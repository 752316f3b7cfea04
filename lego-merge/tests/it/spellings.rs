//! Files of diffusers and kohya: real ones in four spellings, and made ones.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use grouping_core::files::output::Existing;
use grouping_core::matrix::Matrix;
use lego_merge::adapter::{
    Adapter, AdapterConfig, Format, ModuleKind, ModuleTensors, Output, OutputType, convert,
};
use lego_merge::merge::{Cat, MergeConfig, Svd, merge};
use proptest::prelude::*;
use safetensors::SafeTensors;
use serde_json::json;

use crate::adapters::{merge_out, real_data, updates, weighted_sum, worst};

const REAL: [&str; 4] =
    ["sd15-processor-unet", "sd15-processor-unprefixed", "sd15-unet-lora-down", "sd15-underscored"];

type Tensors = BTreeMap<String, (Vec<usize>, safetensors::Dtype, Vec<u8>)>;

/// Name, shape, type and bytes of every tensor, and the header's entries.
fn contents(path: &Path) -> (Tensors, BTreeMap<String, String>) {
    let bytes = fs::read(path).expect("a file");
    let (_, header) = SafeTensors::read_metadata(&bytes).expect("a header");
    let file = SafeTensors::deserialize(&bytes).expect("safetensors");
    let tensor = |t: safetensors::tensor::TensorView<'_>| (t.shape().to_vec(), t.dtype(), t.data().to_vec());
    let tensors = file.iter().map(|(name, t)| (name.to_string(), tensor(t))).collect();
    let metadata = header.metadata().iter().flatten().map(|(k, v)| (k.clone(), v.clone())).collect();
    (tensors, metadata)
}

#[test]
fn real_files_in_four_spellings_are_the_same_modules_and_merge() {
    let Some(data) = real_data("real_files_in_four_spellings_are_the_same_modules_and_merge") else { return };
    let place = |name: &str| data.join("lora").join(format!("{name}.safetensors"));
    let adapters: Vec<_> = REAL.iter().map(|n| Adapter::read(place(n)).expect("a real adapter")).collect();
    let names = |a: &Adapter| a.modules().iter().map(|m| m.name.clone()).collect::<Vec<_>>();
    for (adapter, file) in adapters.iter().zip(REAL) {
        assert_eq!(adapter.modules().len(), 128, "{file}: attention of the U-Net");
        assert_eq!(names(adapter), names(&adapters[0]), "{file}: the same modules");
        assert!(adapter.modules().iter().all(|m| m.rank == 4 && m.scale == 1.0), "{file}: rank 4, scale 1");
    }
    let weights = [1.0, -0.5, 0.25, 0.75];
    let config = MergeConfig::new(Cat).with_weights(weights);
    let folder = tempfile::tempdir().expect("a folder");
    let sum = weighted_sum(&adapters, &weights);
    for (i, out) in ["out", "out.safetensors"].iter().enumerate() {
        let out = folder.path().join(out);
        merge_out(&adapters, &config, &Output::new(&out)).expect("a merge");
        let merged = Adapter::read(&out).expect("reads what it wrote");
        let found = updates(&merged);
        let found = match i {
            0 => found.into_iter().map(|(name, update)| (format!("unet.{name}"), update)).collect(),
            _ => found,
        };
        let difference = worst(&found, &sum);
        assert!(difference < 2e-6, "the weighted sum of all four: {difference:.1e}");
    }
    let one = Adapter::read(folder.path().join("out")).expect("a PEFT folder");
    assert_eq!(one.format(), Format::Peft, "a folder is PEFT's");
    assert!(
        one.module("down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_out.0").is_some(),
        "PEFT's names"
    );
}

#[test]
fn real_files_keep_every_byte_and_a_merge_keeps_the_first_spelling() {
    let Some(data) = real_data("real_files_keep_every_byte_and_a_merge_keeps_the_first_spelling") else {
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    for name in REAL {
        let source = data.join("lora").join(format!("{name}.safetensors"));
        let adapter = Adapter::read(&source).expect("a real adapter");
        let copy = folder.path().join(format!("{name}-copy.safetensors"));
        convert(&adapter, &Output::new(&copy).with_type(OutputType::Keep)).expect("writes");
        assert_eq!(contents(&copy).0, contents(&source).0, "{name}: names, shapes, types and bytes");
        let other = Adapter::read(data.join("lora/sd15-unet-lora-down.safetensors")).expect("a real adapter");
        let merged = folder.path().join(format!("{name}-merged.safetensors"));
        let config = MergeConfig::new(Svd).with_rank(4);
        merge_out(&[adapter, other], &config, &Output::new(&merged)).expect("a merge");
        let keys = |p: &Path| contents(p).0.into_keys().collect::<BTreeSet<_>>();
        assert_eq!(keys(&merged), keys(&source), "{name}: the first adapter's names");
    }
}

/// Modules of a U-Net and two text encoders, one of them a convolution.
fn pipeline(seed: u64, rank: usize, alpha: f64) -> Adapter {
    let value = |i: usize, j: usize, k: usize| {
        (((seed + 3) as usize * (i * 31 + j * 17 + k * 7 + 1)) % 101) as f32 / 50.0 - 1.0
    };
    let linear = |k: usize, name: &str, d_out, d_in| ModuleTensors {
        name: name.into(),
        kind: ModuleKind::Linear,
        a: Matrix::from_fn(rank, d_in, |i, j| value(i, j, k)),
        b: Matrix::from_fn(d_out, rank, |i, j| value(i, j, k + 1)),
        bias: None,
    };
    let mut conv = linear(5, "unet.down_blocks.0.resnets.1.conv1", 4, 18);
    conv.kind = ModuleKind::Conv { kernel: vec![3, 3] };
    let modules = [
        linear(0, "unet.mid_block.attentions.0.transformer_blocks.0.attn2.to_out.0", 6, 5),
        linear(1, "unet.up_blocks.1.attentions.2.transformer_blocks.0.ff.net.0.proj", 8, 6),
        linear(2, "text_encoder.text_model.encoder.layers.11.self_attn.q_proj", 5, 5),
        linear(3, "text_encoder_2.text_model.encoder.layers.3.mlp.fc1", 7, 5),
        conv,
    ];
    let mut config = AdapterConfig::new(rank);
    config.lora_alpha = alpha;
    Adapter::from_modules("pipeline", config, modules, []).expect("a valid adapter")
}

fn write(adapter: &Adapter, place: &Path, format: Format) -> Adapter {
    let output = Output::new(place).with_format(format).with_existing(Existing::Replace);
    convert(adapter, &output).expect("writes");
    Adapter::read(place).expect("reads what it wrote")
}

#[test]
fn kohyas_names_scales_and_shapes() {
    let folder = tempfile::tempdir().expect("a folder");
    let place = folder.path().join("kohya.safetensors");
    let adapter = pipeline(1, 4, 2.0);
    let back = write(&adapter, &place, Format::Kohya);
    assert_eq!(back.format(), Format::Kohya, "the format is seen by its names");
    assert_eq!(back.modules(), adapter.modules(), "names unfold, scales and kinds come back");
    assert_eq!(updates(&back), updates(&adapter), "the values, exactly");
    let (tensors, metadata) = contents(&place);
    let stems: BTreeSet<&str> = tensors.keys().filter_map(|k| k.split('.').next()).collect();
    let expected = [
        "lora_te1_text_model_encoder_layers_11_self_attn_q_proj",
        "lora_te2_text_model_encoder_layers_3_mlp_fc1",
        "lora_unet_down_blocks_0_resnets_1_conv1",
        "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn2_to_out_0",
        "lora_unet_up_blocks_1_attentions_2_transformer_blocks_0_ff_net_0_proj",
    ];
    assert!(stems.iter().eq(expected.iter()), "ids: {stems:?}");
    let shape = |name: &str| tensors[&format!("lora_unet_down_blocks_0_resnets_1_conv1.{name}")].0.clone();
    assert_eq!(shape("lora_down.weight"), [4, 2, 3, 3], "down has the kernel");
    assert_eq!(shape("lora_up.weight"), [4, 4, 1, 1], "up is pointwise");
    assert!(shape("alpha").is_empty(), "alpha is one number");
    assert_eq!(metadata.get("ss_network_alpha").map(String::as_str), Some("2"), "{metadata:?}");
    assert_eq!(metadata.get("ss_network_dim").map(String::as_str), Some("4"), "{metadata:?}");
}

#[test]
fn formats_come_back_through_each_other_and_merge_with_each_other() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    let adapter = pipeline(2, 3, 6.0);
    let kohya = write(&adapter, &at("k.safetensors"), Format::Kohya);
    let diffusers = write(&kohya, &at("d.safetensors"), Format::Diffusers);
    let peft = write(&diffusers, &at("p"), Format::Peft);
    let file = write(&peft, &at("p.safetensors"), Format::Peft);
    for other in [&kohya, &diffusers, &peft, &file] {
        let difference = worst(&updates(other), &updates(&adapter));
        // diffusers' files have scale 1: B is rounded once.
        assert!(difference < 1e-7, "{}: {difference:.1e}", other.path().display());
    }
    assert!(
        diffusers.modules().iter().all(|m| m.scale == 1.0),
        "scale 1, for loaders that look at no header"
    );
    let adapters = [peft, kohya, diffusers];
    let sum = weighted_sum(&adapters, &[1.0; 3]);
    let (merged, _) = merge(&adapters, &MergeConfig::new(Cat), |_| ()).expect("a merge");
    let difference = worst(&updates(&merged), &sum);
    assert!(difference < 2e-6, "three formats in one merge: {difference:.1e}");
}

/// A safetensors file of `f32` zeros and ones, with a header's entry.
fn file(place: &Path, tensors: &[(&str, &[usize])], metadata: serde_json::Value) {
    let (mut header, mut end) = (json!({ "__metadata__": metadata }), 0);
    for (name, shape) in tensors {
        let to = end + 4 * shape.iter().product::<usize>();
        header[*name] = json!({"dtype": "F32", "shape": shape, "data_offsets": [end, to]});
        end = to;
    }
    let text = header.to_string();
    let values: Vec<u8> = (0..end / 4).flat_map(|i| ((i % 2) as f32).to_le_bytes()).collect();
    fs::write(place, [&(text.len() as u64).to_le_bytes(), text.as_bytes(), &values].concat())
        .expect("writes");
}

#[test]
fn folded_names_follow_full_ones_of_other_adapters_and_never_reach_a_folder() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    let id = "lora_unet_double_blocks_0_img_attn_qkv";
    let (down, up) = (format!("{id}.lora_down.weight"), format!("{id}.lora_up.weight"));
    file(&at("kohya.safetensors"), &[(&down, &[2, 3]), (&up, &[4, 2])], json!({}));
    let folded = Adapter::read(at("kohya.safetensors")).expect("an adapter");
    assert_eq!(folded.modules()[0].name, id, "carried as it is");
    assert_eq!(folded.modules()[0].scale, 1.0, "no alpha is alpha = rank");
    let error = convert(&folded, &Output::new(at("out"))).expect_err("no folder").to_string();
    assert!(error.contains(id), "the name is named: {error}");
    assert!(!at("out").exists(), "nothing is written");
    convert(&folded, &Output::new(at("copy.safetensors"))).expect("kohya to kohya needs no names");
    assert_eq!(Adapter::read(at("copy.safetensors")).expect("reads").modules(), folded.modules(), "the same");

    let full = "transformer.double_blocks.0.img_attn.qkv";
    let (a, b) = (format!("{full}.lora_A.weight"), format!("{full}.lora_B.weight"));
    file(&at("full.safetensors"), &[(&a, &[1, 3]), (&b, &[4, 1])], json!({}));
    let named = Adapter::read(at("full.safetensors")).expect("an adapter");
    merge_out(&[folded, named], &MergeConfig::new(Cat), &Output::new(at("out"))).expect("a merge");
    let merged = Adapter::read(at("out")).expect("a PEFT folder");
    assert_eq!(merged.modules().len(), 1, "one module: {:?}", merged.modules());
    assert_eq!(merged.modules()[0].name, "double_blocks.0.img_attn.qkv", "its full name, in the one model");
    assert_eq!(merged.modules()[0].rank, 3, "the units of both");
}

#[test]
fn headers_of_diffusers_say_ranks_and_scales() {
    let folder = tempfile::tempdir().expect("a folder");
    let place = folder.path().join("d.safetensors");
    let q = "unet.mid_block.attentions.0.transformer_blocks.0.attn1.to_q";
    let k = "unet.mid_block.attentions.0.transformer_blocks.0.attn1.to_k";
    let names = [q, k].map(|m| [format!("{m}.lora_A.weight"), format!("{m}.lora_B.weight")]);
    let shapes: [(&str, &[usize]); 4] =
        [(&names[0][0], &[2, 3]), (&names[0][1], &[3, 2]), (&names[1][0], &[4, 3]), (&names[1][1], &[3, 4])];
    let said = |r: usize| {
        let fields = json!({
            "unet.r": r, "unet.lora_alpha": 8, "unet.rank_pattern": {"to_k": 4},
            "unet.use_rslora": true, "unet.target_modules": ["to_q", "to_k"],
        });
        json!({"format": "pt", "lora_adapter_metadata": fields.to_string()})
    };
    file(&place, &shapes, said(2));
    let adapter = Adapter::read(&place).expect("an adapter");
    let scale = |name: &str| adapter.module(name).expect("a module").scale;
    assert_eq!(scale(q), 8.0 / 2f64.sqrt(), "α / √r");
    assert_eq!(scale(k), 4.0, "α / √r by the pattern's rank");
    let copy = folder.path().join("copy.safetensors");
    convert(&adapter, &Output::new(&copy)).expect("writes");
    assert_eq!(contents(&copy), contents(&place), "tensors and header are kept");
    file(&place, &shapes, said(3));
    let error = Adapter::read(&place).expect_err("ranks disagree").to_string();
    assert!(error.contains(q) && error.contains('3') && error.contains('2'), "{error}");
}

#[test]
fn keys_without_a_meaning_are_refused_by_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let place = folder.path().join("x.safetensors");
    let kohya: [(&str, &[usize]); 2] =
        [("lora_unet_x.lora_down.weight", &[2, 3]), ("lora_unet_x.lora_up.weight", &[4, 2])];
    let diffusers: [(&str, &[usize]); 2] =
        [("unet.x.lora_A.weight", &[2, 3]), ("unet.x.lora_B.weight", &[4, 2])];
    let odd: [(&[_], &str, &[usize]); 8] = [
        (&kohya, "lora_unet_y.hada_w1_a", &[2, 3]),
        (&kohya, "lora_unet_x.lora_mid.weight", &[2, 2, 3, 3]),
        (&kohya, "emb_params", &[4]),
        (&kohya, "lora_unet_x.dora_scale", &[1, 3]),
        (&diffusers, "unet.conv_in.weight", &[4, 2]),
        (&diffusers, "unet.x.to_q.alphas", &[1]),
        (&diffusers, "unet.x.alpha", &[2]),
        (&diffusers, "unet.y.lora_A.weight", &[2, 3]),
    ];
    for (good, name, shape) in odd {
        file(&place, good, json!({}));
        assert!(Adapter::read(&place).is_ok(), "without `{name}` it is an adapter");
        file(&place, &[good, &[(name, shape)]].concat(), json!({}));
        let error = Adapter::read(&place).expect_err(name).to_string();
        let module = name.rsplit_once(".lora_A").map_or(name, |(module, _)| module);
        assert!(error.contains(module), "the message does not name `{name}`: {error}");
    }
}

#[test]
fn halves_are_one_rounding_away_and_types_are_kept_where_they_agree() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    let adapter = pipeline(3, 4, 4.0);
    let written = |name: &str, dtype| {
        convert(&adapter, &Output::new(at(name)).with_format(Format::Peft).with_type(dtype)).expect("writes");
        Adapter::read(at(name)).expect("reads what it wrote")
    };
    let (half, brain) = (written("half", OutputType::F16), written("brain", OutputType::Bf16));
    for (adapters, expected) in
        [([&half, &half], "F16"), ([&half, &brain], "F32"), ([&brain, &brain], "BF16")]
    {
        let adapters = adapters.map(Clone::clone);
        let (config, out) = (MergeConfig::new(Svd).with_rank(4), at("kept"));
        let output = Output::new(&out).with_existing(Existing::Replace);
        merge_out(&adapters, &config, &output.clone().with_type(OutputType::Keep)).expect("a merge");
        let kept = Adapter::read(&out).expect("reads");
        merge_out(&adapters, &config, &output).expect("a merge");
        let exact = Adapter::read(&out).expect("reads");
        let unit = match expected {
            "F16" => 2f32.powi(-11),
            "BF16" => 2f32.powi(-8),
            _ => 0.0,
        };
        for module in kept.modules() {
            let types = kept.types(&module.name).expect("types");
            assert_eq!(types, [expected, expected], "{}: of both sources", module.name);
            let factors = |a: &Adapter| a.factors(&module.name).expect("factors").b.into_values();
            for (k, e) in factors(&kept).into_iter().zip(factors(&exact)) {
                // Half a unit in the last place; below the normal range of f16, half its smallest step.
                let bound = (unit * e.abs()).max(if expected == "F16" { 2f32.powi(-25) } else { 0.0 });
                assert!((k - e).abs() <= bound, "{}: {k} for {e} in {expected}", module.name);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn parsing_undoes_writing_in_every_format(seed in 0u64..1000, rank in 1usize..6, alpha in 1u32..40) {
        let folder = tempfile::tempdir().expect("a folder");
        let adapter = pipeline(seed, rank, f64::from(alpha));
        for (name, format) in [
            ("p", Format::Peft), ("p.safetensors", Format::Peft),
            ("d.safetensors", Format::Diffusers), ("k.safetensors", Format::Kohya),
        ] {
            let place = folder.path().join(name);
            let once = write(&adapter, &place, format);
            prop_assert!(worst(&updates(&once), &updates(&adapter)) < 1e-6, "{format}: the same update");
            let again = folder.path().join(format!("again-{name}"));
            let twice = write(&once, &again, format);
            prop_assert_eq!(twice.modules(), once.modules(), "{}: modules", format);
            let file = |p: &Path| if p.is_dir() { p.join("adapter_model.safetensors") } else { p.to_path_buf() };
            prop_assert_eq!(contents(&file(&again)), contents(&file(&place)), "{}: the same file", format);
        }
    }
}
