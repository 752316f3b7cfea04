//! Integer networks from a checkpoint: the layers that its design lists, with what follows each in one step.

use super::conv::{After, Conv, Precision, Weights};
use super::network::{Layer, Network};
use super::normalise::{Direction, Normalise};
use super::quantise::{Named, PIXEL_WEIGHT, SYMBOL_WEIGHT};
use super::requantise::Curve;
use super::rounding::FRACTION_BITS;
use super::sigmoid::Sigmoid;
use crate::checkpoint::{self, Checkpoint, Context};
use crate::{Error, Result};

/// Layers that decide symbols.
pub(crate) const SYMBOLS: Precision = Precision { weight: SYMBOL_WEIGHT, fraction_bits: FRACTION_BITS };
/// Layers that decide pixels.
pub(crate) const PIXELS: Precision = Precision { weight: PIXEL_WEIGHT, fraction_bits: FRACTION_BITS };
/// Fractional bits of the picture.
pub(crate) const PICTURE_BITS: u32 = 16;
/// The layer whose result is the picture.
const PICTURE: Precision = Precision { weight: PIXEL_WEIGHT, fraction_bits: PICTURE_BITS };

/// Which kind a convolution is of.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Plain,
    Transposed,
    SubPixel,
}

/// Builds networks of one precision.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Builder<'a> {
    checkpoint: &'a Checkpoint,
    precision: Precision,
}

impl<'a> Builder<'a> {
    pub(crate) fn new(checkpoint: &'a Checkpoint, precision: Precision) -> Self {
        Self { checkpoint, precision }
    }

    /// The network of this neutral name.
    pub(crate) fn network(&self, name: &str) -> Result<Network> {
        let network = self.checkpoint.design().network(name);
        let layers: Vec<_> = network.named().collect();
        let layers = layers.iter().map(|(name, layer)| (name.as_str(), **layer));
        self.sequence(&layers.collect::<Vec<_>>(), self.precision)
    }

    /// The network of this neutral name, whose last layer gives a picture.
    pub(crate) fn picture_network(&self, name: &str) -> Result<Network> {
        let network = self.checkpoint.design().network(name);
        let layers: Vec<_> = network.named().collect();
        let layers: Vec<_> = layers.iter().map(|(name, layer)| (name.as_str(), **layer)).collect();
        self.sequence(&layers, PICTURE)
    }

    /// A masked convolution.
    pub(crate) fn context(&self, context: &Context) -> Result<Conv> {
        let conv = checkpoint::Conv::new([context.n_in, context.n_out], checkpoint::CONTEXT_KERNEL, 1);
        self.conv(&context.name, conv, Kind::Plain, After::Curve(Curve::Identity))
    }

    /// Layers in order; `last` is the precision of the last convolution.
    fn sequence(&self, layers: &[(&str, checkpoint::Layer)], last: Precision) -> Result<Network> {
        use checkpoint::Layer as From;
        let mut network = Network::default();
        let mut rest = layers;
        while let [(name, layer), next @ ..] = rest {
            // What follows a convolution is part of its step.
            let (after, next) = match next {
                [(_, From::Relu), next @ ..] => (After::Curve(Curve::Relu), next),
                [(_, From::LeakyRelu), next @ ..] => (After::Curve(Curve::LeakyRelu), next),
                [(name, From::Gdn { .. }), next @ ..] => (self.normalise(name, Direction::Forward)?, next),
                [(name, From::InverseGdn { .. }), next @ ..] => {
                    (self.normalise(name, Direction::Inverse)?, next)
                }
                _ => (After::Curve(Curve::Identity), next),
            };
            let precision = if next.is_empty() { last } else { self.precision };
            let step = Self { precision, ..*self };
            network.layers.push(match *layer {
                From::Conv(conv) => Layer::Conv(step.conv(name, conv, Kind::Plain, after)?),
                From::Deconv(conv) => Layer::Conv(step.conv(name, conv, Kind::Transposed, after)?),
                From::Subpel(conv) => Layer::Conv(step.conv(name, conv, Kind::SubPixel, after)?),
                From::Attention { .. } => self.attention(name, *layer)?,
                From::ResidualDown(_)
                | From::Residual { .. }
                | From::ResidualUp(_)
                | From::Bottleneck { .. } => self.residual(name, *layer)?,
                _ => {
                    let expected = "layers that follow a convolution, or have one";
                    return Err(Error::format(self.checkpoint.path(), *name, expected, format!("{layer:?}")));
                }
            });
            rest = next;
        }
        Ok(network)
    }

