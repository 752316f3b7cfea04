//! What no tensor says of a vision transformer: kept through conversion, said by the user, or refused; and allocations from images.

use grouping_core::testing::assert_refused;
use std::fs;

use crate::attention::floats;
use burn::tensor::Device;
use grouping_core::Activation;
use grouping_core::files::output::Existing;
use grouping_core::files::tensor_file::{Dtype, Planned, TensorFile, TensorWriter};
use grouping_core::image::{ImageFolder, LabelledImage, Preparation};
use grouping_core::nn::{DecoderConfig, Initializer, write_llama, write_llama2c};
use kd_gqa::Groups;
use kd_gqa::allocation::{AllocationConfig, AllocationState, Fidelity, Method, Phase};
use kd_gqa::calibrate::allocate_vit;
use kd_gqa::checkpoint::{Checkpoint, HeadsRecord, VitSettings};
use kd_gqa::convert::{Allocate, ConvertConfig, ConvertReport, Form, GroupSizes, Stage, convert};
use kd_gqa::decoder::{GroupedSelfAttention, read_decoder};
use kd_gqa::evaluate::batch_tensor;
use kd_gqa::inference::Inference;
use kd_gqa::vit::{VitConfig, read_vit};

use crate::checkpoint::{golden_vit, logits};
use crate::commands::{bed, json, run};
use crate::models;

fn gap(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len(), "equally many values");
    assert!(a.iter().chain(b).all(|v| v.is_finite()), "all finite");
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

#[test]
fn a_configuration_is_kept_in_what_is_written() {
    let dir = tempfile::tempdir().expect("a folder");
    let folder = dir.path().join("hf");
    fs::create_dir(&folder).expect("a folder");
    let [image, wanted] = golden_vit("hugging_face.safetensors", &folder.join("model.safetensors"));
    let config = |text: &str| fs::write(folder.join("config.json"), text).expect("writes");
    config(
        r#"{"model_type": "vit", "num_attention_heads": 4, "hidden_act": "relu", "layer_norm_eps": 0.01}"#,
    );
    let source = Checkpoint::open(&folder).expect("a folder");
    let before = logits(&source, &image);
    let plain: Vec<f64> = wanted.1.iter().map(|&v| f64::from(v)).collect();
    assert!(gap(&before, &plain) > 1e-3, "the configuration matters");
    let write = |source: &Checkpoint, name: &str| {
        let out = dir.path().join(name);
        convert(source, &ConvertConfig::new(4), &out, Existing::Refuse, |_| {}).expect("converts");
        Checkpoint::open(&out).expect("reads what it wrote")
    };
    let once = write(&source, "once.safetensors");
    assert_eq!(once.vit_settings(), source.vit_settings(), "without the folder's configuration");
    let twice = write(&once, "twice.safetensors");
    for (name, again) in [("once", once), ("twice", twice)] {
        assert_eq!(gap(&logits(&again, &image), &before), 0.0, "{name}: the same function");
    }
    config(r#"{"model_type": "vit", "num_attention_heads": 4, "hidden_act": "silu"}"#);
    let error = Checkpoint::open(&folder).expect_err("another function").to_string();
    assert!(error.contains("hidden_act") && error.contains("silu"), "{error}");
}

#[test]
fn settings_of_an_encoder_are_said_by_the_user_and_kept() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("encoder.safetensors");
    let [image, _] = golden_vit("encoder.safetensors", &path);
    let error = Checkpoint::open(&path).expect_err("no usual length of heads").to_string();
    assert!(error.contains("n_heads: expected") && error.contains("encoder.safetensors"), "{error}");
    let open = || Checkpoint::open_with_heads(&path, Some(4)).expect("opens");
    let settings =
        VitSettings { activation: Some(Activation::Gelu), norm_first: Some(true), ..VitSettings::default() };
    let other = open().with_vit_settings(settings);
    assert!(gap(&logits(&open(), &image), &logits(&other, &image)) > 1e-3, "they matter");
    let words = ["convert", "encoder.safetensors", "--heads", "4", "--kv-heads", "4"];
    let out = ["--activation", "gelu", "-o", "other.safetensors", "--norm-first"];
    let output = run(dir.path(), &[&words[..1], &out, &words[1..]].concat());
    assert!(output.status.success(), "a path may follow: {}", String::from_utf8_lossy(&output.stderr));
    for (more, wanted) in
        [(["--activation", "relu"], "gelu, as the"), (["--norm-first=false", "--json"], "true, as the")]
    {
        let words = ["account", "other.safetensors", "--kv-heads", "2"];
        let output = run(dir.path(), &[&words[..], &more].concat());
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{message}");
        assert!(message.contains(wanted), "{message}");
    }
    models::llama_folder(&dir.path().join("llama"), "llama", [4, 2, 4], Dtype::F32);
    let words = ["account", "llama", "--kv-heads", "1", "--norm-first"];
    assert_eq!(run(dir.path(), &words).status.code(), Some(2), "not of a decoder");
    let written = Checkpoint::open(dir.path().join("other.safetensors")).expect("reads what it wrote");
    assert_eq!(gap(&logits(&written, &image), &logits(&other, &image)), 0.0, "kept in the file");
}

