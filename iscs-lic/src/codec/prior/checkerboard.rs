//! Latents decoded in two passes, as the two colours of a checkerboard (He et al. 2021, arXiv 2103.15306), whole or in uneven slices
//! (ELIC, He et al. 2022, arXiv 2203.10886).
//!
//! The anchors are the positions whose row and column have an even sum; their context is zero. The others see the anchors through a
//! masked convolution. Networks of 1×1 convolutions turn context, earlier slices and hyperprior, in this order, into scales and means.

use burn::tensor::Device;

use super::super::strings::{Gaussian, Port};
use super::hyper::Side;
use super::{Latents, conditional, gaussian, halves};
use crate::Result;
use crate::checkpoint::Checkpoint;
use crate::container::Role;
use crate::model::{Planes, Runner};

/// The positions of one colour: `[channels, height, width / 2]`. Colour 0 are the anchors.
pub(in super::super) fn of_colour(planes: &Planes, colour: usize) -> Planes {
    let width = planes.width / 2;
    let rows = planes.values.chunks_exact(planes.width.max(1)).enumerate();
    let values = rows.flat_map(|(row, values)| {
        let first = (row % planes.height + colour) % 2;
        values[first..].iter().step_by(2).copied()
    });
    Planes { width, values: values.collect(), ..*planes }
}

/// Puts positions of one colour to their places.
fn put_colour(planes: &mut Planes, half: &Planes, colour: usize) {
    let (height, width) = (planes.height, planes.width);
    let rows = planes.values.chunks_exact_mut(width.max(1)).enumerate();
    for ((row, values), from) in rows.zip(half.values.chunks_exact(half.width.max(1))) {
        let first = (row % height + colour) % 2;
        values[first..].iter_mut().step_by(2).zip(from).for_each(|(to, &v)| *to = v);
    }
}

/// The two passes over the channels of one slice.
#[derive(Debug)]
struct TwoPass {
    channels: usize,
    context: Runner,
    parameters: Runner,
    gaussian: Gaussian,
}

impl TwoPass {
    /// The slice whose context, parameters and Gaussian have these neutral names.
    fn load(checkpoint: &Checkpoint, k: usize, stem: &str, device: &Device) -> Result<Self> {
        let design = checkpoint.design();
        let parameters = design.network(&format!("{stem}.entropy_parameters"));
        Ok(Self {
            channels: design.slices[k],
            context: Runner::load_context(checkpoint, &design.contexts[k], device)?,
            parameters: Runner::load(checkpoint, parameters, device)?,
            gaussian: gaussian(checkpoint, &design.gaussians[k])?,
        })
    }

    /// The decoded slice, and whether it is known; `side` is what its tables follow from beside itself.
    fn walk(
        &self,
        port: &mut Port<'_>,
        slice: u8,
        side: &Planes,
        y: Option<&Planes>,
        is_known: bool,
        strip: Option<usize>,
    ) -> Result<(Planes, bool)> {
        let (channels, height, width) = (self.channels, side.height, side.width);
        let mut y_hat = Planes::zeros([channels, height, width]);
        let mut is_known = is_known;
        for (colour, role) in [Role::Anchors(slice), Role::NonAnchors(slice)].into_iter().enumerate() {
            let context = match colour {
                0 => Planes::zeros([2 * channels, height, width / 2]),
                _ => of_colour(&self.context.run_planes(&y_hat, strip)?, colour),
            };
            let input = Planes::concatenated(&[&context, &of_colour(side, colour)]);
            let [scales, means] = halves(&self.parameters.run_planes(&input, strip)?);
            let latents = y.map(|y| of_colour(y, colour));
            let (half, is_decoded) =
                conditional(port, role, &self.gaussian, [scales, means], latents.as_ref(), is_known)?;
            put_colour(&mut y_hat, &half, colour);
            is_known = is_decoded;
        }
        Ok((y_hat, is_known))
    }
}

/// `cheng2020-anchor-checkerboard`.
#[derive(Debug)]
pub(in super::super) struct Checkerboard {
    pub(super) side: Side,
    h_s: Runner,
    passes: TwoPass,
}

