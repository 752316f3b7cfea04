//! Comparing adapters pair by pair: cosines, angles between subspaces, and what one writes where another does.
//!
//! For the updates `ΔWᵢ = sᵢ·Bᵢ·Aᵢ` of one module:
//! - cosine `⟨ΔWᵢ, ΔWⱼ⟩ / (‖ΔWᵢ‖·‖ΔWⱼ‖)`;
//! - overlap of the column spaces (outputs, `B`) and of the row spaces (inputs, `A`): the mean squared cosine of the principal
//!   angles, 1 for equal spaces and about `r/d` for random ones; and the smallest angle;
//! - interference of `j` in `i`: `‖P_B·ΔWⱼ·P_A‖ / ‖ΔWᵢ‖`, with the projections onto the column and row spaces of `ΔWᵢ`: the part
//!   of `j` that a sum puts where `i` reads and writes;
//! - sign conflict: the share of the values, where neither is zero, at which the signs differ.
//!
//! All but the last from the Gram matrices of the stacked factors: `O(n²·(d_in + d_out))` a module, `n = Σ rᵢ`.

mod signs;

use std::ops::Range;

use grouping_core::low_rank::{Gram, Span, column_gram, norm_within, row_gram};
use rayon::prelude::*;
use serde::Serialize;

use crate::adapter::{Adapter, Factors, aligned};
use crate::inspect::{ModuleClusters, unit_clusters};
use crate::{Error, Result};

/// A value for each ordered pair of adapters; `None` where an update is zero or missing.
pub type PairTable = Vec<Vec<Option<f64>>>;

/// Adapters compared with each other.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Comparison {
    /// Their paths, in the order given.
    pub adapters: Vec<String>,
    /// Over all modules: cosines of the whole updates; overlaps as means over modules, angles as the least of all; the
    /// interference from the norms of all modules together; sign conflicts over all values.
    pub overall: Pairs,
    /// Module by module, by name; pairs count positions in [`ModuleComparison::members`].
    pub modules: Vec<ModuleComparison>,
    /// How the units of all adapters cluster in each module.
    pub clusters: Vec<ModuleClusters>,
}

/// One module of the adapters that have it.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct ModuleComparison {
    /// Full name.
    pub module: String,
    /// Adapters that have the module, by position.
    pub members: Vec<usize>,
    /// `‖ΔWᵢ‖_F` of each.
    pub norms: Vec<f64>,
    /// Its pairs.
    #[serde(flatten)]
    pub pairs: Pairs,
    #[serde(skip)]
    inner_products: Vec<Vec<f64>>,
    #[serde(skip)]
    sign_counts: Vec<(u64, u64)>,
}

/// Measures of all pairs.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Pairs {
    /// Cosine of the updates.
    pub cosine: PairTable,
    /// Mean squared cosine of the principal angles of the column spaces.
    pub column_overlap: PairTable,
    /// The same of the row spaces.
    pub row_overlap: PairTable,
    /// Smallest angle between the column spaces, in degrees.
    pub column_angle_deg: PairTable,
    /// Smallest angle between the row spaces, in degrees.
    pub row_angle_deg: PairTable,
    /// `[i][j]`: what `j` writes where `i` does, as a share of `‖ΔWᵢ‖`.
    pub interference: PairTable,
    /// Share of the values that are zero in neither at which the signs differ.
    pub sign_conflict: PairTable,
}

