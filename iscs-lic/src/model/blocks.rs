//! The layers of learned image codecs as Burn modules: normalisation, sub-pixel convolution, residual blocks and attention.

use burn::module::{Module, Param};
use burn::tensor::activation::{leaky_relu, relu, sigmoid};
use burn::tensor::{Device, Tensor, TensorData};
use grouping_core::kernels::{Rectifier, gdn};

use super::convolution::{Conv, Deconv};
use crate::Result;
use crate::checkpoint::{self, Checkpoint, Layer};

/// Slope of leaky ReLUs below zero.
const SLOPE: f64 = 0.01;

/// Generalised divisive normalisation, `x · (β + γ·x²)^−½`, or its approximate inverse, `x · (β + γ·x²)^½`.
#[derive(Module, Debug)]
pub struct Gdn {
    /// β `[channels]`.
    pub beta: Param<Tensor<1>>,
    /// γ `[channels, channels]`.
    pub gamma: Param<Tensor<2>>,
    is_inverse: bool,
}

impl Gdn {
    fn load(checkpoint: &Checkpoint, name: &str, is_inverse: bool, device: &Device) -> Result<Self> {
        let checkpoint::Gdn { beta, gamma } = checkpoint.gdn(name)?;
        let n = beta.len();
        Ok(Self {
            beta: Param::from_tensor(Tensor::from_data(TensorData::new(beta, [n]), device)),
            gamma: Param::from_tensor(Tensor::from_data(TensorData::new(gamma, [n, n]), device)),
            is_inverse,
        })
    }

    /// `[b, channels, h, w]` → the same shape.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        gdn(x, self.beta.val(), self.gamma.val(), self.is_inverse)
    }
}

/// A convolution to four times as many channels, which become 2×2 positions: `[b, in, h, w]` → `[b, out, 2·h, 2·w]`.
#[derive(Module, Debug)]
pub struct Subpel {
    conv: Conv,
}

impl Subpel {
    fn rectified(&self, x: Tensor<4>, rectifier: Rectifier) -> Tensor<4> {
        let x = self.conv.rectified(x, rectifier);
        let [n_batch, channels, height, width] = x.dims();
        let n_out = channels / 4;
        let phases = x.reshape([n_batch, n_out, 2, 2, height, width]).permute([0, 1, 4, 2, 5, 3]);
        phases.reshape([n_batch, n_out, 2 * height, 2 * width])
    }
}

/// A residual block that halves both sides.
#[derive(Module, Debug)]
pub struct ResidualDown {
    conv1: Conv,
    conv2: Conv,
    gdn: Gdn,
    skip: Conv,
}

/// A residual block.
#[derive(Module, Debug)]
pub struct Residual {
    conv1: Conv,
    conv2: Conv,
}

/// A residual block that doubles both sides.
#[derive(Module, Debug)]
pub struct ResidualUp {
    subpel_conv: Subpel,
    conv: Conv,
    igdn: Gdn,
    upsample: Subpel,
}

/// 1×1, 3×3 and 1×1 convolutions with ReLUs between them.
#[derive(Module, Debug)]
pub struct Narrow {
    first: Conv,
    second: Conv,
    third: Conv,
}

impl Narrow {
    /// The three on top of their input, behind an activation function.
    fn residual(&self, x: Tensor<4>, rectifier: Rectifier) -> Tensor<4> {
        let inner = self.first.rectified(x.clone(), Rectifier::Relu);
        let inner = self.second.rectified(inner, Rectifier::Relu);
        self.third.onto(x, inner, rectifier)
    }
}

/// Three residual units, gated by the sigmoid of three more.
#[derive(Module, Debug)]
pub struct Attention {
    trunk: Vec<Narrow>,
    mask: Vec<Narrow>,
    last: Conv,
}

impl Attention {
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let units = |units: &[Narrow], x: Tensor<4>| {
            units.iter().fold(x, |x, unit| unit.residual(x, Rectifier::Relu))
        };
        let trunk = units(&self.trunk, x.clone());
        let mask = self.last.forward(units(&self.mask, x.clone()));
        trunk * sigmoid(mask) + x
    }
}

/// An activation function.
#[derive(Module, Debug)]
pub struct Activation {
    is_leaky: bool,
}

/// One layer with its parameters.
#[derive(Module, Debug)]
pub enum Step {
    /// See [`Layer::Conv`].
    Conv(Conv),
    /// See [`Layer::Deconv`].
    Deconv(Deconv),
    /// See [`Layer::Gdn`] and [`Layer::InverseGdn`].
    Gdn(Gdn),
    /// See [`Layer::Relu`] and [`Layer::LeakyRelu`].
    Activation(Activation),
    /// See [`Layer::Subpel`].
    Subpel(Subpel),
    /// See [`Layer::ResidualDown`].
    ResidualDown(ResidualDown),
    /// See [`Layer::Residual`].
    Residual(Residual),
    /// See [`Layer::ResidualUp`].
    ResidualUp(ResidualUp),
    /// See [`Layer::Bottleneck`].
    Bottleneck(Narrow),
    /// See [`Layer::Attention`].
    Attention(Attention),
}

/// The parts of one layer, by what follows its name.
struct Parts<'a> {
    checkpoint: &'a Checkpoint,
    name: &'a str,
    inner: Vec<(String, Layer)>,
    device: &'a Device,
}

