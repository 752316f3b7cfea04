//! Which tables and means the symbols of a picture have, in integers: every architecture's hyper-synthesis and context.
//!
//! A prior walks through the latents in the order of decoding and asks for the symbols of each string, whose rows and means it knows. An
//! encoder answers by rounding its latents, a decoder by decoding; both go on from the same integers.

mod pass;
mod serial;

use self::pass::TwoPass;
use self::serial::Serial;
use super::build::{Builder, SYMBOLS};
use super::grid::Grid;
use super::kernel::Form;
use super::network::Network;
use super::parameters::{Thresholds, dequantised};
use super::rounding::{FRACTION_BITS, activation, saturate, shift};
use super::sigmoid::{SIGMOID_BITS, Sigmoid};
use crate::checkpoint::{Architecture, Checkpoint};
use crate::container::Role;
use crate::{Error, Result};

/// A string whose symbols are asked for at once.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// Which string.
    pub role: Role,
    /// The table row of each symbol: channels, rows, columns (of a checkerboard's colour, the columns of that colour).
    pub rows: &'a [u16],
    /// What each symbol is relative to, with 12 fractional bits.
    pub means: &'a [i32],
    /// Whether all that rows and means follow from was decoded.
    pub is_known: bool,
}

/// Who knows the symbols: an encoder or a decoder.
pub trait Symbols {
    /// The symbols of a string, and whether they are known; unknown ones are zeros.
    ///
    /// # Errors
    /// Those of the one who answers.
    fn string(&mut self, ask: Ask<'_>) -> Result<(Vec<i32>, bool)>;

    /// Begins a string whose rows follow from its own symbols; `false` where it is lost.
    ///
    /// # Errors
    /// As [`Symbols::string`]; by default there is no such string.
    fn begin(&mut self, role: Role) -> Result<bool> {
        Err(Error::coding(format!("{role:?}"), "a string that is asked for at once", "a serial context"))
    }

    /// The symbols of all channels at one position, row and column, of that string; positions come row by row.
    ///
    /// # Errors
    /// As [`Symbols::begin`].
    fn next(&mut self, position: [usize; 2], rows: &[u16], means: &[i32], symbols: &mut [i32]) -> Result<()> {
        let _ = (rows, means, symbols);
        Err(Error::coding(
            format!("position {position:?}"),
            "a string that is asked for at once",
            "a serial context",
        ))
    }

    /// Ends that string.
    ///
    /// # Errors
    /// As [`Symbols::begin`].
    fn end(&mut self) -> Result<()> {
        Ok(())
    }
}

/// A prior in integers.
#[derive(Debug)]
pub struct Prior {
    /// One a channel of z, or of y without a hyperprior.
    medians: Vec<i32>,
    kind: Kind,
    form: Form,
}

#[derive(Debug)]
enum Kind {
    Factorized,
    Hyper { h_s: Network, thresholds: Thresholds, has_means: bool },
    Serial { h_s: Network, serial: Box<Serial> },
    Checkerboard { h_s: Network, pass: Box<TwoPass> },
    Elic { h_s: Network, channel_contexts: Vec<Network>, passes: Vec<TwoPass> },
    ChannelConditional(Box<ChannelConditional>),
}

#[derive(Debug)]
struct ChannelConditional {
    h_mean_s: Network,
    h_scale_s: Network,
    slices: Vec<Slice>,
    n_support: usize,
    thresholds: Thresholds,
    sigmoid: Sigmoid,
}

#[derive(Debug)]
struct Slice {
    mean: Network,
    scale: Network,
    residual: Network,
}

impl Prior {
    /// The prior of a checkpoint.
    ///
    /// # Errors
    /// As [`Checkpoint::tensor`], and for weights beyond what the integers hold.
    pub fn load(checkpoint: &Checkpoint) -> Result<Self> {
        let (builder, design) = (Builder::new(checkpoint, SYMBOLS), checkpoint.design());
        let thresholds = |k: usize| Thresholds::new(&checkpoint.scale_table(&design.gaussians[k])?);
        let h_s = || builder.network(&format!("{}h_s", design.hyper_prefix()));
        let kind = match design.architecture {
            Architecture::FactorizedPrior | Architecture::FactorizedPriorRelu => Kind::Factorized,
            Architecture::ScaleHyperprior => {
                Kind::Hyper { h_s: h_s()?, thresholds: thresholds(0)?, has_means: false }
            }
            Architecture::MeanScaleHyperprior => {
                Kind::Hyper { h_s: h_s()?, thresholds: thresholds(0)?, has_means: true }
            }
            Architecture::JointAutoregressive
            | Architecture::Cheng2020Anchor
            | Architecture::Cheng2020Attention => {
                let context = builder.context(&design.contexts[0])?;
                let parameters = builder.network("entropy_parameters")?;
                Kind::Serial {
                    h_s: h_s()?,
                    serial: Box::new(Serial::new(context, parameters, thresholds(0)?)),
                }
            }
            Architecture::Cheng2020AnchorCheckerboard => {
                let context = builder.context(&design.contexts[0])?;
                let parameters = builder.network("latent_codec.y.entropy_parameters")?;
                Kind::Checkerboard {
                    h_s: h_s()?,
                    pass: Box::new(TwoPass::new(context, parameters, thresholds(0)?)),
                }
            }
            Architecture::Elic2022 => {
                let n = design.slices.len();
                let pass = |k: usize| {
                    let context = builder.context(&design.contexts[k])?;
                    let name = format!("latent_codec.y.latent_codec.y{k}.entropy_parameters");
                    Ok(TwoPass::new(context, builder.network(&name)?, thresholds(k)?))
                };
                let channel_context =
                    |k: usize| builder.network(&format!("latent_codec.y.channel_context.y{k}"));
                Kind::Elic {
                    h_s: h_s()?,
                    channel_contexts: (1..n).map(channel_context).collect::<Result<_>>()?,
                    passes: (0..n).map(pass).collect::<Result<_>>()?,
                }
            }
            Architecture::ChannelConditional => {
                let slice = |k: usize| {
                    Ok(Slice {
                        mean: builder.network(&format!("cc_mean_transforms.{k}"))?,
                        scale: builder.network(&format!("cc_scale_transforms.{k}"))?,
                        residual: builder.network(&format!("lrp_transforms.{k}"))?,
                    })
                };
                Kind::ChannelConditional(Box::new(ChannelConditional {
                    h_mean_s: builder.network("h_mean_s")?,
                    h_scale_s: builder.network("h_scale_s")?,
                    slices: (0..design.slices.len()).map(slice).collect::<Result<_>>()?,
                    n_support: design.n_support,
                    thresholds: thresholds(0)?,
                    sigmoid: Sigmoid::new(),
                }))
            }
        };
        let medians = checkpoint.medians()?.into_iter().map(activation).collect();
        Ok(Self { medians, kind, form: Form::detect() })
    }

