//! Planes of numbers in memory: `[channels, height, width]`, row-major.

use std::ops::Range;

/// `[channels, height, width]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Planes {
    /// Number of planes.
    pub channels: usize,
    /// Rows of each.
    pub height: usize,
    /// Columns of each.
    pub width: usize,
    /// All values, row-major.
    pub values: Vec<f32>,
}

impl Planes {
    /// Planes of zeros.
    pub fn zeros([channels, height, width]: [usize; 3]) -> Self {
        Self { channels, height, width, values: vec![0.0; channels * height * width] }
    }

    /// `[channels, height, width]`.
    pub fn shape(&self) -> [usize; 3] {
        [self.channels, self.height, self.width]
    }

    /// Values of one plane.
    pub fn area(&self) -> usize {
        self.height * self.width
    }

    /// Some of the channels.
    pub(crate) fn channels(&self, range: Range<usize>) -> Self {
        let values = self.values[range.start * self.area()..range.end * self.area()].to_vec();
        Self { channels: range.len(), values, ..*self }
    }

    /// Some of the rows of every plane.
    pub(crate) fn rows(&self, rows: Range<usize>) -> Self {
        self.window(rows, 0..self.width)
    }

    /// Some of the rows and columns of every plane.
    pub(crate) fn window(&self, rows: Range<usize>, columns: Range<usize>) -> Self {
        let line = |c: usize, row: usize| {
            let from = c * self.area() + row * self.width;
            &self.values[from + columns.start..from + columns.end]
        };
        let lines = (0..self.channels).flat_map(|c| rows.clone().map(move |row| (c, row)));
        let mut values = Vec::with_capacity(self.channels * rows.len() * columns.len());
        lines.for_each(|(c, row)| values.extend_from_slice(line(c, row)));
        Self { channels: self.channels, height: rows.len(), width: columns.len(), values }
    }

    /// Puts `strip` in the place of the rows from `at` on.
    pub(crate) fn put_rows(&mut self, at: usize, strip: &Self) {
        put_rows(&mut self.values, [self.height, self.width], at, &strip.values, strip.height);
    }

    /// The planes of several, one after another.
    ///
    /// # Panics
    /// If their sides differ, or there are none.
    pub(crate) fn concatenated(parts: &[&Self]) -> Self {
        let first = parts[0];
        assert!(
            parts.iter().all(|p| (p.height, p.width) == (first.height, first.width)),
            "planes of one size"
        );
        let values = parts.iter().flat_map(|p| p.values.iter().copied()).collect();
        Self { channels: parts.iter().map(|p| p.channels).sum(), values, ..*first }
    }
}

/// Puts `strip [channels, n_rows, width]` in the place of the rows from `at` on of `all [channels, height, width]`.
pub(crate) fn put_rows<T: Copy>(
    all: &mut [T],
    [height, width]: [usize; 2],
    at: usize,
    strip: &[T],
    n_rows: usize,
) {
    let (area, n) = (height * width, n_rows * width);
    for (c, rows) in strip.chunks_exact(n.max(1)).enumerate() {
        let from = c * area + at * width;
        all[from..from + n].copy_from_slice(rows);
    }
}
