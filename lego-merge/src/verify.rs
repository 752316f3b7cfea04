//! Verifying a merged adapter: the merge is computed again and compared with what is there.

use serde::Serialize;

use grouping_core::low_rank::LowRankSum;

use crate::adapter::Adapter;
use crate::merge::{MergeConfig, Plan, merged_bias, visit};
use crate::{Error, Result};

/// What a merged adapter and its merge, computed again, differ in.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Verification {
    /// Greatest relative distance that counts as equal.
    pub tolerance: f64,
    /// Modules, scales, ranks or heads that are missing, unexpected or different in kind.
    pub mismatches: Vec<String>,
    /// Every module that both have, by name.
    pub modules: Vec<VerifiedModule>,
}

/// One module.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct VerifiedModule {
    /// Full name.
    pub module: String,
    /// Rank of what is there.
    pub rank: usize,
    /// Rank of the merge.
    pub expected_rank: usize,
    /// `‖ΔW_there − ΔW_merge‖_F / ‖ΔW_merge‖_F`, good to about 1e-8.
    pub distance: f64,
}

impl Verification {
    /// Whether nothing differs.
    pub fn is_equal(&self) -> bool {
        self.mismatches.is_empty() && self.modules.iter().all(|m| m.distance <= self.tolerance)
    }

    /// The greatest distance of all modules.
    pub fn distance(&self) -> f64 {
        self.modules.iter().map(|m| m.distance).fold(0.0, f64::max)
    }
}

/// Computes the merge of `sources` again and compares the updates `ΔW` and biases of each module, and the heads, with `merged`.
///
/// Factors may differ (`B·A = (B·R)·(R⁻¹·A)`); what a model computes with them may not.
///
/// # Errors
/// Those of [`crate::merge::merge`] and of reading `merged`; [`grouping_core::Error::Setting`] for a tolerance below 0 or NaN.
///
/// ```
/// use grouping_core::matrix::Matrix;
/// use lego_merge::adapter::{Adapter, AdapterConfig};
/// use lego_merge::merge::{Cat, MergeConfig, merge};
/// use lego_merge::verify::verify;
///
/// let adapter = |label, value| {
///     let (a, b) = (Matrix::from_fn(2, 3, |_, _| value), Matrix::from_fn(4, 2, |_, _| value));
///     Adapter::from_factors(label, AdapterConfig::new(2), [("layer.q".to_string(), a, b)])
/// };
/// let sources = [adapter("x", 1.0)?, adapter("y", 2.0)?];
/// let (merged, _) = merge(&sources, &MergeConfig::new(Cat), |_| ())?;
/// assert!(verify(&merged, &sources, &MergeConfig::new(Cat), 1e-6)?.is_equal());
/// assert!(!verify(&merged, &sources, &MergeConfig::new(Cat).with_lambda(0.5), 1e-6)?.is_equal());
/// # Ok::<(), lego_merge::Error>(())
/// ```
pub fn verify(
    merged: &Adapter,
    sources: &[Adapter],
    config: &MergeConfig,
    tolerance: f64,
) -> Result<Verification> {
    if tolerance.is_nan() || tolerance < 0.0 {
        return Err(Error::setting("tolerance", "a number of at least 0", tolerance));
    }
    let plan = Plan::new(sources, config)?;
    let mut mismatches = vec![];
    for module in merged.modules() {
        if plan.modules().iter().all(|m| m.name != module.name) {
            mismatches.push(format!("module {} is there and no part of the merge", module.name));
        }
    }
    let compared = visit(&plan, |part, ours, _| {
        let Some(there) = merged.module(&part.name) else { return Ok(None) };
        if [there.n_outputs, there.n_inputs] != [part.n_outputs, part.n_inputs] {
            return Ok(None);
        }
        let factors = merged.factors(&part.name)?;
        let distance = || -> grouping_core::Result<f64> {
            let expected =
                LowRankSum::new(part.n_outputs, part.n_inputs).plus(1.0, ours.b.view(), ours.a.view())?;
            let norm = expected.frobenius_norm()?;
            let apart =
                expected.plus(-factors.scale, factors.b.view(), factors.a.view())?.frobenius_norm()?;
            Ok(if apart == 0.0 { 0.0 } else { apart / norm })
        };
        let module = VerifiedModule {
            module: part.name.clone(),
            rank: there.rank,
            expected_rank: part.rank,
            distance: distance().map_err(Error::numeric(&part.name))?,
        };
        let bias = misfit(
            &format!("bias of module {}", part.name),
            merged_bias(&plan, part)?.as_deref(),
            merged.bias(&part.name)?.as_deref(),
            tolerance,
        );
        Ok(Some((module, bias)))
    })?;
    let mut modules = vec![];
    for (part, (_, verified)) in plan.modules().iter().zip(compared) {
        match verified {
            Some((module, bias)) => {
                modules.push(module);
                mismatches.extend(bias);
            }
            None => mismatches.push(format!(
                "module {} is missing or has another shape than [{}, {}]",
                part.name, part.n_outputs, part.n_inputs
            )),
        }
    }
    for (name, _) in plan.heads() {
        let expected = plan.head(name)?;
        let there = if merged.heads().contains(name) { Some(merged.head(name)?) } else { None };
        match there {
            Some(there) if there.shape != expected.shape => {
                let (expected, found) = (expected.shape, there.shape);
                mismatches.push(format!("head {name} has the shape {found:?}, not {expected:?}"));
            }
            there => {
                let there = there.as_ref().map(|head| head.values.as_slice());
                let what = format!("head {name}");
                mismatches.extend(misfit(&what, Some(&expected.values), there, tolerance));
            }
        }
    }
    for name in merged.heads().iter().filter(|name| plan.heads().iter().all(|(n, _)| n != *name)) {
        mismatches.push(format!("head {name} is there and no part of the merge"));
    }
    Ok(Verification { tolerance, mismatches, modules })
}

/// In which way the values there are not those expected, if they are not: `‖there − expected‖ / ‖expected‖`.
fn misfit(what: &str, expected: Option<&[f32]>, there: Option<&[f32]>, tolerance: f64) -> Option<String> {
    let (expected, there) = match (expected, there) {
        (None, None) => return None,
        (Some(_), None) => return Some(format!("{what} is missing")),
        (None, Some(_)) => return Some(format!("{what} is there and no part of the merge")),
        (Some(expected), Some(there)) => (expected, there),
    };
    let square = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>();
    let apart = square(&mut expected.iter().zip(there).map(|(&e, &t)| f64::from(t) - f64::from(e))).sqrt();
    let distance =
        if apart == 0.0 { 0.0 } else { apart / square(&mut expected.iter().map(|&e| f64::from(e))).sqrt() };
    (distance > tolerance).then(|| format!("{what}: relative distance {distance:.2e}"))
}
