//! Merged factors of LEGO from given first centroids, against two other codes (`oracles/lego-merge/lego.py`).

use grouping_core::cluster::{Init, Symmetry};
use grouping_core::matrix::Matrix;
use lego_merge::adapter::{Adapter, AdapterConfig};
use lego_merge::merge::{Features, Gauge, Lego, MergeConfig, Norm, Preset, RefRank, Reweighting, merge};
use safetensors::SafeTensors;
use serde::Deserialize;

use crate::adapters::{committed, data};

#[derive(Debug, Deserialize)]
struct Expectation {
    case: String,
    module: String,
    start: Vec<usize>,
    code: String,
    features: Option<Features>,
    norm: Option<Norm>,
    parameter: Option<bool>,
    output: bool,
    ref_rank: Option<usize>,
    gauge: Option<Gauge>,
    #[serde(default)]
    antipodal: bool,
}

impl Expectation {
    /// The one module of each adapter; for the antipodal symmetry with every second unit negated, for SMoEA at one scale.
    fn sources(&self) -> Vec<Adapter> {
        let folders = (0..).map(|i| committed(&self.case, i)).take_while(|folder| folder.exists());
        let source = |folder| {
            let adapter = Adapter::read(folder).expect("a committed adapter");
            let factors = adapter.factors(&self.module).expect("a committed module");
            let sign = |i: usize| if self.antipodal && i % 2 == 1 { -1.0 } else { 1.0 };
            let (a, b) = (factors.a.view(), factors.b.view());
            let rank = a.n_rows();
            let a = Matrix::from_fn(rank, a.n_cols(), |i, j| sign(i) * a.row(i)[j]);
            let b = Matrix::from_fn(b.n_rows(), rank, |i, j| sign(j) * b.row(i)[j]);
            let mut config = AdapterConfig::new(rank);
            let scale = if self.code == "smoea" { 2.0 } else { factors.scale };
            config.lora_alpha = scale * rank as f64;
            Adapter::from_factors("source", config, [(self.module.clone(), a, b)]).expect("an adapter")
        };
        folders.map(source).collect()
    }

    fn method(&self) -> Lego {
        let lego = match self.code.as_str() {
            "smoea" => Lego::preset(Preset::Smoea)
                .with_ref_rank(RefRank::Rank(self.ref_rank.expect("SMoEA's reference rank"))),
            "nsc" => Lego::preset(Preset::Nsc),
            _ => Lego::default()
                .with_features(self.features.expect("features"))
                .with_gauge(self.gauge.unwrap_or_default())
                .with_norm(self.norm.unwrap_or(Norm::None))
                .with_symmetry(if self.antipodal { Symmetry::Antipodal } else { Symmetry::None }),
        };
        let lego = if self.parameter == Some(false) { lego.with_norm(Norm::None) } else { lego };
        let output = if self.output { Reweighting::On } else { Reweighting::Off };
        lego.with_output_reweighting(output).with_init(Init::Points(self.start.clone()))
    }
}

fn assert_near(found: &Matrix, expected: &[f32], what: &str) {
    let peak = expected.iter().fold(0f32, |m, v| m.max(v.abs()));
    assert_eq!(found.values().len(), expected.len(), "{what}: number of values");
    for (i, (f, e)) in found.values().iter().zip(expected).enumerate() {
        assert!((f - e).abs() <= 1e-6 * peak, "{what}, value {i}: {f} instead of {e}");
    }
}

#[test]
fn factors_equal_other_codes_for_the_same_first_centroids() {
    let text = std::fs::read_to_string(data().join("lego.json")).expect("the list of expectations");
    let list: Vec<Expectation> = serde_json::from_str(&text).expect("a list of expectations");
    let bytes = std::fs::read(data().join("lego.safetensors")).expect("the expected factors");
    let tensors = SafeTensors::deserialize(&bytes).expect("a safetensors file");
    for code in ["general", "smoea", "nsc"] {
        assert!(list.iter().filter(|e| e.code == code).count() >= 16, "expectations of {code}");
    }
    for (index, expectation) in list.iter().enumerate() {
        let values = |side: &str| -> Vec<f32> {
            let tensor = tensors.tensor(&format!("{index}/{side}")).expect("an expected factor");
            tensor.data().as_chunks::<4>().0.iter().map(|&b| f32::from_le_bytes(b)).collect()
        };
        let config = MergeConfig::new(expectation.method()).with_rank(expectation.start.len());
        let (merged, _) = merge(&expectation.sources(), &config, |_| ()).expect("a merge");
        let factors = merged.factors(&expectation.module).expect("the module");
        assert_near(&factors.a, &values("a"), &format!("A of {expectation:?}"));
        assert_near(&factors.b, &values("b"), &format!("B of {expectation:?}"));
    }
}

#[test]
fn presets_have_the_defaults_of_their_codes() {
    let adapters: Vec<Adapter> =
        (0..3).map(|i| Adapter::read(committed("halves", i)).expect("a committed adapter")).collect();
    let norm = |adapters: &[Adapter], lego: Lego, rank: usize| {
        let (_, report) = merge(adapters, &MergeConfig::new(lego).with_rank(rank), |_| ()).expect("a merge");
        report.modules[0].norm
    };
    let with = |reference| norm(&adapters, Lego::preset(Preset::Smoea).with_ref_rank(reference), 3);
    let plain = norm(&adapters, Lego::preset(Preset::Smoea), 3);
    assert_eq!(plain, with(RefRank::Rank(8)), "reference rank 8");
    let ratio = with(RefRank::Rank(8)) / with(RefRank::Mean);
    assert!((ratio - 2f64.sqrt()).abs() < 1e-6, "√(8/3) over √(4/3), not {ratio}");
    // Four clusters of four units: the units themselves, of scale 8/4, which one of the codes leaves out.
    let whole = |lego| norm(&adapters[..1], lego, 4);
    let ratio = whole(Lego::default()) / whole(Lego::preset(Preset::Nsc));
    assert!((ratio - 2.0).abs() < 1e-6, "α/r is left out by nsc: {ratio}");
}
