//! How far the layers of a network see, and the strips that a picture can be cut into without changing a value.
//!
//! Beyond the rows of a strip, layers see zeros where the whole picture has values. Those wrong values spread by half a kernel a layer;
//! a strip is computed with so many rows more on either side that they end before the rows that are kept. At the borders of the picture
//! layers see zeros either way, and nothing is added.

use std::ops::Range;

use crate::checkpoint::{Conv, Layer, Network};

/// Rows that are wrong on either side of a cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Wrong {
    top: usize,
    bottom: usize,
}

impl Wrong {
    /// After a convolution with padding p = ⌊k/2⌋ and stride s: output row j sees rows s·j − p to s·j − p + k − 1.
    fn conv(self, c: &Conv) -> Self {
        let (k, s, p) = (c.kernel, c.stride, c.kernel / 2);
        Self { top: (self.top + p).div_ceil(s), bottom: (self.bottom + k - 1 - p) / s }
    }

    /// After a transposed one: input row i reaches rows s·i − p to s·i − p + k − 1. A kernel within the stride mixes no rows.
    fn deconv(self, c: &Conv) -> Self {
        let (k, s, p) = (c.kernel, c.stride, c.kernel / 2);
        Self { top: (s * self.top + k - p).saturating_sub(s), bottom: s * self.bottom + p }
    }

    fn doubled(self) -> Self {
        Self { top: 2 * self.top, bottom: 2 * self.bottom }
    }

    fn or(self, other: Self) -> Self {
        Self { top: self.top.max(other.top), bottom: self.bottom.max(other.bottom) }
    }

    fn layer(self, layer: &Layer) -> Self {
        let three = |stride| Conv::new([1, 1], 3, stride);
        match layer {
            Layer::Conv(c) => self.conv(c),
            Layer::Deconv(c) => self.deconv(c),
            Layer::Subpel(c) => self.conv(c).doubled(),
            Layer::ResidualDown(_) => {
                self.conv(&three(2)).conv(&three(1)).or(self.conv(&Conv::new([1, 1], 1, 2)))
            }
            Layer::Residual { .. } => self.conv(&three(1)).conv(&three(1)),
            Layer::ResidualUp(_) => self.conv(&three(1)).doubled().conv(&three(1)),
            Layer::Bottleneck { .. } => self.conv(&three(1)),
            Layer::Attention { .. } => (0..3).fold(self, |wrong, _| wrong.conv(&three(1))),
            Layer::Gdn { .. } | Layer::InverseGdn { .. } | Layer::Relu | Layer::LeakyRelu => self,
        }
    }
}

/// Factors by which a layer shrinks and grows both sides.
fn factors(layer: &Layer) -> [usize; 2] {
    match layer {
        Layer::Conv(c) => [c.stride, 1],
        Layer::Deconv(c) => [1, c.stride],
        Layer::ResidualDown(_) => [2, 1],
        Layer::Subpel(_) | Layer::ResidualUp(_) => [1, 2],
        _ => [1, 1],
    }
}

/// Channels that a layer gives; 0 for those that keep them.
fn width(layer: &Layer) -> usize {
    match *layer {
        Layer::Conv(c) | Layer::Deconv(c) | Layer::Subpel(c) => c.n_out,
        Layer::ResidualDown([_, n]) | Layer::ResidualUp([_, n]) => n,
        Layer::Residual { channels } | Layer::Bottleneck { channels } | Layer::Attention { channels } => {
            channels
        }
        Layer::Gdn { .. } | Layer::InverseGdn { .. } | Layer::Relu | Layer::LeakyRelu => 0,
    }
}

/// How far a network sees, and by how much it shrinks or grows both sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reach {
    wrong: Wrong,
    shrinks: usize,
    grows: usize,
    /// Values of the widest layer a position of the input.
    values: usize,
}

/// One strip: the rows of the input that it is computed from, those of the output that are kept, and how many are skipped before them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cut {
    pub(crate) input: Range<usize>,
    pub(crate) output: Range<usize>,
    pub(crate) skip: usize,
}

