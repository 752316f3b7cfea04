//! PGQA: noise taken off the attention of static groups (Khan et al. 2024, arXiv 2408.08454): a perturbation, not an allocation.
//!
//! Paper: `A' = A − N` on the softmax map `A [P, P]` of each head, in training, with N Gaussian of the mean and standard deviation of A
//! and zero on the diagonal. The text leaves open over what the mean and deviation go: here over each whole map.
//!
//! Released code, on the outputs `O [B, n, P·head_dim]` of a group of n heads, after softmax·V:
//! ```text
//! μ, s   = mean and unbiased deviation of each row of O      [B, n, 1], gradients flow
//! U      ~ uniform [0, 1)                                    [n, P·head_dim], one for all samples
//! U[i,i] = 0 for i < min(n, P·head_dim);   U ← (U − mean of row)/(deviation of row, 1 where that is 0)
//! O'     = O − (U·s + μ)
//! ```
//! So the released noise is uniform and not Gaussian, is on the outputs and not on the maps, has a "diagonal" of n values, is as strong as
//! the signal, takes its mean away, and is there *at inference*, too, where two passes over one batch differ.
//!
//! Robust: the paper's noise, and off at inference.

use burn::tensor::{Device, Tensor, TensorData};
use grouping_core::seed::{derive_seed, sequence};
use serde::{Deserialize, Serialize};

use crate::allocation::{Fidelity, Mt19937, Phase};

/// Keeps the gradient of a square root at 0 finite: 0, as torch has it.
const TINY: f32 = 1e-30;

/// Where and when the noise is taken off, and from what seed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pgqa {
    /// Whose noise.
    pub fidelity: Fidelity,
    /// Seed of the paper's noise.
    pub seed: u64,
}

impl Pgqa {
    /// The noise of a fidelity.
    pub fn new(fidelity: Fidelity, seed: u64) -> Self {
        Self { fidelity, seed }
    }

    /// Whether [`Self::on_maps`] changes anything in this phase: a fused attention, which forms no map, may be used where not.
    pub fn is_on_maps(&self, phase: Phase) -> bool {
        self.fidelity != Fidelity::Official && matches!(phase, Phase::Training { .. })
    }

    /// Paper and robust: the softmax maps `[maps, P, P]` less their noise in training, as they are otherwise.
    ///
    /// `stream` tells the draws of one layer, group and step from all others: the same stream is the same noise.
    pub fn on_maps(&self, maps: Tensor<3>, phase: Phase, stream: u64) -> Tensor<3> {
        if !self.is_on_maps(phase) {
            return maps;
        }
        let noise = gaussian(maps.dims(), derive_seed(self.seed, stream), &maps.device());
        subtract_from_maps(maps, noise)
    }

    /// Official: the outputs `[B, n, P·head_dim]` of one group less their noise, in every phase, the draws taken from `draws` as
    /// `torch.rand` takes them; paper and robust: as they are.
    pub fn on_outputs(&self, outputs: Tensor<3>, draws: &mut Mt19937) -> Tensor<3> {
        if self.fidelity != Fidelity::Official {
            return outputs;
        }
        let [_, n, length] = outputs.dims();
        let uniform: Vec<f32> = (0..n * length).map(|_| draws.unit_f32()).collect();
        let uniform = Tensor::from_data(TensorData::new(uniform, [n, length]), &outputs.device());
        subtract_from_outputs(outputs, uniform)
    }
}

/// The released code's arithmetic on the outputs `[B, n, L]` of a group of n heads with given draws `[n, L]`.
///
/// # Panics
/// When the shapes do not fit, or L is 1, which has no unbiased deviation.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use kd_gqa::pgqa::subtract_from_outputs;
/// let device = Device::flex();
/// let outputs = Tensor::<3>::from_floats([[[1., 2., 6.]]], &device);
/// let noisy = subtract_from_outputs(outputs, Tensor::<2>::from_floats([[0.9, 0.5, 0.1]], &device));
/// let sum: f32 = noisy.sum().into_scalar();
/// assert!(sum.abs() < 1e-5, "the mean is gone");
/// ```
pub fn subtract_from_outputs(outputs: Tensor<3>, uniform: Tensor<2>) -> Tensor<3> {
    let [_, n, length] = outputs.dims();
    assert_eq!(uniform.dims(), [n, length], "draws for {n} heads of {length} values");
    assert!(length > 1, "one value has no deviation");
    let noise = standardised(uniform).unsqueeze::<3>(); // [1, n, L]
    let mean = outputs.clone().mean_dim(2);
    let deviation = outputs.clone().var(2).clamp_min(TINY).sqrt();
    outputs - (noise * deviation + mean)
}

/// The paper's arithmetic on softmax maps `[maps, P, P]` with given standard normal draws of the same shape.
///
/// # Panics
/// When the shapes do not fit.
pub fn subtract_from_maps(maps: Tensor<3>, normal: Tensor<3>) -> Tensor<3> {
    let [n_maps, rows, columns] = maps.dims();
    assert_eq!(normal.dims(), maps.dims(), "draws for the maps");
    let flat = maps.clone().reshape([n_maps, rows * columns]);
    let mean = flat.clone().mean_dim(1).reshape([n_maps, 1, 1]);
    let deviation = (flat.clone() - flat.mean_dim(1)).square().mean_dim(1).clamp_min(TINY).sqrt();
    let off_diagonal = off_diagonal(rows, columns, &maps.device()).unsqueeze::<3>();
    maps - (normal * deviation.reshape([n_maps, 1, 1]) + mean) * off_diagonal
}

/// Rows of mean 0 and unbiased deviation 1, after the diagonal was set to 0; a row of one value repeated becomes zeros.
fn standardised(uniform: Tensor<2>) -> Tensor<2> {
    let [n, length] = uniform.dims();
    let values = uniform.clone() * off_diagonal(n, length, &uniform.device());
    let mean = values.clone().mean_dim(1);
    let deviation = values.clone().var(1).sqrt();
    let flat = deviation.clone().equal_elem(0.0);
    (values - mean) / deviation.mask_fill(flat, 1.0)
}

/// 0 on the diagonal, 1 elsewhere.
fn off_diagonal(rows: usize, columns: usize, device: &Device) -> Tensor<2> {
    let values: Vec<f32> =
        (0..rows * columns).map(|i| f32::from(u8::from(i / columns != i % columns))).collect();
    Tensor::from_data(TensorData::new(values, [rows, columns]), device)
}

/// Standard normal values by Box and Muller (1958), the same on every device and for any number of threads.
fn gaussian(shape: [usize; 3], seed: u64, device: &Device) -> Tensor<3> {
    let unit = |index: u64| ((sequence(seed, index) >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
    let n: usize = shape.iter().product();
    let values: Vec<f32> = (0..n as u64)
        .map(|i| {
            let radius = (-2.0 * unit(2 * i).ln()).sqrt();
            (radius * (std::f64::consts::TAU * unit(2 * i + 1)).cos()) as f32
        })
        .collect();
    Tensor::from_data(TensorData::new(values, shape), device)
}