/// Compares adapters; the seed is that of the clustering.
///
/// # Errors
/// Those of [`Adapter::factors`], and [`Error::Numeric`] for modules that differ in shape.
///
/// ```
/// use grouping_core::matrix::Matrix;
/// use lego_merge::adapter::{Adapter, AdapterConfig};
/// use lego_merge::compare::compare;
///
/// let adapter = |label, value| {
///     let (a, b) = (Matrix::from_fn(2, 3, |i, j| (i + j) as f32), Matrix::from_fn(4, 2, |_, _| value));
///     Adapter::from_factors(label, AdapterConfig::new(2), [("layer.q".to_string(), a, b)])
/// };
/// let cosines = compare(&[adapter("x", 1.0)?, adapter("y", -2.0)?], 0)?.overall.cosine;
/// assert!(cosines[0][1].is_some_and(|cosine| (cosine + 1.0).abs() < 1e-6));
/// # Ok::<(), lego_merge::Error>(())
/// ```
pub fn compare(adapters: &[Adapter], seed: u64) -> Result<Comparison> {
    let adapters = &*aligned(adapters);
    let mut names: Vec<&str> = adapters.iter().flat_map(|a| a.modules()).map(|m| m.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    let modules = names.par_iter().map(|name| compare_module(adapters, name)).collect::<Result<Vec<_>>>()?;
    Ok(Comparison {
        adapters: adapters.iter().map(|a| a.path().display().to_string()).collect(),
        overall: overall(adapters.len(), &modules),
        modules,
        clusters: unit_clusters(adapters, seed)?,
    })
}

/// One adapter's part of a module's Gram matrices.
struct Member {
    units: Range<usize>,
    columns: Span,
    rows: Span,
}

fn compare_module(adapters: &[Adapter], name: &str) -> Result<ModuleComparison> {
    let members: Vec<usize> = (0..adapters.len()).filter(|&i| adapters[i].module(name).is_some()).collect();
    let factors = members.iter().map(|&i| adapters[i].factors(name)).collect::<Result<Vec<_>>>()?;
    compare_factors(name, members, &factors).map_err(Error::numeric(name))
}

fn compare_factors(
    name: &str,
    members: Vec<usize>,
    factors: &[Factors],
) -> grouping_core::Result<ModuleComparison> {
    let rows = row_gram(&factors.iter().map(|f| f.a.view()).collect::<Vec<_>>())?;
    let columns = column_gram(&factors.iter().map(|f| f.b.view()).collect::<Vec<_>>())?;
    let mut start = 0;
    let of = |f: &Factors| {
        let units = start..start + f.a.n_rows();
        start = units.end;
        let (columns, rows) = (Span::of(&columns, units.clone())?, Span::of(&rows, units.clone())?);
        Ok(Member { units, columns, rows })
    };
    let parts = factors.iter().map(of).collect::<grouping_core::Result<Vec<_>>>()?;
    let n = parts.len();
    let product = |i: usize, j: usize| {
        let scale = factors[i].scale * factors[j].scale;
        scale * inner_product(&columns, &rows, &parts[i].units, &parts[j].units)
    };
    let inner_products: Vec<Vec<f64>> = (0..n).map(|i| (0..n).map(|j| product(i, j)).collect()).collect();
    let norms: Vec<f64> = (0..n).map(|i| inner_products[i][i].max(0.0).sqrt()).collect();
    let mut pairs = Pairs::empty(n);
    for i in 0..n {
        for j in 0..n {
            let (one, other) = (&parts[i], &parts[j]);
            if norms[i] == 0.0 || norms[j] == 0.0 {
                continue;
            }
            pairs.cosine[i][j] = Some(inner_products[i][j] / (norms[i] * norms[j]));
            let column_cosines = one.columns.cosines(&other.columns, &columns)?;
            let row_cosines = one.rows.cosines(&other.rows, &rows)?;
            pairs.column_overlap[i][j] = mean_square(&column_cosines);
            pairs.row_overlap[i][j] = mean_square(&row_cosines);
            pairs.column_angle_deg[i][j] = column_cosines.first().map(|c| c.acos().to_degrees());
            pairs.row_angle_deg[i][j] = row_cosines.first().map(|c| c.acos().to_degrees());
            let within = norm_within((&one.columns, &columns), (&one.rows, &rows), other.units.clone());
            pairs.interference[i][j] = Some(factors[j].scale.abs() * within / norms[i]);
        }
    }
    let sign_counts = signs::count(factors);
    pairs.sign_conflict = signs::shares(&sign_counts, n);
    Ok(ModuleComparison { module: name.into(), members, norms, pairs, inner_products, sign_counts })
}

/// `⟨Bᵢ·Aᵢ, Bⱼ·Aⱼ⟩ = Σ (Bᵢᵀ·Bⱼ) ∘ (Aᵢ·Aⱼᵀ)`.
fn inner_product(columns: &Gram, rows: &Gram, i: &Range<usize>, j: &Range<usize>) -> f64 {
    let pairs = i.clone().flat_map(|p| j.clone().map(move |q| (p, q)));
    pairs.map(|(p, q)| columns.at(p, q) * rows.at(p, q)).sum()
}

fn mean_square(cosines: &[f64]) -> Option<f64> {
    let n = cosines.len() as f64;
    (n > 0.0).then(|| cosines.iter().map(|c| c * c).sum::<f64>() / n)
}

impl Pairs {
    fn empty(n: usize) -> Self {
        let table = || vec![vec![None; n]; n];
        Self {
            cosine: table(),
            column_overlap: table(),
            row_overlap: table(),
            column_angle_deg: table(),
            row_angle_deg: table(),
            interference: table(),
            sign_conflict: table(),
        }
    }
}

/// Pairs over all modules that both adapters have.
fn overall(n_adapters: usize, modules: &[ModuleComparison]) -> Pairs {
    let mut pairs = Pairs::empty(n_adapters);
    let mut counts = vec![(0, 0); n_adapters * n_adapters];
    for module in modules {
        let n = module.members.len();
        for (t, (both, differ)) in module.sign_counts.iter().enumerate() {
            let count = &mut counts[module.members[t / n] * n_adapters + module.members[t % n]];
            *count = (count.0 + both, count.1 + differ);
        }
    }
    pairs.sign_conflict = signs::shares(&counts, n_adapters);
    let place = |m: &ModuleComparison, adapter: usize| m.members.iter().position(|&i| i == adapter);
    for i in 0..n_adapters {
        for j in 0..n_adapters {
            let shared = || modules.iter().filter_map(move |m| Some((m, place(m, i)?, place(m, j)?)));
            // A cosine is of whole updates: modules that only one has count in the norms.
            let square = |a: usize| -> f64 {
                modules.iter().filter_map(|m| Some(m.norms[place(m, a)?].powi(2))).sum()
            };
            let norm = (square(i) * square(j)).sqrt();
            if norm == 0.0 {
                continue;
            }
            let product: f64 = shared().map(|(m, p, q)| m.inner_products[p][q]).sum();
            pairs.cosine[i][j] = Some(product / norm);
            let values =
                |table: fn(&Pairs) -> &PairTable| shared().filter_map(move |(m, p, q)| table(&m.pairs)[p][q]);
            let mean = |table: fn(&Pairs) -> &PairTable| {
                let (sum, count) = values(table).fold((0.0, 0.0), |(sum, count), v| (sum + v, count + 1.0));
                (count > 0.0).then(|| sum / count)
            };
            pairs.column_overlap[i][j] = mean(|p| &p.column_overlap);
            pairs.row_overlap[i][j] = mean(|p| &p.row_overlap);
            pairs.column_angle_deg[i][j] = values(|p| &p.column_angle_deg).reduce(f64::min);
            pairs.row_angle_deg[i][j] = values(|p| &p.row_angle_deg).reduce(f64::min);
            let within: f64 = shared()
                .filter_map(|(m, p, q)| Some((m.pairs.interference[p][q]? * m.norms[p]).powi(2)))
                .sum();
            pairs.interference[i][j] = Some((within / square(i)).sqrt());
        }
    }
    pairs
}
