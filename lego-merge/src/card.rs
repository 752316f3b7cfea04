//! The card of a merged adapter: what it was merged from and how, as the README of a model on a hub.
//!
//! The front matter is that of a model card of the PEFT library: the base model, the library and tags.

use std::fmt::Write;

use crate::adapter::AdapterConfig;
use crate::merge::MethodSpec;
use crate::recipe::Recipe;

/// Name of the recipe beside a merged adapter.
pub(crate) const RECIPE_FILE: &str = "merge.json";

/// The card in Markdown; `config` is the merged adapter's, which names the base model.
pub(crate) fn card(recipe: &Recipe, config: &AdapterConfig) -> String {
    let mut text = String::from("---\n");
    let base = config.base_model_name_or_path.as_deref();
    if let Some(base) = base {
        // JSON's strings are YAML's, too.
        line(&mut text, format_args!("base_model: {}", serde_json::Value::from(base)));
    }
    text.push_str("library_name: peft\ntags:\n- lora\n- merge\n- lego-merge\n---\n\n# Merged adapter\n\n");
    let base = base.map_or_else(|| "an unnamed base model".into(), |base| format!("`{base}`"));
    line(
        &mut text,
        format_args!("A LoRA adapter for {base}, merged from {}:\n", count(recipe.adapters.len())),
    );
    text.push_str("| adapter | weight | SHA-256 |\n|---|---|---|\n");
    for (i, adapter) in recipe.adapters.iter().enumerate() {
        let name = adapter.path.file_name().unwrap_or(adapter.path.as_os_str()).to_string_lossy();
        let name = name.replace(char::is_control, " ");
        let of_method = recipe.merge.weights.as_ref().and_then(|weights| weights.get(i).copied());
        let weight = adapter.weight.or(of_method).unwrap_or(1.0);
        let hash = adapter.sha256.as_deref().map_or_else(|| "not taken".into(), |hash| format!("`{hash}`"));
        line(&mut text, format_args!("| {} | {weight} | {hash} |", name.replace('|', "\\|")));
    }
    line(&mut text, format_args!("\nModules are merged by {}.", method(&recipe.merge)));
    for modules in &recipe.modules {
        line(
            &mut text,
            format_args!("Those in whose names `{}` is found: {}.", modules.pattern, method(&modules.merge)),
        );
    }
    for (what, pattern) in [("Only", &recipe.include), ("No", &recipe.exclude)] {
        if let Some(pattern) = pattern {
            line(&mut text, format_args!("{what} modules in whose names `{pattern}` is found were merged."));
        }
    }
    line(
        &mut text,
        format_args!(
            "\nRank {}; every scale is 1. [`{RECIPE_FILE}`]({RECIPE_FILE}) holds all options:\n",
            config.r
        ),
    );
    text.push_str("```sh\nlego-merge recipe merge.json -o merged-again\n```\n");
    text
}

fn line(text: &mut String, words: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{words}");
}

fn count(n: usize) -> String {
    if n == 1 { "one adapter".into() } else { format!("{n} adapters") }
}

fn method(spec: &MethodSpec) -> String {
    let mut words = format!("`{}`", spec.method.as_str());
    if let Some(rank) = spec.rank {
        let _ = write!(words, ", rank {rank}");
    }
    if let Some(density) = spec.density {
        let _ = write!(words, ", density {density}");
    }
    if spec.lambda != 1.0 {
        let _ = write!(words, ", λ {}", spec.lambda);
    }
    let _ = write!(words, ", seed {}", spec.seed);
    words
}