#[test]
fn a_record_beside_stands_in_for_a_header_without_one() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("timm.safetensors");
    let [image, _] = golden_vit("timm.safetensors", &path);
    let source = Checkpoint::open_with_heads(&path, Some(6)).expect("opens");
    let out = dir.path().join("ragged.safetensors");
    let config = ConvertConfig::new(4).with_sizes(GroupSizes::Any);
    convert(&source, &config, &out, Existing::Refuse, |_| {}).expect("converts");
    let before = logits(&Checkpoint::open(&out).expect("opens"), &image);
    // As a program writes the tensors that knows nothing of the header.
    let tensors = TensorFile::open(&out).expect("opens");
    let all: Vec<_> =
        tensors.names().map(|name| (name.to_string(), tensors.decode(name).expect("decodes"))).collect();
    let planned: Vec<Planned> =
        all.iter().map(|(name, tensor)| Planned::new(name, tensor.shape.clone(), Dtype::F32)).collect();
    let file = fs::File::create(&out).expect("writes");
    let writer = TensorWriter::safetensors(file, &out, &planned, &Default::default()).expect("writes");
    all.iter().for_each(|(name, tensor)| writer.write(name, &tensor.values).expect("writes"));
    writer.finish().expect("writes");
    let again = Checkpoint::open(&out).expect("by the record beside it");
    assert_eq!(gap(&logits(&again, &image), &before), 0.0, "the same groups");
    fs::remove_file(out.with_file_name("kd_gqa.json")).expect("it is there");
    assert_refused(Checkpoint::open_with_heads(&out, Some(6)), "rows of keys");
}

