//! Latents decoded in two passes, as the two colours of a checkerboard (He et al. 2021, arXiv 2103.15306).
//!
//! The anchors, whose row and column have an even sum, have a context of zeros; the others see them through a masked convolution.

use super::super::conv::Conv;
use super::super::grid::Grid;
use super::super::kernel::Form;
use super::super::network::Network;
use super::super::parameters::Thresholds;
use super::{Symbols, conditional};
use crate::Result;
use crate::container::Role;

#[derive(Debug)]
pub(super) struct TwoPass {
    context: Conv,
    parameters: Network,
    thresholds: Thresholds,
}

/// The positions of one colour, half as wide.
fn of_colour(grid: &Grid, colour: usize) -> Grid {
    let mut half = Grid::new(grid.channels, grid.width / 2, grid.height, grid.rows.clone());
    for y in grid.rows.clone() {
        for x in 0..half.width {
            half.pixel_mut(y, x).copy_from_slice(grid.pixel(y, 2 * x + (y + colour) % 2));
        }
    }
    half
}

/// Puts positions of one colour to their places.
fn put_colour(grid: &mut Grid, half: &Grid, colour: usize) {
    for y in half.rows.clone() {
        for x in 0..half.width {
            grid.pixel_mut(y, 2 * x + (y + colour) % 2).copy_from_slice(half.pixel(y, x));
        }
    }
}

impl TwoPass {
    pub(super) fn new(context: Conv, parameters: Network, thresholds: Thresholds) -> Self {
        Self { context, parameters, thresholds }
    }

    /// The decoded slice, and whether it is known; `side` is what its tables follow from beside itself.
    pub(super) fn walk(
        &self,
        form: Form,
        symbols: &mut dyn Symbols,
        slice: u8,
        side: &Grid,
        is_known: bool,
    ) -> Result<(Grid, bool)> {
        let mut y = Grid::new(self.context.in_channels(), side.width, side.height, side.rows.clone());
        let mut is_known = is_known;
        for (colour, role) in [Role::Anchors(slice), Role::NonAnchors(slice)].into_iter().enumerate() {
            let context = match colour {
                0 => Grid::new(self.context.out_channels(), side.width / 2, side.height, side.rows.clone()),
                _ => of_colour(&self.context.run(form, &y, &(0..y.height)), colour),
            };
            let input = Grid::joined(&[&context, &of_colour(side, colour)]);
            let both = self.parameters.run_whole(form, &input);
            let n = both.channels / 2;
            let [scales, means] = [both.channels(0..n), both.channels(n..2 * n)];
            let (half, is_decoded) = conditional(symbols, role, &self.thresholds, &scales, &means, is_known)?;
            put_colour(&mut y, &half, colour);
            is_known = is_decoded;
        }
        Ok((y, is_known))
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::grid::Grid;
    use super::{of_colour, put_colour};

    #[test]
    fn colours_come_apart_and_together() {
        let grid = Grid::from_planes(2, 4, 3, &(0..24).collect::<Vec<_>>());
        let halves = [0, 1].map(|colour| of_colour(&grid, colour));
        assert_eq!(halves[0].planes(0..1), [0, 2, 5, 7, 8, 10], "even sums");
        let mut whole = Grid::new(2, 4, 3, 0..3);
        halves.iter().enumerate().for_each(|(colour, half)| put_colour(&mut whole, half, colour));
        assert_eq!(whole, grid, "both colours");
    }
}
