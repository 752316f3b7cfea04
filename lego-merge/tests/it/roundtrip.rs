//! Reading what was written: values, configuration, unknown fields and bytes.

use lego_merge::adapter::{Adapter, AdapterConfig, TargetModules, Tensor};
use safetensors::SafeTensors;

use crate::adapters::{committed, random, updates};

#[test]
fn an_adapter_of_any_type_comes_back_with_its_configuration_and_unknown_fields() {
    let folder = tempfile::tempdir().expect("a folder");
    for (case, n) in [("plain", 2), ("halves", 3), ("ranks", 2), ("rslora", 2), ("partial", 2), ("conv1d", 2)]
    {
        for i in 0..n {
            let source = Adapter::read(committed(case, i)).expect("a committed adapter");
            let place = folder.path().join(format!("{case}-{i}"));
            source.write(&place, false).expect("writes");
            let back = Adapter::read(&place).expect("reads what it wrote");
            assert_eq!(back.config(), source.config(), "{case} {i}: the configuration");
            assert_eq!(back.modules(), source.modules(), "{case} {i}: modules, ranks and scales");
            assert_eq!(updates(&back), updates(&source), "{case} {i}: the values, exactly");
            assert_eq!(back.heads(), source.heads(), "{case} {i}: the heads");
            let json = |a: &std::path::Path| -> serde_json::Value {
                let text = std::fs::read(a.join("adapter_config.json")).expect("a configuration");
                serde_json::from_slice(&text).expect("JSON")
            };
            assert_eq!(json(&place), json(&committed(case, i)), "{case} {i}: every field of PEFT is kept");
        }
    }
}

#[test]
fn a_made_adapter_is_a_plain_safetensors_file_of_f32() {
    let mut config = AdapterConfig::new(2);
    config.target_modules = Some(TargetModules::Names(vec!["q".into()]));
    config.other.insert("a_field_of_tomorrow".into(), serde_json::json!({"x": [1, null]}));
    let source = random(1, 2, 2.0, &["layers.0.q", "layers.1.q"], [5, 3]);
    let factors = source.modules().iter().map(|m| {
        let f = source.factors(&m.name).expect("factors");
        (m.name.clone(), f.a, f.b)
    });
    let head = Tensor { shape: vec![3], values: vec![0.5, -0.25, 1.0] };
    let adapter = Adapter::from_parts("made", config, factors, [("score.bias".to_string(), head.clone())])
        .expect("a valid adapter");
    let folder = tempfile::tempdir().expect("a folder");
    let place = folder.path().join("made");
    adapter.write(&place, false).expect("writes");

    let bytes = std::fs::read(place.join("adapter_model.safetensors")).expect("a file");
    let (_, header) = SafeTensors::read_metadata(&bytes).expect("the reference reader takes it");
    let format = header.metadata().as_ref().and_then(|m| m.get("format").cloned());
    assert_eq!(format.as_deref(), Some("pt"), "PEFT asks for this");
    let file = SafeTensors::deserialize(&bytes).expect("the reference reader takes it");
    assert_eq!(file.len(), 5, "two factors of two modules and a head");
    assert!(file.iter().all(|(_, t)| t.dtype() == safetensors::Dtype::F32), "everything in f32");

    let back = Adapter::read(&place).expect("reads");
    assert_eq!(back.head("score.bias").expect("the head"), head, "the head's values");
    assert_eq!(back.config(), adapter.config(), "a field that nobody knows is kept");
    adapter.write(&place, true).expect("replaces");
    let again = std::fs::read(place.join("adapter_model.safetensors")).expect("a file");
    assert_eq!(again, bytes, "the same adapter gives the same bytes");
}
