//! Hyperpriors: z tells the scale of every latent (Ballé et al. 2018), or its scale and mean (Minnen et al. 2018).
//!
//! `z = h_a(|y|)` for the scale hyperprior, `h_a(y)` for all others. In its output `h_s` has the scales first, then the means.

use burn::tensor::Device;

use super::super::strings::{Gaussian, Port};
use super::factorized::Bottleneck;
use super::{Latents, Tabled, gaussian, tabled};
use crate::checkpoint::{Architecture, Checkpoint};
use crate::container::Role;
use crate::model::{Planes, Runner, put_rows};
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
    pub(super) fn latents(&self, y: &Planes, strip: Option<usize>) -> Result<Planes> {
        self.h_a.run_bounded([y.height, y.width], strip, |rows| {
            let mut rows = y.rows(rows);
            if self.takes_magnitudes {
                rows.values.iter_mut().for_each(|v| *v = v.abs());
            }
            rows
        })
    }

    /// ẑ. Without it nothing of the picture can be decoded.
    pub(super) fn walk(&self, port: &mut Port<'_>, latents: Latents<'_>) -> Result<Planes> {
        let z = latents.y.map(|y| self.latents(y, latents.strip)).transpose()?;
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
    pub(super) side: Side,
    h_s: Runner,
    gaussian: Gaussian,
    m: usize,
}

impl Hyper {
    pub(super) fn load(checkpoint: &Checkpoint, device: &Device) -> Result<Self> {
        let design = checkpoint.design();
        Ok(Self {
            side: Side::load(checkpoint, device)?,
            h_s: Runner::load(checkpoint, design.network("h_s"), device)?,
            gaussian: gaussian(checkpoint, &design.gaussians[0])?,
            m: design.m,
        })
    }

    pub(super) fn walk(&self, port: &mut Port<'_>, latents: Latents<'_>) -> Result<Planes> {
        let z_hat = self.side.walk(port, latents)?;
        let (m, sides) = (self.m, [latents.height, latents.width]);
        let mut means = Planes::zeros([m, sides[0], sides[1]]);
        let mut rows = vec![0u16; means.values.len()];
        let mut scales = if port.is_traced() { vec![0.0; rows.len()] } else { vec![] };
        // The output, the greatest of all planes, is never whole: of the scales only the rows of tables are kept.
        let strip = self.h_s.strip(z_hat.width, latents.z_strip());
        self.h_s.run_strips(
            z_hat.height,
            strip,
            |rows| z_hat.rows(rows),
            |at, part| {
                let (of_scales, of_means) = part.values.split_at(m * part.area());
                put_rows(&mut rows, sides, at, &self.gaussian.rows(of_scales)?, part.height);
                // A scale hyperprior has no means.
                put_rows(&mut means.values, sides, at, of_means, part.height);
                if !scales.is_empty() {
                    put_rows(&mut scales, sides, at, of_scales, part.height);
                }
                Ok(())
            },
        )?;
        let by = Tabled { tables: &self.gaussian.tables, rows, scales };
        Ok(tabled(port, Role::Slice(0), by, means, latents.y, true)?.0)
    }
}
