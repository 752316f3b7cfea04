//! All modules of all adapters of a merge, read one by one.

use rayon::prelude::*;

use super::{ModuleSources, PlannedModule};
use crate::Result;
use crate::adapter::Adapter;

/// The sources of a whole merge, for methods that look at all of them before they merge any.
pub struct AllSources<'a> {
    adapters: &'a [Adapter],
    modules: Vec<&'a PlannedModule>,
    seed: u64,
}

impl<'a> AllSources<'a> {
    /// The sources of the modules that are merged by one of a configuration's rules.
    pub(super) fn of_rule(
        adapters: &'a [Adapter],
        modules: &'a [PlannedModule],
        rule: usize,
        seed: u64,
    ) -> Self {
        Self { adapters, modules: modules.iter().filter(|m| m.rule == rule).collect(), seed }
    }

    /// Number of adapters.
    pub fn n_adapters(&self) -> usize {
        self.adapters.len()
    }

    /// All modules that the method will merge, by name.
    pub fn modules(&self) -> &[&'a PlannedModule] {
        &self.modules
    }

    /// Reads each module's sources and visits them, in parallel; results in the order of [`Self::modules`].
    ///
    /// # Errors
    /// The first of `visit`'s, and those of [`Adapter::factors`].
    pub fn visit<T: Send>(&self, visit: impl Fn(&ModuleSources<'_>) -> Result<T> + Sync) -> Result<Vec<T>> {
        self.modules().par_iter().map(|part| visit(&self.read(part)?)).collect()
    }

    /// Reads one module.
    ///
    /// # Errors
    /// Those of [`Adapter::factors`].
    pub fn read<'m>(&self, part: &'m PlannedModule) -> Result<ModuleSources<'m>> {
        let source = |(&i, &weight): (&usize, &f64)| Ok((self.adapters[i].factors(&part.name)?, weight));
        Ok(ModuleSources {
            name: &part.name,
            rank: part.rank,
            sources: part.members.iter().zip(&part.weights).map(source).collect::<Result<_>>()?,
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
