//! The bed of an experiment: a model, and images that calibrate it, choose between variants of it, and test them.
//!
//! A bed is a folder: `model.safetensors` or `model.pth`, `calibration/`, `validation/` and `test/` with a folder of images a class, and `bed.json`. The procedural bed trains its model on
//! fresh images; that of CIFAR-10 takes a model and images from `$GROUPING_DATA`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use burn::tensor::{Device, Int, Tensor, TensorData};
use grouping_core::files::output::{Existing, write_folder};
use grouping_core::files::text::read_text;
use grouping_core::kernels::cross_entropy;
use grouping_core::seed::derive_seed;
use grouping_core::train::{AdamWSettings, Objective, Observer, Outcome, TrainingRun};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::cifar::{self, Shares};
use crate::images::{self, CLASSES, SIDE};
use grouping_core::image::Preparation;
use kd_gqa::vit::{Vit, VitConfig};

/// Streams of one seed that must not meet.
const WEIGHTS: u64 = 1;
const BATCHES: u64 = 2;
const TRAINING_IMAGES: u64 = 3;
const HELD_OUT_IMAGES: u64 = 4;

/// What a bed says of itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Bed {
    /// The model's file in the folder.
    pub(crate) model: PathBuf,
    /// Number of query heads.
    pub(crate) heads: usize,
    /// Side of the images that the model reads.
    pub(crate) size: usize,
    /// Mean of each channel.
    pub(crate) mean: [f32; 3],
    /// Standard deviation of each channel.
    pub(crate) std: [f32; 3],
}

impl Bed {
    /// Reads `bed.json`; the model's path becomes one that can be opened.
    ///
    /// # Errors
    /// When the file cannot be read or is none.
    pub(crate) fn read(dir: &Path) -> Result<Self> {
        let mut bed: Self = read_json(&dir.join("bed.json"))?;
        bed.model = dir.join(&bed.model);
        Ok(bed)
    }

    fn write(&self, dir: &Path) -> Result<()> {
        let path = dir.join("bed.json");
        let text = serde_json::to_string_pretty(self)? + "\n";
        std::fs::write(&path, text).with_context(|| format!("{}", path.display()))
    }

    /// How images are prepared.
    pub(crate) fn preparation(&self) -> Preparation {
        Preparation::new(self.size).with_normalisation(self.mean, self.std)
    }
}

/// Reads `bed.json` or `scores.json`, which are a few lines.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text = read_text(path, 1 << 16)?;
    serde_json::from_str(&text).with_context(|| format!("{}", path.display()))
}

/// What a bed is made by.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct BedSettings {
    /// Seed of weights, batches and images.
    pub(crate) seed: u64,
    /// Images of each part, all classes together.
    pub(crate) n_images: Shares,
    /// Steps of training, output.
    pub(crate) run: TrainingRun,
}

/// Images of a batch.
pub(crate) const BATCH: usize = 128;

/// Trains a small vision transformer on procedural images and writes it as a bed.
///
/// # Errors
/// When the output exists, training diverges, or files cannot be written.
pub(crate) fn procedural(settings: &BedSettings, observer: &mut impl Observer) -> Result<Outcome> {
    let run = &settings.run;
    // Batches have one size here: what does not fit is the number of threads.
    if !BATCH.is_multiple_of(run.n_threads) {
        return Err(
            kd_gqa::Error::setting("n_threads", format!("a divisor of {BATCH}"), run.n_threads).into()
        );
    }
    run.check()?;
    ensure!(run.n_steps > 0, "--steps: expected at least 1, found 0");
    let config = VitConfig::new([SIDE; 2], [8; 2], 96, 4, 8, 192).with_n_classes(Some(CLASSES.len()));
    let device = Device::flex().autodiff();
    let vit = config.init(derive_seed(settings.seed, WEIGHTS), &device)?;
    let adamw = AdamWSettings::new().with_weight_decay(0.05);
    let train = run.config(adamw, 100, derive_seed(settings.seed, BATCHES));
    let description = format!("procedural images, {BATCH} a batch, {config:?}");
    let objective = Classify { seed: derive_seed(settings.seed, TRAINING_IMAGES), device };
    run.train(vit, train, &objective, description, observer, |vit| {
        write_folder(&run.out, run.existing, |dir| {
            vit.save(&dir.join("model.safetensors"), None, Existing::Refuse)?;
            let seed = derive_seed(settings.seed, HELD_OUT_IMAGES);
            let Shares { calibration, validation, test } = settings.n_images;
            let mut first = 0;
            for (part, n) in [("calibration", calibration), ("validation", validation), ("test", test)] {
                let indices = first..first + n.div_ceil(CLASSES.len());
                for (class, name) in CLASSES.iter().enumerate() {
                    images::write_class(&dir.join(part).join(name), class, &indices, seed)?;
                }
                first = indices.end;
            }
            let model = "model.safetensors".into();
            let bed = Bed { model, heads: config.n_heads, size: SIDE, mean: [0.5; 3], std: [0.5; 3] };
            bed.write(dir)
        })
    })
}

/// The bed of CIFAR-10: a model and images from `$GROUPING_DATA`.
///
/// # Errors
/// When the variable is not set, or files cannot be read or written.
pub(crate) fn cifar10(settings: &BedSettings) -> Result<()> {
    let data = std::env::var_os("GROUPING_DATA")
        .context("GROUPING_DATA is not set: it names the folder of models and images")?;
    let data = PathBuf::from(data);
    write_folder(&settings.run.out, Existing::Refuse, |dir| {
        let model = data.join("models/vit_cifar10.pth");
        std::fs::copy(&model, dir.join("model.pth")).map_err(kd_gqa::Error::io(&model, "copy"))?;
        let Shares { calibration, validation, test } = settings.n_images;
        let [calibration, validation, test] = [calibration, validation, test].map(|n| n.div_ceil(10));
        let shares = Shares { calibration, validation, test };
        cifar::unpack(&data.join("cifar10-jpeg.tar.gz"), dir, shares, settings.seed)?;
        let (mean, std) = ([0.4914, 0.4822, 0.4465], [0.2023, 0.1994, 0.2010]);
        Bed { model: "model.pth".into(), heads: 8, size: 32, mean, std }.write(dir)
    })
}

/// Fresh procedural images in every step.
struct Classify {
    seed: u64,
    device: Device,
}

impl Objective<Vit> for Classify {
    type Batch = (Tensor<4>, Tensor<1, Int>);

    fn batches(&self, step: usize, n_shards: usize, rng: &mut ChaCha8Rng) -> Vec<Self::Batch> {
        let n = BATCH / n_shards;
        (0..n_shards)
            .map(|shard| {
                let classes: Vec<usize> = (0..n).map(|_| rng.random_range(0..CLASSES.len())).collect();
                let first = step * BATCH + shard * n;
                let values: Vec<f32> = classes
                    .iter()
                    .enumerate()
                    .flat_map(|(i, &class)| images::draw(class, first + i, self.seed))
                    .map(|value| (value - 0.5) / 0.5)
                    .collect();
                let images = TensorData::new(values, [n, 3, SIDE, SIDE]);
                let classes: Vec<i32> = classes.into_iter().map(|class| class as i32).collect();
                let classes = TensorData::new(classes, [n]);
                (Tensor::from_data(images, &self.device), Tensor::from_data(classes, &self.device))
            })
            .collect()
    }

    fn loss(&self, model: &Vit, (images, classes): &Self::Batch) -> Tensor<1> {
        let logits = model.forward(images.clone()).expect("images of the model's size");
        cross_entropy(logits, classes.clone())
    }
}