    /// The same networks, computed in another form: for tests, since every form gives the same integers.
    #[must_use]
    pub fn with_form(self, form: Form) -> Self {
        Self { form, ..self }
    }

    /// The decoded latents `[M, height, width]` with 12 fractional bits.
    ///
    /// # Errors
    /// Those of `symbols`; another number of symbols than asked for; with a hyperprior, sides that are no multiples of 4.
    pub fn walk(&self, symbols: &mut dyn Symbols, width: usize, height: usize) -> Result<Vec<i32>> {
        let form = self.form;
        if let Kind::Factorized = self.kind {
            let (y, _) = self.bottleneck(symbols, Role::Slice(0), width, height)?;
            return Ok(y.planes(0..y.channels));
        }
        if !width.is_multiple_of(4) || !height.is_multiple_of(4) {
            return Err(Error::coding("sides of the latents", "multiples of 4", format!("{width}×{height}")));
        }
        let (z, is_known) = self.bottleneck(symbols, Role::Hyper, width / 4, height / 4)?;
        if !is_known {
            return Err(Error::container("strings", "the hyper-latent, on which all others depend", "none"));
        }
        let y = match &self.kind {
            Kind::Factorized => z,
            Kind::Hyper { h_s, thresholds, has_means } => {
                let side = h_s.run_whole(form, &z);
                let n = if *has_means { side.channels / 2 } else { side.channels };
                let scales = side.channels(0..n);
                let means = if *has_means { side.channels(n..2 * n) } else { scales.zeros() };
                conditional(symbols, Role::Slice(0), thresholds, &scales, &means, is_known)?.0
            }
            Kind::Serial { h_s, serial } => serial.walk(form, symbols, &h_s.run_whole(form, &z))?,
            Kind::Checkerboard { h_s, pass } => {
                pass.walk(form, symbols, 0, &h_s.run_whole(form, &z), is_known)?.0
            }
            Kind::Elic { h_s, channel_contexts, passes } => {
                let hyper = h_s.run_whole(form, &z);
                let (mut slices, mut is_known): (Vec<Grid>, bool) = (vec![], is_known);
                for (k, pass) in passes.iter().enumerate() {
                    let side = match k {
                        0 => hyper.clone(),
                        _ => {
                            let earlier = Grid::joined(&slices.iter().collect::<Vec<_>>());
                            let context = channel_contexts[k - 1].run_whole(form, &earlier);
                            Grid::joined(&[&context, &hyper])
                        }
                    };
                    // A container's byte counts the slices; models have 5.
                    let (slice, is_decoded) = pass.walk(form, symbols, k as u8, &side, is_known)?;
                    slices.push(slice);
                    is_known = is_decoded;
                }
                Grid::joined(&slices.iter().collect::<Vec<_>>())
            }
            Kind::ChannelConditional(prior) => prior.walk(form, symbols, &z, is_known)?,
        };
        Ok(y.planes(0..y.channels))
    }

