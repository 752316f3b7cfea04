//! AdamW (Loshchilov & Hutter 2019, Algorithm 2) over a module, with the gradient clipped to a global norm.
//!
//! The update is Burn's, on the CPU in one pass instead of a dozen. What is ours: one norm over all gradients (Pascanu et al. 2013,
//! Algorithm 1), where Burn clips each tensor by itself; and moments that are kept by the path of their parameter, so that a
//! checkpoint can be read on any device and equal states give equal bytes.

use std::collections::BTreeMap;

use burn::config::Config;
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::optim::{
    AdamW, AdamWConfig, AdamWState, AdaptiveMomentumState, DynState, GradientsParams, Optimizer as _,
};
use burn::tensor::{Device, Tensor, TensorData};

use crate::Error;
use crate::files::source::NamedTensors;
use crate::kernels::adamw::{self, AdamWStep};

/// Constants of AdamW.
#[derive(Config, Debug, PartialEq)]
pub struct AdamWSettings {
    /// Decay of the first moment.
    #[config(default = 0.9)]
    pub beta_1: f32,
    /// Decay of the second moment.
    #[config(default = 0.999)]
    pub beta_2: f32,
    /// Added to the root of the second moment.
    #[config(default = 1e-8)]
    pub epsilon: f32,
    /// Decoupled weight decay, on every parameter.
    #[config(default = 0.01)]
    pub weight_decay: f32,
    /// The greatest norm of all gradients together; absent, gradients are taken as they are.
    pub max_grad_norm: Option<f64>,
}

/// AdamW with its moments.
#[derive(Clone)]
pub(super) struct Optimizer {
    adamw: AdamW,
    settings: AdamWSettings,
    /// By the path of the parameter.
    states: BTreeMap<String, DynState>,
}

impl Optimizer {
    pub(super) fn new(settings: &AdamWSettings) -> Self {
        let adamw = AdamWConfig::new()
            .with_beta_1(settings.beta_1)
            .with_beta_2(settings.beta_2)
            .with_epsilon(settings.epsilon)
            .with_weight_decay(settings.weight_decay)
            .build();
        Self { adamw, settings: settings.clone(), states: BTreeMap::new() }
    }

    /// One step down `gradients`.
    pub(super) fn step<M: Module>(&mut self, module: M, mut gradients: GradientsParams, rate: f64) -> M {
        let scale = self.settings.max_grad_norm.map_or(1.0, |max_norm| {
            let mut norm = SquaredNorm { gradients: &gradients, sum: 0.0 };
            module.visit(&mut norm);
            (max_norm / (norm.sum.sqrt() + 1e-6)).min(1.0)
        });
        let mut update = Update {
            adamw: &self.adamw,
            settings: &self.settings,
            states: &mut self.states,
            gradients: &mut gradients,
            scale,
            rate,
            path: Vec::new(),
        };
        module.map(&mut update)
    }

    /// The moments as `{path}.moment_1`, `{path}.moment_2`.
    pub(super) fn moments(&self) -> NamedTensors {
        let mut tensors = NamedTensors::new();
        for (path, state) in &self.states {
            match state.rank() {
                1 => put_moments::<1>(path, state, &mut tensors),
                2 => put_moments::<2>(path, state, &mut tensors),
                3 => put_moments::<3>(path, state, &mut tensors),
                4 => put_moments::<4>(path, state, &mut tensors),
                rank => unreachable!("a step was taken for `{path}`, so its rank {rank} is 1 to 4"),
            }
        }
        tensors
    }

    /// Takes over the moments of `tensors` for the trainable parameters of `module`, after `n_steps` steps.
    pub(super) fn load<M: Module>(
        &mut self,
        module: &M,
        mut tensors: NamedTensors,
        n_steps: usize,
    ) -> crate::Result<()> {
        self.states.clear();
        let mut reader = MomentReader {
            states: &mut self.states,
            tensors: &mut tensors,
            n_steps,
            path: Vec::new(),
            error: None,
        };
        module.visit(&mut reader);
        reader.error.map_or(Ok(()), Err)
    }
}

fn put_moments<const D: usize>(path: &str, state: &DynState, tensors: &mut NamedTensors) {
    let moments = &state.downcast_ref::<AdamWState<D>>().momentum;
    for (name, moment) in [("moment_1", &moments.moment_1), ("moment_2", &moments.moment_2)] {
        let shape = moment.dims().to_vec();
        let values = moment.clone().into_data().try_into_vec().expect("moments are f32");
        tensors.insert(format!("{path}.{name}"), (shape, values));
    }
}

struct SquaredNorm<'a> {
    gradients: &'a GradientsParams,
    sum: f64,
}

impl ModuleVisitor for SquaredNorm<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.get::<D>(param.id) {
            let square = if adamw::applies(&gradient) {
                adamw::square_norm(gradient)
            } else {
                gradient.square().sum()
            };
            self.sum += f64::from(square.into_scalar::<f32>());
        }
    }
}

struct Update<'a> {
    adamw: &'a AdamW,
    settings: &'a AdamWSettings,
    states: &'a mut BTreeMap<String, DynState>,
    gradients: &'a mut GradientsParams,
    scale: f64,
    rate: f64,
    path: Vec<String>,
}

