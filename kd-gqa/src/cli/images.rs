//! Options of every command that reads a vision transformer and images.

use std::path::Path;

use super::console::say;
use crate::checkpoint::{Checkpoint, HeadsFrom};
use crate::images::Preparation;
use crate::vit::Vit;

/// How pixels are normalised.
#[derive(Debug, clap::Args)]
pub(super) struct PixelArgs {
    /// Mean of red, green and blue, of values from 0 to 1
    #[arg(long, value_name = "R,G,B", default_value = "0.5,0.5,0.5", value_parser = channels)]
    mean: Channels,
    /// Standard deviation of red, green and blue
    #[arg(long, value_name = "R,G,B", default_value = "0.5,0.5,0.5", value_parser = deviations)]
    std: Channels,
}

/// A value for red, green and blue.
#[derive(Debug, Clone, Copy)]
struct Channels([f32; 3]);

fn channels(text: &str) -> Result<Channels, String> {
    let numbers: Result<Vec<f32>, _> = text.split(',').map(str::parse::<f32>).collect();
    match numbers.as_deref() {
        Ok(&[r, g, b]) if [r, g, b].iter().all(|v| v.is_finite()) => Ok(Channels([r, g, b])),
        _ => Err("expected three numbers such as 0.485,0.456,0.406".into()),
    }
}

fn deviations(text: &str) -> Result<Channels, String> {
    let found = channels(text)?;
    if found.0.iter().all(|&v| v > 0.0) { Ok(found) } else { Err("expected numbers above zero".into()) }
}

impl PixelArgs {
    /// Preparation of images for `vit`.
    pub(super) fn preparation(&self, vit: &Vit) -> Preparation {
        Preparation::new(vit.config().image_size[0]).with_normalisation(self.mean.0, self.std.0)
    }
}

/// Opens a checkpoint and says where its number of heads is a guess.
pub(super) fn open(path: &Path, heads: Option<usize>) -> crate::Result<Checkpoint> {
    let checkpoint = Checkpoint::open_with_heads(path, heads)?;
    if checkpoint.heads_from() == HeadsFrom::Assumed {
        let (n_heads, head_dim) = (checkpoint.n_heads(), checkpoint.head_dim());
        say(format_args!("note: {n_heads} heads of length {head_dim} are assumed; --heads says otherwise"));
    }
    Ok(checkpoint)
}
