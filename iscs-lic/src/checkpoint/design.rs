//! What an architecture's tensors must be: its networks, masked convolutions, entropy models and slices.

use std::fmt;

use super::layers::Network;

/// Which learned codec a checkpoint holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Architecture {
    /// `bmshj2018-factorized`.
    FactorizedPrior,
    /// `bmshj2018-factorized-relu`.
    FactorizedPriorRelu,
    /// `bmshj2018-hyperprior`.
    ScaleHyperprior,
    /// `mbt2018-mean`.
    MeanScaleHyperprior,
    /// `mbt2018`: with a serial context.
    JointAutoregressive,
    /// `cheng2020-anchor`: with a serial context.
    Cheng2020Anchor,
    /// `cheng2020-attn`: with a serial context.
    Cheng2020Attention,
    /// `cheng2020-anchor-checkerboard`.
    Cheng2020AnchorCheckerboard,
    /// `elic2022-official`: uneven slices, each with a checkerboard.
    Elic2022,
    /// Minnen & Singh 2020: even slices, with latent residual prediction.
    ChannelConditional,
}

impl Architecture {
    /// CompressAI's name, and `ms2020` for the one that it lacks.
    pub fn name(self) -> &'static str {
        match self {
            Self::FactorizedPrior => "bmshj2018-factorized",
            Self::FactorizedPriorRelu => "bmshj2018-factorized-relu",
            Self::ScaleHyperprior => "bmshj2018-hyperprior",
            Self::MeanScaleHyperprior => "mbt2018-mean",
            Self::JointAutoregressive => "mbt2018",
            Self::Cheng2020Anchor => "cheng2020-anchor",
            Self::Cheng2020Attention => "cheng2020-attn",
            Self::Cheng2020AnchorCheckerboard => "cheng2020-anchor-checkerboard",
            Self::Elic2022 => "elic2022-official",
            Self::ChannelConditional => "ms2020",
        }
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Which positions a masked 5×5 convolution sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mask {
    /// The rows above, and what stands to the left.
    Raster,
    /// The positions of the other colour of a checkerboard.
    Checkerboard,
}

/// Side of the masked kernels.
pub const CONTEXT_KERNEL: usize = 5;

impl Mask {
    /// Whether position `(row, column)` of the kernel is seen.
    pub fn sees(self, row: usize, column: usize) -> bool {
        let middle = CONTEXT_KERNEL / 2;
        match self {
            Self::Raster => row < middle || row == middle && column < middle,
            Self::Checkerboard => (row + column) % 2 == 1,
        }
    }

    /// Sets to zero what a weight `[.., 5, 5]` holds under the mask.
    pub fn apply(self, weight: &mut [f32]) {
        for kernel in weight.chunks_exact_mut(CONTEXT_KERNEL * CONTEXT_KERNEL) {
            for (i, value) in kernel.iter_mut().enumerate() {
                if !self.sees(i / CONTEXT_KERNEL, i % CONTEXT_KERNEL) {
                    *value = 0.0;
                }
            }
        }
    }
}

/// A masked convolution from `n_in` to `n_out` channels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Context {
    /// Its name, which its tensors' names follow without a number.
    pub name: String,
    /// What it sees.
    pub mask: Mask,
    /// Channels of the input.
    pub n_in: usize,
    /// Channels of the output.
    pub n_out: usize,
}

/// An architecture with its widths: everything that its tensors must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Design {
    /// Which one.
    pub architecture: Architecture,
    /// N: channels of the transforms.
    pub n: usize,
    /// M: channels of the latent y.
    pub m: usize,
    /// Channels of each slice of y, in the order of decoding; y itself where it is not cut.
    pub slices: Vec<usize>,
    /// Minnen & Singh: how many slices the others may depend on, the first ones.
    pub n_support: usize,
    /// The networks.
    pub networks: Vec<Network>,
    /// The masked convolutions.
    pub contexts: Vec<Context>,
    /// The entropy bottleneck's name and channels.
    pub bottleneck: (String, usize),
    /// The names of the conditional Gaussians: one for all of y, or one a slice.
    pub gaussians: Vec<String>,
}

impl Design {
    /// The network of this name.
    ///
    /// # Panics
    /// If the architecture has none.
    pub fn network(&self, name: &str) -> &Network {
        let found = self.networks.iter().find(|network| network.name == name);
        found.unwrap_or_else(|| panic!("{} has no network {name}", self.architecture))
    }

    /// What the names of `h_a` and `h_s` stand behind.
    pub fn hyper_prefix(&self) -> &'static str {
        match self.architecture {
            Architecture::Cheng2020AnchorCheckerboard | Architecture::Elic2022 => "latent_codec.hyper.",
            _ => "",
        }
    }

    /// By how much both sides of a picture shrink to those of y.
    pub const Y_STRIDE: usize = 16;

    /// By how much both sides of y shrink to those of z; 1 without a hyperprior.
    pub fn z_stride(&self) -> usize {
        match self.architecture {
            Architecture::FactorizedPrior | Architecture::FactorizedPriorRelu => 1,
            _ => 4,
        }
    }

    /// The tensors that training changes, with their shapes, sorted by name.
    pub fn parameters(&self) -> Vec<(String, Vec<usize>)> {
        let mut all: Vec<_> = self.networks.iter().flat_map(Network::parameters).collect();
        for context in &self.contexts {
            let (name, k) = (&context.name, CONTEXT_KERNEL);
            all.push((format!("{name}.weight"), vec![context.n_out, context.n_in, k, k]));
            all.push((format!("{name}.bias"), vec![context.n_out]));
        }
        let (name, channels) = &self.bottleneck;
        for (i, [n_in, n_out]) in FILTERS.into_iter().enumerate() {
            all.push((format!("{name}.matrices.{i}"), vec![*channels, n_out, n_in]));
            all.push((format!("{name}.biases.{i}"), vec![*channels, n_out, 1]));
            if i + 1 < FILTERS.len() {
                all.push((format!("{name}.factors.{i}"), vec![*channels, n_out, 1]));
            }
        }
        all.push((format!("{name}.quantiles"), vec![*channels, 1, 3]));
        all.sort();
        all
    }
}

/// Widths of the layers of an entropy bottleneck's cumulative (Ballé et al. 2018, appendix 6.1), from one to the next.
pub const FILTERS: [[usize; 2]; 5] = [[1, 3], [3, 3], [3, 3], [3, 3], [3, 1]];
