//! Which layers of an architecture write, read and predict each latent channel.
//!
//! | | layers |
//! |---|---|
//! | written by | the last convolution of `g_a`; where residual or attention blocks follow it, the last linear map of each block too |
//! | read by | the first convolutions of `g_s`, and of `h_a`; where blocks come first, the first maps of each block, and what reads behind the blocks |
//! | scale and mean by | the rows of the entropy head: `h_s`, `entropy_parameters`, or the networks of each slice |
//!
//! A block adds to its input, so that the channel passes it: `x + f(x)` is written by what wrote `x` and by the last map of `f`, and read by the
//! first maps of `f` and by what follows. An attention block `x + t(x)·σ(m(x))` is written by the last 1×1 convolution of its trunk t; the gate m
//! scales what the trunk writes. In every architecture that is known, the entropy head gives the scales first and then the means
//! (Minnen & Singh 2020: networks of their own).

use std::ops::Range;

use crate::checkpoint::{Architecture, Checkpoint, Layer, Network};

/// The part of a weight that belongs to latent channels, one index along an axis for each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kernels {
    /// The layer's neutral name; its weight is `LAYER.weight`, and, along axis 0, its bias `LAYER.bias`.
    pub layer: String,
    /// The axis of the weight along which the channels lie.
    pub axis: usize,
    /// The index along the axis of the first channel.
    pub first: usize,
    /// The latent channels.
    pub channels: Range<usize>,
}

/// The layers that belong to latent channels; each list covers all channels, several times where several layers share them.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LayerBinding {
    /// M: the number of channels.
    pub n_channels: usize,
    /// Last maps of `g_a`: the convolution, then those of the blocks behind it.
    pub writers: Vec<Kernels>,
    /// First maps of `g_s`.
    pub readers: Vec<Kernels>,
    /// First maps of `h_a`; none without a hyperprior.
    pub hyper_readers: Vec<Kernels>,
    /// Rows of the entropy head that give scales, slice by slice; none without a hyperprior.
    pub scales: Vec<Kernels>,
    /// Rows of the entropy head that give means, slice by slice; none where means are not predicted.
    pub means: Vec<Kernels>,
}

impl LayerBinding {
    /// The layers of a checkpoint.
    ///
    /// ```
    /// use iscs_lic::channels::LayerBinding;
    /// use iscs_lic::checkpoint::Checkpoint;
    ///
    /// let binding = LayerBinding::of(&Checkpoint::default_model()?);
    /// assert_eq!(binding.writers[0].layer, "g_a.6");
    /// assert_eq!((binding.means[0].first, &binding.means[0].channels), (64, &(0..64)));
    /// # Ok::<(), iscs_lic::Error>(())
    /// ```
    pub fn of(checkpoint: &Checkpoint) -> Self {
        let design = checkpoint.design();
        let m = design.m;
        let whole = |maps: Vec<(String, usize)>| -> Vec<Kernels> {
            let kernels = |(layer, axis)| Kernels { layer, axis, first: 0, channels: 0..m };
            maps.into_iter().map(kernels).collect()
        };
        let hyper = format!("{}h_a", design.hyper_prefix());
        let hyper = design.networks.iter().find(|network| network.name == hyper);
        let (scales, means) = head(checkpoint);
        Self {
            n_channels: m,
            writers: whole(writers(design.network("g_a"))),
            readers: whole(readers(design.network("g_s"))),
            hyper_readers: whole(hyper.map(readers).unwrap_or_default()),
            scales,
            means,
        }
    }
}

/// The maps that write a network's output, each with the axis of its outputs, in the order of the network.
fn writers(network: &Network) -> Vec<(String, usize)> {
    let mut maps = vec![];
    let layers: Vec<_> = network.named().collect();
    for (name, layer) in layers.into_iter().rev() {
        match layer {
            Layer::Relu | Layer::LeakyRelu => {}
            Layer::Residual { .. } => maps.push((format!("{name}.conv2"), 0)),
            Layer::Bottleneck { .. } => maps.push((format!("{name}.conv3"), 0)),
            Layer::Attention { .. } => maps.push((format!("{name}.conv_a.2.conv.4"), 0)),
            Layer::Conv(_) => {
                maps.push((name, 0));
                break;
            }
            Layer::Deconv(_) => {
                maps.push((name, 1));
                break;
            }
            other => panic!("no latent channel is written by {other:?} of {name}"),
        }
    }
    maps.reverse();
    maps
}

/// The maps that read a network's input, each with the axis of its inputs.
fn readers(network: &Network) -> Vec<(String, usize)> {
    let mut maps = vec![];
    for (name, layer) in network.named() {
        let inner =
            |parts: &[&str]| parts.iter().map(|part| (format!("{name}{part}"), 1)).collect::<Vec<_>>();
        let (found, passes_on) = match layer {
            Layer::Residual { .. } | Layer::Bottleneck { .. } => (inner(&[".conv1"]), true),
            Layer::Attention { .. } => (inner(&[".conv_a.0.conv.0", ".conv_b.0.conv.0"]), true),
            Layer::ResidualDown(_) => (inner(&[".conv1", ".skip"]), false),
            Layer::ResidualUp(_) => (inner(&[".subpel_conv.0", ".upsample.0"]), false),
            Layer::Conv(_) => (inner(&[""]), false),
            Layer::Subpel(_) => (inner(&[".0"]), false),
            Layer::Deconv(_) => (vec![(name, 0)], false),
            other => panic!("no latent channel is read by {other:?} of {name}"),
        };
        maps.extend(found);
        if !passes_on {
            break;
        }
    }
    maps
}

/// The rows that give scales, and those that give means.
fn head(checkpoint: &Checkpoint) -> (Vec<Kernels>, Vec<Kernels>) {
    let design = checkpoint.design();
    // The last convolution of a network, of whose rows those from `first` on belong to the channels.
    let rows = |network: &str, first: usize, channels: Range<usize>| {
        let maps = writers(design.network(network));
        let (layer, axis) = maps[0].clone();
        Kernels { layer, axis, first, channels }
    };
    let halves = |network: &str, channels: Range<usize>| {
        [rows(network, 0, channels.clone()), rows(network, channels.len(), channels)]
    };
    let slices = || {
        design.slices.iter().enumerate().scan(0usize, |next, (k, &n)| {
            let first = *next;
            *next += n;
            Some((k, first..first + n))
        })
    };
    let all = 0..design.m;
    let pairs: Vec<[Kernels; 2]> = match design.architecture {
        Architecture::FactorizedPrior | Architecture::FactorizedPriorRelu => vec![],
        Architecture::ScaleHyperprior => return (vec![rows("h_s", 0, all)], vec![]),
        Architecture::MeanScaleHyperprior => vec![halves("h_s", all)],
        Architecture::JointAutoregressive
        | Architecture::Cheng2020Anchor
        | Architecture::Cheng2020Attention => vec![halves("entropy_parameters", all)],
        Architecture::Cheng2020AnchorCheckerboard => vec![halves("latent_codec.y.entropy_parameters", all)],
        Architecture::Elic2022 => slices()
            .map(|(k, channels)| {
                halves(&format!("latent_codec.y.latent_codec.y{k}.entropy_parameters"), channels)
            })
            .collect(),
        Architecture::ChannelConditional => slices()
            .map(|(k, channels)| {
                ["cc_scale_transforms", "cc_mean_transforms"]
                    .map(|network| rows(&format!("{network}.{k}"), 0, channels.clone()))
            })
            .collect(),
    };
    pairs.into_iter().map(|[scales, means]| (scales, means)).unzip()
}
