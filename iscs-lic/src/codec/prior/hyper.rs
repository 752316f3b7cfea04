//! Hyperpriors: z tells the scale of every latent (Ballé et al. 2018), or its scale and mean (Minnen et al. 2018).
//!
//! `z = h_a(|y|)` for the scale hyperprior, `h_a(y)` for all others. In its output `h_s` has the scales first, then the means.

use burn::tensor::Device;

use super::super::strings::{Gaussian, Port};
use super::factorized::Bottleneck;
use super::{Latents, conditional, gaussian, halves};
use crate::checkpoint::{Architecture, Checkpoint};
use crate::container::Role;
use crate::model::{Planes, Runner};
use crate::{Error, Result};

/// z with its networks.
#[derive(Debug)]
pub(super) struct Side {
    h_a: Runner,
    bottleneck: Bottleneck,
    takes_magnitudes: bool,
}

impl Side {
    pub(super) fn load(checkpoint: &Checkpoint, device: &Device) -> Result<Self> {
        let design = checkpoint.design();
        let h_a = design.network(&format!("{}h_a", design.hyper_prefix()));
        Ok(Self {
            h_a: Runner::load(checkpoint, h_a, device)?,
            bottleneck: Bottleneck::load(checkpoint)?,
            takes_magnitudes: design.architecture == Architecture::ScaleHyperprior,
        })
    }

    /// z.
    pub(super) fn latents(&self, y: &Planes) -> Result<Planes> {
        if self.takes_magnitudes {
            let values = y.values.iter().map(|v| v.abs()).collect();
            return self.h_a.run(Planes { values, ..*y });
        }
        self.h_a.run(y.clone())
    }

    /// ẑ. Without it nothing of the picture can be decoded.
    pub(super) fn walk(&self, port: &mut Port<'_>, latents: Latents<'_>) -> Result<Planes> {
        let z = latents.y.map(|y| self.latents(y)).transpose()?;
        let shape = [self.bottleneck.n_channels(), latents.height / 4, latents.width / 4];
        let (z_hat, is_known) = self.bottleneck.walk(port, Role::Hyper, "z", shape, z.as_ref())?;
        if !is_known {
            return Err(Error::container("strings", "the hyper-latent, on which all others depend", "none"));
        }
        Ok(z_hat)
    }
}

/// `bmshj2018-hyperprior` and `mbt2018-mean`.
#[derive(Debug)]
pub(in super::super) struct Hyper {
    architecture: Architecture,
    pub(super) side: Side,
    h_s: Runner,
    gaussian: Gaussian,
}

impl Hyper {
    pub(super) fn load(checkpoint: &Checkpoint, device: &Device) -> Result<Self> {
        let design = checkpoint.design();
        Ok(Self {
            architecture: design.architecture,
            side: Side::load(checkpoint, device)?,
            h_s: Runner::load(checkpoint, design.network("h_s"), device)?,
            gaussian: gaussian(checkpoint, &design.gaussians[0])?,
        })
    }

    pub(super) fn walk(&self, port: &mut Port<'_>, latents: Latents<'_>) -> Result<Planes> {
        let z_hat = self.side.walk(port, latents)?;
        let parameters = self.h_s.run(z_hat)?;
        let [scales, means] = match self.architecture {
            Architecture::ScaleHyperprior => {
                let means = Planes::zeros(parameters.shape());
                [parameters, means]
            }
            _ => halves(&parameters),
        };
        Ok(conditional(port, Role::Slice(0), &self.gaussian, [&scales, &means], latents.y, true)?.0)
    }
}
