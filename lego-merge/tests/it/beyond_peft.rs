//! Known answers where PEFT 0.21.2 (`add_weighted_adapter`) gives others: each by hand, from what each adapter adds alone.

use grouping_core::files::output::Existing;
use grouping_core::matrix::Matrix;
use lego_merge::adapter::{Adapter, AdapterConfig, ModuleKind, ModuleTensors, Output};
use lego_merge::merge::{Cat, Density, Lego, Linear, MergeConfig, Svd, TaskArithmetic, Ties, merge};

use crate::adapters::{merge_out, relative, updates};

fn matrix<const R: usize, const C: usize>(rows: [[f32; C]; R]) -> Matrix {
    Matrix::from_fn(R, C, |i, j| rows[i][j])
}

fn adapter(config: AdapterConfig, modules: Vec<(&str, Matrix, Matrix)>) -> Adapter {
    let modules = modules.into_iter().map(|(name, a, b)| (name.to_string(), a, b));
    Adapter::from_factors("made", config, modules).expect("an adapter")
}

fn config(r: usize, alpha: f64) -> AdapterConfig {
    AdapterConfig { lora_alpha: alpha, ..AdapterConfig::new(r) }
}

/// The merged update of each module, row-major.
fn expect(what: &str, adapters: &[Adapter], config: MergeConfig, expected: &[(&str, &[f64])]) {
    let (merged, _) = merge(adapters, &config, |_| ()).expect("a merge");
    let found = updates(&merged);
    assert_eq!(found.len(), expected.len(), "{what}: modules {:?}", found.keys());
    for (module, expected) in expected {
        let error = relative(&found[*module], expected);
        assert!(error < 1e-6, "{what}, {module}: {:?}, not {expected:?}", found[*module]);
    }
}

#[test]
fn rslora_sources_scale_by_the_root_of_their_rank() {
    // B·A = [4, 8] at the scale 8/√4, beside [1, 1] at the scale 3.
    let rows = [[1.0, 2.0]; 4];
    let rslora = AdapterConfig { use_rslora: true, ..config(4, 8.0) };
    let adapters = [
        adapter(rslora, vec![("q", matrix(rows), matrix([[1.0; 4]]))]),
        adapter(config(1, 3.0), vec![("q", matrix([[1.0, 1.0]]), matrix([[1.0]]))]),
    ];
    let weights = [0.5, 1.0];
    let expected: &[(&str, &[f64])] = &[("q", &[11.0, 19.0])];
    expect("cat", &adapters, MergeConfig::new(Cat).with_weights(weights), expected);
    expect("svd", &adapters, MergeConfig::new(Svd).with_weights(weights).with_rank(1), expected);
    let (merged, _) = merge(&adapters, &MergeConfig::new(Cat), |_| ()).expect("a merge");
    assert!(!merged.config().use_rslora, "the result is a plain adapter");
    assert!(merged.modules().iter().all(|m| m.scale == 1.0), "of scale 1");
}

#[test]
fn biases_are_added_with_the_scales_of_their_adapters() {
    let with_bias = |alpha: f64, bias: Vec<f32>| {
        let config = AdapterConfig { lora_bias: Some(true), ..config(1, alpha) };
        let module = ModuleTensors {
            name: "q".into(),
            kind: ModuleKind::Linear,
            a: matrix([[1.0, 0.0]]),
            b: matrix([[1.0], [1.0]]),
            bias: Some(bias),
        };
        Adapter::from_modules("made", config, [module], []).expect("an adapter")
    };
    let adapters = [with_bias(2.0, vec![1.0, 2.0]), with_bias(1.0, vec![3.0, 4.0])];
    for (name, config) in [("cat", MergeConfig::new(Cat)), ("lego", MergeConfig::new(Lego::default()))] {
        let (merged, _) = merge(&adapters, &config.with_weights([0.5, -1.0]), |_| ()).expect("a merge");
        let bias = merged.bias("q").expect("decodes");
        assert_eq!(bias, Some(vec![-2.0, -2.0]), "{name}: ½·2·[1, 2] − [3, 4]");
    }
}

