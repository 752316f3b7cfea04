//! `iscs-lic analyze`: tables, JSON and plots of latent channels, and what it refuses.

use std::path::Path;

use grouping_core::files::tensor_file::Dtype;
use image::{ImageBuffer, Rgb};
use serde_json::Value;

use crate::channels::{goldens, numbers};
use crate::commands::{answers, run};
use crate::recipe::{ARCHITECTURES, parameters, write};

/// A folder with a picture of 80×72 in `pictures`.
fn place() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(folder.path().join("pictures")).expect("a folder");
    let sample = |x: u32, y: u32| {
        Rgb([(3 * x + y) as u8, (2 * y) as u8, if (x + 2 * y) % 31 > 15 { 200 } else { 40 }])
    };
    for (name, shift) in [("a", 0), ("b", 9)] {
        let path = folder.path().join(format!("pictures/{name}.png"));
        ImageBuffer::from_fn(80, 72, |x, y| sample(x + shift, y)).save(path).expect("a file");
    }
    folder
}

fn json(place: &Path, line: &str) -> Value {
    let said = answers(place, line, 0, "{");
    serde_json::from_str(&said).unwrap_or_else(|e| panic!("{line}: {e}: {said}"))
}

#[test]
fn the_json_holds_what_the_library_finds() {
    let folder = tempfile::tempdir().expect("a folder");
    let golden = &goldens()["built_in"];
    for preset in ["literal", "entropy-head", "combined", "rank"] {
        let value = json(folder.path(), &format!("analyze --json --preset {preset}"));
        assert_eq!(value["architecture"], "mbt2018-mean", "{value}");
        assert_eq!((&value["m"], &value["core"]["size"]), (&64.into(), &16.into()), "{value}");
        assert_eq!(value["order"], golden["orders"][preset]["order"], "π by {preset}");
        assert_eq!(numbers(&value["scores"]).len(), 64, "scores by {preset}");
        assert_eq!(value["auxiliary"].as_array().map(Vec::len), Some(48), "the others");
        assert_eq!(value.get("ablation"), None, "none was asked for");
    }
    let value = json(folder.path(), "analyze --json --core mass=0.5 --redundant 0.3");
    let redundant =
        value["auxiliary"].as_array().expect("a list").iter().filter(|a| a["redundant"] == true).count();
    assert!(redundant > 0, "channels that correlate by 0.3 and more");
    let (mass, size) = (value["core"]["mass"].as_f64(), value["core"]["size"].as_u64());
    assert!(mass.is_some_and(|m| m >= 0.5) && size.is_some_and(|n| n < 16), "{}", value["core"]);
}

#[test]
fn every_architecture_is_analysed_or_refused_by_name() {
    let folder = tempfile::tempdir().expect("a folder");
    for name in ARCHITECTURES {
        let file = format!("{name}.safetensors");
        write(&folder.path().join(&file), &parameters(name), Dtype::F32);
        answers(folder.path(), &format!("analyze {file} --preset literal"), 0, name);
        let line = format!("analyze {file}");
        if name.starts_with("bmshj2018-factorized") {
            answers(folder.path(), &line, 2, &format!("--preset entropy-head: {name} has no entropy head"));
        } else {
            answers(folder.path(), &line, 0, "entropy-head");
        }
    }
}

#[test]
fn an_ablation_is_kept_and_drawn() {
    let folder = place();
    let place = folder.path();
    let line = "analyze --oracle --pictures pictures --crop 64 --limit 1 --json";
    let first = json(place, line);
    let ablation = &first["ablation"];
    assert_eq!(ablation["pictures"], 1, "{ablation}");
    for field in ["delta_mse", "bits"] {
        assert_eq!(numbers(&ablation[field]).len(), 64, "{field}");
    }
    let names: Vec<&str> = ablation["agreements"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|a| a["score"].as_str())
        .collect();
    for name in ["weight-variance", "literal", "entropy-head", "pink-noise", "energy", "bits"] {
        assert!(names.contains(&name), "{name} is among {names:?}");
    }
    let kept: Vec<_> = std::fs::read_dir(place)
        .expect("a folder")
        .filter_map(|e| e.ok()?.file_name().into_string().ok())
        .collect();
    let kept: Vec<_> = kept.iter().filter(|name| name.starts_with("ablation-")).collect();
    assert_eq!(kept.len(), 1, "the file that keeps it: {kept:?}");
    // What is kept is taken: a number that no ablation finds is found again.
    let file = place.join(kept[0]);
    let text = std::fs::read_to_string(&file).expect("the file");
    let growth = ablation["delta_mse"][3].to_string();
    assert!(text.contains(&growth), "{growth} in {text}");
    std::fs::write(&file, text.replacen(&growth, "12345.5", 1)).expect("writes");
    assert_eq!(json(place, line)["ablation"]["delta_mse"][3], 12345.5, "kept");
    let name = kept[0].as_str();
    let elsewhere =
        format!("analyze --preset oracle --pictures pictures/a.png --crop 64 --cache {name} --plot a.svg");
    let said = answers(place, &elsewhere, 0, "ΔMSE");
    assert!(said.contains("1.23e4"), "{said}");
    let svg = std::fs::read_to_string(place.join("a.svg")).expect("a plot");
    for words in ["score by rank", "correlations of kernels", "Spearman&apos;s ρ = 1.000"] {
        assert!(svg.contains(words) || svg.contains(&words.replace("&apos;", "'")), "{words} is drawn");
    }
    answers(place, "analyze --plot a.svg", 2, "a.svg: the output exists already; --force replaces it");
    answers(place, "analyze --plot a.svg --force --all", 0, "auxiliary");
    let svg = std::fs::read_to_string(place.join("a.svg")).expect("a plot");
    assert!(!svg.contains("Spearman"), "no ablation, no scatter");
    let other = "analyze --oracle --pictures pictures --crop 64 --limit 1 --cache other.json --preset energy";
    answers(place, other, 0, "energy");
    std::fs::copy(place.join("other.json"), place.join("copy.json")).expect("a copy");
    let wrong = "analyze --oracle --pictures pictures --crop 64 --cache copy.json";
    answers(place, wrong, 2, "copy.json: `pictures`: expected 2 of them, found 1");
}

