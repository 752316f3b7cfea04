//! Alignment without pooling: the heads that a conversion has turned, put side by side again, are the model that they came from, however unlike they are.
//!
//! A conversion writes one head a group. With weights of 1 for one member of each group and 0 for the others it writes the turned heads themselves, so
//! that as many conversions as a group has members give all of them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use burn::module::Param;
use burn::tensor::{Device, Int, Tensor, TensorData};
use grouping_core::files::output::Existing;
use grouping_core::files::source::NamedTensors;
use grouping_core::nn::{DecoderConfig, Family, Projection, write_llama, write_llama2c};
use grouping_core::seed::sequence;
use kd_gqa::calibrate::{Calibration, calibrate_decoder};
use kd_gqa::checkpoint::Checkpoint;
use kd_gqa::convert::{Align, ConvertConfig, Grouping, Pool, PoolWeights, convert};
use kd_gqa::decoder::{GroupedDecoder, GroupedSelfAttention, read_decoder};
use kd_gqa::vit::{Vit, VitConfig, read_vit};

use crate::attention::waves;

/// Members of a group.
const SIZE: usize = 2;
/// What a logit may move by, and what it moves by at least where something is amiss.
const SAME: f32 = 1e-4;
const OTHER: f32 = 1e-2;

fn device() -> Device {
    Device::flex()
}

/// Reproducible values in [−scale, scale).
fn noise(seed: u64, n: usize, scale: f64) -> Vec<f32> {
    let unit = |i: u64| (sequence(seed, i) >> 11) as f64 / (1u64 << 52) as f64 - 1.0;
    (0..n as u64).map(|i| (scale * unit(i)) as f32).collect()
}

fn farthest(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len(), "equally many values");
    assert!(a.iter().chain(b).all(|v| v.is_finite()), "all finite");
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_into_vec().expect("f32 values")
}

/// Aligned conversions to half the key/value heads: the files of the mean, and of the first and the second member of each group.
fn conversions(
    source: &Checkpoint,
    calibration: Calibration,
    grouping: Grouping,
    folder: &Path,
) -> [PathBuf; 1 + SIZE] {
    let n_heads = source.groups()[0].n_kv_heads();
    let config = ConvertConfig::new(n_heads / SIZE)
        .with_grouping(grouping)
        .with_align(Align::Procrustes)
        .with_calibration(Arc::new(calibration));
    let extension = source.path().extension().map_or(String::new(), |e| format!(".{}", e.to_string_lossy()));
    let path = |name: &str| folder.join(format!("{grouping:?}-{name}{extension}"));
    let mean = path("mean");
    let report = convert(source, &config, &mean, Existing::Refuse, |_| {}).expect("a conversion");
    let one = |member: usize| {
        let layers = report.layers.iter().map(|layer| {
            let mut weights = vec![0; n_heads];
            layer.members.iter().for_each(|group| weights[group[member]] = 1);
            serde_json::json!({ "k": weights, "v": weights })
        });
        let weights = folder.join("weights.json");
        let layers = serde_json::json!({ "layers": layers.collect::<Vec<_>>() });
        std::fs::write(&weights, layers.to_string()).expect("weights are written");
        let pool = Pool::Weighted(PoolWeights::read(&weights).expect("weights"));
        let out = path(&format!("member-{member}"));
        let config = config.clone().with_pool(pool);
        convert(source, &config, &out, Existing::Refuse, |_| {}).expect("a conversion");
        out
    };
    [mean, one(0), one(1)]
}

/// Blocks of each row of the members in turn: `[n_rows, n, block]` of each → `[n_rows, n · members, block]`.
fn in_turn(members: [&[f32]; SIZE], n_rows: usize, block: usize) -> Vec<f32> {
    let width = members[0].len() / n_rows;
    let starts = (0..n_rows).flat_map(|row| (0..width).step_by(block).map(move |at| row * width + at));
    starts.flat_map(|start| members.map(|values| &values[start..start + block])).flatten().copied().collect()
}

/// Checks that the pooled values are the mean of the members'.
fn assert_mean(what: &str, pooled: &[f32], members: [&[f32]; SIZE]) {
    let mean: Vec<f32> = members[0].iter().zip(members[1]).map(|(a, b)| (a + b) / 2.0).collect();
    let gap = farthest(pooled, &mean);
    assert!(gap < 1e-6, "{what}: pooling is the mean of the turned heads, {gap:e} apart");
}

