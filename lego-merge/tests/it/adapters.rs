//! Adapters for the tests: committed ones, random ones, and updates formed densely in `f64` to compare with.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use grouping_core::matrix::Matrix;
use lego_merge::adapter::{Adapter, AdapterConfig, Output};
use lego_merge::merge::{MergeConfig, MergeReport, Plan, merge_to};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// `[d_out, d_in]`, row-major.
pub(crate) type Dense = Vec<f64>;

/// Folder of the committed goldens.
pub(crate) fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data")
}

/// A committed adapter.
pub(crate) fn committed(case: &str, i: usize) -> PathBuf {
    data().join(case).join(format!("adapter-{i}"))
}

/// Folder of the real data, or `None` (and a line that says so) where it is not given.
pub(crate) fn real_data(test: &str) -> Option<PathBuf> {
    let found = std::env::var_os("GROUPING_DATA").map(PathBuf::from);
    if found.is_none() {
        // Past the capture of passing tests, so that it is seen and counted.
        let _ = std::io::Write::write_all(
            &mut std::io::stderr(),
            format!("skipped: {test} needs GROUPING_DATA\n").as_bytes(),
        );
    }
    found
}

/// A random adapter with one module `layers.0.q` of shape `[d_out, d_in]` for each name.
pub(crate) fn random(
    seed: u64,
    rank: usize,
    alpha: f64,
    modules: &[&str],
    [d_out, d_in]: [usize; 2],
) -> Adapter {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut matrix = |rows, cols| Matrix::from_fn(rows, cols, |_, _| rng.random_range(-1.0f32..1.0));
    let factors: Vec<_> =
        modules.iter().map(|name| (name.to_string(), matrix(rank, d_in), matrix(d_out, rank))).collect();
    let mut config = AdapterConfig::new(rank);
    config.lora_alpha = alpha;
    Adapter::from_factors(&format!("random {seed}"), config, factors).expect("a valid adapter")
}

/// Merges into a folder or file.
pub(crate) fn merge_out(
    adapters: &[Adapter],
    config: &MergeConfig,
    output: &Output,
) -> lego_merge::Result<MergeReport> {
    merge_to(&Plan::new(adapters, config)?, output, |_| ())
}

/// `s·B·A` of every module.
pub(crate) fn updates(adapter: &Adapter) -> BTreeMap<String, Dense> {
    let update = |name: &str| {
        let f = adapter.factors(name).expect("a module of the adapter");
        let (n_out, n_in, r) = (f.b.n_rows(), f.a.n_cols(), f.a.n_rows());
        let mut dense = vec![0.0; n_out * n_in];
        for i in 0..n_out {
            for t in 0..r {
                let b = f.scale * f64::from(f.b.view().row(i)[t]);
                for (sum, &a) in dense[i * n_in..(i + 1) * n_in].iter_mut().zip(f.a.view().row(t)) {
                    *sum += b * f64::from(a);
                }
            }
        }
        dense
    };
    adapter.modules().iter().map(|m| (m.name.clone(), update(&m.name))).collect()
}

/// `Σ wᵢ·sᵢ·Bᵢ·Aᵢ` of every module that any adapter has.
pub(crate) fn weighted_sum(adapters: &[Adapter], weights: &[f64]) -> BTreeMap<String, Dense> {
    let mut sums: BTreeMap<String, Dense> = BTreeMap::new();
    for (adapter, weight) in adapters.iter().zip(weights) {
        for (name, update) in updates(adapter) {
            let sum = sums.entry(name).or_insert_with(|| vec![0.0; update.len()]);
            sum.iter_mut().zip(update).for_each(|(s, v)| *s += weight * v);
        }
    }
    sums
}

/// `‖found − expected‖ / ‖expected‖` (plain norm of the difference when `expected` is zero).
pub(crate) fn relative(found: &[f64], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len(), "updates of one shape are compared");
    let norm = expected.iter().map(|v| v * v).sum::<f64>().sqrt();
    let difference = found.iter().zip(expected).map(|(f, e)| (f - e).powi(2)).sum::<f64>().sqrt();
    if norm > 0.0 { difference / norm } else { difference }
}

/// Largest relative difference over all modules, which must be the same.
pub(crate) fn worst(found: &BTreeMap<String, Dense>, expected: &BTreeMap<String, Dense>) -> f64 {
    assert!(found.keys().eq(expected.keys()), "modules {:?} against {:?}", found.keys(), expected.keys());
    found.iter().map(|(name, update)| relative(update, &expected[name])).fold(0.0, f64::max)
}
