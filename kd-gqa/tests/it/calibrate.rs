//! Alignment by activations, and what is done at inference.

use std::path::Path;
use std::sync::Arc;

use burn::module::Param;
use burn::tensor::{Device, Tensor, TensorData};
use grouping_core::files::output::Existing;
use grouping_core::image::{ImageFolder, Preparation};
use grouping_core::matching::procrustes::{PairLayout, PlaneRotations};
use grouping_core::nn::{DecoderConfig, write_llama, write_llama2c};
use grouping_core::seed::sequence;
use kd_gqa::allocation::{AllocationConfig, AllocationState, Fidelity, Method};
use kd_gqa::calibrate::{HeadGram, Maps, align, calibrate_decoder, calibrate_vit, distances};
use kd_gqa::checkpoint::Checkpoint;
use kd_gqa::convert::{Align, ConvertConfig, Grouping, Pool, convert};
use kd_gqa::decoder::read_decoder;
use kd_gqa::evaluate::batch_tensor;
use kd_gqa::inference::Inference;
use kd_gqa::vit::{Vit, VitConfig, read_vit};
use proptest::prelude::*;

use crate::data::procedural_images;

const HEADS: usize = 4;
const HEAD_DIM: usize = 8;
const WIDTH: usize = HEADS * HEAD_DIM;

/// Reproducible values in [−1, 1).
fn noise(seed: u64, n: usize) -> Vec<f64> {
    (0..n).map(|i| (sequence(seed, i as u64) >> 11) as f64 / (1u64 << 52) as f64 - 1.0).collect()
}

/// A random orthogonal matrix, row-major.
fn orthogonal(seed: u64, dim: usize) -> Vec<f64> {
    let cross = noise(seed, dim * dim);
    grouping_core::matching::procrustes::Rotation::from_cross(&cross, dim)
        .expect("a rotation")
        .values()
        .to_vec()
}

/// `q·rows`, where `rows` has `q`'s dimension many rows.
fn turned(q: &[f64], rows: &[f32], dim: usize) -> Vec<f32> {
    let width = rows.len() / dim;
    (0..dim * width)
        .map(|at| {
            (0..dim).map(|k| q[at / width * dim + k] * f64::from(rows[k * width + at % width])).sum::<f64>()
                as f32
        })
        .collect()
}

/// A model whose key and value heads 1 and 3 are turned copies of 0 and 2, written to `path`.
fn model_of_turned_heads(path: &Path) -> Vit {
    let device = Device::flex();
    let config = VitConfig::new([32; 2], [8; 2], WIDTH, 2, HEADS, 64).with_n_classes(Some(10));
    let mut tensors = config.init(3, &device).expect("a model").tensors();
    for layer in 0..2 {
        for (projection, seed) in [("k_proj", 10), ("v_proj", 20)] {
            for (part, width) in [("weight", WIDTH), ("bias", 1)] {
                let name = format!("layers.{layer}.attention.{projection}.{part}");
                let (_, values) = tensors.get_mut(&name).expect("a tensor");
                if part == "bias" {
                    values.iter_mut().zip(noise(seed + 7, WIDTH)).for_each(|(v, n)| *v = n as f32);
                }
                for pair in 0..HEADS / 2 {
                    let q = orthogonal(seed + layer + 100 * pair as u64, HEAD_DIM);
                    let n = HEAD_DIM * width;
                    let copy = turned(&q, &values[2 * pair * n..(2 * pair + 1) * n], HEAD_DIM);
                    values[(2 * pair + 1) * n..(2 * pair + 2) * n].copy_from_slice(&copy);
                }
            }
        }
    }
    let vit = config.load(&tensors, &device).expect("a model");
    vit.save(path, None, Existing::Refuse).expect("a file");
    vit
}

fn some_images(folder: &Path) -> Tensor<4> {
    if !folder.join("disc").exists() {
        procedural_images(folder, 2, 0, 5);
    }
    let all = ImageFolder::open(folder).expect("images").first(20);
    batch_tensor(&all, &Preparation::new(32), &Device::flex()).expect("images")
}

fn logits(vit: &Vit, images: Tensor<4>) -> Vec<f32> {
    vit.forward(images).expect("logits").into_data().try_into_vec().expect("f32")
}

