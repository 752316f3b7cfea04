//! All modules of all adapters of a merge, read one by one.

use rayon::prelude::*;

use super::{ModuleSources, Plan, PlannedModule};
use crate::Result;
use crate::adapter::Adapter;

/// The sources of a whole merge, for methods that look at all of them before they merge any.
pub struct AllSources<'a> {
    pub(super) adapters: &'a [Adapter],
    pub(super) plan: &'a Plan,
    pub(super) seed: u64,
}

impl AllSources<'_> {
    /// Number of adapters.
    pub fn n_adapters(&self) -> usize {
        self.adapters.len()
    }

    /// All modules that will be merged, by name.
    pub fn modules(&self) -> &[PlannedModule] {
        self.plan.modules()
    }

    /// Reads each module's sources and visits them, in parallel; results in the order of [`Self::modules`].
    ///
    /// # Errors
    /// The first of `visit`'s, and those of [`Adapter::factors`].
    pub fn visit<T: Send>(&self, visit: impl Fn(&ModuleSources<'_>) -> Result<T> + Sync) -> Result<Vec<T>> {
        self.modules().par_iter().map(|part| visit(&self.read(part)?)).collect()
    }

    pub(super) fn read<'a>(&self, part: &'a PlannedModule) -> Result<ModuleSources<'a>> {
        let source = |&i: &usize| Ok((self.adapters[i].factors(&part.name)?, self.plan.weights()[i]));
        Ok(ModuleSources {
            name: &part.name,
            rank: part.rank,
            sources: part.members.iter().map(source).collect::<Result<_>>()?,
            members: &part.members,
            seed: module_seed(self.seed, &part.name),
            grams: Default::default(),
        })
    }
}

/// A seed for one module: FNV-1a of its name, so that it does not depend on what else is merged.
fn module_seed(seed: u64, module: &str) -> u64 {
    module
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325 ^ seed, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3))
}