impl Update<'_> {
    /// In one pass over the parameter, where it lies on the CPU.
    fn step_fused<const D: usize>(
        &self,
        tensor: Tensor<D>,
        gradient: Tensor<D>,
        state: Option<AdamWState<D>>,
    ) -> (Tensor<D>, Option<AdamWState<D>>) {
        let zeros = || Tensor::zeros(tensor.dims(), &tensor.device());
        let (time, moments) = state.map_or_else(
            || (0, [zeros(), zeros()]),
            |AdamWState { momentum }| (momentum.time, [momentum.moment_1, momentum.moment_2]),
        );
        let time = time + 1;
        let AdamWSettings { beta_1, beta_2, epsilon, weight_decay, .. } = *self.settings;
        let correction = |beta: f32| 1.0 - beta.powi(time as i32);
        let step = AdamWStep {
            betas: [beta_1, beta_2],
            corrections: [correction(beta_1), correction(beta_2)],
            epsilon,
            rate: self.rate as f32,
            keep: (1.0 - self.rate * f64::from(weight_decay)) as f32,
            scale: self.scale as f32,
        };
        let (tensor, [moment_1, moment_2]) = adamw::step(tensor, gradient, moments, step);
        let momentum = AdaptiveMomentumState { time, moment_1, moment_2, max_moment_2: None };
        (tensor, Some(AdamWState { momentum }))
    }

    /// By Burn's own optimiser, on any device.
    fn step_composed<const D: usize>(
        &self,
        tensor: Tensor<D>,
        mut gradient: Tensor<D>,
        state: Option<AdamWState<D>>,
    ) -> (Tensor<D>, Option<AdamWState<D>>) {
        if self.scale < 1.0 {
            gradient = gradient.mul_scalar(self.scale);
        }
        self.adamw.step(self.rate, tensor, gradient, state)
    }
}

impl ModuleMapper for Update<'_> {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(gradient) = self.gradients.remove::<D>(param.id) else { return param };
        let path = self.path.join(".");
        let state = self.states.remove(&path).map(DynState::downcast::<AdamWState<D>>);
        let (id, tensor, mapper) = param.consume();
        let tensor = tensor.inner();
        let (tensor, state) = if adamw::applies(&tensor) && adamw::applies(&gradient) {
            self.step_fused(tensor, gradient, state)
        } else {
            self.step_composed(tensor, gradient, state)
        };
        if let Some(state) = state {
            self.states.insert(path, DynState::create(state, D));
        }
        Param::from_mapped_value(id, Tensor::from_inner(tensor).require_grad(), mapper)
    }
}

struct MomentReader<'a> {
    states: &'a mut BTreeMap<String, DynState>,
    tensors: &'a mut NamedTensors,
    n_steps: usize,
    path: Vec<String>,
    error: Option<Error>,
}

impl MomentReader<'_> {
    fn read<const D: usize>(&mut self, param: &Param<Tensor<D>>, name: &str) -> crate::Result<Tensor<D>> {
        let name = format!("{}.{name}", self.path.join("."));
        let expected = param.dims().to_vec();
        let what = format!("optimiser state `{name}`");
        let Some((found, values)) = self.tensors.remove(&name) else {
            return Err(Error::Shape { what, expected, found: Vec::new() });
        };
        if found != expected {
            return Err(Error::Shape { what, expected, found });
        }
        let device: Device = param.device().without_autodiff();
        Ok(Tensor::from_data(TensorData::new(values, found), &device))
    }
}

impl ModuleVisitor for MomentReader<'_> {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if !param.is_require_grad() || self.error.is_some() || self.n_steps == 0 {
            return;
        }
        let moments = self
            .read(param, "moment_1")
            .and_then(|moment_1| self.read(param, "moment_2").map(|moment_2| (moment_1, moment_2)));
        match moments {
            Ok((moment_1, moment_2)) => {
                let momentum =
                    AdaptiveMomentumState { time: self.n_steps, moment_1, moment_2, max_moment_2: None };
                let state = DynState::create(AdamWState { momentum }, D);
                self.states.insert(self.path.join("."), state);
            }
            Err(error) => self.error = Some(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_pass_gives_the_bytes_of_burns_passes() {
        let device = Device::flex();
        let line = |n: usize, step: f32| -> Tensor<1> {
            let values: Vec<f32> = (0..n).map(|i| (i as f32 * step).sin()).collect();
            Tensor::from_data(TensorData::new(values, [n]), &device)
        };
        let settings = AdamWSettings::new().with_beta_2(0.98);
        let optimizer = Optimizer::new(&settings);
        let (mut states, mut gradients) = (BTreeMap::new(), GradientsParams::new());
        let mut update = Update {
            adamw: &optimizer.adamw,
            settings: &settings,
            states: &mut states,
            gradients: &mut gradients,
            scale: 0.37,
            rate: 0.01,
            path: Vec::new(),
        };
        let bits = |tensor: &Tensor<1>| -> Vec<u32> {
            tensor.to_data().iter::<f32>().map(|value| value.to_bits()).collect()
        };
        let mut fused = (line(333, 0.7), None);
        let mut composed = fused.clone();
        for step in 0..5 {
            update.rate = 0.01 / (1 + step) as f64;
            let gradient = line(333, 0.1 + step as f32);
            fused = update.step_fused(fused.0, gradient.clone(), fused.1);
            composed = update.step_composed(composed.0, gradient, composed.1);
            let both = [&fused, &composed].map(|(parameter, state)| {
                let momentum = &state.as_ref().expect("a step leaves a state").momentum;
                [parameter, &momentum.moment_1, &momentum.moment_2].map(bits)
            });
            assert_eq!(both[0], both[1], "parameter and moments after step {step}");
        }
    }
}