fn farthest(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len(), "as many logits");
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn turned_copies_of_heads_merge_without_loss_once_aligned() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("vit.safetensors");
    let vit = model_of_turned_heads(&path);
    let pictures = folder.path().join("images");
    let images = some_images(&pictures);
    let expected = logits(&vit, images.clone());
    let source = Checkpoint::open_with_heads(&path, Some(HEADS)).expect("a checkpoint");
    let device = Device::flex();
    let listed = ImageFolder::open(&pictures).expect("images").sample(20, 1);
    let calibration =
        calibrate_vit(&vit, &listed, &Preparation::new(32), &device, |_| {}).expect("activations");
    let calibration = Arc::new(calibration);
    let apart = |grouping, pool: Pool, align| {
        let out = folder.path().join("out.safetensors");
        let config = ConvertConfig::new(2).with_grouping(grouping).with_pool(pool).with_align(align);
        let config = config.with_calibration(calibration.clone());
        convert(&source, &config, &out, Existing::Replace, |_| {}).expect("a conversion");
        let converted = Checkpoint::open_with_heads(&out, Some(HEADS)).expect("a checkpoint");
        farthest(&expected, &logits(&read_vit(&converted, &device).expect("a model"), images.clone()))
    };
    for grouping in [Grouping::Neighbour, Grouping::Similarity] {
        for pool in [Pool::Mean, Pool::First, Pool::Activations] {
            let words = format!("{grouping:?}, {pool:?}");
            let aligned = apart(grouping, pool.clone(), Align::Procrustes);
            assert!(aligned < 1e-4, "{words}: logits {aligned:e} apart after alignment");
            let plain = apart(grouping, pool, Align::None);
            assert!(plain > 0.01, "{words}: without alignment the copies differ, {plain:e}");
        }
    }
}

#[test]
fn robust_allocation_ignores_batch_mates_and_the_released_one_does_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let images = some_images(folder.path());
    let config = VitConfig::new([32; 2], [8; 2], WIDTH, 2, HEADS, 64).with_n_classes(Some(10));
    let vit = config.with_kv_heads(2).expect("groups").init(9, &Device::flex()).expect("a model");
    let run = |fidelity, images: Tensor<4>| -> Vec<f32> {
        let config = AllocationConfig::new(Method::Kdgqa).with_fidelity(fidelity);
        let state = AllocationState::of_groups(config, &vit.groups()).expect("a state");
        let mut inference = Inference::Allocated(Box::new(state));
        let out = vit.forward_hooked(images, &mut |call| inference.attend(call)).expect("logits");
        out.into_data().try_into_vec().expect("f32")
    };
    let changes = |fidelity| {
        let alone: Vec<f32> = (0..20).flat_map(|i| run(fidelity, images.clone().narrow(0, i, 1))).collect();
        farthest(&alone, &run(fidelity, images.clone()))
    };
    let (robust, official) = (changes(Fidelity::Robust), changes(Fidelity::Official));
    assert!(robust < 1e-4, "robust: an image's logits move by {robust:e} with its batch");
    assert!(official > 1e-2, "official: they are expected to move, and do not: {official:e}");
}

#[test]
fn noise_is_off_at_inference_unless_as_released() {
    let folder = tempfile::tempdir().expect("a folder");
    let images = some_images(folder.path());
    let config = VitConfig::new([32; 2], [8; 2], WIDTH, 2, HEADS, 64).with_n_classes(Some(10));
    let vit = config.with_kv_heads(2).expect("groups").init(9, &Device::flex()).expect("a model");
    let expected = logits(&vit, images.clone());
    let apart = |fidelity| {
        let mut inference = Inference::noisy(fidelity, 1);
        let out = vit.forward_hooked(images.clone(), &mut |call| inference.attend(call)).expect("logits");
        farthest(&expected, &out.into_data().try_into_vec::<f32>().expect("f32"))
    };
    assert_eq!(apart(Fidelity::Robust), 0.0, "robust: no noise");
    assert!(apart(Fidelity::Official) > 0.01, "official: noise at inference, too");
}