#[test]
fn a_random_vision_transformer_is_itself_after_alignment_without_pooling() {
    let (n_heads, head_dim, width) = (4, 8, 32);
    let config = VitConfig::new([16; 2], [4; 2], width, 2, n_heads, 64).with_n_classes(Some(10));
    let mut tensors = config.init(3, &device()).expect("a model").tensors();
    let projections = ["q_proj", "k_proj", "v_proj", "o_proj"];
    for layer in 0..2 {
        for (seed, part) in projections.iter().enumerate() {
            for (kind, scale) in [("weight", (3.0 / width as f64).sqrt()), ("bias", 0.5)] {
                let name = format!("layers.{layer}.attention.{part}.{kind}");
                let (_, values) = tensors.get_mut(&name).expect("a tensor");
                *values = noise((10 * layer + seed) as u64, values.len(), scale);
            }
        }
    }
    let vit = config.load(&tensors, &device()).expect("a model");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("vit.safetensors");
    vit.save(&path, None, Existing::Refuse).expect("a file");
    let source = Checkpoint::open_with_heads(&path, Some(n_heads)).expect("a checkpoint");
    let images = waves([6, 3, 16, 16], 4, &device());
    let logits = |vit: &Vit| values(vit.forward(images.clone()).expect("logits"));
    let load = |tensors: &NamedTensors| logits(&config.load(tensors, &device()).expect("a model"));
    let expected = logits(&vit);

    for grouping in [Grouping::Neighbour, Grouping::Similarity] {
        let mut calibration = Calibration::new(&vit.groups(), head_dim);
        let seen = waves([6, 3, 16, 16], 9, &device());
        vit.forward_hooked(seen, &mut |call| calibration.attend(call)).expect("activations");
        let models = conversions(&source, calibration, grouping, folder.path()).map(|path| {
            let checkpoint = Checkpoint::open_with_heads(&path, Some(n_heads)).expect("a checkpoint");
            read_vit(&checkpoint, &device()).expect("a model")
        });
        let gap = farthest(&expected, &logits(&models[0]));
        assert!(gap > OTHER, "{grouping:?}: the heads are unlike each other, pooling them moves {gap:e}");
        let [mean, first, second] = models.map(|vit| vit.tensors());
        let mut aligned = first.clone();
        for layer in 0..2 {
            for name in projections.iter().flat_map(|part| [format!("{part}.weight"), format!("{part}.bias")])
            {
                let name = format!("layers.{layer}.attention.{name}");
                let members = [&first[&name].1[..], &second[&name].1];
                if name.contains("k_proj") || name.contains("v_proj") {
                    assert_mean(&name, &mean[&name].1, members);
                    let block = if name.ends_with("weight") { head_dim * width } else { head_dim };
                    let (shape, before) = &tensors[&name];
                    let both = in_turn(members, 1, block);
                    let turned = farthest(before, &both);
                    assert!(turned > 0.1, "{grouping:?}: {name} is turned, by {turned:e}");
                    aligned.insert(name, (shape.clone(), both));
                } else {
                    assert_eq!(members[0], members[1], "{name} does not depend on the pooling");
                }
            }
        }
        let gap = farthest(&expected, &load(&aligned));
        assert!(gap < SAME, "{grouping:?}: aligned and not merged, logits are {gap:e} apart");
        if grouping == Grouping::Similarity {
            continue;
        }
        // Not the bias of the keys, which adds the same to all scores of a query.
        for name in
            ["q_proj.weight", "q_proj.bias", "k_proj.weight", "v_proj.weight", "v_proj.bias", "o_proj.weight"]
        {
            let name = format!("layers.0.attention.{name}");
            let mut amiss = aligned.clone();
            amiss.insert(name.clone(), tensors[&name].clone());
            let gap = farthest(&expected, &load(&amiss));
            assert!(gap > OTHER, "{name}: what is not turned with the others tells, {gap:e}");
        }
    }
}

/// The weight and, where there is one, the bias, each with its number of rows.
fn parts(projection: &Projection) -> Vec<(usize, Vec<f32>)> {
    let weight = projection.weight.val();
    let bias = projection.bias.iter().map(|bias| (1, values(bias.val())));
    std::iter::once((weight.dims()[0], values(weight))).chain(bias).collect()
}

fn projection(parts: Vec<(usize, Vec<f32>)>) -> Projection {
    let tensor = |(n_rows, values): (usize, Vec<f32>)| {
        let shape = [n_rows, values.len() / n_rows];
        Tensor::<2>::from_data(TensorData::new(values, shape), &device())
    };
    let mut parts = parts.into_iter().map(tensor);
    let weight = Param::from_tensor(parts.next().expect("a weight"));
    let bias = parts.next().map(|bias| Param::from_tensor(bias.squeeze_dim::<1>(0)));
    Projection { weight, bias, low_rank: None }
}