    /// The latents of an entropy bottleneck, whose rows are channels.
    fn bottleneck(
        &self,
        symbols: &mut dyn Symbols,
        role: Role,
        width: usize,
        height: usize,
    ) -> Result<(Grid, bool)> {
        let area = width * height;
        let rows: Vec<u16> =
            (0..self.medians.len()).flat_map(|c| std::iter::repeat_n(c as u16, area)).collect();
        let means: Vec<i32> =
            self.medians.iter().flat_map(|&median| std::iter::repeat_n(median, area)).collect();
        let (values, is_known) = answered(symbols, Ask { role, rows: &rows, means: &means, is_known: true })?;
        Ok((Grid::from_planes(self.medians.len(), width, height, &values), is_known))
    }
}

/// The latents of one string, and whether they are known.
fn answered(symbols: &mut dyn Symbols, ask: Ask<'_>) -> Result<(Vec<i32>, bool)> {
    let (found, is_known) = symbols.string(ask)?;
    if found.len() != ask.rows.len() {
        return Err(Error::coding(
            format!("symbols of {:?}", ask.role),
            ask.rows.len().to_string(),
            found.len(),
        ));
    }
    Ok((found.iter().zip(ask.means).map(|(&s, &m)| dequantised(s, m)).collect(), is_known))
}

/// The latents of one string of a conditional Gaussian, and whether they are known.
fn conditional(
    symbols: &mut dyn Symbols,
    role: Role,
    thresholds: &Thresholds,
    scales: &Grid,
    means: &Grid,
    is_known: bool,
) -> Result<(Grid, bool)> {
    let rows = thresholds.rows(scales);
    let mean_planes = means.planes(0..means.channels);
    let (values, is_known) = answered(symbols, Ask { role, rows: &rows, means: &mean_planes, is_known })?;
    Ok((Grid::from_planes(means.channels, means.width, means.height, &values), is_known))
}

impl ChannelConditional {
    fn walk(&self, form: Form, symbols: &mut dyn Symbols, z: &Grid, is_known: bool) -> Result<Grid> {
        let [scales, means] = [&self.h_scale_s, &self.h_mean_s].map(|network| network.run_whole(form, z));
        let (mut decoded, mut known): (Vec<Grid>, Vec<bool>) = (vec![], vec![]);
        for (k, slice) in self.slices.iter().enumerate() {
            let seen = &decoded[..k.min(self.n_support)];
            let with = |first| Grid::joined(&std::iter::once(first).chain(seen.iter()).collect::<Vec<_>>());
            let mean_input = with(&means);
            let mean = slice.mean.run_whole(form, &mean_input);
            let scale = slice.scale.run_whole(form, &with(&scales));
            let is_known = is_known && known[..seen.len()].iter().all(|&known| known);
            let role = Role::Slice(k as u8);
            let (mut y, is_decoded) = conditional(symbols, role, &self.thresholds, &scale, &mean, is_known)?;
            let residual = slice.residual.run_whole(form, &Grid::joined(&[&mean_input, &y]));
            for (y, &r) in y.values.iter_mut().zip(&residual.values) {
                *y = saturate(i64::from(*y) + i64::from(self.half_tanh(r)));
            }
            decoded.push(y);
            known.push(is_decoded);
        }
        Ok(Grid::joined(&decoded.iter().collect::<Vec<_>>()))
    }

    /// `½ · tanh(v) = σ(2v) − ½`.
    fn half_tanh(&self, v: i32) -> i32 {
        let sigmoid = i64::from(self.sigmoid.of(saturate(2 * i64::from(v))));
        shift(sigmoid - (1 << (SIGMOID_BITS - 1)), SIGMOID_BITS - FRACTION_BITS) as i32
    }
}
