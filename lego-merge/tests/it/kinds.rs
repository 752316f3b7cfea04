//! Convolutions, embeddings, biases and magnitudes, against what PEFT adds to the base's weights; and files of `torch.save`.

use std::collections::BTreeMap;
use std::fs;

use lego_merge::adapter::{Adapter, ModuleKind, Output, OutputType, convert};
use lego_merge::merge::{Cat, MergeConfig, Svd, merge};
use safetensors::SafeTensors;

use crate::adapters::{Dense, committed, data, merge_out, relative, updates, worst};

/// What PEFT adds: `adapter/module → [d_out, d_in]`, and `adapter/module.bias → [d_out]`.
fn expected(case: &str) -> BTreeMap<String, Dense> {
    let bytes = fs::read(data().join(case).join("expected.safetensors")).expect("a committed file");
    let file = SafeTensors::deserialize(&bytes).expect("safetensors");
    let values = |data: &[u8]| -> Dense {
        data.as_chunks::<4>().0.iter().map(|&b| f64::from(f32::from_le_bytes(b))).collect()
    };
    file.iter().map(|(name, tensor)| (name.to_string(), values(tensor.data()))).collect()
}

/// `Σ wᵢ` times what PEFT adds by adapter `i`, by module (or `module.bias`).
fn weighted(case: &str, weights: &[f64]) -> BTreeMap<String, Dense> {
    let mut sums: BTreeMap<String, Dense> = BTreeMap::new();
    for (key, update) in expected(case) {
        let (adapter, module) = key.split_once('/').expect("adapter/module");
        let weight = weights[adapter.parse::<usize>().expect("a number")];
        let sum = sums.entry(module.into()).or_insert_with(|| vec![0.0; update.len()]);
        sum.iter_mut().zip(update).for_each(|(s, v)| *s += weight * v);
    }
    sums
}

fn read(case: &str) -> [Adapter; 2] {
    [0, 1].map(|i| Adapter::read(committed(case, i)).expect("a committed adapter"))
}

#[test]
fn modules_of_every_kind_merge_to_what_peft_adds() {
    let adapters = read("kinds");
    let kinds: Vec<_> = adapters[0].modules().iter().map(|m| m.kind.to_string()).collect();
    assert_eq!(kinds, ["conv 3×2", "embedding", "linear", "conv 1×1", "conv 5"], "kinds by module");
    let config = MergeConfig::new(Cat).with_weights([0.7, -0.4]);
    let (merged, _) = merge(&adapters, &config, |_| ()).expect("a merge");
    let difference = worst(&updates(&merged), &weighted("kinds", &[0.7, -0.4]));
    assert!(difference < 2e-6, "cat is the weighted sum of PEFT's updates: {difference:.1e}");

    let folder = tempfile::tempdir().expect("a folder");
    let place = folder.path().join("out");
    merge_out(&adapters, &config, &Output::new(&place)).expect("a merge");
    let back = Adapter::read(&place).expect("reads what it wrote");
    assert_eq!(back.modules(), merged.modules(), "kinds, ranks and scales on disk as in memory");
    assert_eq!(updates(&back), updates(&merged), "values on disk as in memory");
    let bytes = fs::read(place.join("adapter_model.safetensors")).expect("a file");
    let file = SafeTensors::deserialize(&bytes).expect("safetensors");
    let shape = |name: &str| file.tensor(&format!("base_model.model.{name}")).expect(name).shape().to_vec();
    assert_eq!(shape("conv.lora_A.weight"), [5, 3, 3, 2], "the kernel's axes are back");
    assert_eq!(shape("conv.lora_B.weight"), [5, 5, 1, 1], "and those of length one");
    assert_eq!(shape("strip.lora_A.weight"), [5, 4, 5], "a convolution over one axis");
    assert_eq!(shape("embed.lora_embedding_A"), [5, 10], "embeddings keep their names");
}

#[test]
fn modules_of_different_kinds_do_not_merge() {
    let linear = crate::adapters::random(1, 2, 2.0, &["conv"], [5, 18]);
    let adapters = [Adapter::read(committed("kinds", 0)).expect("an adapter"), linear];
    let error = merge(&adapters, &MergeConfig::new(Cat), |_| ()).expect_err("kinds differ").to_string();
    for word in ["conv", "conv 3×2", "linear"] {
        assert!(error.contains(word), "the message does not name `{word}`: {error}");
    }
    // A convolution over one point is a linear layer.
    let linear = crate::adapters::random(1, 2, 2.0, &["point"], [4, 5]);
    let adapters = [Adapter::read(committed("kinds", 0)).expect("an adapter"), linear];
    let (merged, _) = merge(&adapters, &MergeConfig::new(Cat), |_| ()).expect("they fit");
    let kind = merged.module("point").expect("a module").kind.clone();
    assert_eq!(kind, ModuleKind::Conv { kernel: vec![1, 1] }, "the first adapter's kind");
}