#[test]
fn each_module_has_the_scale_of_its_own_rank_and_alpha() {
    // q has rank 2 and α 4; v rank 1 and α 4; k rank 2 and α 10.
    let mut patterns = config(2, 4.0);
    patterns.rank_pattern.insert("v".into(), 1);
    patterns.alpha_pattern.insert("k".into(), 10.0);
    let two = || (matrix([[1.0, 0.0], [0.0, 3.0]]), matrix([[1.0, 0.0], [0.0, 1.0]]));
    let one = adapter(
        patterns,
        vec![("q", two().0, two().1), ("v", matrix([[1.0, 2.0]]), matrix([[1.0]])), ("k", two().0, two().1)],
    );
    let expected: &[(&str, &[f64])] =
        &[("q", &[2.0, 0.0, 0.0, 6.0]), ("v", &[4.0, 8.0]), ("k", &[5.0, 0.0, 0.0, 15.0])];
    let all = || Ties::new(Density::new(1.0).expect("a density"));
    let single = std::slice::from_ref(&one);
    expect("linear", single, MergeConfig::new(Linear), expected);
    expect("ties", single, MergeConfig::new(all()), expected);
    // With itself at weight ½: A and B are each 2·√(s/2) times themselves, their product twice the update.
    let halves = [one.clone(), one.clone()];
    let twice = expected.iter().map(|(name, values)| (*name, values.iter().map(|v| 2.0 * v).collect()));
    let twice: Vec<(&str, Vec<f64>)> = twice.collect();
    let twice: Vec<(&str, &[f64])> = twice.iter().map(|(name, values)| (*name, values.as_slice())).collect();
    expect("linear of two", &halves, MergeConfig::new(Linear).with_weights([0.5, 0.5]), &twice);
}

#[test]
fn smaller_factors_are_padded_with_zeros() {
    let adapters = [
        adapter(config(1, 1.0), vec![("q", matrix([[1.0, 0.0]]), matrix([[1.0], [0.0]]))]),
        adapter(
            config(2, 2.0),
            vec![("q", matrix([[0.0, 1.0], [1.0, 1.0]]), matrix([[0.0, 1.0], [1.0, 0.0]]))],
        ),
    ];
    // A = [1 1; 1 1] and B = [1 1; 1 0].
    expect("linear", &adapters, MergeConfig::new(Linear), &[("q", &[2.0, 2.0, 1.0, 1.0])]);
    // [1 0; 0 0] + [1 1; 0 1].
    expect("cat", &adapters, MergeConfig::new(Cat), &[("q", &[2.0, 1.0, 0.0, 1.0])]);
}

#[test]
fn a_single_adapter_gets_the_rank_that_is_asked_for() {
    let rows = || (matrix([[3.0, 0.0], [0.0, 1.0]]), matrix([[1.0, 0.0], [0.0, 1.0]]));
    let one = [adapter(config(2, 2.0), vec![("q", rows().0, rows().1)])];
    let largest: &[(&str, &[f64])] = &[("q", &[3.0, 0.0, 0.0, 0.0])];
    expect("svd", &one, MergeConfig::new(Svd).with_rank(1), largest);
    expect("task-arithmetic", &one, MergeConfig::new(TaskArithmetic).with_rank(1), largest);
    let (merged, _) = merge(&one, &MergeConfig::new(Lego::default()).with_rank(1), |_| ()).expect("a merge");
    assert_eq!((merged.config().r, merged.modules()[0].rank), (1, 1), "lego: the rank of file and module");
}

#[test]
fn adapters_of_different_layers_merge_to_all_their_layers() {
    let folder = tempfile::tempdir().expect("a folder");
    let of_layer = |layer: usize| {
        let mut config = config(1, 1.0);
        config.other.insert("layers_to_transform".into(), serde_json::json!([layer]));
        config.other.insert("layers_pattern".into(), "layers".into());
        config.target_modules = Some(lego_merge::adapter::TargetModules::Names(vec!["q".into()]));
        let value = (layer + 1) as f32;
        let name = format!("model.layers.{layer}.q");
        let made = adapter(config, vec![(name.as_str(), matrix([[value, 0.0]]), matrix([[1.0]]))]);
        let place = folder.path().join(layer.to_string());
        made.write(&place, false).expect("writes");
        Adapter::read(&place).expect("reads what it wrote")
    };
    let adapters = [of_layer(0), of_layer(2)];
    let out = folder.path().join("out");
    for (i, config) in [MergeConfig::new(Cat), MergeConfig::new(Linear), MergeConfig::new(Lego::default())]
        .into_iter()
        .enumerate()
    {
        merge_out(&adapters, &config, &Output::new(&out).with_existing(Existing::Replace)).expect("a merge");
        let merged = Adapter::read(&out).expect("an adapter");
        let found = updates(&merged);
        let expected = [("model.layers.0.q", [1.0, 0.0]), ("model.layers.2.q", [3.0, 0.0])];
        let expected = expected.into_iter().map(|(name, update)| (name.to_string(), update.to_vec()));
        assert_eq!(found, expected.collect(), "method {i}: the layers of both");
        let text = std::fs::read_to_string(out.join("adapter_config.json")).expect("the configuration");
        let written: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        for field in ["layers_to_transform", "layers_pattern"] {
            assert!(written[field].is_null(), "method {i}: no restriction to the first one's: {text}");
        }
        // By their end alone, layer 1 would be a target, too.
        let names = serde_json::json!(["model.layers.0.q", "model.layers.2.q"]);
        assert_eq!(written["target_modules"], names, "method {i}: full names");
    }
}
