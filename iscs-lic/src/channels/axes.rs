//! Every axis of every tensor that the channels of the latent y index.
//!
//! | network | axes |
//! |---|---|
//! | `g_a` | rows and bias of the last convolution, and the blocks behind it, whose identity hands a channel on |
//! | `g_s`, `h_a` | columns of the first convolution; where blocks come first, theirs and those of what reads behind them |
//! | context networks | columns that see decoded latents; slices lie one after another behind the hyperprior's channels |
//! | entropy head | rows of scales, rows of means, each with their biases: of `h_s`, or, with a context, of the network behind it |
//! | latent residual prediction (Minnen & Singh 2020) | its rows, and its columns of both the slices before and its own |
//! | entropy bottleneck of a factorised prior | its learned distributions and its tables |
//!
//! With a context, `h_s` and the context give features for the entropy head, and none of these belongs to a channel of y. GDN stands between
//! convolutions of N channels in every architecture, never at y.

use std::ops::Range;

use crate::checkpoint::{Architecture, Design, FILTERS, Layer, Network};

/// What a tensor does with a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Use {
    /// Gives its values, or adds to them.
    Writes,
    /// Takes its values.
    Reads,
    /// Gives its scales.
    Scale,
    /// Gives its means.
    Mean,
    /// Holds its learned distribution.
    Distribution,
    /// Holds its table of the entropy coder.
    Table,
}

/// A run of consecutive indices along an axis, one for each of consecutive channels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelAxis {
    /// The neutral name of the tensor.
    pub tensor: String,
    /// The axis.
    pub axis: usize,
    /// The index of the first of the channels.
    pub first: usize,
    /// The channels of y.
    pub channels: Range<usize>,
    /// What the tensor does with them.
    pub does: Use,
}

impl ChannelAxis {
    /// The indices along the axis.
    pub fn indices(&self) -> Range<usize> {
        self.first..self.first + self.channels.len()
    }
}

/// All axes of a design that channels of y index.
///
/// ```
/// use iscs_lic::channels::{Use, channel_axes};
/// use iscs_lic::checkpoint::Checkpoint;
///
/// let axes = channel_axes(Checkpoint::default_model()?.design());
/// let means = axes.iter().find(|axis| axis.tensor == "h_s.4.weight" && axis.does == Use::Mean).expect("rows of means");
/// assert_eq!((means.axis, means.indices()), (0, 64..128));
/// # Ok::<(), iscs_lic::Error>(())
/// ```
pub fn channel_axes(design: &Design) -> Vec<ChannelAxis> {
    let all = 0..design.m;
    let mut axes = Axes(vec![]);
    axes.written(design.network("g_a"), &all, Use::Writes);
    axes.read(design.network("g_s"), 0, &all);
    if !matches!(design.architecture, Architecture::FactorizedPrior | Architecture::FactorizedPriorRelu) {
        axes.read(design.network(&format!("{}h_a", design.hyper_prefix())), 0, &all);
    }
    match design.architecture {
        Architecture::FactorizedPrior | Architecture::FactorizedPriorRelu => {
            axes.bottleneck(&design.bottleneck.0, &all);
        }
        Architecture::ScaleHyperprior => axes.written(design.network("h_s"), &all, Use::Scale),
        Architecture::MeanScaleHyperprior => axes.head(design.network("h_s"), &all),
        Architecture::JointAutoregressive
        | Architecture::Cheng2020Anchor
        | Architecture::Cheng2020Attention => {
            axes.context(&design.contexts[0].name, &all);
            axes.head(design.network("entropy_parameters"), &all);
        }
        Architecture::Cheng2020AnchorCheckerboard => {
            axes.context(&design.contexts[0].name, &all);
            axes.head(design.network("latent_codec.y.entropy_parameters"), &all);
        }
        Architecture::Elic2022 => axes.elic(design),
        Architecture::ChannelConditional => axes.even_slices(design),
    }
    axes.0
}

