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
use crate::coder::Tables;
use crate::container::Role;
use crate::model::Planes;

/// What is known of a picture before its strings: sides of y, and y itself at the encoder.
#[derive(Clone, Copy, Debug)]
pub(super) struct Latents<'a> {
    pub(super) height: usize,
    pub(super) width: usize,
    pub(super) y: Option<&'a Planes>,
    /// Rows of y that networks take at once, where they are given.
    pub(super) strip: Option<usize>,
}

impl Latents<'_> {
    /// Rows of z.
    fn z_strip(&self) -> Option<usize> {
        self.strip.map(|rows| (rows / Z_STRIDE).max(1))
    }
}

/// By how much z is smaller than y, where there is one.
const Z_STRIDE: usize = 4;

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
    pub(super) fn hyper_latents(&self, y: &Planes, strip: Option<usize>) -> Result<Option<Planes>> {
        let side = match self {
            Self::Factorized(_) => return Ok(None),
            Self::Hyper(prior) => &prior.side,
            Self::Serial(prior) => &prior.side,
            Self::Checkerboard(prior) => &prior.side,
            Self::Elic(prior) => &prior.side,
            Self::ChannelConditional(prior) => &prior.side,
        };
        side.latents(y, strip).map(Some)
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

/// The tables of one string's symbols.
struct Tabled<'a> {
    tables: &'a Tables,
    /// Of each symbol.
    rows: Vec<u16>,
    /// From which the rows follow, for traces.
    scales: Vec<f32>,
}

/// Codes one string of latents under a conditional Gaussian; the decoded latents, and whether they are known.
fn conditional(
    port: &mut Port<'_>,
    role: Role,
    gaussian: &Gaussian,
    [scales, means]: [Planes; 2],
    latents: Option<&Planes>,
    is_known: bool,
) -> Result<(Planes, bool)> {
    let rows = gaussian.rows(&scales.values)?;
    let scales = if port.is_traced() { scales.values } else { vec![] };
    tabled(port, role, Tabled { tables: &gaussian.tables, rows, scales }, means, latents, is_known)
}

/// Codes one string of latents by its tables and means; the decoded latents, and whether they are known.
fn tabled(
    port: &mut Port<'_>,
    role: Role,
    Tabled { tables, rows, scales }: Tabled<'_>,
    mut means: Planes,
    latents: Option<&Planes>,
    is_known: bool,
) -> Result<(Planes, bool)> {
    check_finite("means", &means.values)?;
    let symbols = latents.map(|y| rounded("y", y.values.iter().copied(), &means.values)).transpose()?;
    let latents = latents.map_or(&[][..], |y| &y.values);
    let numbers = Numbers { latents, means: &means.values, scales: &scales };
    let answer = port.symbols(Request { role, tables, rows: &rows, symbols, numbers, is_known })?;
    means.values.iter_mut().zip(&answer.symbols).for_each(|(value, &symbol)| *value += symbol as f32);
    Ok((means, answer.is_known))
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
