//! Analysis: from a picture to the symbols that an encoder of integers alone finds.
//!
//! An encoder may find y and z in any arithmetic, since they only become symbols. This one finds the same on every machine, so that a test can
//! begin with a picture.

use rayon::prelude::*;

use super::build::{Builder, PIXELS};
use super::grid::Grid;
use super::kernel::Form;
use super::network::Network;
use super::rounding::{FRACTION_BITS, shift};
use crate::checkpoint::{Architecture, Checkpoint};
use crate::{Error, Result};

/// An analysis in integers: `g_a`, and `h_a` where there is one.
#[derive(Debug)]
pub struct Analysis {
    g_a: Network,
    h_a: Option<Network>,
    takes_magnitudes: bool,
    form: Form,
}

/// Latents with 12 fractional bits, `[channels, height, width]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Latents {
    /// Length of each axis.
    pub shape: [usize; 3],
    /// All values.
    pub values: Vec<i32>,
}

impl From<Grid> for Latents {
    fn from(grid: Grid) -> Self {
        Self { shape: [grid.channels, grid.height, grid.width], values: grid.planes(0..grid.channels) }
    }
}

impl Analysis {
    /// The analysis of a checkpoint.
    ///
    /// # Errors
    /// As [`Checkpoint::tensor`], and for weights beyond what the integers hold.
    pub fn load(checkpoint: &Checkpoint) -> Result<Self> {
        let (builder, design) = (Builder::new(checkpoint, PIXELS), checkpoint.design());
        let has_hyper = design.z_stride() > 1;
        let h_a = has_hyper.then(|| builder.network(&format!("{}h_a", design.hyper_prefix()))).transpose()?;
        let takes_magnitudes = design.architecture == Architecture::ScaleHyperprior;
        Ok(Self { g_a: builder.network("g_a")?, h_a, takes_magnitudes, form: Form::detect() })
    }

    /// The same networks, computed in another form: for tests, since every form gives the same integers.
    #[must_use]
    pub fn with_form(self, form: Form) -> Self {
        Self { form, ..self }
    }

    /// y, a sixteenth as wide and high, and z of a picture, interleaved RGB; what follows below and at the right is padded to whole latents by
    /// zeros.
    ///
    /// # Errors
    /// Another number of samples, or none.
    pub fn latents(&self, picture: &[u8], width: usize, height: usize) -> Result<(Latents, Option<Latents>)> {
        let n = width * height * 3;
        if picture.len() != n || n == 0 {
            return Err(Error::coding("samples of the picture", format!("{n}, at least one"), picture.len()));
        }
        let mut input = Grid::new(3, width, height, 0..height);
        // v / 255 with 12 fractional bits, to the nearest; no sample lies between two.
        let activation = |v: u8| ((i32::from(v) << (FRACTION_BITS + 1)) + 255) / 510;
        input.values.par_iter_mut().zip(picture).for_each(|(to, &v)| *to = activation(v));
        let y = self.g_a.run_whole(self.form, &input);
        let z = self.h_a.as_ref().map(|h_a| {
            let mut input = y.clone();
            if self.takes_magnitudes {
                input.values.iter_mut().for_each(|v| *v = v.abs());
            }
            Latents::from(h_a.run_whole(self.form, &input))
        });
        Ok((Latents::from(y), z))
    }
}

/// The symbol of a latent: its difference from its mean, to the nearest integer, halves upwards.
pub(crate) fn symbol(latent: i32, mean: i32) -> i32 {
    shift(i64::from(latent) - i64::from(mean), FRACTION_BITS) as i32
}
