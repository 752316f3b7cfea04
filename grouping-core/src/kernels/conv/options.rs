//! What a convolution does beside its sums.

/// Strides, padding, and the function applied to each sum. The same for rows and columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvOptions {
    /// Inputs from one output to the next; in a transposed convolution outputs from one input to the next. At least 1.
    pub stride: usize,
    /// Zeros before and after each row and column of the input; in a transposed convolution rows and columns cut off the output.
    pub padding: usize,
    /// Rows and columns that a transposed convolution adds at the end, fewer than the stride. 0 in an ordinary one.
    pub output_padding: usize,
    /// Applied to each sum.
    pub rectifier: Rectifier,
    /// How the CPU form computes the sums.
    pub algorithm: Algorithm,
}

/// How the CPU form computes the sums of products.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Algorithm {
    /// One product for each tap, one chain of additions for each output: a value depends on what it reads alone.
    #[default]
    Direct,
    /// Minimal filtering on tiles of 2×2 outputs (Lavin & Gray 2016, "Fast algorithms for convolutional neural networks", §4): 16 products, not
    /// 36, for 3×3 taps, and 49, not 100, for 5×5 taps of stride 2 in either direction, with rounding errors no larger.
    ///
    /// A value depends also on whether its row and its column are even. So strips give the bytes of the whole where they start at even rows
    /// and columns of the output, in a transposed convolution at multiples of twice the stride.
    ///
    /// Convolutions that it does not suit are direct: those of more than three taps an axis in a phase, of a stride above 2, of fewer than 16
    /// channels, and those in which it saves less than a quarter. The weights are transformed in each call, which pays from some thousands
    /// of outputs a channel.
    Minimal,
}

/// A function that is linear on both sides of zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rectifier {
    /// `y = x`.
    #[default]
    None,
    /// `y = max(x, 0)`.
    Relu,
    /// `y = x` above zero, else `0.01·x` (Maas et al. 2013, "Rectifier nonlinearities improve neural network acoustic models", §2).
    LeakyRelu,
}

impl Rectifier {
    /// The slope at and below zero.
    pub fn slope(self) -> f32 {
        match self {
            Self::None => 1.0,
            Self::Relu => 0.0,
            Self::LeakyRelu => 0.01,
        }
    }
}

/// What happens to a sum before it is written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Finish {
    pub(super) rectifier: Rectifier,
    /// Whether what stands at its place is added first.
    pub(super) adds: bool,
}

impl Finish {
    /// Whether sums are written as they are.
    #[inline(always)]
    pub(super) fn is_plain(self) -> bool {
        self.rectifier == Rectifier::None && !self.adds
    }
}

impl Default for ConvOptions {
    fn default() -> Self {
        Self {
            stride: 1,
            padding: 0,
            output_padding: 0,
            rectifier: Rectifier::None,
            algorithm: Algorithm::Direct,
        }
    }
}

impl ConvOptions {
    /// Stride 1, no padding, no function.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the stride.
    #[must_use]
    pub fn with_stride(self, stride: usize) -> Self {
        Self { stride, ..self }
    }

    /// Sets the padding.
    #[must_use]
    pub fn with_padding(self, padding: usize) -> Self {
        Self { padding, ..self }
    }

    /// Sets what a transposed convolution adds at the end.
    #[must_use]
    pub fn with_output_padding(self, output_padding: usize) -> Self {
        Self { output_padding, ..self }
    }

    /// Sets how the CPU form computes the sums.
    #[must_use]
    pub fn with_algorithm(self, algorithm: Algorithm) -> Self {
        Self { algorithm, ..self }
    }

    /// Sets the function applied to each sum.
    #[must_use]
    pub fn with_rectifier(self, rectifier: Rectifier) -> Self {
        Self { rectifier, ..self }
    }
}
