//! The bed's updates of low rank as adapters, and adapters as additions to the bed's weights.

use std::path::Path;

use anyhow::{Context, Result, bail};
use burn::tensor::{Device, Tensor, TensorData};
use grouping_core::matrix::Matrix;
use grouping_core::nn::Decoder;

use crate::bed::AdaptSettings;
use lego_merge::adapter::{Adapter, AdapterConfig, TargetModules};

/// The updates attached to `decoder` as an adapter.
pub(crate) fn adapter_of(decoder: &Decoder, settings: &AdaptSettings) -> Result<Adapter> {
    let mut config = AdapterConfig::new(settings.rank);
    config.lora_alpha = settings.alpha;
    config.target_modules = Some(TargetModules::Names(settings.targets.clone()));
    config.task_type = Some("CAUSAL_LM".into());
    let mut factors = Vec::new();
    for (name, projection) in decoder.projections() {
        if let Some(update) = &projection.low_rank {
            let ([d_in, d_out], rank) = (projection.dims(), update.rank());
            let (a, b) = update.factors();
            factors.push((name, Matrix::new(rank, d_in, a)?, Matrix::new(d_out, rank, b)?));
        }
    }
    Ok(Adapter::from_factors(settings.task.name(), config, factors)?)
}

/// What the adapter in `dir` adds to each projection of `base`: its name, and `s·(B·A)ᵀ [in, out]`.
pub(crate) fn read_deltas(dir: &Path, base: &Decoder) -> Result<Vec<(String, Tensor<2>)>> {
    let adapter = Adapter::read(dir)?;
    if let Some(head) = adapter.heads().first() {
        bail!("{}: expected updates of low rank alone, found the whole tensor `{head}`", dir.display());
    }
    let projections = base.projections();
    let device = Device::flex();
    let mut deltas = Vec::with_capacity(adapter.modules().len());
    for module in adapter.modules() {
        let (_, projection) =
            projections.iter().find(|(name, _)| *name == module.name).with_context(|| {
                format!("{}: `{}`: expected a projection of the base", dir.display(), module.name)
            })?;
        let found = [module.n_inputs, module.n_outputs];
        if projection.dims() != found {
            let expected = projection.dims();
            bail!(
                "{}: `{}`: expected inputs and outputs {expected:?}, found {found:?}",
                dir.display(),
                module.name
            );
        }
        let factors = adapter.factors(&module.name)?;
        let tensor = |matrix: Matrix| {
            let shape = [matrix.n_rows(), matrix.n_cols()];
            Tensor::<2>::from_data(TensorData::new(matrix.into_values(), shape), &device)
        };
        let (a, b) = (tensor(factors.a), tensor(factors.b));
        deltas.push((module.name.clone(), a.transpose().matmul(b.transpose()).mul_scalar(factors.scale)));
    }
    Ok(deltas)
}
