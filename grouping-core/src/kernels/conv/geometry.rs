//! Which inputs and weights make up an output of a convolution, the same for both directions.
//!
//! Outputs are points of a grid. A point reads the input at `step · point + first + tap` and stands for `spread` outputs along each axis,
//! which differ in their *phase*. A convolution of stride s has step s and spread 1. A transposed convolution of stride s has step 1 and
//! spread s: output `o = s·q + r` of the phase r reads, along an axis, the taps k with `k ≡ r + padding (mod s)`, at the input
//! `q + (r + padding − k) / s`. So each phase is an ordinary convolution with the taps that fall on it.

/// A tap of a phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::kernels) struct Tap {
    /// Rows and columns of the input from the first that any tap reads.
    pub(super) at: [usize; 2],
    /// Its place in a kernel of the weight, `ky · kernel_width + kx`.
    pub(super) weight: usize,
}

/// Sizes and strides of a convolution.
#[derive(Clone, Debug)]
pub(in crate::kernels) struct Geometry {
    pub(super) batch: usize,
    pub(super) c_in: usize,
    pub(super) c_out: usize,
    /// Height and width.
    pub(super) input: [usize; 2],
    /// Height and width.
    pub(super) output: [usize; 2],
    /// Inputs from one point of the grid to the next.
    pub(super) step: usize,
    /// Outputs of a point, along each axis.
    pub(super) spread: usize,
    /// The first input that point 0 reads; negative in the padding.
    pub(super) first: [isize; 2],
    /// Inputs from the first to the last that a point reads.
    pub(super) span: [usize; 2],
    /// The taps of each phase, `spread²` of them, rows first.
    pub(super) phases: Vec<Vec<Tap>>,
    /// From one output channel to the next and from one input channel to the next in the weight.
    pub(super) weight_strides: [usize; 2],
}

/// Where one axis is read: the taps of each phase as (offset, kernel index), the first offset and the span.
struct Axis {
    phases: Vec<Vec<(usize, usize)>>,
    first: isize,
    span: usize,
}

impl Axis {
    fn new(phases: Vec<Vec<(isize, usize)>>) -> Self {
        let offsets = || phases.iter().flatten().map(|&(offset, _)| offset);
        let (first, last) = (offsets().min().unwrap_or(0), offsets().max().unwrap_or(0));
        let from_first = |&(offset, k): &(isize, usize)| ((offset - first) as usize, k);
        let phases = phases.iter().map(|taps| taps.iter().map(from_first).collect()).collect();
        Self { phases, first, span: (last - first) as usize + 1 }
    }

    fn ordinary(kernel: usize, padding: usize) -> Self {
        Self::new(vec![(0..kernel).map(|k| (k as isize - padding as isize, k)).collect()])
    }

    fn transposed(kernel: usize, stride: usize, padding: usize) -> Self {
        let taps_of = |phase: usize| {
            let distance = move |k: usize| (phase + padding) as isize - k as isize;
            (0..kernel)
                .filter(move |&k| distance(k).rem_euclid(stride as isize) == 0)
                .map(move |k| (distance(k).div_euclid(stride as isize), k))
                .collect()
        };
        Self::new((0..stride).map(taps_of).collect())
    }
}

impl Geometry {
    /// Values of the result.
    pub(super) fn n_outputs(&self) -> usize {
        self.batch * self.c_out * self.output[0] * self.output[1]
    }

    /// `x [batch, c_in, h, w]`, `weight [c_out, c_in, kh, kw]`.
    ///
    /// # Panics
    /// If the kernel is larger than the padded input.
    pub(in crate::kernels) fn ordinary(
        x: [usize; 4],
        weight: [usize; 4],
        stride: usize,
        padding: usize,
    ) -> Self {
        let [batch, c_in, ..] = x;
        let [c_out, _, kernel_height, kernel_width] = weight;
        let (input, kernel) = ([x[2], x[3]], [kernel_height, kernel_width]);
        let output = [0, 1].map(|axis| {
            let padded = input[axis] + 2 * padding;
            assert!(
                kernel[axis] <= padded,
                "conv2d: a kernel of {kernel:?} does not fit into an input of {input:?} padded by {padding}"
            );
            (padded - kernel[axis]) / stride + 1
        });
        let axes = kernel.map(|kernel| Axis::ordinary(kernel, padding));
        let taps = kernel_height * kernel_width;
        Self {
            step: stride,
            spread: 1,
            weight_strides: [c_in * taps, taps],
            ..Self::of_axes([batch, c_in, c_out], input, output, kernel, axes)
        }
    }

