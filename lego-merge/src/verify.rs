//! Verifying a merged adapter: the merge is computed again and compared with what is there.

use serde::Serialize;

use grouping_core::low_rank::LowRankSum;

use crate::adapter::Adapter;
use crate::merge::{MergeConfig, Plan, visit};
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

/// Computes the merge of `sources` again and compares the updates `ΔW` of each module, and the heads, with `merged`.
///
/// Factors may differ (`B·A = (B·R)·(R⁻¹·A)`); what a model computes with them may not.
///
/// # Errors
/// Those of [`crate::merge::merge`] and of reading `merged`.
pub fn verify(
    merged: &Adapter,
    sources: &[Adapter],
    config: &MergeConfig,
    tolerance: f64,
) -> Result<Verification> {
    let plan = Plan::new(sources, config)?;
    let mut mismatches = vec![];
    for module in merged.modules() {
        if plan.modules().iter().all(|m| m.name != module.name) {
            mismatches.push(format!("module {} is there and no part of the merge", module.name));
        }
    }
    let compared = visit(sources, config, &plan, |part, ours, _| {
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
        Ok(Some(VerifiedModule {
            module: part.name.clone(),
            rank: there.rank,
            expected_rank: part.rank,
            distance: distance().map_err(Error::numeric(&part.name))?,
        }))
    })?;
    let mut modules = vec![];
    for (part, (_, verified)) in plan.modules().iter().zip(compared) {
        match verified {
            Some(module) => modules.push(module),
            None => mismatches.push(format!(
                "module {} is missing or has another shape than [{}, {}]",
                part.name, part.n_outputs, part.n_inputs
            )),
        }
    }
    for (name, owner) in plan.heads() {
        if !merged.heads().contains(name) {
            mismatches.push(format!("head {name} is missing"));
        } else if merged.head(name)? != sources[*owner].head(name)? {
            mismatches.push(format!("head {name} differs from that of {}", sources[*owner].path().display()));
        }
    }
    for name in merged.heads().iter().filter(|name| plan.heads().iter().all(|(n, _)| n != *name)) {
        mismatches.push(format!("head {name} is there and no part of the merge"));
    }
    Ok(Verification { tolerance, mismatches, modules })
}
