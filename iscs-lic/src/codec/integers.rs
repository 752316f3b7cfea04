//! The integer networks of a codec, which ask for their symbols through its strings.

use super::prior::of_colour;
use super::strings::{Numbers, Port, Request, rounded};
use crate::Result;
use crate::checkpoint::Checkpoint;
use crate::coder::Tables;
use crate::container::{Coded, Role};
use crate::fixed::{Ask, FRACTION_BITS, Prior, Symbols, Synthesis};
use crate::model::Planes;
use crate::picture::Picture;

/// Prior and synthesis in integers, with the tables of all strings.
#[derive(Debug)]
pub(super) struct Integers {
    prior: Prior,
    synthesis: Synthesis,
    bottleneck: Tables,
    /// One for all slices, or one a slice.
    gaussians: Vec<Tables>,
    /// The channels of each slice.
    slices: Vec<usize>,
}

/// An activation of the integer networks as a float, exactly.
fn float(v: i32) -> f32 {
    v as f32 / (1u32 << FRACTION_BITS) as f32
}

impl Integers {
    pub(super) fn load(checkpoint: &Checkpoint) -> Result<Self> {
        let design = checkpoint.design();
        Ok(Self {
            prior: Prior::load(checkpoint)?,
            synthesis: Synthesis::load(checkpoint)?,
            bottleneck: checkpoint.tables(&design.bottleneck.0)?,
            gaussians: design.gaussians.iter().map(|name| checkpoint.tables(name)).collect::<Result<_>>()?,
            slices: design.slices.clone(),
        })
    }

    /// Exchanges all strings; ŷ of these sides, whose values are whole multiples of 2⁻¹². An encoder gives y, and z where there is one.
    pub(super) fn walk(
        &self,
        port: &mut Port<'_>,
        [height, width]: [usize; 2],
        y: Option<&Planes>,
        z: Option<&Planes>,
    ) -> Result<Planes> {
        let latents = self.prior.walk(&mut Asked { integers: self, port, y, z }, width, height)?;
        let channels = self.slices.iter().sum();
        Ok(Planes { channels, height, width, values: latents.into_iter().map(float).collect() })
    }

    /// The picture of ŷ as [`Self::walk`] gives it, without its pads.
    pub(super) fn picture(&self, coded: &Coded, y_hat: &Planes) -> Result<Picture> {
        let scale = (1u32 << FRACTION_BITS) as f32;
        let latents: Vec<i32> = y_hat.values.iter().map(|v| (v * scale) as i32).collect();
        let [width, height] = [coded.width, coded.height].map(|side| side as usize);
        let [left, top] = [coded.pads.left, coded.pads.top].map(usize::from);
        let (columns, rows) = (left..left + width, top..top + height);
        let rgb = self.synthesis.crop(&latents, y_hat.width, y_hat.height, columns, rows)?;
        Picture::new(width, height, rgb)
    }

    /// The tables of a string.
    fn tables(&self, role: Role) -> &Tables {
        match role {
            Role::Hyper => &self.bottleneck,
            Role::Slice(k) | Role::Anchors(k) | Role::NonAnchors(k) => {
                // Without a hyperprior there is no conditional Gaussian; most models have one for all slices.
                let last = self.gaussians.len().saturating_sub(1);
                self.gaussians.get(usize::from(k).min(last)).unwrap_or(&self.bottleneck)
            }
        }
    }

    /// The channels of a slice.
    fn channels(&self, slice: u8) -> std::ops::Range<usize> {
        let slice = usize::from(slice);
        let first = self.slices[..slice].iter().sum();
        first..first + self.slices[slice]
    }
}

/// A walk's questions, passed on to the strings.
struct Asked<'a, 'p> {
    integers: &'a Integers,
    port: &'a mut Port<'p>,
    y: Option<&'a Planes>,
    z: Option<&'a Planes>,
}

impl Asked<'_, '_> {
    /// The latents of a string, at an encoder.
    fn latents(&self, role: Role) -> Option<Planes> {
        let slice = |k: u8| self.y.map(|y| y.channels(self.integers.channels(k)));
        match role {
            Role::Hyper => self.z.cloned(),
            Role::Slice(k) => slice(k),
            Role::Anchors(k) => slice(k).map(|y| of_colour(&y, 0)),
            Role::NonAnchors(k) => slice(k).map(|y| of_colour(&y, 1)),
        }
    }
}

impl Symbols for Asked<'_, '_> {
    fn string(&mut self, ask: Ask<'_>) -> Result<(Vec<i32>, bool)> {
        let Ask { role, rows, means, is_known } = ask;
        let means: Vec<f32> = means.iter().copied().map(float).collect();
        let latents = self.latents(role);
        let what = if role == Role::Hyper { "z" } else { "y" };
        let symbols = latents.as_ref().map(|latents| rounded(what, latents.values.iter().copied(), &means));
        let numbers = Numbers {
            latents: latents.as_ref().map_or(&[], |latents| &latents.values),
            means: &means,
            scales: &[],
        };
        let tables = self.integers.tables(role);
        let request = Request { role, tables, rows, symbols: symbols.transpose()?, numbers, is_known };
        let answer = self.port.symbols(request)?;
        Ok((answer.symbols, answer.is_known))
    }

    fn begin(&mut self, role: Role) -> Result<bool> {
        self.port.begin(role, true)
    }

    fn next(&mut self, [row, x]: [usize; 2], rows: &[u16], means: &[i32], symbols: &mut [i32]) -> Result<()> {
        let means: Vec<f32> = means.iter().copied().map(float).collect();
        let mut here = vec![];
        if let Some(y) = self.y {
            here.extend((0..rows.len()).map(|c| y.values[(c * y.height + row) * y.width + x]));
            symbols.copy_from_slice(&rounded("y", here.iter().copied(), &means)?);
        }
        let numbers = Numbers { latents: &here, means: &means, scales: &[] };
        self.port.next(self.integers.tables(Role::Slice(0)), rows, symbols, numbers)
    }

    fn end(&mut self) -> Result<()> {
        self.port.end(self.integers.tables(Role::Slice(0)))
    }
}
