//! A checkpoint of which some parameters are others: reordered, or fewer.
//!
//! The architecture stays; its widths follow from the shapes of the parameters, changed or not.

use std::collections::BTreeMap;

use grouping_core::files::tensor_file::Tensor;

use super::architectures::{Widths, design, of_compressai};
use super::open::fingerprint;
use super::{Architecture, Checkpoint, Design};
use crate::Result;
use crate::coder::Tables;

/// What differs from a checkpoint.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// Parameters by their neutral names; the others are the checkpoint's own.
    pub(crate) parameters: BTreeMap<String, Tensor>,
    /// The tables of the entropy bottleneck; absent, the checkpoint's own.
    pub(crate) bottleneck: Option<Tables>,
}

impl Checkpoint {
    /// The parameter of this neutral name after the changes.
    pub(super) fn changed_tensor(&self, changes: &Changes, name: &str) -> Result<Tensor> {
        changes.parameters.get(name).map_or_else(|| self.tensor(name), |tensor| Ok(tensor.clone()))
    }

    /// Whether CompressAI's class has these widths for this N and M, so that its `from_state_dict` loads the model; `false` for an
    /// architecture with blocks or slices.
    pub(crate) fn has_compressais_widths(&self) -> bool {
        let is_plain = matches!(
            self.architecture(),
            Architecture::FactorizedPrior
                | Architecture::FactorizedPriorRelu
                | Architecture::ScaleHyperprior
                | Architecture::MeanScaleHyperprior
                | Architecture::JointAutoregressive
        );
        let wanted = || of_compressai(self.architecture(), self.n(), self.m()).parameters();
        is_plain && wanted() == self.design.parameters()
    }

    /// The design after the changes.
    ///
    /// # Errors
    /// [`crate::Error::Core`] for a parameter of another rank than the architecture has.
    pub(crate) fn changed_design(&self, changes: &Changes) -> Result<Design> {
        let shape = |name: &str| {
            let changed = changes.parameters.get(name).map(|tensor| tensor.shape.as_slice());
            changed.or_else(|| self.shape(name))
        };
        let axis = |name: &str, rank: usize, axis: usize| match shape(name) {
            Some(shape) if shape.len() == rank => Ok(shape[axis]),
            found => Err(self.misfit(name, format!("{rank} axes"), format!("{found:?}"))),
        };
        design(self.architecture(), &Widths { axis: &axis, has: &|name| self.names.contains_key(name) })
    }

    /// The fingerprint after the changes.
    ///
    /// # Errors
    /// As [`Checkpoint::tensor`], and as [`Self::changed_design`].
    pub(crate) fn changed_fingerprint(&self, changes: &Changes) -> Result<[u8; 16]> {
        fingerprint(&self.changed_design(changes)?, |name| self.changed_tensor(changes, name))
    }
}