#[test]
fn an_allocation_is_made_from_images_and_saved() {
    let folder = bed();
    let allocate = |fidelity: &str, more: &[&str], out: &str| {
        let words =
            ["convert", "vit.safetensors", "--heads", "4", "--kv-heads", "2", "--calibration", "images"];
        let words =
            [&words[..], &["--allocation", "kdgqa", "--fidelity", fidelity, "-o", out, "--json"], more];
        let report = json(&run(folder.path(), &words.concat()));
        let made = Checkpoint::open(folder.path().join(out)).expect("a checkpoint");
        let sizes: Vec<_> = made.groups().iter().map(|groups| groups.sizes().to_vec()).collect();
        let written: Vec<_> =
            report["layers"].as_array().expect("layers").iter().map(|l| &l["groups"]).collect();
        assert_eq!(serde_json::json!(sizes), serde_json::json!(written), "the report says them");
        let state = AllocationState::of(&made).expect("a state").expect("its state");
        assert_eq!(state.all_groups(), made.groups(), "the groups in use");
        (sizes, state)
    };
    let (sizes, _) = allocate("robust", &["--temperature", "80"], "robust.safetensors");
    assert!(sizes.iter().any(|sizes| sizes[0] != sizes[1]), "so steep that norms matter: {sizes:?}");
    assert!(sizes.iter().flatten().all(|&size| size > 0), "at least one query head each: {sizes:?}");
    let (sizes, _) = allocate("official", &[], "official.safetensors");
    assert!(sizes.iter().all(|sizes| sizes.contains(&0)), "the least norm gets nothing: {sizes:?}");

    // The robust groups stay at inference: an image's logits are those of the groups, whatever stands beside it.
    let source = Checkpoint::open(folder.path().join("robust.safetensors")).expect("a checkpoint");
    let vit = read_vit(&source, &Device::flex()).expect("a model");
    let images = ImageFolder::open(&folder.path().join("images")).expect("images");
    let images = images.first(8);
    let logits = |images: &[LabelledImage], mut inference: Inference| {
        let batch = batch_tensor(images, &Preparation::new(32), &Device::flex()).expect("a batch");
        let out = vit.forward_hooked(batch, &mut |call| inference.attend(call)).expect("logits");
        floats(out.narrow(0, 0, 1))
    };
    let own = logits(&images, Inference::Own);
    assert_eq!(
        gap(&own, &logits(&images, Inference::saved(&source).expect("a state"))),
        0.0,
        "the saved groups"
    );
    assert!(
        gap(&own, &logits(&images[..1], Inference::saved(&source).expect("a state"))) < 1e-5,
        "alone and beside others"
    );
    let fresh = |config| {
        let state = AllocationState::of_groups(config, source.groups()).expect("a state");
        Inference::Allocated(Box::new(state))
    };
    let robust = fresh(AllocationConfig::new(Method::Kdgqa));
    assert_eq!(gap(&own, &logits(&images, robust)), 0.0, "without images, the weights' own groups");
    let uniform = fresh(AllocationConfig::new(Method::Uniform));
    assert!(gap(&own, &logits(&images, uniform)) > 1e-4, "other groups are another function");

    let eval = |more: &[&str]| {
        let base = ["eval", "--weights", "half.safetensors", "--data", "images", "--json"];
        run(folder.path(), &[&base[..], more].concat())
    };
    run(
        folder.path(),
        &["convert", "vit.safetensors", "--heads", "4", "--kv-heads", "2", "-o", "half.safetensors"],
    );
    let note = eval(&["--allocation", "kdgqa"]);
    assert!(String::from_utf8_lossy(&note.stderr).contains("--calibration"), "it says whose groups they are");
    let shown = ["--calibration", "images", "--temperature", "80"];
    json(&eval(&[&["--allocation", "kdgqa"][..], &shown].concat()));
    let windows = ["--allocation", "dgqa-diff", "--calibration", "images"];
    for (more, wanted) in [
        (&shown[..], "--temperature"),
        (&shown[..2], "--calibration"),
        (&["--window", "3"], "--window"),
        (&["--allocation", "pgqa", "--calibration", "images"], "--calibration"),
        (&windows, "fewer batches than the 1"),
    ] {
        let output = eval(more);
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{more:?}: {message}");
        assert!(message.contains(wanted), "{more:?}: {message}");
    }

    let words = ["convert", "vit.safetensors", "--heads", "4", "--kv-heads", "2", "--allocation", "kdgqa"];
    for (more, wanted) in [
        (&["-o", "o.safetensors"][..], "--calibration"),
        (&["-o", "half.safetensors", "--calibration", "images"], "half.safetensors"),
        (&["-o", "o.safetensors", "--calibration", "images", "--temperature", "-1"], "temperature"),
        (&["-o", "o.safetensors", "--fidelity", "paper", "--temperature", "2"], "--temperature"),
    ] {
        let output = run(folder.path(), &[&words[..], more].concat());
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{message}");
        assert!(message.contains(wanted), "{message}");
    }
    let left: Vec<_> = fs::read_dir(folder.path()).expect("lists").flatten().map(|e| e.file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().starts_with(".tmp")), "nothing is left: {left:?}");
}