#[test]
fn biases_are_scaled_weighted_and_zero_where_there_are_none() {
    let adapters = read("bias");
    let sums = weighted("bias", &[0.7 * 2.0, -0.4 * 2.0]);
    let folder = tempfile::tempdir().expect("a folder");
    for (name, config) in [("cat", MergeConfig::new(Cat)), ("svd", MergeConfig::new(Svd).with_rank(2))] {
        let config = config.with_weights([0.7, -0.4]).with_lambda(2.0);
        let place = folder.path().join(name);
        merge_out(&adapters, &config, &Output::new(&place)).expect("a merge");
        let merged = Adapter::read(&place).expect("reads what it wrote");
        assert_eq!(merged.config().lora_bias, Some(true), "{name}: the configuration says so");
        for module in merged.modules() {
            let bias = merged.bias(&module.name).expect("decodes");
            let bias: Dense = bias.expect("every module has one").into_iter().map(f64::from).collect();
            let zeros = vec![0.0; module.n_outputs];
            let expected = sums.get(&format!("{}.bias", module.name)).unwrap_or(&zeros);
            let difference = relative(&bias, expected);
            assert!(difference < 1e-6, "{name} {}: Σ w·s·b·λ: {difference:.1e}", module.name);
        }
    }
}

#[test]
fn a_bias_has_no_place_in_kohyas_files_and_beside_embeddings() {
    let folder = tempfile::tempdir().expect("a folder");
    let output =
        Output::new(folder.path().join("x.safetensors")).with_format(lego_merge::adapter::Format::Kohya);
    let adapters = [
        Adapter::read(committed("bias", 0)).expect("an adapter"),
        Adapter::read(committed("kinds", 0)).expect("an adapter"),
    ];
    let error = convert(&adapters[0], &output).expect_err("no place").to_string();
    assert!(error.contains("bias") && error.contains("conv"), "{error}");
    let error = convert(&adapters[1], &output).expect_err("no place").to_string();
    assert!(error.contains("embed") && error.contains("embedding"), "{error}");
    let error =
        merge(&adapters, &MergeConfig::new(Cat), |_| ()).expect_err("PEFT would not open it").to_string();
    assert!(error.contains("embed") && error.contains("lora_bias"), "{error}");
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 0, "nothing is left");
}

