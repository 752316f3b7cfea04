//! The layers of learned image codecs as data: kernels, strides and widths, and the tensors that each layer has.
//!
//! A [`Network`] is a sequence of layers. Its tensors are named as `torch.nn.Sequential` names them: `NETWORK.INDEX.weight`, where layers
//! without tensors count too. The composite layers are those of CompressAI (Cheng et al. 2020, arXiv 2001.01568; He et al. 2022,
//! arXiv 2203.10886).

/// Widths, kernel side and stride of a convolution, or of a transposed one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conv {
    /// Channels of the input.
    pub n_in: usize,
    /// Channels of the output.
    pub n_out: usize,
    /// Side of the square kernel, odd; both kinds are padded by half of it.
    pub kernel: usize,
    /// Factor by which both sides shrink, or grow: a transposed convolution has an output padding of `stride − 1`.
    pub stride: usize,
    /// Whether a bias is added.
    pub has_bias: bool,
}

impl Conv {
    /// A convolution with a bias.
    pub fn new([n_in, n_out]: [usize; 2], kernel: usize, stride: usize) -> Self {
        Self { n_in, n_out, kernel, stride, has_bias: true }
    }
}

/// One layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Layer {
    /// `weight [out, in, k, k]`.
    Conv(Conv),
    /// A transposed convolution: `weight [in, out, k, k]`.
    Deconv(Conv),
    /// Generalised divisive normalisation over `channels` (Ballé et al. 2016, arXiv 1511.06281): `x · (β + γ·x²)^−½`.
    Gdn {
        /// Its width.
        channels: usize,
    },
    /// Its approximate inverse: `x · (β + γ·x²)^½`.
    InverseGdn {
        /// Its width.
        channels: usize,
    },
    /// `max(x, 0)`.
    Relu,
    /// `x` where it is positive, else `x / 100`.
    LeakyRelu,
    /// A convolution to four times as many channels, which then become 2×2 positions (`torch.nn.PixelShuffle`); `n_out` counts them after.
    Subpel(Conv),
    /// Two 3×3 convolutions, the first with stride 2, and GDN, beside a 1×1 convolution with stride 2.
    ResidualDown([usize; 2]),
    /// Two 3×3 convolutions, each with a leaky ReLU, beside the identity.
    Residual {
        /// Its width.
        channels: usize,
    },
    /// A sub-pixel and a 3×3 convolution and inverse GDN, beside a sub-pixel convolution.
    ResidualUp([usize; 2]),
    /// 1×1, 3×3 and 1×1 convolutions over half of the channels, beside the identity.
    Bottleneck {
        /// Its width.
        channels: usize,
    },
    /// Three residual units, gated by the sigmoid of three more, beside the identity.
    Attention {
        /// Its width.
        channels: usize,
    },
}

/// A tensor that a layer has: what follows the layer's name, and its shape.
pub type Part = (String, Vec<usize>);

