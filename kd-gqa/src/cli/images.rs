//! Options of every command that reads a vision transformer, and of those that run it on images.

use std::path::{Path, PathBuf};

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use grouping_core::Activation;
use grouping_core::command::say;
use grouping_core::image::{ImageFolder, LabelledImage, Preparation};
use kd_gqa::allocation::AllocationState;
use kd_gqa::checkpoint::{Checkpoint, HeadsFrom, VitSettings};
use kd_gqa::{Error, Result};

/// What a vision transformer's file does not say.
#[derive(Debug, clap::Args)]
pub(super) struct VitArgs {
    /// The number of query heads, where the file does not say it [default: heads of length 64 with the names of timm and Hugging Face]
    #[arg(long, value_name = "H")]
    heads: Option<usize>,
    /// Norms stand before attention and feed-forward part, where the file does not say it [default: as the dialect's library]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    norm_first: Option<bool>,
    /// The feed-forward part's function, where the file does not say it [default: as the dialect's library]
    #[arg(long, value_parser = activations())]
    activation: Option<Activation>,
    /// Mean of red, green and blue, of values from 0 to 1
    #[arg(long, value_name = "R,G,B", default_value = "0.5,0.5,0.5", value_parser = channels)]
    mean: Channels,
    /// Standard deviation of red, green and blue
    #[arg(long, value_name = "R,G,B", default_value = "0.5,0.5,0.5", value_parser = deviations)]
    std: Channels,
}

/// Reads the name of an activation.
fn activations() -> impl TypedValueParser<Value = Activation> {
    let gelu = PossibleValue::new("gelu").help("x·Φ(x), exact");
    let relu = PossibleValue::new("relu").help("max(x, 0)");
    PossibleValuesParser::new([gelu, relu])
        .map(|name| if name == "relu" { Activation::Relu } else { Activation::Gelu })
}

/// A value for red, green and blue.
#[derive(Debug, Clone, Copy)]
struct Channels([f32; 3]);

fn channels(text: &str) -> std::result::Result<Channels, String> {
    let numbers: std::result::Result<Vec<f32>, _> = text.split(',').map(str::parse::<f32>).collect();
    match numbers.as_deref() {
        Ok(&[r, g, b]) if [r, g, b].iter().all(|v| v.is_finite()) => Ok(Channels([r, g, b])),
        _ => Err("expected three numbers such as 0.485,0.456,0.406".into()),
    }
}

fn deviations(text: &str) -> std::result::Result<Channels, String> {
    let found = channels(text)?;
    if found.0.iter().all(|&v| v > 0.0) { Ok(found) } else { Err("expected numbers above zero".into()) }
}

impl VitArgs {
    /// Opens a checkpoint and says where its number of heads is a guess.
    pub(super) fn open(&self, path: &Path) -> Result<Checkpoint> {
        let checkpoint = Checkpoint::open_with_heads(path, self.heads)?;
        // A command that has no use for what an allocation saved refuses a damaged one too.
        AllocationState::of(&checkpoint)?;
        if checkpoint.heads_from() == HeadsFrom::Assumed {
            let (n_heads, head_dim) = (checkpoint.n_heads(), checkpoint.head_dim());
            say(format_args!(
                "note: {n_heads} heads of length {head_dim} are assumed; --heads says otherwise"
            ));
        }
        let (activation, norm_first) = (self.activation, self.norm_first);
        let said = checkpoint.vit_settings();
        fits(&checkpoint, "--activation", activation, said.activation)?;
        fits(&checkpoint, "--norm-first", norm_first, said.norm_first)?;
        let settings = VitSettings { norm_first, activation, ..VitSettings::default() };
        Ok(checkpoint.with_vit_settings(settings))
    }

    /// Preparation of images for a model of images of this height and width.
    ///
    /// # Errors
    /// [`Error::Setting`](grouping_core::Error::Setting) where they are not square.
    pub(super) fn preparation(&self, [height, width]: [usize; 2]) -> Result<Preparation> {
        if height != width {
            let found = format!("one of {height} × {width}");
            return Err(Error::setting("model", "one of square images, to resize and crop files to", found));
        }
        Ok(Preparation::new(height).with_normalisation(self.mean.0, self.std.0))
    }
}

/// Whether what is given of a vision transformer is not what its file says otherwise.
///
/// # Errors
/// [`Error::Setting`](grouping_core::Error::Setting) where it is, or where there is no vision transformer.
fn fits<T: Copy + PartialEq + std::fmt::Debug>(
    checkpoint: &Checkpoint,
    option: &'static str,
    given: Option<T>,
    said: Option<T>,
) -> Result<()> {
    let Some(given) = given else { return Ok(()) };
    if !checkpoint.dialect().is_vit() {
        return Err(Error::setting(option, "a vision transformer with it", checkpoint.dialect().label()));
    }
    match said.filter(|said| *said != given) {
        Some(said) => {
            let expected = format!("{said:?}, as the checkpoint says").to_lowercase();
            Err(Error::setting(option, expected, format!("{given:?}").to_lowercase()))
        }
        None => Ok(()),
    }
}

/// Data that the model is run on before.
#[derive(Debug, clap::Args)]
pub(super) struct CalibrationArgs {
    /// Images to run the model on before (a folder a class, or flat); `convert` also takes a text or lists of tokens (.json), for a decoder
    #[arg(long, value_name = "DIR|FILE")]
    pub(super) calibration: Option<PathBuf>,
    /// How many of the images, evenly from the classes, drawn by the seed
    #[arg(long, value_name = "N", default_value_t = 500)]
    calibration_images: usize,
}

impl CalibrationArgs {
    /// The images in the folder `data` that calibrate.
    ///
    /// # Errors
    /// Those of the folder, and [`Error::Setting`](grouping_core::Error::Setting) for no image.
    pub(super) fn images(&self, data: &Path, seed: u64) -> Result<Vec<LabelledImage>> {
        let images = ImageFolder::open(data)?.sample(self.calibration_images, seed);
        if images.is_empty() {
            return Err(Error::setting("--calibration-images", "at least 1", 0));
        }
        Ok(images)
    }
}