impl Reach {
    pub(crate) fn of(network: &Network) -> Self {
        let layers = network.layers.iter();
        let [shrinks, grows] = layers.clone().map(factors).fold([1, 1], |[a, b], [s, g]| [a * s, b * g]);
        let mut scale = 1.0;
        let values = layers.clone().map(|layer| {
            let [shrinks, grows] = factors(layer);
            scale *= (grows as f64 / shrinks as f64).powi(2);
            (width(layer) as f64 * scale).ceil() as usize
        });
        // Those of layers without a width of their own are the ones before them.
        let values = values.max().unwrap_or(0);
        Self { wrong: layers.fold(Wrong::default(), Wrong::layer), shrinks, grows, values }
    }

    /// Rows of the output of an input of `height` rows.
    pub(crate) fn rows(&self, height: usize) -> usize {
        (height * self.grows).div_ceil(self.shrinks)
    }

    /// Rows of an input of `width` columns of which the widest layer has `values` values, but at least `least`.
    pub(crate) fn strip(&self, width: usize, values: usize, least: usize) -> usize {
        (values / (self.values * width).max(1)).max(least)
    }

    /// The strips of an input of `height` rows, each of about `strip` rows of the input.
    ///
    /// The input is cut at multiples of twice the factor by which the network shrinks it, so that strides meet the same rows, and every layer's rows start
    /// at an even one.
    pub(crate) fn cuts(&self, height: usize, strip: usize) -> Vec<Cut> {
        let unit = 2 * self.shrinks;
        let step = (strip / unit).max(1) * unit;
        // Rows of the input for those of the output that are wrong, in whole units.
        let margin = |wrong: usize| (wrong * self.shrinks).div_ceil(self.grows).next_multiple_of(unit);
        let (above, below) = (margin(self.wrong.top), margin(self.wrong.bottom));
        let scaled = |row: usize| self.rows(row);
        let cut = |from: usize| {
            let to = (from + step).min(height);
            let input = from.saturating_sub(above)..(to + below).min(height);
            let output = scaled(from)..scaled(to);
            let skip = output.start - scaled(input.start);
            Cut { input, output, skip }
        };
        (0..height).step_by(step).map(cut).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(layers: Vec<Layer>) -> Reach {
        Reach::of(&Network { name: "n".into(), layers })
    }

    #[test]
    fn wrong_rows_are_those_of_the_kernels() {
        let down = Layer::Conv(Conv::new([1, 1], 5, 2));
        let up = Layer::Deconv(Conv::new([1, 1], 5, 2));
        let g_a = network(vec![down; 4]);
        assert_eq!(
            (g_a.wrong, g_a.shrinks, g_a.grows),
            (Wrong { top: 2, bottom: 1 }, 16, 1),
            "4 convolutions"
        );
        // Row 0 of an output of one transposed convolution sees row −1, row 1 does not; the last two see the row behind the last.
        let one = network(vec![up]);
        assert_eq!((one.wrong, one.grows), (Wrong { top: 1, bottom: 2 }, 2), "a transposed convolution");
        assert_eq!(
            (one.values, g_a.values, g_a.rows(33)),
            (4, 1, 3),
            "values a position, rows of the output"
        );
        assert_eq!([one.strip(100, 4000, 4), one.strip(100, 4000, 16)], [10, 16], "rows of a strip");
        let pointwise = network(vec![Layer::Conv(Conv::new([1, 1], 1, 1)), Layer::Relu]);
        assert_eq!(pointwise.wrong, Wrong::default(), "1×1");
    }

    #[test]
    fn cuts_cover_the_output_once() {
        let down = network(vec![Layer::Conv(Conv::new([1, 1], 5, 2)); 4]);
        assert_eq!(
            down.cuts(160, 64),
            [
                Cut { input: 0..96, output: 0..4, skip: 0 },
                Cut { input: 32..160, output: 4..8, skip: 2 },
                Cut { input: 96..160, output: 8..10, skip: 2 },
            ],
            "strips of an analysis"
        );
        let up = network(vec![Layer::Deconv(Conv::new([1, 1], 5, 2)); 2]);
        // Wrong rows: 1 and 2, then 3 and 6; a row of the input is four of the output.
        assert_eq!(
            up.cuts(10, 4),
            [
                Cut { input: 0..6, output: 0..16, skip: 0 },
                Cut { input: 2..10, output: 16..32, skip: 8 },
                Cut { input: 6..10, output: 32..40, skip: 8 },
            ],
            "strips of a synthesis"
        );
        assert_eq!(up.cuts(3, 4), [Cut { input: 0..3, output: 0..12, skip: 0 }], "one strip");
    }
}