#[test]
fn energy_and_noise_order_channels_too() {
    let folder = place();
    let place = folder.path();
    let [noise, same, other] = ["", " --seed 0", " --seed 1"]
        .map(|seed| json(place, &format!("analyze --preset pink-noise --json{seed}")));
    assert_eq!(noise["scores"], same["scores"], "the seed is 0");
    assert_ne!(noise["scores"], other["scores"], "another seed");
    assert!(numbers(&noise["scores"]).iter().all(|&v| v >= 0.0), "variances");
    let energy = json(place, "analyze --preset energy --pictures pictures --json");
    assert!(numbers(&energy["scores"]).iter().all(|&v| v >= 0.0), "variances");
}

#[test]
fn inputs_and_flags_that_do_not_fit_are_refused_by_name() {
    let folder = place();
    let place = folder.path();
    std::fs::write(place.join("text.pth"), "no checkpoint").expect("a file");
    std::fs::create_dir(place.join("empty")).expect("a folder");
    let whole = {
        let path = place.join("model.safetensors");
        write(&path, &parameters("mbt2018-mean"), Dtype::F32);
        std::fs::read(path).expect("a file")
    };
    std::fs::write(place.join("cut.safetensors"), &whole[..whole.len() / 2]).expect("a file");
    std::fs::write(place.join("kept.json"), "{}").expect("a file");
    for (line, words) in [
        ("analyze none.pth", "none.pth: cannot open"),
        ("analyze text.pth", "text.pth"),
        ("analyze cut.safetensors", "cut.safetensors"),
        ("analyze pictures", "pictures"),
        ("analyze --preset best", "entropy-head"),
        ("analyze --core half", "core: expected share=P, deviations=K or mass=P, found half"),
        ("analyze --core share=2", "a share above 0 and at most 1"),
        ("analyze --redundant 1.5", "expected a number from 0 to 1"),
        ("analyze --oracle", "--pictures: expected a folder with --oracle, found none"),
        ("analyze --preset energy", "--pictures: expected a folder with --preset energy, found none"),
        ("analyze --preset oracle", "--pictures: expected a folder with --preset oracle, found none"),
        (
            "analyze --pictures pictures",
            "--pictures: expected with --oracle, --preset oracle or --preset energy",
        ),
        ("analyze --crop 64", "--pictures"),
        ("analyze --limit 1", "--pictures"),
        ("analyze --cache c.json", "--pictures"),
        ("analyze --preset energy --pictures pictures --cache c.json", "--cache: expected with --oracle"),
        ("analyze --seed 1", "--seed: expected with --preset pink-noise or --oracle"),
        ("analyze --device flex", "--device: expected with a preset that runs networks"),
        ("analyze --as-stored", "--as-stored: expected with --oracle"),
        ("analyze --oracle --pictures empty", "empty: expected pictures, found none"),
        ("analyze --oracle --pictures text.pth", "text.pth"),
        (
            "analyze --oracle --pictures pictures --crop 73",
            "pictures/a.png: --crop: expected a part of 80×72 pixels",
        ),
        (
            "analyze --oracle --pictures pictures --cache kept.json",
            "kept.json: `content`: expected an ablation",
        ),
        ("analyze --plot plot.png", "plot.png: expected an output that ends in .svg"),
    ] {
        let (status, said) = run(place, line);
        assert_eq!(status, Some(2), "{line}: {said}");
        assert!(said.contains(words), "{line}: no `{words}` in {said}");
    }
}
