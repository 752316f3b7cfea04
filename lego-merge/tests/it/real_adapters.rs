//! Two real adapters of GPT-2 by different authors, merged by every method.

use lego_merge::adapter::{Adapter, Output};
use lego_merge::merge::{Cat, Lego, Linear, MergeConfig, MergeMethod, Svd};

use crate::adapters::{merge_out, real_data};

fn methods() -> [Box<dyn Fn() -> MergeConfig>; 4] {
    fn of(method: impl MergeMethod + Clone + 'static) -> Box<dyn Fn() -> MergeConfig> {
        Box::new(move || MergeConfig::new(method.clone()).with_weights([0.5, 0.5]))
    }
    [of(Lego::default()), of(Linear), of(Cat), of(Svd)]
}

#[test]
fn gpt2_adapters_with_different_modules_alpha_and_a_head_merge_by_every_method() {
    let Some(data) = real_data("gpt2_adapters_with_different_modules_alpha_and_a_head_merge_by_every_method")
    else {
        return;
    };
    let read = |name: &str| Adapter::read(data.join("lora").join(name)).expect("a real adapter");
    let adapters = [read("peft-gpt2-seqcls"), read("peft-gpt2-causal")];
    let warned = adapters[0].warnings().iter().any(|w| w.contains("`score`"));
    assert!(warned, "the head that modules_to_save does not list is named: {:?}", adapters[0].warnings());
    let folder = tempfile::tempdir().expect("a folder");
    for (i, config) in methods().iter().enumerate() {
        let out = folder.path().join(i.to_string());
        let report = merge_out(&adapters, &config(), &Output::new(&out)).expect("a merge");
        let merged = Adapter::read(&out).expect("the output is an adapter");
        let method = &report.method;
        assert_eq!(merged.modules().len(), 36, "{method}: c_attn and both c_proj of 12 layers");
        assert_eq!(merged.heads(), ["score.weight"], "{method}: the head is carried");
        assert_eq!(merged.config().task_type.as_deref(), Some("SEQ_CLS"), "{method}: the head owner's task");
        let saved = merged.config().modules_to_save.clone();
        assert_eq!(saved, Some(vec!["score".to_string()]), "{method}: the head is listed");
        assert!(merged.config().fan_in_fan_out, "{method}: GPT-2's layout is kept");
        let head = |a: &Adapter| a.head("score.weight").expect("the head");
        assert_eq!(head(&merged), head(&adapters[0]), "{method}: the head is unchanged");
        assert!(merged.warnings().is_empty(), "{method}: lists and file agree: {:?}", merged.warnings());
        if method == "cat" {
            let error = report.relative_distance();
            assert!(error <= 1e-5, "cat is the weighted sum: {error:.2e}");
        }
    }
}

#[test]
fn a_real_adapter_whose_lists_differ_from_its_file_is_read_by_the_file() {
    let Some(data) = real_data("a_real_adapter_whose_lists_differ_from_its_file_is_read_by_the_file") else {
        return;
    };
    let adapter = Adapter::read(data.join("lora/peft-distilbert-imdb")).expect("a real adapter");
    let heads = ["classifier.bias", "classifier.weight", "pre_classifier.bias", "pre_classifier.weight"];
    assert_eq!(adapter.heads(), heads, "the heads are those of the file");
    let warnings = adapter.warnings().join("\n");
    for name in ["`score`", "`pre_classifier`"] {
        assert!(warnings.contains(name), "{name} is named in the warnings: {warnings}");
    }
}
