//! How latents are coded: which strings, in which order, and which tables and means their symbols have.
//!
//! Every prior walks the same way for an encoder and a decoder (see [`super::strings`]): from nothing, or from z, to the decoded ŷ.

mod checkerboard;
mod dense;
mod factorized;
mod hyper;
mod serial;
mod slices;

use burn::tensor::Device;

pub(super) use self::checkerboard::of_colour;
use self::checkerboard::{Checkerboard, Elic};
use self::factorized::Bottleneck;
use self::hyper::Hyper;
use self::serial::Serial;
use self::slices::ChannelConditional;
use super::strings::{Gaussian, Numbers, Port, Request, check_finite, rounded};
use crate::Result;
use crate::checkpoint::{Architecture, Checkpoint};
use crate::container::Role;
use crate::model::Planes;

/// What is known of a picture before its strings: sides of y, and y itself at the encoder.
#[derive(Clone, Copy, Debug)]
pub(super) struct Latents<'a> {
    pub(super) height: usize,
    pub(super) width: usize,
    pub(super) y: Option<&'a Planes>,
}

/// A prior with its networks and tables.
#[derive(Debug)]
pub(super) enum Prior {
    Factorized(Bottleneck),
    Hyper(Box<Hyper>),
    Serial(Box<Serial>),
    Checkerboard(Box<Checkerboard>),
    Elic(Box<Elic>),
    ChannelConditional(Box<ChannelConditional>),
}

impl Prior {
    pub(super) fn load(checkpoint: &Checkpoint, device: &Device) -> Result<Self> {
        Ok(match checkpoint.architecture() {
            Architecture::FactorizedPrior | Architecture::FactorizedPriorRelu => {
                Self::Factorized(Bottleneck::load(checkpoint)?)
            }
            Architecture::ScaleHyperprior | Architecture::MeanScaleHyperprior => {
                Self::Hyper(Box::new(Hyper::load(checkpoint, device)?))
            }
            Architecture::JointAutoregressive
            | Architecture::Cheng2020Anchor
            | Architecture::Cheng2020Attention => Self::Serial(Box::new(Serial::load(checkpoint, device)?)),
            Architecture::Cheng2020AnchorCheckerboard => {
                Self::Checkerboard(Box::new(Checkerboard::load(checkpoint, device)?))
            }
            Architecture::Elic2022 => Self::Elic(Box::new(Elic::load(checkpoint, device)?)),
            Architecture::ChannelConditional => {
                Self::ChannelConditional(Box::new(ChannelConditional::load(checkpoint, device)?))
            }
        })
    }

    /// The roles of its strings, in the order of decoding.
    pub(super) fn roles(&self) -> Vec<Role> {
        // At most 255 slices: `Codec::load` checks it.
        let numbered = |n: usize| (0..n).map(|k| k as u8);
        let halves = |n| numbered(n).flat_map(|k| [Role::Anchors(k), Role::NonAnchors(k)]);
        let hyper = [Role::Hyper];
        match self {
            Self::Factorized(_) => vec![Role::Slice(0)],
            Self::Hyper(_) | Self::Serial(_) => vec![Role::Hyper, Role::Slice(0)],
            Self::Checkerboard(_) => hyper.into_iter().chain(halves(1)).collect(),
            Self::Elic(elic) => hyper.into_iter().chain(halves(elic.n_slices())).collect(),
            Self::ChannelConditional(prior) => {
                hyper.into_iter().chain(numbered(prior.n_slices()).map(Role::Slice)).collect()
            }
        }
    }

    /// z of y; nothing without a hyperprior.
    pub(super) fn hyper_latents(&self, y: &Planes) -> Result<Option<Planes>> {
        let side = match self {
            Self::Factorized(_) => return Ok(None),
            Self::Hyper(prior) => &prior.side,
            Self::Serial(prior) => &prior.side,
            Self::Checkerboard(prior) => &prior.side,
            Self::Elic(prior) => &prior.side,
            Self::ChannelConditional(prior) => &prior.side,
        };
        side.latents(y).map(Some)
    }

    /// Exchanges all strings; ŷ.
    pub(super) fn walk(&self, port: &mut Port<'_>, latents: Latents<'_>) -> Result<Planes> {
        match self {
            Self::Factorized(prior) => {
                let shape = [prior.n_channels(), latents.height, latents.width];
                Ok(prior.walk(port, Role::Slice(0), "y", shape, latents.y)?.0)
            }
            Self::Hyper(prior) => prior.walk(port, latents),
            Self::Serial(prior) => prior.walk(port, latents),
            Self::Checkerboard(prior) => prior.walk(port, latents),
            Self::Elic(prior) => prior.walk(port, latents),
            Self::ChannelConditional(prior) => prior.walk(port, latents),
        }
    }
}

/// Codes one string of latents under a conditional Gaussian; the decoded latents, and whether they are known.
fn conditional(
    port: &mut Port<'_>,
    role: Role,
    gaussian: &Gaussian,
    [scales, means]: [&Planes; 2],
    latents: Option<&Planes>,
    is_known: bool,
) -> Result<(Planes, bool)> {
    let rows = gaussian.rows(&scales.values)?;
    check_finite("means", &means.values)?;
    let symbols = latents.map(|y| rounded("y", y.values.iter().copied(), &means.values)).transpose()?;
    let latents = latents.map_or(&[][..], |y| &y.values);
    let numbers = Numbers { latents, means: &means.values, scales: &scales.values };
    let tables = &gaussian.tables;
    let answer = port.symbols(Request { role, tables, rows: &rows, symbols, numbers, is_known })?;
    let values = answer.symbols.iter().zip(&means.values).map(|(&s, mean)| s as f32 + mean).collect();
    Ok((Planes { values, ..*means }, answer.is_known))
}

/// The first and the second half of the channels.
fn halves(planes: &Planes) -> [Planes; 2] {
    let half = planes.channels / 2;
    [planes.channels(0..half), planes.channels(half..2 * half)]
}

/// The tables of the conditional Gaussian of this neutral name.
fn gaussian(checkpoint: &Checkpoint, name: &str) -> Result<Gaussian> {
    Ok(Gaussian { tables: checkpoint.tables(name)?, scales: checkpoint.scale_table(name)? })
}
