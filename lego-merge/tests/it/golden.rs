//! Merged updates against PEFT and the third-party semantics of LEGO (`oracles/lego-merge/generate.py`).

use std::collections::BTreeMap;

use lego_merge::adapter::Adapter;
use lego_merge::merge::{
    Average, Cat, Density, Lego, Linear, MagnitudePrune, MajoritySign, MergeConfig, Norm, Reweighting, Svd,
    Ties, merge,
};
use safetensors::SafeTensors;
use serde::Deserialize;

use crate::adapters::{Dense, committed, data, updates, worst};

#[derive(Deserialize)]
struct Expectation {
    case: String,
    n_adapters: usize,
    method: String,
    weights: Vec<f64>,
    rank: Option<usize>,
    source: String,
    parameter: Option<bool>,
    output: Option<bool>,
    density: Option<f64>,
    majority: Option<String>,
}

impl Expectation {
    fn config(&self) -> MergeConfig {
        let switch = |on: Option<bool>| if on == Some(true) { Reweighting::On } else { Reweighting::Off };
        let lego = Lego::default()
            .with_norm(if self.parameter == Some(true) { Norm::Inf } else { Norm::None })
            .with_output_reweighting(switch(self.output));
        let density = || Density::new(self.density.expect("a density")).expect("a valid density");
        let majority = match self.majority.as_deref() {
            Some("frequency") => MajoritySign::Frequency,
            _ => MajoritySign::Total,
        };
        let config = match self.method.as_str() {
            "lego" => MergeConfig::new(lego),
            "linear" => MergeConfig::new(Linear),
            "cat" => MergeConfig::new(Cat),
            "svd" => MergeConfig::new(Svd),
            "average" => MergeConfig::new(Average),
            "ties" => MergeConfig::new(Ties::new(density()).with_majority_sign(majority)),
            "magnitude_prune" => MergeConfig::new(MagnitudePrune::new(density())),
            other => panic!("no method `{other}`"),
        };
        let config = config.with_weights(self.weights.clone());
        if let Some(rank) = self.rank { config.with_rank(rank) } else { config }
    }
}

/// Every expectation with its updates by module.
fn expectations() -> Vec<(Expectation, BTreeMap<String, Dense>)> {
    let text = std::fs::read_to_string(data().join("expected.json")).expect("the list of expectations");
    let list: Vec<Expectation> = serde_json::from_str(&text).expect("a list of expectations");
    let updates = updates_in("expected.safetensors", list.len());
    list.into_iter().zip(updates).collect()
}

/// The updates of a file of goldens, one map by module for each of `n` expectations.
pub(crate) fn updates_in(file: &str, n: usize) -> Vec<BTreeMap<String, Dense>> {
    let bytes = std::fs::read(data().join(file)).expect("the expected updates");
    let tensors = SafeTensors::deserialize(&bytes).expect("a safetensors file");
    let mut updates = vec![BTreeMap::new(); n];
    for (name, view) in tensors.iter() {
        let (index, module) = name.split_once('/').expect("index/module");
        let values =
            view.data().as_chunks::<4>().0.iter().map(|&b| f64::from(f32::from_le_bytes(b))).collect();
        updates[index.parse::<usize>().expect("an index")].insert(module.into(), values);
    }
    updates
}

fn check(methods: &[&str]) -> usize {
    let mut n_from_peft = 0;
    let mut seen = 0;
    for (expectation, expected) in expectations() {
        if !methods.contains(&expectation.method.as_str()) {
            continue;
        }
        seen += 1;
        n_from_peft += usize::from(expectation.source == "peft");
        let adapters: Vec<_> = (0..expectation.n_adapters)
            .map(|i| Adapter::read(committed(&expectation.case, i)).expect("a committed adapter"))
            .collect();
        let (merged, _) = merge(&adapters, &expectation.config(), |_| ()).expect("a merge");
        let worst = worst(&updates(&merged), &expected);
        let Expectation { case, method, weights, source, .. } = &expectation;
        assert!(
            worst <= 1e-5,
            "{case}, {method}, weights {weights:?}, against {source}: {worst:.2e} relative"
        );
    }
    assert!(seen > 0, "there are expectations of {methods:?}");
    n_from_peft
}

#[test]
fn linear_cat_and_svd_equal_peft_where_it_is_right_and_the_formula_elsewhere() {
    let n_from_peft = check(&["linear", "cat", "svd"]);
    assert!(n_from_peft >= 15, "only {n_from_peft} expectations come from PEFT itself");
}

#[test]
fn ties_and_magnitude_prune_equal_peft_where_it_is_right_and_the_formula_elsewhere() {
    let n_from_peft = check(&["ties", "magnitude_prune", "average"]);
    assert!(n_from_peft >= 20, "only {n_from_peft} expectations come from PEFT itself");
}

#[test]
fn lego_equals_the_third_party_semantics_with_each_reweighting() {
    check(&["lego"]);
}