impl Checkerboard {
    pub(super) fn load(checkpoint: &Checkpoint, device: &Device) -> Result<Self> {
        Ok(Self {
            side: Side::load(checkpoint, device)?,
            h_s: Runner::load(checkpoint, checkpoint.design().network("latent_codec.hyper.h_s"), device)?,
            passes: TwoPass::load(checkpoint, 0, "latent_codec.y", device)?,
        })
    }

    pub(super) fn walk(&self, port: &mut Port<'_>, latents: Latents<'_>) -> Result<Planes> {
        let side = self.h_s.run_planes(&self.side.walk(port, latents)?, latents.z_strip())?;
        Ok(self.passes.walk(port, 0, &side, latents.y, true, latents.strip)?.0)
    }
}

/// `elic2022-official`: slice k sees all earlier ones through networks of its own.
#[derive(Debug)]
pub(in super::super) struct Elic {
    pub(super) side: Side,
    h_s: Runner,
    /// The channels of each slice.
    slices: Vec<usize>,
    /// For each slice but the first.
    channel_contexts: Vec<Runner>,
    passes: Vec<TwoPass>,
}

impl Elic {
    pub(super) fn load(checkpoint: &Checkpoint, device: &Device) -> Result<Self> {
        let design = checkpoint.design();
        let n = design.slices.len();
        let context = |k| design.network(&format!("latent_codec.y.channel_context.y{k}"));
        let pass = |k| TwoPass::load(checkpoint, k, &format!("latent_codec.y.latent_codec.y{k}"), device);
        Ok(Self {
            side: Side::load(checkpoint, device)?,
            h_s: Runner::load(checkpoint, design.network("latent_codec.hyper.h_s"), device)?,
            slices: design.slices.clone(),
            channel_contexts: (1..n)
                .map(|k| Runner::load(checkpoint, context(k), device))
                .collect::<Result<_>>()?,
            passes: (0..n).map(pass).collect::<Result<_>>()?,
        })
    }

    pub(super) fn n_slices(&self) -> usize {
        self.slices.len()
    }

    pub(super) fn walk(&self, port: &mut Port<'_>, latents: Latents<'_>) -> Result<Planes> {
        let hyper = self.h_s.run_planes(&self.side.walk(port, latents)?, latents.z_strip())?;
        let mut decoded: Vec<Planes> = vec![];
        let (mut first, mut is_known) = (0, true);
        for (k, (&channels, pass)) in self.slices.iter().zip(&self.passes).enumerate() {
            let side = match k {
                0 => hyper.clone(),
                _ => {
                    let earlier = Planes::concatenated(&decoded.iter().collect::<Vec<_>>());
                    let context = self.channel_contexts[k - 1].run_planes(&earlier, latents.strip)?;
                    Planes::concatenated(&[&context, &hyper])
                }
            };
            let y = latents.y.map(|y| y.channels(first..first + channels));
            // `Codec::load` has checked that a byte counts the slices.
            let (slice, is_decoded) = pass.walk(port, k as u8, &side, y.as_ref(), is_known, latents.strip)?;
            is_known = is_decoded;
            first += channels;
            decoded.push(slice);
        }
        Ok(Planes::concatenated(&decoded.iter().collect::<Vec<_>>()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_taken_apart_and_put_together() {
        let planes = Planes { channels: 2, height: 3, width: 4, values: (0..24).map(|i| i as f32).collect() };
        let anchors = of_colour(&planes, 0);
        assert_eq!(anchors.shape(), [2, 3, 2], "half of the columns");
        assert_eq!(anchors.values[..6], [0.0, 2.0, 5.0, 7.0, 8.0, 10.0], "even sums in the first plane");
        assert_eq!(anchors.values[6..8], [12.0, 14.0], "and again in the second");
        let mut whole = Planes::zeros(planes.shape());
        put_colour(&mut whole, &anchors, 0);
        put_colour(&mut whole, &of_colour(&planes, 1), 1);
        assert_eq!(whole, planes, "both colours");
    }
}
