//! DoRA (arXiv 2402.09353) made low-rank: the update of a module with magnitudes `m`, compressed to a given rank.
//!
//! As PEFT computes it, with `W [d_out, d_in]` the base's weight (`fan_in_fan_out` and embeddings transposed, kernels flattened):
//!
//! `V = W + s·B·A`, `Δ = diag(m_i / ‖V_i‖)·V − W`, norms over the inputs of each output.
//!
//! `diag(g)·W` makes `Δ` full-rank whatever the rank of `B·A`, so that it is formed, module by module, and approximated by
//! `B'·A'` of rank `k` ([`truncate`]); what is lost is reported. Modules run side by side, each on one thread with one dense `f32`
//! matrix; together these hold at most 1 GiB, or one module. Cost: `O(d_out·d_in·r)` for the update and `O(d_out·d_in·k)` a pass.

mod base_model;

use grouping_core::low_rank::truncate;
use grouping_core::matrix::Matrix;
use rayon::prelude::*;
use serde::Serialize;

pub use base_model::BaseModel;

use crate::adapter::{Adapter, Factors, LoraModule, ModuleKind, ModuleTensors, aligned};
use crate::{Error, Result};

/// Values of dense updates that are held at once.
const HELD_VALUES: usize = 1 << 28;

/// What the compression of one module lost.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Compression {
    /// The adapter.
    pub adapter: String,
    /// Full name of the module.
    pub module: String,
    /// Rank of the approximation.
    pub rank: usize,
    /// `‖Δ‖_F`.
    pub norm: f64,
    /// `‖Δ − B'·A'‖_F / ‖Δ‖_F`.
    pub residual: f64,
}

/// Share of the updates' norm that their compressions lost.
pub fn share_lost(compressions: &[Compression]) -> f64 {
    let square = |of: fn(&Compression) -> f64| compressions.iter().map(|c| of(c).powi(2)).sum::<f64>();
    (square(|c| c.residual * c.norm) / square(|c| c.norm)).sqrt()
}

/// The adapters under common names, those with magnitudes compressed (see [`compress`]), and what that lost, one list an adapter.
///
/// # Errors
/// Those of [`compress`].
pub fn without_magnitudes(
    adapters: &[Adapter],
    base: &BaseModel,
    rank: Option<usize>,
    seed: u64,
) -> Result<(Vec<Adapter>, Vec<Vec<Compression>>)> {
    let compressed = aligned(adapters).into_owned().into_iter().map(|adapter| {
        let is_dora = adapter.modules().iter().any(|m| m.has_magnitude);
        if is_dora { compress(&adapter, base, rank, seed) } else { Ok((adapter, vec![])) }
    });
    Ok(compressed.collect::<Result<Vec<_>>>()?.into_iter().unzip())
}