#[test]
fn random_decoders_are_themselves_after_alignment_without_pooling_in_both_layouts_of_rotary_pairs() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("tokens.json");
    std::fs::write(&data, "[[1,2,3,4,5,6,7,8,9,10,11,12],[19,3,1,4,1,5,9,2,6]]").expect("tokens");
    // Pairs half a head apart, without biases and with; pairs side by side. With 8 heads of queries over 4 of keys, and 4 over 4.
    for (name, family, n_heads) in [
        ("llama", Family::Llama, 8),
        ("qwen2", Family::Qwen2, 8),
        ("llama2c.bin", Family::Llama, 8),
        ("heads.bin", Family::Llama, 4),
    ] {
        let folder = folder.path().join(name.replace('.', "-"));
        std::fs::create_dir(&folder).expect("a folder");
        let path = folder.join(name);
        let config = DecoderConfig::new(20, 32, 2, n_heads, 48)
            .with_n_kv_heads(Some(4))
            .with_family(family)
            .with_rms_norm_eps(1e-5)
            .with_max_positions(16);
        let mut decoder = config.init(5, &device());
        for (i, layer) in decoder.model.layers.iter_mut().enumerate() {
            let attention = &mut layer.self_attn;
            let with_bias = [&mut attention.q_proj, &mut attention.k_proj, &mut attention.v_proj];
            for (seed, bias) in with_bias.into_iter().filter_map(|p| p.bias.as_mut()).enumerate() {
                let values = noise((10 * i + seed) as u64, bias.val().dims()[0], 0.5);
                *bias = Param::from_tensor(Tensor::from_data(&values[..], &device()));
            }
        }
        if name.ends_with(".bin") {
            write_llama2c(&decoder, &path, Existing::Refuse).expect("a file");
        } else {
            write_llama(&decoder, &path, Existing::Refuse).expect("a folder");
        }
        let read = |path: &Path| read_decoder(path, &device()).expect("a decoder");
        let tokens =
            Tensor::<2, Int>::from_data([[7, 3, 18, 3, 0, 11, 2, 5], [1, 1, 9, 14, 6, 0, 19, 8]], &device());
        let logits = |decoder: &GroupedDecoder| values(decoder.forward(tokens.clone()));
        let source = Checkpoint::open(&path).expect("a checkpoint");
        let (original, head_dim) = (read(&path), source.head_dim());
        let expected = logits(&original);

        for grouping in [Grouping::Neighbour, Grouping::Similarity] {
            let calibration = calibrate_decoder(&source, &data, |_, _| {}).expect("activations");
            let [mean, first, second] =
                conversions(&source, calibration, grouping, &folder).map(|path| read(&path));
            let gap = farthest(&expected, &logits(&mean));
            assert!(gap > OTHER, "{name}: the heads are unlike each other, pooling them moves {gap:e}");
            let mut aligned = original.clone();
            for (i, layer) in aligned.model.layers.iter_mut().enumerate() {
                let [mean, first, second] = [&mean, &first, &second].map(|d| &d.model.layers[i].self_attn);
                let attention = &mut layer.self_attn;
                for (one, other) in [(&first.q_proj, &second.q_proj), (&first.o_proj, &second.o_proj)] {
                    assert_eq!(
                        parts(one),
                        parts(other),
                        "{name}: queries and outputs do not know the pooling"
                    );
                }
                (attention.q_proj, attention.o_proj) = (first.q_proj.clone(), first.o_proj.clone());
                let both = |of: fn(&GroupedSelfAttention) -> &Projection| {
                    let [mean, first, second] = [mean, first, second].map(|a| parts(of(a)));
                    let all = mean.iter().zip(&first).zip(&second);
                    let joined = all.map(|(((n_rows, mean), (_, first)), (_, second))| {
                        assert_mean(name, mean, [first, second]);
                        (*n_rows, in_turn([first, second], *n_rows, head_dim))
                    });
                    projection(joined.collect())
                };
                (attention.k_proj, attention.v_proj) = (both(|a| &a.k_proj), both(|a| &a.v_proj));
            }
            let gap = farthest(&expected, &logits(&aligned));
            assert!(gap < SAME, "{name}, {grouping:?}: aligned and not merged, logits are {gap:e} apart");
            if grouping == Grouping::Similarity {
                continue;
            }
            let amiss: [fn(&mut GroupedSelfAttention, &GroupedSelfAttention); 4] = [
                |a, b| a.q_proj = b.q_proj.clone(),
                |a, b| a.k_proj = b.k_proj.clone(),
                |a, b| a.v_proj = b.v_proj.clone(),
                |a, b| a.o_proj = b.o_proj.clone(),
            ];
            for (which, spoil) in amiss.into_iter().enumerate() {
                let mut amiss = aligned.clone();
                spoil(&mut amiss.model.layers[0].self_attn, &original.model.layers[0].self_attn);
                let gap = farthest(&expected, &logits(&amiss));
                assert!(gap > OTHER, "{name}, projection {which} not turned with the others tells, {gap:e}");
            }
        }
    }
}
