//! Looking at adapters: ranks, scales, norms, spectra, and how their units cluster.

use grouping_core::low_rank::LowRankSum;
use rayon::prelude::*;
use serde::Serialize;

use crate::adapter::{Adapter, Factors};
use crate::merge::ClusterReport;
use crate::merge::{cluster_report, clusters, group};
use crate::msu::Units;
use crate::{Error, Result};

/// One adapter, module by module.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct AdapterReport {
    /// Its folder.
    pub adapter: String,
    /// Rank that most modules have.
    pub r: usize,
    /// `α` of the configuration.
    pub lora_alpha: f64,
    /// Whether scales are `α / √r`.
    pub use_rslora: bool,
    /// What the adapted model is for.
    pub task_type: Option<String>,
    /// Tensors carried whole.
    pub heads: Vec<String>,
    /// What is odd but harmless.
    pub warnings: Vec<String>,
    /// All modules, by name.
    pub modules: Vec<ModuleSpectrum>,
}

/// One module of one adapter.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct ModuleSpectrum {
    /// Full name.
    pub module: String,
    /// Rank.
    pub rank: usize,
    /// `[d_out, d_in]`.
    pub shape: [usize; 2],
    /// `s`.
    pub scale: f64,
    /// `‖s·B·A‖_F`.
    pub norm: f64,
    /// Singular values of `s·B·A`, falling.
    pub singular_values: Vec<f64>,
}

/// How the units of all adapters cluster in one module.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct ModuleClusters {
    /// Full name.
    pub module: String,
    /// Adapters that have the module, by position.
    pub adapters: Vec<usize>,
    /// Groups of `k` = the largest source rank; `sources` counts positions in `adapters`.
    pub clusters: ClusterReport,
}

/// Ranks, scales, norms and spectra of one adapter.
///
/// # Errors
/// Those of [`Adapter::factors`], and [`Error::Numeric`] from the decomposition.
pub fn spectra(adapter: &Adapter) -> Result<AdapterReport> {
    let modules = adapter.modules().par_iter().map(|module| {
        let Factors { a, b, scale } = adapter.factors(&module.name)?;
        let numeric = Error::numeric(&module.name);
        let sum = LowRankSum::new(module.n_outputs, module.n_inputs).plus(scale, b.view(), a.view());
        let svd = sum.and_then(|s| s.svd()).map_err(numeric)?;
        Ok(ModuleSpectrum {
            module: module.name.clone(),
            rank: module.rank,
            shape: [module.n_outputs, module.n_inputs],
            scale,
            norm: svd.residual(0),
            singular_values: svd.singular_values().to_vec(),
        })
    });
    let config = adapter.config();
    Ok(AdapterReport {
        adapter: adapter.path().display().to_string(),
        r: config.r,
        lora_alpha: config.lora_alpha,
        use_rslora: config.use_rslora,
        task_type: config.task_type.clone(),
        heads: adapter.heads().to_vec(),
        warnings: adapter.warnings().to_vec(),
        modules: modules.collect::<Result<_>>()?,
    })
}

/// How the units of all adapters cluster, module by module, with weight 1 each.
///
/// # Errors
/// Those of [`Adapter::factors`], and [`Error::Numeric`] for adapters whose modules differ in shape.
pub fn unit_clusters(adapters: &[Adapter], seed: u64) -> Result<Vec<ModuleClusters>> {
    let mut names: Vec<&str> = adapters.iter().flat_map(|a| a.modules()).map(|m| m.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    let of = |name: &&str| -> Result<ModuleClusters> {
        let members: Vec<usize> =
            (0..adapters.len()).filter(|&i| adapters[i].module(name).is_some()).collect();
        let factors = members.iter().map(|&i| adapters[i].factors(name)).collect::<Result<Vec<_>>>()?;
        let k = factors.iter().map(|f| f.a.n_rows()).max().unwrap_or(0);
        let units = Units::new(factors.iter().map(|f| (f, 1.0)));
        let (labels, inertia, variance) =
            units.gram().and_then(|gram| group(&gram, k, 10, seed)).map_err(Error::numeric(name))?;
        let clusters = cluster_report(&units, &clusters(&labels), inertia, variance);
        Ok(ModuleClusters { module: name.to_string(), adapters: members, clusters })
    };
    names.par_iter().map(of).collect()
}