#[test]
fn a_conversion_shares_out_query_heads_by_what_it_is_given() {
    let folder = bed();
    let source = Checkpoint::open_with_heads(folder.path().join("vit.safetensors"), Some(4)).expect("opens");
    let out = folder.path().join("out.safetensors");
    let run = |source: &Checkpoint, config: &ConvertConfig| -> kd_gqa::Result<(ConvertReport, Vec<Stage>)> {
        let mut stages = vec![];
        let report =
            convert(source, config, &out, Existing::Replace, |progress| stages.push(progress.stage))?;
        stages.dedup();
        Ok((report, stages))
    };
    let saved = || {
        let made = Checkpoint::open(&out).expect("opens");
        AllocationState::of(&made).expect("a state that can be").expect("a saved state")
    };
    let pooled = ConvertConfig::new(2);
    run(&source, &pooled).expect("converts");
    let vit = read_vit(&Checkpoint::open(&out).expect("opens"), &Device::flex()).expect("a model");
    let images = ImageFolder::open(&folder.path().join("images")).expect("images").first(usize::MAX);
    let (device, preparation) = (Device::flex(), Preparation::new(32));
    let method = AllocationConfig::new(Method::Kdgqa).with_temperature(80.0);
    let fresh = AllocationState::of_groups(method.clone(), &vit.groups()).expect("a state");
    let want = allocate_vit(&vit, &images, &preparation, &device, fresh, |_| {}).expect("a state");
    let seen = Allocate::Images { method: method.clone(), images, preparation };
    let (report, stages) = run(&source, &pooled.clone().with_allocation(seen.clone())).expect("converts");
    assert_eq!(saved(), want, "the state of the pooled model");
    let written: Vec<Groups> = report.layers.iter().map(|layer| layer.written.clone()).collect();
    assert_eq!((written, report.layers[0].pooled.sizes()), (want.all_groups(), &[2, 2][..]), "the report");
    assert_eq!(stages, [Stage::Tensors, Stage::Images, Stage::Tensors], "pooled, run, written");

    let going_on = AllocationConfig::new(Method::Kdgqa).with_fidelity(Fidelity::Official);
    run(&source, &pooled.clone().with_allocation(going_on.clone())).expect("converts");
    let fresh = AllocationState::of_groups(going_on, &vit.groups()).expect("a state");
    assert_eq!(saved(), fresh, "no norm seen yet");

    models::llama_folder(&folder.path().join("llama"), "llama", [4, 2, 4], Dtype::F32);
    let decoder = Checkpoint::open(folder.path().join("llama")).expect("opens");
    for (source, config, wanted) in [
        (
            &source,
            pooled.clone().with_allocation(method.clone()),
            "calibration: expected images for an `allocation`",
        ),
        (&source, pooled.clone().with_allocation(method.with_window(0)), "window: expected at least 1"),
        (&source, pooled.clone().with_allocation(want), "n_kv_heads: expected as many key/value heads"),
        (
            &source,
            pooled.clone().with_form(Form::Expanded).with_allocation(seen.clone()),
            "form: expected grouped",
        ),
        (&decoder, pooled.with_allocation(seen), "allocation: expected a vision transformer"),
    ] {
        let error = run(source, &config).expect_err(wanted).to_string();
        assert!(error.contains(wanted), "the message is {error:?}, expected {wanted:?}");
    }
}

#[test]
fn images_of_a_model_that_is_not_square_are_refused() {
    let folder = bed();
    let config = VitConfig::new([32; 2], [8; 2], 32, 1, 4, 64).with_n_classes(Some(10));
    let vit = config.init(1, &Device::flex()).expect("a model");
    let path = folder.path().join("odd.safetensors");
    vit.save(&path, None, Existing::Refuse).expect("a file");
    // The record says that its sixteen patches lie in two rows.
    let mut record = HeadsRecord::new(8, &vit.groups()).with_file(&path);
    record.vit.image_size = Some([16, 64]);
    models::with_metadata(&path, "kd_gqa.json", &record.to_json());
    let output = run(folder.path(), &["classify", "--weights", "odd.safetensors", "images/disc/00000.png"]);
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert!(message.contains("16 × 64"), "{message}");
}

fn saved(checkpoint: &Checkpoint) -> Option<AllocationState> {
    AllocationState::of(checkpoint).expect("a state or none")
}

#[test]
fn a_damaged_allocation_is_refused_by_every_command() {
    let dir = tempfile::tempdir().expect("a folder");
    let (folder, out) = (dir.path().join("llama"), dir.path().join("allocated"));
    models::llama_folder(&folder, "llama", [4, 2, 4], Dtype::F32);
    let source = Checkpoint::open(&folder).expect("opens");
    let state = AllocationState::of_groups(AllocationConfig::new(Method::Kdgqa), source.groups());
    let config = ConvertConfig::new(2).with_allocation(state.expect("a state"));
    convert(&source, &config, &out, Existing::Refuse, |_| {}).expect("converts");
    let record = out.join("kd_gqa.json");
    let text = fs::read_to_string(&record).expect("a record");
    for (from, to) in [
        ("\"n_heads\":4,\"layers\":[{\"groups\":[2,2],", "\"n_heads\":4,\"layers\":[{\"groups\":[1,3],"),
        ("kdgqa", "none"),
    ] {
        let damaged = text.replace(from, to);
        assert_ne!(damaged, text, "`{from}` is in the record: {text}");
        // The one in the header goes before the one beside.
        for shard in ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"] {
            models::with_metadata(&out.join(shard), "kd_gqa.json", damaged.trim_end());
        }
        let error = AllocationState::of(&Checkpoint::open(&out).expect("its own groups fit"));
        let error = error.expect_err("another state").to_string();
        assert!(error.contains("safetensors: `allocation`: expected"), "{error}");
        for words in [
            &["inspect", "allocated"][..],
            &["account", "allocated", "--kv-heads", "1"],
            &["convert", "allocated", "--kv-heads", "1", "-o", "never"],
            &["generate", "--model", "allocated"],
        ] {
            let output = run(dir.path(), words);
            let message = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(2), "{words:?}: {message}");
            assert!(message.contains("`allocation`: expected"), "{words:?}: {message}");
        }
    }
}