    /// The parts of a composite layer by the ends of their names, each with the activation that follows it.
    fn parts(
        &self,
        name: &str,
        layer: checkpoint::Layer,
        wanted: &[(&str, Option<checkpoint::Layer>)],
    ) -> Result<Network> {
        let inner = layer.inner();
        let mut sequence: Vec<(String, checkpoint::Layer)> = vec![];
        for (end, after) in wanted {
            let part = inner.iter().find(|(part, _)| part == end);
            let (part, layer) = part.unwrap_or_else(|| panic!("{layer:?} has a part {end}"));
            sequence.push((format!("{name}{part}"), *layer));
            sequence.extend(after.map(|after| (format!("{name}{part}"), after)));
        }
        let sequence: Vec<_> = sequence.iter().map(|(name, layer)| (name.as_str(), *layer)).collect();
        self.sequence(&sequence, self.precision)
    }

    fn residual(&self, name: &str, layer: checkpoint::Layer) -> Result<Layer> {
        use checkpoint::Layer as From;
        let (leaky, relu) = (Some(From::LeakyRelu), Some(From::Relu));
        let (branch, skip): (&[_], &[_]) = match layer {
            From::ResidualDown(_) => {
                (&[(".conv1", leaky), (".conv2", None), (".gdn", None)], &[(".skip", None)])
            }
            From::ResidualUp(_) => {
                (&[(".subpel_conv", leaky), (".conv", None), (".igdn", None)], &[(".upsample", None)])
            }
            From::Residual { .. } => (&[(".conv1", leaky), (".conv2", leaky)], &[]),
            _ => (&[(".conv1", relu), (".conv2", relu), (".conv3", None)], &[]),
        };
        let [branch, skip] = [branch, skip].map(|wanted| self.parts(name, layer, wanted));
        Ok(Layer::Residual { branch: branch?, skip: skip?, after: Curve::Identity })
    }

    fn attention(&self, name: &str, layer: checkpoint::Layer) -> Result<Layer> {
        use checkpoint::Layer as From;
        let unit = |branch: &str, i: usize| {
            let ends = [0, 2, 4].map(|part| format!(".{branch}.{i}.conv.{part}"));
            let [first, second, third] = &ends;
            let relu = Some(From::Relu);
            let wanted = [(first.as_str(), relu), (second.as_str(), relu), (third.as_str(), None)];
            let branch = self.parts(name, layer, &wanted)?;
            Ok(Layer::Residual { branch, skip: Network::default(), after: Curve::Relu })
        };
        let units = |branch: &str| (0..3).map(|i| unit(branch, i)).collect::<Result<Vec<_>>>();
        let trunk = Network { layers: units("conv_a")? };
        let mut mask = Network { layers: units("conv_b")? };
        mask.layers.append(&mut self.parts(name, layer, &[(".conv_b.3", None)])?.layers);
        Ok(Layer::Attention { trunk, mask, sigmoid: Sigmoid::new() })
    }

    fn normalise(&self, name: &str, direction: Direction) -> Result<After> {
        let named = Named { path: self.checkpoint.path(), name };
        let checkpoint::Gdn { beta, gamma } = self.checkpoint.gdn(name)?;
        Ok(After::Normalise(Normalise::new(&beta, &gamma, direction, named)?))
    }

    fn conv(&self, name: &str, conv: checkpoint::Conv, kind: Kind, after: After) -> Result<Conv> {
        let checkpoint::Conv { n_in, n_out, kernel, stride, has_bias } = conv;
        let (stem, [first, second]) = match kind {
            Kind::Plain => (name.to_string(), [n_out, n_in]),
            Kind::Transposed => (name.to_string(), [n_in, n_out]),
            Kind::SubPixel => (format!("{name}.0"), [4 * n_out, n_in]),
        };
        let read = |end: &str| self.checkpoint.tensor(&format!("{stem}.{end}"));
        let n_rows = if let Kind::Transposed = kind { second } else { first };
        let weights = Weights {
            shape: [first, second, kernel, kernel],
            values: read("weight")?.values,
            bias: if has_bias { read("bias")?.values } else { vec![0.0; n_rows] },
            named: Named { path: self.checkpoint.path(), name },
        };
        match kind {
            Kind::Plain => Conv::plain(&weights, stride, self.precision, after),
            Kind::Transposed => Conv::transposed(&weights, stride, self.precision, after),
            Kind::SubPixel => Conv::sub_pixel(&weights, self.precision, after),
        }
    }
}