impl Layer {
    /// The convolutions and normalisations inside, each with what follows this layer's name; the layer itself with nothing.
    pub fn inner(&self) -> Vec<(String, Self)> {
        let conv = |widths, kernel, stride| Self::Conv(Conv::new(widths, kernel, stride));
        let subpel = |widths: [usize; 2]| Self::Subpel(Conv::new(widths, 3, 1));
        let named = |parts: Vec<(&str, Self)>| parts.into_iter().map(|(name, l)| (name.into(), l)).collect();
        match *self {
            Self::ResidualDown([n_in, n]) => named(vec![
                (".conv1", conv([n_in, n], 3, 2)),
                (".conv2", conv([n, n], 3, 1)),
                (".gdn", Self::Gdn { channels: n }),
                (".skip", conv([n_in, n], 1, 2)),
            ]),
            Self::Residual { channels: n } => {
                named(vec![(".conv1", conv([n, n], 3, 1)), (".conv2", conv([n, n], 3, 1))])
            }
            Self::ResidualUp([n_in, n]) => named(vec![
                (".subpel_conv", subpel([n_in, n])),
                (".conv", conv([n, n], 3, 1)),
                (".igdn", Self::InverseGdn { channels: n }),
                (".upsample", subpel([n_in, n])),
            ]),
            Self::Bottleneck { channels: n } => named(vec![
                (".conv1", conv([n, n / 2], 1, 1)),
                (".conv2", conv([n / 2, n / 2], 3, 1)),
                (".conv3", conv([n / 2, n], 1, 1)),
            ]),
            Self::Attention { channels: n } => {
                let unit = |branch: &'static str, i: usize| {
                    let parts = [
                        (0, conv([n, n / 2], 1, 1)),
                        (2, conv([n / 2, n / 2], 3, 1)),
                        (4, conv([n / 2, n], 1, 1)),
                    ];
                    parts.map(|(j, layer)| (format!(".{branch}.{i}.conv.{j}"), layer))
                };
                let units =
                    ["conv_a", "conv_b"].into_iter().flat_map(|b| (0..3).flat_map(move |i| unit(b, i)));
                units.chain([(".conv_b.3".to_string(), conv([n, n], 1, 1))]).collect()
            }
            _ => vec![(String::new(), *self)],
        }
    }

    /// The tensors that training changes.
    pub fn parameters(&self) -> Vec<Part> {
        let with_bias = |stem: &str, weight: Vec<usize>, conv: &Conv, n_out| {
            let bias = conv.has_bias.then(|| (format!("{stem}.bias"), vec![n_out]));
            [(format!("{stem}.weight"), weight)].into_iter().chain(bias).collect::<Vec<_>>()
        };
        let own = |name: &str, layer: &Self| match layer {
            Self::Conv(c) => with_bias(name, vec![c.n_out, c.n_in, c.kernel, c.kernel], c, c.n_out),
            Self::Deconv(c) => with_bias(name, vec![c.n_in, c.n_out, c.kernel, c.kernel], c, c.n_out),
            Self::Subpel(c) => {
                let n_out = 4 * c.n_out;
                with_bias(&format!("{name}.0"), vec![n_out, c.n_in, c.kernel, c.kernel], c, n_out)
            }
            &Self::Gdn { channels } | &Self::InverseGdn { channels } => {
                vec![(format!("{name}.beta"), vec![channels]), (format!("{name}.gamma"), vec![channels; 2])]
            }
            _ => vec![],
        };
        self.inner().iter().flat_map(|(name, layer)| own(name, layer)).collect()
    }

    /// The names of the normalisations inside, each with what follows this layer's name.
    pub fn normalisations(&self) -> Vec<String> {
        let is_one = |layer: &Self| matches!(layer, Self::Gdn { .. } | Self::InverseGdn { .. });
        self.inner().into_iter().filter(|(_, layer)| is_one(layer)).map(|(name, _)| name).collect()
    }
}

/// Layers one after another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// What its tensors' names begin with.
    pub name: String,
    /// Its layers.
    pub layers: Vec<Layer>,
}

impl Network {
    /// The layers, each with its name.
    pub fn named(&self) -> impl Iterator<Item = (String, &Layer)> {
        self.layers.iter().enumerate().map(|(i, layer)| (format!("{}.{i}", self.name), layer))
    }

    /// The tensors that training changes.
    pub fn parameters(&self) -> Vec<Part> {
        let of = |(name, layer): (String, &Layer)| {
            layer.parameters().into_iter().map(move |(part, shape)| (format!("{name}{part}"), shape))
        };
        self.named().flat_map(of).collect()
    }

    /// The names of its normalisations.
    pub fn normalisations(&self) -> Vec<String> {
        let of = |(name, layer): (String, &Layer)| {
            layer.normalisations().into_iter().map(move |part| format!("{name}{part}"))
        };
        self.named().flat_map(of).collect()
    }
}
