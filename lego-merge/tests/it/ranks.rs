//! Ranks that modules find by themselves: known answers, and how they are written.

use grouping_core::matrix::Matrix;
use lego_merge::adapter::{Adapter, AdapterConfig, Output};
use lego_merge::merge::{Lego, MergeConfig, RankRule, Svd, TaskArithmetic, merge};

use crate::adapters::{merge_out, random};

/// A module whose update has these singular values.
fn module(name: &str, values: &[f32]) -> (String, Matrix, Matrix) {
    let n = values.len();
    let a = Matrix::from_fn(n, 8, |i, j| if i == j { values[i] } else { 0.0 });
    (name.into(), a, Matrix::from_fn(9, n, |i, j| if i == 8 - j { 1.0 } else { 0.0 }))
}

fn adapter(modules: Vec<(String, Matrix, Matrix)>) -> Adapter {
    let mut config = AdapterConfig::new(4);
    for (name, a, _) in &modules {
        config.rank_pattern.insert(name.clone(), a.n_rows());
        config.alpha_pattern.insert(name.clone(), a.n_rows() as f64);
    }
    Adapter::from_factors("known", config, modules).expect("an adapter")
}

fn found(adapters: &[Adapter], config: MergeConfig, rule: &str) -> Vec<usize> {
    let rule: RankRule = rule.parse().expect("a rule");
    let (merged, report) = merge(adapters, &config.with_rank(rule), |_| ()).expect("a merge");
    let ranks: Vec<usize> = merged.modules().iter().map(|m| m.rank).collect();
    assert_eq!(report.modules.iter().map(|m| m.rank).collect::<Vec<_>>(), ranks, "the report's ranks");
    ranks
}

#[test]
fn energy_and_ratio_find_known_ranks() {
    // Squares: 16 4 1 0; 1 1 1 1; 25.
    let modules = || {
        vec![
            module("layers.0.q", &[4.0, 2.0, 1.0, 0.0]),
            module("layers.1.q", &[1.0, -1.0, 1.0, 1.0]),
            module("layers.2.q", &[5.0]),
        ]
    };
    let one = [adapter(modules())];
    for (rule, expected) in [
        ("energy:0.5", [1, 2, 1]),
        ("energy:0.76", [1, 4, 1]),
        ("energy:0.94", [2, 4, 1]),
        ("energy:0.96", [3, 4, 1]),
        ("energy:1", [3, 4, 1]),
        ("ratio:1", [1, 4, 1]),
        ("ratio:0.4", [2, 4, 1]),
        ("ratio:0.01", [3, 4, 1]),
        ("3", [3, 3, 1]),
    ] {
        assert_eq!(found(&one, MergeConfig::new(Svd), rule), expected, "{rule}");
        assert_eq!(found(&one, MergeConfig::new(Lego::default()), rule), expected, "{rule} with lego");
        assert_eq!(found(&one, MergeConfig::new(TaskArithmetic), rule), expected, "{rule}, task arithmetic");
    }
    // Equal updates add to the same ranks, opposite ones to nothing, which still has one.
    let two = [adapter(modules()), adapter(modules())];
    assert_eq!(found(&two, MergeConfig::new(Svd), "energy:1"), [3, 4, 1], "twice the same");
    let none = MergeConfig::new(Svd).with_weights([1.0, -1.0]);
    assert_eq!(found(&two, none, "energy:0.5"), [1, 1, 1], "nothing has rank 1");
}

#[test]
fn auto_finds_planted_numbers_of_groups() {
    // 7 adapters of rank 8 whose units gather around as many directions as the module's name says.
    let groups = [3usize, 8, 20];
    let adapters: Vec<Adapter> = (0..7)
        .map(|i| {
            let modules = groups.map(|k| {
                let noise = |s: usize| ((s * 2_654_435_761) % 1013) as f32 / 1013.0 - 0.5;
                let value = |unit: usize, j: usize, side: usize| {
                    let group = (8 * i + unit) % k;
                    noise(group * 977 + j * 31 + side * 7919 + 11)
                        + 0.05 * noise((8 * i + unit) * 613 + j * 17 + side)
                };
                let (a, b) = (
                    Matrix::from_fn(8, 64, |u, j| value(u, j, 0)),
                    Matrix::from_fn(48, 8, |j, u| value(u, j, 1)),
                );
                (format!("groups.{k:02}"), a, b)
            });
            Adapter::from_factors("planted", AdapterConfig::new(8), modules).expect("an adapter")
        })
        .collect();
    assert_eq!(found(&adapters, MergeConfig::new(Lego::default()), "auto"), groups, "as many as planted");
    let pair = [adapter(vec![module("layers.0.q", &[4.0, 2.0])])];
    assert_eq!(found(&pair, MergeConfig::new(Svd), "auto"), [1], "two units have no clusters to compare");
}

#[test]
fn ranks_are_written_by_full_names_as_they_are() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("merged");
    let names = ["model.layers.0.self_attn.q_proj", "model.layers.1.self_attn.q_proj"];
    let one = [adapter(vec![module(names[0], &[4.0, 2.0, 1.0]), module(names[1], &[1.0, 1.0, 1.0])])];
    let config = MergeConfig::new(Svd).with_rank(RankRule::Energy(0.9));
    merge_out(&one, &config, &Output::new(&out)).expect("a merge");
    let text = std::fs::read_to_string(out.join("adapter_config.json")).expect("the configuration");
    let written: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(written["r"], 3, "the largest rank");
    let smaller = serde_json::json!({names[0]: 2});
    assert_eq!(written["rank_pattern"], smaller, "one smaller module, by its full name, nothing escaped");
    assert_eq!(written["alpha_pattern"], smaller, "and its α, for a scale of 1");
    let read = Adapter::read(&out).expect("the adapter");
    assert_eq!(read.modules().iter().map(|m| m.rank).collect::<Vec<_>>(), [2, 3], "read back");
    assert!(read.modules().iter().all(|m| m.scale == 1.0), "scales of 1");
}

#[test]
fn the_order_of_adapters_does_not_change_the_ranks() {
    let of = |seeds: [u64; 2]| seeds.map(|seed| random(seed, 5, 5.0, &["layers.0.q"], [9, 7]));
    let (one, other) = (of([1, 2]), of([2, 1]));
    for rule in ["energy:0.8", "ratio:0.3"] {
        let ranks = |adapters: &[Adapter]| found(adapters, MergeConfig::new(Svd), rule);
        assert_eq!(ranks(&one), ranks(&other), "{rule}");
    }
}
