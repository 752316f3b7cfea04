//! How a model's attentions are done at inference: with its own groups, with groups that a method allocates at every pass, or under the noise of PGQA.

use burn::tensor::Tensor;

use crate::Result;
use crate::allocation::{AllocationState, Fidelity, Mt19937, Phase, mean_key_norms, summed_key_norms};
use crate::attention::AttentionCall;
use crate::checkpoint::Checkpoint;
use crate::evaluate::values;
use crate::pgqa::Pgqa;

/// What is done in the place of each attention of a model.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Inference {
    /// The groups that the model has.
    Own,
    /// Groups from key norms; official KDGQA and DGQA allocate at every pass, so that logits depend on the other images of a batch and, DGQA's, on the batches before.
    Allocated(Box<AllocationState>),
    /// The model's groups, their outputs less noise.
    Noisy(Pgqa, Box<Mt19937>),
}

impl Inference {
    /// What was saved with a checkpoint: the allocation in its state, else the groups alone.
    ///
    /// # Errors
    /// Those of [`AllocationState::of`].
    pub fn saved(checkpoint: &Checkpoint) -> Result<Self> {
        Ok(AllocationState::of(checkpoint)?.map_or(Self::Own, |state| Self::Allocated(Box::new(state))))
    }

    /// The noise of PGQA.
    pub fn noisy(fidelity: Fidelity, seed: u64) -> Self {
        Self::Noisy(Pgqa::new(fidelity, seed), Box::new(Mt19937::new(seed)))
    }

    /// Does one attention: `[batch, H, seq, head_dim]`.
    ///
    /// # Errors
    /// Those of the attention and of the allocation.
    pub fn attend(&mut self, call: AttentionCall<'_>) -> Result<Tensor<4>> {
        match self {
            Self::Own => call.run(),
            Self::Allocated(state) => attend_allocated(state, Phase::Inference, call),
            Self::Noisy(pgqa, draws) => {
                let groups = call.groups.clone();
                let out = call.run()?;
                if pgqa.fidelity != Fidelity::Official {
                    return Ok(out);
                }
                let [batch, _, seq, head_dim] = out.dims();
                let of_group = groups.heads().filter(|heads| !heads.is_empty()).map(|heads| {
                    let n = heads.len();
                    let outputs = out.clone().narrow(1, heads.start, n).reshape([batch, n, seq * head_dim]);
                    pgqa.on_outputs(outputs, draws).reshape([batch, n, seq, head_dim])
                });
                Ok(Tensor::cat(of_group.collect(), 1))
            }
        }
    }
}

/// Lets `state` see the keys of an attention, and does it with the groups that the state then has.
///
/// # Errors
/// Those of the attention and of the allocation.
pub(crate) fn attend_allocated(
    state: &mut AllocationState,
    phase: Phase,
    call: AttentionCall<'_>,
) -> Result<Tensor<4>> {
    let norms = if state.needs_norms(phase) { key_norms(&call.k, state.config().fidelity)? } else { vec![] };
    let groups = state.observe(call.layer_idx, phase, &norms)?;
    call.run_with(groups)
}

/// The norms of `k [batch, G, seq, head_dim]` that a fidelity goes by, `[G]`.
///
/// # Errors
/// [`grouping_core::Error::TensorRead`] when the device does not deliver them.
pub fn key_norms(k: &Tensor<4>, fidelity: Fidelity) -> Result<Vec<f32>> {
    let (shape, values) = (k.dims(), values(k.clone())?);
    match fidelity {
        Fidelity::Robust => mean_key_norms(&values, shape),
        Fidelity::Official | Fidelity::Paper => summed_key_norms(&values, shape),
    }
}