/// The channels of each slice of a design.
pub(crate) fn slice_channels(slices: &[usize]) -> Vec<Range<usize>> {
    let ends = slices.iter().scan(0, |end, n| {
        *end += n;
        Some(*end)
    });
    ends.zip(slices).map(|(end, n)| end - n..end).collect()
}

struct Axes(Vec<ChannelAxis>);

impl Axes {
    fn push(&mut self, tensor: String, axis: usize, first: usize, channels: &Range<usize>, does: Use) {
        self.0.push(ChannelAxis { tensor, axis, first, channels: channels.clone(), does });
    }

    /// Rows of a weight, and its bias.
    fn rows(
        &mut self,
        layer: &str,
        axis: usize,
        has_bias: bool,
        first: usize,
        channels: &Range<usize>,
        does: Use,
    ) {
        self.push(format!("{layer}.weight"), axis, first, channels, does);
        if has_bias {
            self.push(format!("{layer}.bias"), 0, first, channels, does);
        }
    }

    /// A block that adds to its input: its first maps read the channels, and its last ones write them.
    fn block(&mut self, name: &str, layer: &Layer, channels: &Range<usize>) {
        let reads = |part: &str| part.ends_with(".conv1") || part.ends_with(".conv.0") || part == ".conv_b.3";
        let writes = |part: &str| match layer {
            Layer::Residual { .. } => part == ".conv2",
            Layer::Bottleneck { .. } => part == ".conv3",
            // A gate is one a channel too.
            _ => part.ends_with(".conv.4") || part == ".conv_b.3",
        };
        for (part, inner) in layer.inner() {
            let Layer::Conv(conv) = inner else { continue };
            if reads(&part) {
                self.push(format!("{name}{part}.weight"), 1, 0, channels, Use::Reads);
            }
            if writes(&part) {
                self.rows(&format!("{name}{part}"), 0, conv.has_bias, 0, channels, Use::Writes);
            }
        }
    }

    /// What gives a network's output, from its end on.
    fn written(&mut self, network: &Network, channels: &Range<usize>, does: Use) {
        let layers: Vec<_> = network.named().collect();
        for (name, layer) in layers.into_iter().rev() {
            match layer {
                Layer::Relu | Layer::LeakyRelu => {}
                Layer::Residual { .. } | Layer::Bottleneck { .. } | Layer::Attention { .. } => {
                    self.block(&name, layer, channels);
                }
                Layer::Conv(conv) => return self.rows(&name, 0, conv.has_bias, 0, channels, does),
                Layer::Deconv(conv) => return self.rows(&name, 1, conv.has_bias, 0, channels, does),
                other => unreachable!("no architecture has its latents from {other:?}"),
            }
        }
    }

    /// What takes a network's input, of which the channels begin at `first`.
    fn read(&mut self, network: &Network, first: usize, channels: &Range<usize>) {
        for (name, layer) in network.named() {
            let mut columns = |ends: &[&str], axis: usize| {
                for end in ends {
                    self.push(format!("{name}{end}.weight"), axis, first, channels, Use::Reads);
                }
            };
            match layer {
                Layer::Relu | Layer::LeakyRelu => {}
                Layer::Residual { .. } | Layer::Bottleneck { .. } | Layer::Attention { .. } => {
                    self.block(&name, layer, channels);
                }
                Layer::Conv(_) => return columns(&[""], 1),
                Layer::Deconv(_) => return columns(&[""], 0),
                Layer::Subpel(_) => return columns(&[".0"], 1),
                Layer::ResidualDown(_) => return columns(&[".conv1", ".skip"], 1),
                Layer::ResidualUp(_) => return columns(&[".subpel_conv.0", ".upsample.0"], 1),
                other => unreachable!("no architecture gives its latents to {other:?}"),
            }
        }
    }

    /// Columns of a masked convolution.
    fn context(&mut self, name: &str, channels: &Range<usize>) {
        self.push(format!("{name}.weight"), 1, 0, channels, Use::Reads);
    }

