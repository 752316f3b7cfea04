//! The real vision transformer of CIFAR-10 against torch (golden of `oracles/kd-gqa/cifar10.py`): logits, and what it gets right.

use std::collections::BTreeMap;
use std::ffi::OsStr;

use burn::tensor::Device;
use grouping_core::image::{ImageFolder, LabelledImage, Preparation};
use kd_gqa::checkpoint::Checkpoint;
use kd_gqa::evaluate::{batch_tensor, evaluate};
use kd_gqa::vit::{Vit, read_vit};
use serde::Deserialize;

use crate::attention::{assert_close, floats, waves};
use crate::data::{lab, real};

#[derive(Deserialize)]
struct Golden {
    waves: Vec<Vec<f64>>,
    logits: BTreeMap<String, Vec<f64>>,
    n_per_class: usize,
    classes: String,
    hits: usize,
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("../data/cifar10.json")).expect("the golden file parses")
}

/// The model, where the data are there.
fn model(test: &str) -> Option<Vit> {
    let path = real(test, "models/vit_cifar10.pth")?;
    let checkpoint = Checkpoint::open_with_heads(path, Some(8)).expect("a checkpoint");
    Some(read_vit(&checkpoint, &Device::flex()).expect("a model"))
}

fn preparation() -> Preparation {
    Preparation::new(32).with_normalisation([0.4914, 0.4822, 0.4465], [0.2023, 0.1994, 0.2010])
}

#[test]
fn logits_of_the_real_model_are_torchs() {
    let Some(vit) = model("logits_of_the_real_model_are_torchs") else { return };
    let logits = vit.forward(waves([2, 3, 32, 32], 1, &Device::flex())).expect("images of its size");
    assert_close("logits", &floats(logits), &golden().waves.concat(), 1e-4);
}

#[test]
fn the_real_model_gets_right_what_it_does_in_torch() {
    let test = "the_real_model_gets_right_what_it_does_in_torch";
    let (Some(vit), Some(_)) = (model(test), real(test, "cifar10-jpeg.tar.gz")) else { return };
    let (golden, device) = (golden(), Device::flex());
    let folder = tempfile::tempdir().expect("a folder");
    let bed = folder.path().join("bed");
    let n_images = (10 * golden.n_per_class).to_string();
    let words = ["bed", "cifar10", "--calibration", "0", "--validation", "0", "--test", &n_images, "--out"];
    lab(words.map(OsStr::new).into_iter().chain([bed.as_os_str()]));

    let image = |name: &String| LabelledImage { path: bed.join(name), class: 0 };
    let shown: Vec<LabelledImage> = golden.logits.keys().map(image).collect();
    let logits = vit.forward(batch_tensor(&shown, &preparation(), &device).expect("images"));
    let want: Vec<f64> = golden.logits.values().flatten().copied().collect();
    assert_close("logits of images", &floats(logits.expect("images of its size")), &want, 1e-4);

    let images = ImageFolder::open(&bed.join("test")).expect("images");
    let mut classes = String::new();
    let mut logits = |x| {
        let logits = vit.forward(x)?;
        classes.extend(logits.clone().argmax(1).into_data().iter::<i64>().map(|class| class.to_string()));
        Ok(logits)
    };
    let score =
        evaluate(images.images(), &preparation(), 100, &device, &mut logits, |_| {}).expect("a score");
    assert_eq!(score.n, 10 * golden.n_per_class, "images of ten classes");
    let n_other = classes.chars().zip(golden.classes.chars()).filter(|(a, b)| a != b).count();
    assert_eq!((classes.len(), n_other), (score.n, 0), "predictions that are not torch's");
    let hits = score.correct.iter().filter(|&&hit| hit).count();
    assert_eq!(hits, golden.hits, "images that torch gets right");
}
