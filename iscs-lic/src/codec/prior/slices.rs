//! Latents decoded in even slices of channels (Minnen & Singh 2020, arXiv 2007.08739).
//!
//! Slice k sees the hyperprior and the first slices, at most as many as the model was built for, decoded. Two networks give its means
//! and scales; a third predicts what rounding took away: `ŷ_k ← ŷ_k + ½·tanh(lrp_k(means' input, ŷ_k))`.

use burn::tensor::Device;

use super::super::strings::{Gaussian, Port};
use super::hyper::Side;
use super::{Latents, conditional, gaussian};
use crate::Result;
use crate::checkpoint::Checkpoint;
use crate::container::Role;
use crate::model::{Planes, Runner};

/// The networks of one slice.
#[derive(Debug)]
struct Slice {
    mean: Runner,
    scale: Runner,
    residual: Runner,
}

/// A channel-conditional prior.
#[derive(Debug)]
pub(in super::super) struct ChannelConditional {
    pub(super) side: Side,
    h_mean_s: Runner,
    h_scale_s: Runner,
    slices: Vec<Slice>,
    n_support: usize,
    gaussian: Gaussian,
}

impl ChannelConditional {
    pub(super) fn load(checkpoint: &Checkpoint, device: &Device) -> Result<Self> {
        let design = checkpoint.design();
        let network = |name: &str| Runner::load(checkpoint, design.network(name), device);
        let slice = |k: usize| {
            Ok(Slice {
                mean: network(&format!("cc_mean_transforms.{k}"))?,
                scale: network(&format!("cc_scale_transforms.{k}"))?,
                residual: network(&format!("lrp_transforms.{k}"))?,
            })
        };
        Ok(Self {
            side: Side::load(checkpoint, device)?,
            h_mean_s: network("h_mean_s")?,
            h_scale_s: network("h_scale_s")?,
            slices: (0..design.slices.len()).map(slice).collect::<Result<_>>()?,
            n_support: design.n_support,
            gaussian: gaussian(checkpoint, &design.gaussians[0])?,
        })
    }

    pub(super) fn n_slices(&self) -> usize {
        self.slices.len()
    }

    pub(super) fn walk(&self, port: &mut Port<'_>, latents: Latents<'_>) -> Result<Planes> {
        let z_hat = self.side.walk(port, latents)?;
        let [scales, means] = [
            self.h_scale_s.run_planes(&z_hat, latents.z_strip())?,
            self.h_mean_s.run_planes(&z_hat, latents.z_strip())?,
        ];
        let (mut decoded, mut known): (Vec<Planes>, Vec<bool>) = (vec![], vec![]);
        for (k, slice) in self.slices.iter().enumerate() {
            let n_seen = k.min(self.n_support);
            let seen = &decoded[..n_seen];
            let with =
                |first: &Planes| Planes::concatenated(&[first].into_iter().chain(seen).collect::<Vec<_>>());
            let mean_input = with(&means);
            let mean = slice.mean.run_planes(&mean_input, latents.strip)?;
            let scale = slice.scale.run_planes(&with(&scales), latents.strip)?;
            let y = latents.y.map(|y| y.channels(k * mean.channels..(k + 1) * mean.channels));
            let is_known = known[..n_seen].iter().all(|&known| known);
            // `Codec::load` has checked that a byte counts the slices.
            let role = Role::Slice(k as u8);
            let (mut y_hat, is_decoded) =
                conditional(port, role, &self.gaussian, [scale, mean], y.as_ref(), is_known)?;
            let residual_input = Planes::concatenated(&[&mean_input, &y_hat]);
            let residual = slice.residual.run_planes(&residual_input, latents.strip)?;
            y_hat.values.iter_mut().zip(&residual.values).for_each(|(y, r)| *y += 0.5 * r.tanh());
            decoded.push(y_hat);
            known.push(is_decoded);
        }
        Ok(Planes::concatenated(&decoded.iter().collect::<Vec<_>>()))
    }
}