    /// The last convolution of an entropy head: the rows of scales, then those of means.
    fn head(&mut self, network: &Network, channels: &Range<usize>) {
        let (name, last) = network.named().last().expect("a network has layers");
        let Layer::Conv(conv) = last else { unreachable!("no architecture has its scales from {last:?}") };
        self.rows(&name, 0, conv.has_bias, 0, channels, Use::Scale);
        self.rows(&name, 0, conv.has_bias, channels.len(), channels, Use::Mean);
    }

    fn bottleneck(&mut self, name: &str, channels: &Range<usize>) {
        for i in 0..FILTERS.len() {
            // The last layer has no factors.
            let n_kinds = if i + 1 < FILTERS.len() { 3 } else { 2 };
            for kind in &["matrices", "biases", "factors"][..n_kinds] {
                self.push(format!("{name}.{kind}.{i}"), 0, 0, channels, Use::Distribution);
            }
        }
        self.push(format!("{name}.quantiles"), 0, 0, channels, Use::Distribution);
        for table in ["_quantized_cdf", "_cdf_length", "_offset"] {
            self.push(format!("{name}.{table}"), 0, 0, channels, Use::Table);
        }
    }

    fn elic(&mut self, design: &Design) {
        for (k, channels) in slice_channels(&design.slices).into_iter().enumerate() {
            if k > 0 {
                let name = format!("latent_codec.y.channel_context.y{k}");
                self.read(design.network(&name), 0, &(0..channels.start));
            }
            self.context(&design.contexts[k].name, &channels);
            let name = format!("latent_codec.y.latent_codec.y{k}.entropy_parameters");
            self.head(design.network(&name), &channels);
        }
    }

    fn even_slices(&mut self, design: &Design) {
        let slices = slice_channels(&design.slices);
        for (k, channels) in slices.iter().enumerate() {
            let seen = 0..k.min(design.n_support) * channels.len();
            for (stem, does) in [
                ("cc_mean_transforms", Use::Mean),
                ("cc_scale_transforms", Use::Scale),
                ("lrp_transforms", Use::Writes),
            ] {
                let network = design.network(&format!("{stem}.{k}"));
                let Some(Layer::Conv(first)) = network.layers.first() else {
                    unreachable!("no network of a slice begins with {:?}", network.layers.first())
                };
                // The hyperprior's channels, the slices before, and this slice where the residual is predicted.
                let n_own = if does == Use::Writes { channels.len() } else { 0 };
                let n_hyper = first.n_in - seen.len() - n_own;
                if !seen.is_empty() {
                    self.read(network, n_hyper, &seen);
                }
                if n_own > 0 {
                    self.read(network, n_hyper + seen.len(), channels);
                }
                self.written(network, channels, does);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::Checkpoint;

    #[test]
    fn slices_lie_one_after_another() {
        assert_eq!(slice_channels(&[2, 3, 1]), [0..2, 2..5, 5..6], "three slices");
        assert!(slice_channels(&[]).is_empty(), "no slice");
    }

    #[test]
    fn a_mean_scale_hyperprior_has_eight_runs_of_channels() {
        let checkpoint = Checkpoint::default_model().expect("the model");
        let axes = channel_axes(checkpoint.design());
        let found: Vec<_> =
            axes.iter().map(|axis| (axis.tensor.as_str(), axis.axis, axis.first, axis.does)).collect();
        let wanted = [
            ("g_a.6.weight", 0, 0, Use::Writes),
            ("g_a.6.bias", 0, 0, Use::Writes),
            ("g_s.0.weight", 0, 0, Use::Reads),
            ("h_a.0.weight", 1, 0, Use::Reads),
            ("h_s.4.weight", 0, 0, Use::Scale),
            ("h_s.4.bias", 0, 0, Use::Scale),
            ("h_s.4.weight", 0, 64, Use::Mean),
            ("h_s.4.bias", 0, 64, Use::Mean),
        ];
        assert_eq!(found, wanted, "the axes");
    }
}
