//! One module of an adapter: what it is, its shape and scale, and its factors once they are asked for.
//!
//! Every kind of module has factors `A [r, d_in]` and `B [d_out, r]` with `ΔW = s·B·A`. Files store them as
//! - linear: as they are; with `fan_in_fan_out` the base adds the transpose;
//! - convolution over a kernel of `k₁×k₂×…`: `A [r, c_in, k₁, k₂, …]`, so `d_in = c_in·k₁·k₂·…`, and `B [d_out, r, 1, 1, …]`;
//! - embedding of `n` rows of width `d`: `A [r, n]`, `B [d, r]`, so `d_in = n`, `d_out = d`; the base adds the transpose.

use std::fmt;

use grouping_core::matrix::Matrix;
use serde::Serialize;

/// What a module is in the base model.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ModuleKind {
    /// A linear layer.
    Linear,
    /// A convolution with a kernel of these lengths, one an axis.
    Conv {
        /// Length of the kernel along each axis.
        kernel: Vec<usize>,
    },
    /// A table of embeddings.
    Embedding,
}

impl ModuleKind {
    /// Number of the kernel's points; 1 for what is no convolution.
    fn n_points(&self) -> usize {
        match self {
            Self::Conv { kernel } => kernel.iter().product(),
            _ => 1,
        }
    }

    /// Whether factors of both kinds mean the same: equal kinds, or a linear layer and a convolution over one point.
    pub fn fits(&self, other: &Self) -> bool {
        let pointwise =
            |kind: &Self| matches!(kind, Self::Linear | Self::Conv { .. }) && kind.n_points() == 1;
        self == other || (pointwise(self) && pointwise(other))
    }

    /// Shape of the stored `A` of rank `r`.
    pub(crate) fn shape_of_a(&self, rank: usize, n_inputs: usize) -> Vec<usize> {
        match self {
            Self::Conv { kernel } => {
                let n_channels = n_inputs / self.n_points().max(1);
                [&[rank, n_channels], kernel.as_slice()].concat()
            }
            _ => vec![rank, n_inputs],
        }
    }

    /// Shape of the stored `B` of rank `r`.
    pub(crate) fn shape_of_b(&self, rank: usize, n_outputs: usize) -> Vec<usize> {
        match self {
            Self::Conv { kernel } => [&[n_outputs, rank], vec![1; kernel.len()].as_slice()].concat(),
            _ => vec![n_outputs, rank],
        }
    }
}

impl fmt::Display for ModuleKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Linear => f.write_str("linear"),
            Self::Embedding => f.write_str("embedding"),
            Self::Conv { kernel } => {
                let lengths: Vec<_> = kernel.iter().map(usize::to_string).collect();
                write!(f, "conv {}", lengths.join("×"))
            }
        }
    }
}

/// One module of an adapter: its shape and scale, not its values.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct LoraModule {
    /// Full name in the base model, such as `model.layers.0.self_attn.q_proj`.
    pub name: String,
    /// What the module is.
    pub kind: ModuleKind,
    /// Number of units, the rank of its factors.
    pub rank: usize,
    /// `d_in`.
    pub n_inputs: usize,
    /// `d_out`.
    pub n_outputs: usize,
    /// `s`, by which the product of the factors is multiplied.
    pub scale: f64,
    /// Whether `B` has a bias, `y = s·(B·A·x + b)`.
    pub has_bias: bool,
    /// Whether there is a magnitude of DoRA: the update is then not low-rank, and depends on the base's weight.
    pub has_magnitude: bool,
}

impl LoraModule {
    /// A module of scale 1, as merging makes them; `[d_out, d_in]`.
    pub(crate) fn of_scale_one(
        name: String,
        kind: ModuleKind,
        rank: usize,
        [n_outputs, n_inputs]: [usize; 2],
        has_bias: bool,
    ) -> Self {
        Self { name, kind, rank, n_inputs, n_outputs, scale: 1.0, has_bias, has_magnitude: false }
    }

    /// `α` that gives the scale without rsLoRA, `s·r`; a whole number where it is one but for rounding.
    pub(crate) fn alpha(&self) -> f64 {
        let alpha = self.scale * self.rank as f64;
        let whole = alpha.round();
        if (alpha - whole).abs() <= 1e-12 * alpha.abs() { whole } else { alpha }
    }
}

/// The factors of one module, as stored: the scale is not in them.
#[derive(Debug, Clone, PartialEq)]
pub struct Factors {
    /// `A [r, d_in]`.
    pub a: Matrix,
    /// `B [d_out, r]`.
    pub b: Matrix,
    /// `s`.
    pub scale: f64,
}

/// A module made in memory.
#[derive(Debug, Clone, PartialEq)]
pub struct ModuleTensors {
    /// Full name in the base model.
    pub name: String,
    /// What the module is.
    pub kind: ModuleKind,
    /// `A [r, d_in]`.
    pub a: Matrix,
    /// `B [d_out, r]`.
    pub b: Matrix,
    /// Bias of `B`, `[d_out]`.
    pub bias: Option<Vec<f32>>,
}