/// A decoder's folder or file whose second key/value head is a copy of the first, turned as alignment may turn it.
fn turned_decoder(folder: &Path, llama2c: bool) -> std::path::PathBuf {
    let device = Device::flex();
    let config = DecoderConfig::new(20, 16, 2, 4, 24)
        .with_n_kv_heads(Some(2))
        .with_rms_norm_eps(1e-5)
        .with_max_positions(16)
        .with_tied_embeddings(true);
    let mut decoder = config.init(5, &device);
    let (hidden, dim) = (16, 4);
    for (i, layer) in decoder.model.layers.iter_mut().enumerate() {
        let angles = vec![0.7 + i as f64, -1.9];
        let plane = PlaneRotations::new(angles, PairLayout::Halves).values();
        let any = orthogonal(40 + i as u64, dim);
        for (projection, q) in [(&mut layer.self_attn.k_proj, plane), (&mut layer.self_attn.v_proj, any)] {
            // [in, out], the heads side by side.
            let mut values: Vec<f32> = projection.weight.val().into_data().try_into_vec().expect("f32");
            for row in values.chunks_mut(2 * dim) {
                let (first, second) = row.split_at_mut(dim);
                for (j, out) in second.iter_mut().enumerate() {
                    *out = (0..dim).map(|k| q[j * dim + k] * f64::from(first[k])).sum::<f64>() as f32;
                }
            }
            let tensor = Tensor::<2>::from_data(TensorData::new(values, [hidden, 2 * dim]), &device);
            projection.weight = Param::from_tensor(tensor);
        }
    }
    let path = folder.join(if llama2c { "model.bin" } else { "model" });
    if llama2c {
        write_llama2c(&decoder, &path, Existing::Refuse).expect("a file");
    } else {
        write_llama(&decoder, &path, Existing::Refuse).expect("a folder");
    }
    path
}

#[test]
fn turned_heads_of_a_decoder_merge_without_loss_in_both_layouts_of_rotary_pairs() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("tokens.json");
    std::fs::write(&data, "[[1,2,3,4,5,6,7,8,9,10,11,12],[19,3,1,4,1,5,9,2,6]]").expect("tokens");
    let device = Device::flex();
    for llama2c in [false, true] {
        let path = turned_decoder(folder.path(), llama2c);
        let tokens = Tensor::<2, burn::tensor::Int>::from_data([[7, 3, 18, 3, 0, 11, 2, 5]], &device);
        let logits = |path: &Path| -> Vec<f32> {
            let decoder = read_decoder(path, &device).expect("a decoder");
            decoder.forward(tokens.clone()).into_data().try_into_vec().expect("f32")
        };
        let expected = logits(&path);
        let source = Checkpoint::open(&path).expect("a checkpoint");
        let calibration = Arc::new(calibrate_decoder(&source, &data, |_, _| {}).expect("activations"));
        let apart = |align: Align| {
            let name = format!("{align:?}{}", if llama2c { ".bin" } else { "" });
            let out = folder.path().join(name);
            let config = ConvertConfig::new(1).with_align(align).with_calibration(calibration.clone());
            convert(&source, &config, &out, Existing::Refuse, |_| {}).expect("a conversion");
            farthest(&expected, &logits(&out))
        };
        let (aligned, plain) = (apart(Align::Procrustes), apart(Align::None));
        assert!(aligned < 1e-4, "llama2.c {llama2c}: logits {aligned:e} apart after alignment");
        assert!(plain > 1e-2, "llama2.c {llama2c}: without alignment the copies differ, {plain:e}");
    }
}

proptest! {
    #[test]
    fn alignment_never_loses_to_none(seed in 0u64..1000, n_rows in 1usize..40) {
        let mut gram = HeadGram::new(3, 4);
        let rows: Vec<f32> = noise(seed, n_rows * 12).into_iter().map(|v| v as f32).collect();
        gram.add(&rows);
        let plain = distances(&gram, Maps::Identity).expect("distances");
        let best = distances(&gram, Maps::Orthogonal).expect("distances");
        let planar = Maps::Planar(PairLayout::Halves);
        let planes = distances(&gram, planar).expect("distances");
        for ((plain, planes), best) in plain.iter().zip(&planes).zip(&best) {
            prop_assert!(*best <= planes + 1e-6 && *planes <= plain + 1e-6, "{} ≤ {} ≤ {}", best, planes, plain);
        }
        for maps in [Maps::Orthogonal, planar] {
            for q in align(&gram, &[0, 1, 2], maps).expect("maps") {
                for (i, j) in (0..4).flat_map(|i| (0..4).map(move |j| (i, j))) {
                    let inner: f64 = (0..4).map(|k| q[k * 4 + i] * q[k * 4 + j]).sum();
                    prop_assert!((inner - f64::from(u8::from(i == j))).abs() < 1e-9, "orthogonal");
                }
            }
        }
    }
}