    /// `x [batch, c_in, h, w]`, `weight [c_in, c_out, kh, kw]`; `output` is the height and width of the result.
    pub(in crate::kernels) fn transposed(
        x: [usize; 4],
        weight: [usize; 4],
        stride: usize,
        padding: usize,
        output: [usize; 2],
    ) -> Self {
        let [batch, c_in, ..] = x;
        let [_, c_out, kernel_height, kernel_width] = weight;
        let kernel = [kernel_height, kernel_width];
        let axes = kernel.map(|kernel| Axis::transposed(kernel, stride, padding));
        let taps = kernel_height * kernel_width;
        Self {
            step: 1,
            spread: stride,
            weight_strides: [taps, c_out * taps],
            ..Self::of_axes([batch, c_in, c_out], [x[2], x[3]], output, kernel, axes)
        }
    }

    fn of_axes(
        [batch, c_in, c_out]: [usize; 3],
        input: [usize; 2],
        output: [usize; 2],
        kernel: [usize; 2],
        [rows, columns]: [Axis; 2],
    ) -> Self {
        let tap = |&(row, ky): &(usize, usize), &(column, kx): &(usize, usize)| Tap {
            at: [row, column],
            weight: ky * kernel[1] + kx,
        };
        let phase = |rows: &[(usize, usize)], columns: &[(usize, usize)]| -> Vec<Tap> {
            rows.iter().flat_map(|row| columns.iter().map(move |column| tap(row, column))).collect()
        };
        let phases = rows.phases.iter().flat_map(|y| columns.phases.iter().map(move |x| phase(y, x)));
        Self {
            batch,
            c_in,
            c_out,
            input,
            output,
            step: 1,
            spread: 1,
            first: [rows.first, columns.first],
            span: [rows.span, columns.span],
            phases: phases.collect(),
            weight_strides: [0, 0],
        }
    }

    /// Height and width of the grid.
    pub(super) fn grid(&self) -> [usize; 2] {
        self.output.map(|size| size.div_ceil(self.spread))
    }

    /// Taps of all phases.
    pub(super) fn n_taps(&self) -> usize {
        self.phases.iter().map(Vec::len).sum()
    }
}

/// Height and width of a transposed convolution's result.
///
/// # Panics
/// If there are none.
pub(super) fn transposed_output(
    input: [usize; 2],
    kernel: [usize; 2],
    stride: usize,
    padding: usize,
    output_padding: usize,
) -> [usize; 2] {
    [0, 1].map(|axis| {
        let whole = input[axis].saturating_sub(1) * stride + kernel[axis] + output_padding;
        assert!(
            input[axis] > 0 && whole > 2 * padding,
            "conv_transpose2d: an input of {input:?} under a kernel of {kernel:?} is smaller than its padding of {padding}"
        );
        whole - 2 * padding
    })
}

#[cfg(test)]
mod tests {
    use super::Geometry;

    #[test]
    fn the_phases_of_a_transposed_convolution_share_out_the_taps() {
        for (kernel, stride, padding) in [(5, 2, 2), (3, 2, 1), (4, 2, 0), (1, 2, 0), (2, 3, 1), (3, 1, 1)] {
            let shape = [2, 3, kernel, kernel];
            let g = Geometry::transposed([1, 2, 7, 6], shape, stride, padding, [12, 11]);
            assert_eq!(g.phases.len(), stride * stride, "phases of stride {stride}");
            let mut weights: Vec<_> = g.phases.iter().flatten().map(|tap| tap.weight).collect();
            weights.sort_unstable();
            let all: Vec<_> = (0..kernel * kernel).collect();
            assert_eq!(weights, all, "each tap once, kernel {kernel}, stride {stride}");
        }
    }
}
