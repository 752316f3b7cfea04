//! Random initial values that depend on a seed alone.
//!
//! Every parameter owns a generator derived from (seed, its number), so that values do not depend on the order in which
//! lazy parameters are first used, on the thread that uses them, or on Burn's process-wide generator.

use burn::module::{Param, ParamId};
use burn::tensor::{Device, Shape, Tensor, TensorData};
use rand::RngExt;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::seed::derive_seed;

/// Hands out initial values; the n-th parameter asked for always gets the n-th stream of the seed.
#[derive(Debug, Clone)]
pub struct Initializer {
    seed: u64,
    n_params: u64,
    device: Device,
}

impl Initializer {
    /// Values on `device`, determined by `seed`.
    pub fn new(seed: u64, device: &Device) -> Self {
        Self { seed, n_params: 0, device: device.clone() }
    }

    /// The device of the parameters.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// A parameter drawn from N(0, `std`²).
    pub fn normal<const D: usize>(&mut self, shape: [usize; D], std: f64) -> Param<Tensor<D>> {
        self.param(shape, move |rng| std * normal(rng))
    }

    /// A parameter drawn from U(−`bound`, `bound`).
    pub fn uniform<const D: usize>(&mut self, shape: [usize; D], bound: f64) -> Param<Tensor<D>> {
        self.param(shape, move |rng| bound * (2.0 * rng.random::<f64>() - 1.0))
    }

    /// A parameter of one value everywhere.
    pub fn constant<const D: usize>(&mut self, shape: [usize; D], value: f64) -> Param<Tensor<D>> {
        self.param(shape, move |_| value)
    }

    fn param<const D: usize>(
        &mut self,
        shape: [usize; D],
        sample: impl Fn(&mut ChaCha8Rng) -> f64 + Send + Sync + 'static,
    ) -> Param<Tensor<D>> {
        let seed = derive_seed(self.seed, self.n_params);
        self.n_params += 1;
        let init = move |device: &Device, require_grad: bool| {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let values: Vec<f32> = (0..shape.iter().product()).map(|_| sample(&mut rng) as f32).collect();
            Tensor::from_data(TensorData::new(values, shape), device).set_require_grad(require_grad)
        };
        Param::uninitialized(ParamId::new(), init, self.device.clone(), true, Shape::from(shape))
    }
}

/// One standard normal value by the Box–Muller transform.
fn normal(rng: &mut ChaCha8Rng) -> f64 {
    let radius = (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt();
    radius * (std::f64::consts::TAU * rng.random::<f64>()).cos()
}