#[test]
fn magnitudes_are_read_carried_and_refused_in_a_merge_by_name() {
    let adapter = Adapter::read(committed("dora", 0)).expect("a committed adapter");
    assert!(adapter.modules().iter().all(|m| m.has_magnitude), "every module has magnitudes");
    let other = Adapter::read(committed("kinds", 1)).expect("a committed adapter");
    let error =
        merge(&[other, adapter.clone()], &MergeConfig::new(Cat), |_| ()).expect_err("refused").to_string();
    for word in ["dora", "use_dora", "conv", "base"] {
        assert!(error.contains(word), "the message does not name `{word}`: {error}");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let place = folder.path().join("copy");
    convert(&adapter, &Output::new(&place)).expect("writes");
    let back = Adapter::read(&place).expect("reads what it wrote");
    assert_eq!(back.modules(), adapter.modules(), "modules");
    for module in adapter.modules() {
        let of = |a: &Adapter| a.magnitude(&module.name).expect("decodes");
        assert_eq!(of(&back), of(&adapter), "{}: magnitudes", module.name);
    }
}

#[test]
fn what_torch_saved_is_what_it_saved() {
    let plain = Adapter::read(committed("plain", 0)).expect("a committed adapter");
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["zip", "old"] {
        let adapter = Adapter::read(data().join("pickle").join(name)).expect("a pickled adapter");
        assert_eq!(adapter.modules(), plain.modules(), "{name}: modules");
        assert_eq!(updates(&adapter), updates(&plain), "{name}: values, also of views and parameters");
        let place = folder.path().join(name);
        convert(&adapter, &Output::new(&place).with_type(OutputType::Keep)).expect("writes");
        let back = Adapter::read(&place).expect("reads what it wrote");
        assert_eq!(updates(&back), updates(&plain), "{name}: as safetensors");
    }
}

#[test]
fn pickles_run_nothing_and_what_is_no_tensor_is_named() {
    for (name, words) in [
        ("runs", ["data.pkl", "system"]),
        ("number", ["epoch", "a whole number"]),
        ("bare.bin", ["pickle", "system"]),
    ] {
        let error = Adapter::read(data().join("pickle").join(name)).expect_err("refused").to_string();
        for word in words {
            assert!(error.contains(word), "{name}: the message does not name `{word}`: {error}");
        }
    }
    assert!(!std::path::Path::new("it-was-run").exists(), "nothing was run");
}

#[test]
fn with_the_base_dora_is_what_peft_adds_or_its_best_approximation() {
    use lego_merge::dora::{BaseModel, compress};
    for case in ["dora", "dora-conv1d"] {
        let adapter = Adapter::read(committed(case, 0)).expect("a committed adapter");
        let base = BaseModel::open(data().join(case).join("base.safetensors")).expect("a committed base");
        let exact = weighted(case, &[1.0]);
        // 20 is beyond every module's rank: nothing is lost.
        let (whole, lost) = compress(&adapter, &base, Some(20), 0).expect("compresses");
        let difference = worst(&updates(&whole), &exact);
        assert!(difference < 3e-6, "{case}: PEFT's update: {difference:.1e}");
        assert!(lost.iter().all(|c| c.residual < 1e-5), "{case}: nothing is lost: {lost:?}");
        let mut before = vec![1.0; lost.len()];
        for rank in 1..5 {
            let (plain, lost) = compress(&adapter, &base, Some(rank), 0).expect("compresses");
            assert!(
                plain.modules().iter().all(|m| !m.has_magnitude && m.scale == 1.0),
                "{case}: plain factors"
            );
            let found = updates(&plain);
            for (c, before) in lost.iter().zip(&mut before) {
                let measured = relative(&found[&c.module], &exact[&c.module]);
                assert!((measured - c.residual).abs() < 1e-5, "{case} {}: {measured} is reported", c.module);
                assert!(c.residual <= *before + 1e-6, "{case} {}: a higher rank loses no more", c.module);
                *before = c.residual;
            }
        }
        let merged = merge(&[whole], &MergeConfig::new(Svd).with_rank(2), |_| ()).expect("a merge").0;
        let (direct, _) = compress(&adapter, &base, Some(2), 0).expect("compresses");
        let difference = worst(&updates(&merged), &updates(&direct));
        assert!(
            difference < 1e-4,
            "{case}: the best approximation, directly or by way of all of it: {difference:.1e}"
        );
    }
}

#[test]
fn a_base_in_shards_is_a_base_and_a_wrong_one_is_named() {
    use lego_merge::dora::{BaseModel, compress};
    let adapter = Adapter::read(committed("dora", 0)).expect("a committed adapter");
    let folder = tempfile::tempdir().expect("a folder");
    let bytes = fs::read(data().join("dora/base.safetensors")).expect("a committed file");
    let file = SafeTensors::deserialize(&bytes).expect("safetensors");
    let mut map = serde_json::Map::new();
    for (i, (name, tensor)) in file.iter().enumerate() {
        let shard = format!("model-{}.safetensors", i % 2);
        map.insert(format!("model.{name}"), shard.clone().into());
        let old = folder.path().join(&shard);
        let before = fs::read(&old).unwrap_or_default();
        let mut tensors = if before.is_empty() {
            vec![]
        } else {
            let old = SafeTensors::deserialize(&before).expect("safetensors");
            old.iter().map(|(n, t)| (n.to_string(), t)).collect()
        };
        tensors.push((format!("model.{name}"), tensor));
        fs::write(&old, safetensors::serialize(tensors, None).expect("serializes")).expect("writes");
    }
    let index = serde_json::json!({"metadata": {}, "weight_map": map}).to_string();
    fs::write(folder.path().join("model.safetensors.index.json"), index).expect("writes");
    let shards = BaseModel::open(folder.path()).expect("a base in shards");
    let whole = BaseModel::open(data().join("dora/base.safetensors")).expect("a base");
    let by = |base| updates(&compress(&adapter, base, Some(2), 0).expect("compresses").0);
    assert_eq!(by(&shards), by(&whole), "shards under a longer name are the same base");
    let other = BaseModel::open(data().join("dora-conv1d/base.safetensors")).expect("a base");
    let error = compress(&adapter, &other, Some(2), 0).expect_err("another base").to_string();
    assert!(error.contains("conv.weight"), "{error}");
}