impl Parts<'_> {
    fn layer(&self, part: &str) -> &Layer {
        let found = self.inner.iter().find(|(name, _)| name == part);
        &found.unwrap_or_else(|| panic!("a layer without the part `{part}`")).1
    }

    fn conv(&self, part: &str) -> Result<Conv> {
        let name = format!("{}{part}", self.name);
        match self.layer(part) {
            Layer::Conv(shape) => Conv::load(self.checkpoint, &name, shape, self.device),
            other => panic!("`{part}` is {other:?}"),
        }
    }

    fn subpel(&self, part: &str) -> Result<Subpel> {
        let name = format!("{}{part}.0", self.name);
        match self.layer(part) {
            Layer::Subpel(shape) => {
                Ok(Subpel { conv: Conv::load(self.checkpoint, &name, shape, self.device)? })
            }
            other => panic!("`{part}` is {other:?}"),
        }
    }

    fn gdn(&self, part: &str) -> Result<Gdn> {
        let is_inverse = matches!(self.layer(part), Layer::InverseGdn { .. });
        Gdn::load(self.checkpoint, &format!("{}{part}", self.name), is_inverse, self.device)
    }

    fn narrow(&self, parts: [&str; 3]) -> Result<Narrow> {
        let [first, second, third] = parts.map(|part| self.conv(part));
        Ok(Narrow { first: first?, second: second?, third: third? })
    }

    fn units(&self, branch: &str) -> Result<Vec<Narrow>> {
        let unit = |i| {
            let [a, b, c] = [0, 2, 4].map(|j| format!(".{branch}.{i}.conv.{j}"));
            self.narrow([&a, &b, &c])
        };
        (0..3).map(unit).collect()
    }
}

impl Step {
    /// The layer `name` of a checkpoint.
    pub(super) fn load(checkpoint: &Checkpoint, name: &str, layer: &Layer, device: &Device) -> Result<Self> {
        let parts = Parts { checkpoint, name, inner: layer.inner(), device };
        Ok(match layer {
            Layer::Conv(_) => Self::Conv(parts.conv("")?),
            Layer::Deconv(shape) => Self::Deconv(Deconv::load(checkpoint, name, shape, device)?),
            Layer::Gdn { .. } | Layer::InverseGdn { .. } => Self::Gdn(parts.gdn("")?),
            Layer::Relu => Self::Activation(Activation { is_leaky: false }),
            Layer::LeakyRelu => Self::Activation(Activation { is_leaky: true }),
            Layer::Subpel(_) => Self::Subpel(parts.subpel("")?),
            Layer::ResidualDown(_) => Self::ResidualDown(ResidualDown {
                conv1: parts.conv(".conv1")?,
                conv2: parts.conv(".conv2")?,
                gdn: parts.gdn(".gdn")?,
                skip: parts.conv(".skip")?,
            }),
            Layer::Residual { .. } => {
                Self::Residual(Residual { conv1: parts.conv(".conv1")?, conv2: parts.conv(".conv2")? })
            }
            Layer::ResidualUp(_) => Self::ResidualUp(ResidualUp {
                subpel_conv: parts.subpel(".subpel_conv")?,
                conv: parts.conv(".conv")?,
                igdn: parts.gdn(".igdn")?,
                upsample: parts.subpel(".upsample")?,
            }),
            Layer::Bottleneck { .. } => Self::Bottleneck(parts.narrow([".conv1", ".conv2", ".conv3"])?),
            Layer::Attention { .. } => Self::Attention(Attention {
                trunk: parts.units("conv_a")?,
                mask: parts.units("conv_b")?,
                last: parts.conv(".conv_b.3")?,
            }),
        })
    }

    /// The function that this layer is, if it is one that a layer before it can apply.
    pub(super) fn rectifier(&self) -> Option<Rectifier> {
        match self {
            Self::Activation(Activation { is_leaky: true }) => Some(Rectifier::LeakyRelu),
            Self::Activation(Activation { is_leaky: false }) => Some(Rectifier::Relu),
            _ => None,
        }
    }

    /// Whether this layer can apply the function behind it.
    pub(super) fn takes_rectifier(&self) -> bool {
        matches!(self, Self::Conv(_) | Self::Deconv(_) | Self::Subpel(_))
    }

    /// The output, behind a function where this layer takes one.
    pub(super) fn rectified(&self, x: Tensor<4>, rectifier: Rectifier) -> Tensor<4> {
        match self {
            Self::Conv(conv) => conv.rectified(x, rectifier),
            Self::Deconv(deconv) => deconv.rectified(x, rectifier),
            Self::Subpel(subpel) => subpel.rectified(x, rectifier),
            _ => self.forward(x),
        }
    }

    /// The output.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let leaky = Rectifier::LeakyRelu;
        match self {
            Self::Conv(_) | Self::Deconv(_) | Self::Subpel(_) => self.rectified(x, Rectifier::None),
            Self::Gdn(gdn) => gdn.forward(x),
            Self::Activation(Activation { is_leaky: true }) => leaky_relu(x, SLOPE),
            Self::Activation(Activation { is_leaky: false }) => relu(x),
            Self::ResidualDown(block) => {
                let inner = block.conv2.forward(block.conv1.rectified(x.clone(), leaky));
                block.skip.onto(block.gdn.forward(inner), x, Rectifier::None)
            }
            Self::Residual(block) => {
                block.conv2.rectified(block.conv1.rectified(x.clone(), leaky), leaky) + x
            }
            Self::ResidualUp(block) => {
                let inner = block.conv.forward(block.subpel_conv.rectified(x.clone(), leaky));
                block.igdn.forward(inner) + block.upsample.rectified(x, Rectifier::None)
            }
            Self::Bottleneck(block) => block.residual(x, Rectifier::None),
            Self::Attention(block) => block.forward(x),
        }
    }
}
