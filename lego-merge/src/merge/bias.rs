//! Biases of merged factors: `b = λ·Σ wᵢ·sᵢ·bᵢ`, for PEFT computes `y = s·(B·A·x + b)` and the result's scale is 1.
//!
//! An adapter without a bias counts as one of zeros. The same for every method: a bias has no units to group.

use super::{Plan, PlannedModule};
use crate::Result;

/// The bias of one module, `[d_out]`, if the output has biases there.
pub(crate) fn merged_bias(plan: &Plan<'_>, part: &PlannedModule) -> Result<Option<Vec<f32>>> {
    if !part.has_bias {
        return Ok(None);
    }
    let mut sum = vec![0.0; part.n_outputs];
    let (adapters, lambda) =
        (plan.adapters(), plan.merge().rules().nth(part.rule).map_or(1.0, |rule| rule.lambda));
    for (&i, weight) in part.members.iter().zip(&part.weights) {
        let scale = adapters[i].module(&part.name).map_or(0.0, |m| m.scale);
        let factor = lambda * weight * scale;
        for (sum, value) in sum.iter_mut().zip(adapters[i].bias(&part.name)?.unwrap_or_default()) {
            *sum += factor * f64::from(value);
        }
    }
    Ok(Some(sum.into_iter().map(|v| v as f32).collect()))
}