/// The adapter with every module that has magnitudes as plain factors of rank `rank` (unless given, the rank that it has), and
/// what that lost. Other modules, biases and heads stay as they are, and so does the format.
///
/// # Errors
/// [`Error::Core`] where the base has no weight of the module's shape, or a row of `V` vanishes; [`grouping_core::Error::Setting`] for a rank
/// of zero; those of [`Adapter::factors`] and of the decomposition.
pub fn compress(
    adapter: &Adapter,
    base: &BaseModel,
    rank: Option<usize>,
    seed: u64,
) -> Result<(Adapter, Vec<Compression>)> {
    if rank == Some(0) {
        return Err(Error::setting("rank", "at least 1", 0));
    }
    let compressed = |module: &LoraModule| {
        let factors = adapter.factors(&module.name)?;
        let mut bias = adapter.bias(&module.name)?;
        bias.iter_mut().flatten().for_each(|v| *v = (module.scale * f64::from(*v)) as f32);
        let (a, b, lost) = if module.has_magnitude {
            let delta = update(adapter, base, module, &factors)?;
            let rank = rank.unwrap_or(module.rank).min(module.n_outputs).min(module.n_inputs);
            let best = truncate(&delta.view(), rank, seed).map_err(Error::numeric(&module.name))?;
            let residual = if best.norm > 0.0 { best.residual / best.norm } else { 0.0 };
            let (adapter, module) = (adapter.path().display().to_string(), module.name.clone());
            let lost = Compression { adapter, module, rank, norm: best.norm, residual };
            (best.right, best.left_scaled, Some(lost))
        } else {
            let mut b = factors.b;
            b.values_mut().iter_mut().for_each(|v| *v = (module.scale * f64::from(*v)) as f32);
            (factors.a, b, None)
        };
        Ok((ModuleTensors { name: module.name.clone(), kind: module.kind.clone(), a, b, bias }, lost))
    };
    let (mut modules, mut lost, mut rest) = (vec![], vec![], adapter.modules());
    while !rest.is_empty() {
        let (group, later) = rest.split_at(n_side_by_side(rest, HELD_VALUES));
        // Collected before they are looked at, so that the first error is that of the first module.
        for result in group.par_iter().map(compressed).collect::<Vec<Result<_>>>() {
            let (module, lost_there) = result?;
            modules.push(module);
            lost.extend(lost_there);
        }
        rest = later;
    }
    Ok((adapter.with_modules(modules)?, lost))
}

/// How many of the first modules hold dense updates of at most `limit` values together, but at least one.
fn n_side_by_side(modules: &[LoraModule], limit: usize) -> usize {
    let sizes = modules.iter().map(|m| if m.has_magnitude { m.n_outputs * m.n_inputs } else { 0 });
    let sums = sizes.scan(0usize, |sum, n| {
        *sum = sum.saturating_add(n);
        Some(*sum)
    });
    sums.take_while(|sum| *sum <= limit).count().max(1)
}

/// `Δ [d_out, d_in]`.
fn update(adapter: &Adapter, base: &BaseModel, module: &LoraModule, factors: &Factors) -> Result<Matrix> {
    let transposed = adapter.config().fan_in_fan_out || module.kind == ModuleKind::Embedding;
    let mut weight = base.weight(&module.name, [module.n_outputs, module.n_inputs], transposed)?;
    let magnitude = adapter.magnitude(&module.name)?.unwrap_or_default();
    let n_inputs = module.n_inputs;
    let rows = weight.values_mut().par_chunks_mut(n_inputs).zip(magnitude.par_iter()).enumerate();
    let vanished = rows.map(|(i, (row, &m))| {
        let mut v: Vec<f64> = row.iter().map(|&w| f64::from(w)).collect();
        for (t, &b) in factors.b.view().row(i).iter().enumerate() {
            let b = factors.scale * f64::from(b);
            v.iter_mut().zip(factors.a.view().row(t)).for_each(|(v, &a)| *v += b * f64::from(a));
        }
        let gain = f64::from(m) / v.iter().map(|v| v * v).sum::<f64>().sqrt();
        row.iter_mut().zip(v).for_each(|(w, v)| *w = (gain * v - f64::from(*w)) as f32);
        (!gain.is_finite()).then_some(i)
    });
    match vanished.collect::<Vec<_>>().into_iter().flatten().next() {
        None => Ok(weight),
        Some(i) => {
            let field = format!("module {}, output {i}", module.name);
            Err(Error::format(adapter.path(), field, "a row of W + s·B·A that is not zero", "zeros"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_bounds_the_modules_side_by_side() {
        let mut modules = ["q", "k", "v"]
            .map(|name| LoraModule::of_scale_one(name.into(), ModuleKind::Linear, 1, [4, 5], false));
        assert_eq!(n_side_by_side(&modules, 0), 3, "plain modules hold nothing dense");
        modules.iter_mut().for_each(|m| m.has_magnitude = true);
        let found = [0, 39, 40, 60].map(|limit| n_side_by_side(&modules, limit));
        assert_eq!(found, [1, 1, 2, 3], "20 values each, and always one module");
    }
}
