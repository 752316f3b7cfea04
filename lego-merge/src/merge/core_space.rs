//! Core Space (Panariello et al., arXiv 2509.17786): merge the updates in the common bases of all `Bᵢ` and of all `Aᵢ`.
//!
//! `[B₁ … B_N] = U·S_b·Yᵀ`, `[A₁ ; … ; A_N] = Z·S_a·Vᵀ`; the cores `Mᵢ = Uᵀ·wᵢ·sᵢ·Bᵢ·Aᵢ·V`, at most `n × n`, hold the updates
//! without loss. They are merged entry by entry ([`Entrywise`]) or by [`super::Tsv`] into `M`, and `ΔW = U·M·Vᵀ`, of rank
//! `n = Σ rᵢ` at most, truncated where a rank is given.
//!
//! Factored: the bases come from the Gram matrices and SVDs of `n × n` coordinates, so that the merge itself is free of `d`.
//! Cost: the Gram matrices and `2·(d_in + d_out)·n²` flops for the result.
//! With [`super::Tsv`] inside, the result is that of `tsv` on the updates themselves, because the bases are orthonormal.
//! It loses where bases of the stacked factors say little: they are those of the raw `Aᵢ` and `Bᵢ`, however small their
//! product.
//!
//! Deviations: directions of singular value below 1e-6 of the largest are left out (the released code keeps `n`, arbitrary
//! ones among them where factors depend on each other); weights multiply the updates, where it has one factor for all,
//! here λ; the paper's isotropic variant is left out; those of [`Entrywise`].

use faer::Mat;
use grouping_core::Result;
use grouping_core::low_rank::{Basis, Gram};

use super::in_span::{decompose, in_span};
use super::{Entrywise, MergeMethod, MergedModule, MethodInfo, ModuleSources, ResultRank, Tsv};

/// Singular values of at most this share of the largest are noise of the factors' `f32`.
const LEAST_SHARE: f64 = 1e-6;

/// The entry of the table of methods.
pub(super) static CORE_SPACE: MethodInfo = MethodInfo {
    name: "core-space",
    help: "Core Space: `inner` on the updates' cores between common bases of all factors",
    loses: "where what is large in the factors is not what is large in their product",
    rank: ResultRank::ChosenOrAllUnits,
    options: &["density", "inner"],
    build: |spec| Ok(Box::new(CoreSpace { inner: spec.entrywise()? })),
};

/// The method `core-space`.
#[derive(Debug, Clone, Copy)]
pub struct CoreSpace {
    /// `None` is TSV.
    inner: Option<Entrywise>,
}

impl CoreSpace {
    /// Merges the cores by `inner`.
    pub fn new(inner: Entrywise) -> Self {
        Self { inner: Some(inner) }
    }

    /// Merges the cores by their task singular vectors.
    pub fn tsv() -> Self {
        Self { inner: None }
    }
}

impl MergeMethod for CoreSpace {
    fn info(&self) -> &'static MethodInfo {
        &CORE_SPACE
    }

    fn merge(&self, module: &ModuleSources<'_>) -> Result<MergedModule> {
        let Some(inner) = self.inner else {
            // The cores' singular vectors are those of the updates, seen from the bases.
            return Tsv.merge(module);
        };
        let grams = module.grams()?;
        let (b, a) = (Reference::of(&grams.left)?, Reference::of(&grams.right)?);
        let (p, q) = (b.coordinates.nrows(), a.coordinates.nrows());
        let core_of = |(scale, place): (f64, std::ops::Range<usize>)| {
            let own = |r: &Reference| r.coordinates.subcols(place.start, place.len()).to_owned();
            faer::Scale(scale) * (own(&b) * own(&a).transpose())
        };
        let merged = match inner {
            Entrywise::Sum => module.terms().map(core_of).fold(Mat::zeros(p, q), |sum, core| sum + core),
            inner => {
                let flat = |core: Mat<f64>| (0..p * q).map(|t| core[(t / q, t % q)] as f32).collect();
                let values = inner.merge(module.terms().map(core_of).map(flat).collect(), module.seed);
                Mat::from_fn(p, q, |i, j| f64::from(values[i * q + j]))
            }
        };
        in_span(module, b.combination, merged * a.combination.transpose())
    }
}

/// Singular vectors of stacked units: the units' coordinates in them, `[p, n]`, and their combination, `[n, p]`.
struct Reference {
    coordinates: Mat<f64>,
    combination: Mat<f64>,
}

impl Reference {
    fn of(gram: &Gram) -> Result<Self> {
        let basis = Basis::of(gram)?;
        let decomposed = decompose(basis.coordinates.as_ref())?;
        let vectors = decomposed.u.subcols(0, decomposed.n_above(LEAST_SHARE));
        Ok(Self {
            coordinates: vectors.transpose() * &basis.coordinates,
            combination: &basis.combination * vectors,
        })
    }
}
