//! Rows of a picture's activations, pixel by pixel: `[rows, width, channels]`.

use std::ops::Range;

use super::rounding::LIMIT;

/// A band of rows of a tensor that may be taller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Grid {
    pub(crate) channels: usize,
    pub(crate) width: usize,
    /// Of the whole tensor.
    pub(crate) height: usize,
    /// Which rows these are.
    pub(crate) rows: Range<usize>,
    pub(crate) values: Vec<i32>,
}

impl Grid {
    /// Zeros.
    pub(crate) fn new(channels: usize, width: usize, height: usize, rows: Range<usize>) -> Self {
        let values = vec![0; rows.len() * width * channels];
        Self { channels, width, height, rows, values }
    }

    /// The whole tensor from values in the order `[channels, height, width]`; they saturate.
    pub(crate) fn from_planes(channels: usize, width: usize, height: usize, planes: &[i32]) -> Self {
        assert_eq!(planes.len(), channels * height * width, "one value a channel and pixel");
        let mut grid = Self::new(channels, width, height, 0..height);
        for (c, plane) in planes.chunks_exact((width * height).max(1)).enumerate() {
            for (to, &v) in grid.values[c..].iter_mut().step_by(channels).zip(plane) {
                *to = v.clamp(-LIMIT, LIMIT);
            }
        }
        grid
    }

    /// The values of channels in the order `[channels, rows, width]`.
    pub(crate) fn planes(&self, channels: Range<usize>) -> Vec<i32> {
        channels.flat_map(|c| self.values[c..].iter().step_by(self.channels).copied()).collect()
    }

    /// Values of a row.
    pub(crate) fn row_len(&self) -> usize {
        self.width * self.channels
    }

    /// The values of row `y` of the whole tensor.
    pub(crate) fn row(&self, y: usize) -> &[i32] {
        let len = self.row_len();
        &self.values[(y - self.rows.start) * len..][..len]
    }

    /// The values of one pixel.
    pub(crate) fn pixel_mut(&mut self, y: usize, x: usize) -> &mut [i32] {
        let at = ((y - self.rows.start) * self.width + x) * self.channels;
        &mut self.values[at..][..self.channels]
    }

    /// The values of one pixel.
    pub(crate) fn pixel(&self, y: usize, x: usize) -> &[i32] {
        let at = ((y - self.rows.start) * self.width + x) * self.channels;
        &self.values[at..][..self.channels]
    }

    /// Some of its channels.
    pub(crate) fn channels(&self, channels: Range<usize>) -> Self {
        let pixels = self.values.chunks_exact(self.channels.max(1));
        let values = pixels.flat_map(|pixel| &pixel[channels.clone()]).copied().collect();
        Self { channels: channels.len(), rows: self.rows.clone(), values, ..*self }
    }

    /// Zeros of the same shape.
    pub(crate) fn zeros(&self) -> Self {
        Self { rows: self.rows.clone(), values: vec![0; self.values.len()], ..*self }
    }

    /// The values of fewer rows of it.
    pub(crate) fn band_values(&self, rows: &Range<usize>) -> &[i32] {
        let len = self.row_len();
        &self.values[(rows.start - self.rows.start) * len..][..rows.len() * len]
    }

    /// Fewer rows of it.
    pub(crate) fn band(&self, rows: Range<usize>) -> Self {
        let values = self.band_values(&rows).to_vec();
        Self { rows, values, ..*self }
    }

    /// Channels of grids of one size, one after another.
    pub(crate) fn joined(parts: &[&Self]) -> Self {
        let channels = parts.iter().map(|part| part.channels).sum();
        let Self { width, height, ref rows, .. } = *parts[0];
        let mut joined = Self::new(channels, width, height, rows.clone());
        let mut first = 0;
        for part in parts {
            assert_eq!((part.width, &part.rows), (width, rows), "grids of one size");
            let to = joined.values.chunks_exact_mut(channels.max(1));
            for (to, from) in to.zip(part.values.chunks_exact(part.channels.max(1))) {
                to[first..first + part.channels].copy_from_slice(from);
            }
            first += part.channels;
        }
        joined
    }
}

#[cfg(test)]
mod tests {
    use super::Grid;

    #[test]
    fn planes_come_back() {
        let planes: Vec<i32> = (0..24).collect();
        let grid = Grid::from_planes(3, 4, 2, &planes);
        assert_eq!(grid.pixel(1, 2), [6, 14, 22], "a pixel has its channels together");
        assert_eq!(grid.planes(0..3), planes, "all of them");
        assert_eq!(grid.band(1..2).planes(1..2), planes[12..16], "one row of one channel");
        let joined = Grid::joined(&[&grid, &grid]);
        assert_eq!(joined.planes(3..6), planes, "the second part");
    }
}
