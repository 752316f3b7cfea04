//! DoRA (arXiv 2402.09353) made low-rank: the update of a module with magnitudes `m`, compressed to a given rank.
//!
//! As PEFT computes it, with `W [d_out, d_in]` the base's weight (`fan_in_fan_out` and embeddings transposed, kernels flattened):
//!
//! `V = W + s·B·A`, `Δ = diag(m_i / ‖V_i‖)·V − W`, norms over the inputs of each output.
//!
//! `diag(g)·W` makes `Δ` full-rank whatever the rank of `B·A`, so that it is formed, one module at a time, and approximated by
//! `B'·A'` of rank `k` (see `range`); what is lost is reported. Cost: `O(d_out·d_in·(r + k))` and one dense `f32` matrix.

mod base_model;
mod range;

use grouping_core::low_rank::LowRankSum;
use grouping_core::matrix::Matrix;
use rayon::prelude::*;
use serde::Serialize;

pub use base_model::BaseModel;

use crate::adapter::{Adapter, Factors, LoraModule, ModuleKind, ModuleTensors};
use crate::{Error, Result};

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

/// The adapter with every module that has magnitudes as plain factors of rank `rank` (unless given, the rank that it has), and
/// what that lost. Other modules, biases and heads stay as they are.
///
/// # Errors
/// [`Error::Format`] where the base has no weight of the module's shape, or a row of `V` vanishes; [`Error::Option`] for a rank
/// of zero; those of [`Adapter::factors`] and of the decomposition.
pub fn compress(
    adapter: &Adapter,
    base: &BaseModel,
    rank: Option<usize>,
    seed: u64,
) -> Result<(Adapter, Vec<Compression>)> {
    if rank == Some(0) {
        return Err(Error::Option { option: "rank", expected: "at least 1".into(), found: "0".into() });
    }
    let (mut modules, mut lost) = (vec![], vec![]);
    for module in adapter.modules() {
        let factors = adapter.factors(&module.name)?;
        let (a, b) = if module.has_magnitude {
            let delta = update(adapter, base, module, &factors)?;
            let k = rank.unwrap_or(module.rank).min(module.n_outputs).min(module.n_inputs);
            let (a, b, norm, residual) =
                approximate(&delta, k, seed).map_err(Error::numeric(&module.name))?;
            let (adapter, module) = (adapter.path().display().to_string(), module.name.clone());
            lost.push(Compression { adapter, module, rank: k, norm, residual });
            (a, b)
        } else {
            let mut b = factors.b;
            b.values_mut().iter_mut().for_each(|v| *v = (module.scale * f64::from(*v)) as f32);
            (factors.a, b)
        };
        let mut bias = adapter.bias(&module.name)?;
        bias.iter_mut().flatten().for_each(|v| *v = (module.scale * f64::from(*v)) as f32);
        modules.push(ModuleTensors { name: module.name.clone(), kind: module.kind.clone(), a, b, bias });
    }
    Ok((adapter.with_modules(modules)?, lost))
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

/// `A' [k, d_in]`, `B' [d_out, k]`, `‖Δ‖_F` and the relative residual.
fn approximate(delta: &Matrix, k: usize, seed: u64) -> grouping_core::Result<(Matrix, Matrix, f64, f64)> {
    let basis = range::leading_range(delta, k, seed);
    let coordinates = range::coordinates(delta, &basis);
    let svd =
        LowRankSum::new(delta.n_rows(), delta.n_cols()).plus(1.0, basis.view(), coordinates.view())?.svd()?;
    let (a, b) = (svd.right(k)?, svd.left_scaled(k)?);
    let squares = delta.values().par_chunks(delta.n_cols()).enumerate().map(|(i, row)| {
        let mut rest: Vec<f64> = row.iter().map(|&v| f64::from(v)).collect();
        for (t, &b) in b.view().row(i).iter().enumerate() {
            let b = f64::from(b);
            rest.iter_mut().zip(a.view().row(t)).for_each(|(r, &a)| *r -= b * f64::from(a));
        }
        let square = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>();
        (square(&mut row.iter().map(|&v| f64::from(v))), square(&mut rest.into_iter()))
    });
    // Collected before they are summed, so that the sum does not depend on the number of threads.
    let squares: Vec<(f64, f64)> = squares.collect();
    let total: f64 = squares.iter().map(|s| s.0).sum();
    let lost: f64 = squares.iter().map(|s| s.1).sum();
    let residual = if total > 0.0 { (lost / total).sqrt() } else { 0.0 };
    Ok((a, b, total.sqrt(), residual))
}