#[test]
fn an_allocation_is_saved_with_a_decoder() {
    let dir = tempfile::tempdir().expect("a folder");
    let (folder, file) = (dir.path().join("llama"), dir.path().join("stories.bin"));
    models::llama_folder(&folder, "llama", [4, 2, 4], Dtype::F32);
    fs::copy(models::data("llama2c/tied.bin"), &file).expect("a copy");
    for (source, out) in [(folder, "again"), (file, "again.bin")] {
        let source = Checkpoint::open(&source).expect("opens");
        let config = AllocationConfig::new(Method::Kdgqa).with_temperature(8.0);
        let mut state = AllocationState::of_groups(config, source.groups()).expect("a state");
        let n_kv_heads = source.groups()[0].n_kv_heads();
        let norms: Vec<f32> = (0..n_kv_heads).map(|head| 1.0 + head as f32).collect();
        let sizes = state.observe(0, Phase::Training { step: 0 }, &norms).expect("groups").sizes().to_vec();
        let out = dir.path().join(out);
        let config = ConvertConfig::new(n_kv_heads).with_allocation(state.clone());
        convert(&source, &config, &out, Existing::Refuse, |_| {}).expect("converts");
        let made = Checkpoint::open(&out).expect("reads what it wrote");
        assert_eq!(saved(&made), Some(state.clone()), "{}: its state", out.display());
        let decoder = read_decoder(&out, &Device::flex()).expect("a decoder");
        assert_eq!(decoder.model.layers[0].self_attn.groups().sizes(), sizes, "{}: in use", out.display());
        assert_eq!(sizes, [1, 3], "unequal");
        // Also where the groups are equal for now.
        let even = AllocationConfig::new(Method::Kdgqa);
        let even = AllocationState::of_groups(even, source.groups()).expect("a state");
        let config = ConvertConfig::new(n_kv_heads).with_allocation(even.clone());
        convert(&source, &config, &out, Existing::Replace, |_| {}).expect("converts");
        let made = Checkpoint::open(&out).expect("reads what it wrote");
        assert_eq!(saved(&made), Some(even), "{}: its state of equal groups", out.display());
        let again = dir.path().join("by-hand");
        for write in [write_llama::<GroupedSelfAttention>, write_llama2c::<GroupedSelfAttention>] {
            let error = write(&decoder, &again, Existing::Refuse).expect_err("unequal groups").to_string();
            assert!(error.contains("[1, 3]") && !again.exists(), "{error}");
        }
        let other = Groups::uniform(4, 4).expect("heads");
        let attention = |config: &DecoderConfig, layer: usize, init: &mut Initializer| {
            GroupedSelfAttention::new(config, layer, &other, init)
        };
        let other =
            decoder.config().clone().with_n_kv_heads(Some(2)).init_with(1, &Device::flex(), attention);
        let error = write_llama(&other, &again, Existing::Refuse).expect_err("heads of another number");
        assert!(error.to_string().contains("[1, 1, 1, 1]"), "{error}");
        let fewer = ConvertConfig::new(1).with_allocation(state);
        let error = convert(&source, &fewer, &dir.path().join("o"), Existing::Refuse, |_| {});
        assert!(error.expect_err("fewer heads").to_string().contains("heads"), "not of these heads");
    }
}

#[test]
fn a_configuration_without_key_value_heads_is_read_as_transformers_does() {
    let dir = tempfile::tempdir().expect("a folder");
    let folder = dir.path().join("mistral");
    models::llama_folder(&folder, "mistral", [4, 4, 4], Dtype::F32);
    let path = folder.join("config.json");
    let mut config: serde_json::Value =
        serde_json::from_slice(&fs::read(&path).expect("reads")).expect("a configuration");
    config["num_key_value_heads"] = serde_json::Value::Null;
    fs::write(&path, config.to_string()).expect("writes");
    let checkpoint = Checkpoint::open(&folder).expect("null is as many as heads");
    assert_eq!(checkpoint.groups()[0].n_kv_heads(), 4, "by the checkpoint");
    let decoder = read_decoder(&folder, &Device::flex()).expect("a decoder");
    assert_eq!(decoder.config().n_kv_heads(), 4, "by the decoder");
    config.as_object_mut().expect("an object").remove("num_key_value_heads");
    fs::write(&path, config.to_string()).expect("writes");
    let error = Checkpoint::open(&folder).expect_err("Mistral's default is eight").to_string();
    assert!(error.contains("num_key_value_heads"), "{error}");
}
