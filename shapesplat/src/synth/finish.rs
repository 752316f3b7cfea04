//! What surfaces are made of, painted into tiles of a texture: each varies over the surface, and goes around without a seam.

use grouping_core::seed::{derive_seed, sequence};
use image::{Rgb, RgbImage};

/// Pixels of a tile's side.
const SIDE: u32 = 48;

/// A material.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Finish {
    /// Two colours in rings: plastic, paint, labels of tins.
    Bands,
    /// Brown, with a strip of tape.
    Cardboard,
    /// A weave.
    Fabric,
    /// Light ceramic with a coloured border.
    Glaze,
    /// Grey with brushed lines.
    Metal,
    /// Speckled.
    Stone,
    /// Grain along one direction.
    Wood,
}

/// Base colours that a finish is found in.
fn palette(finish: Finish) -> &'static [[u8; 3]] {
    match finish {
        Finish::Bands => &[[205, 60, 45], [40, 95, 170], [235, 130, 30], [50, 140, 80], [225, 190, 60]],
        Finish::Cardboard => &[[178, 138, 92], [196, 160, 115], [160, 120, 78]],
        Finish::Fabric => &[[90, 100, 130], [150, 70, 60], [190, 175, 150], [80, 110, 85]],
        Finish::Glaze => &[[235, 230, 220], [215, 225, 230], [230, 215, 190]],
        Finish::Metal => &[[150, 152, 158], [110, 112, 118], [176, 148, 92]],
        Finish::Stone => &[[140, 135, 128], [165, 150, 135], [110, 115, 120]],
        Finish::Wood => &[[150, 100, 60], [190, 145, 95], [105, 70, 45]],
    }
}

/// The tiles side by side.
pub(super) fn atlas(finishes: &[Finish], seed: u64) -> RgbImage {
    let mut image = RgbImage::new(SIDE * finishes.len() as u32, SIDE);
    for (tile, &finish) in finishes.iter().enumerate() {
        let paint = Paint::new(finish, derive_seed(seed, tile as u64));
        for y in 0..SIDE {
            for x in 0..SIDE {
                image.put_pixel(tile as u32 * SIDE + x, y, paint.pixel(x, y));
            }
        }
    }
    image
}

/// One tile's choices.
struct Paint {
    finish: Finish,
    base: [f64; 3],
    accent: [f64; 3],
    /// Between 0 and 1.
    choices: [f64; 4],
    seed: u64,
}

impl Paint {
    fn new(finish: Finish, seed: u64) -> Self {
        let choice = |i| share(sequence(seed, i));
        let of = |colours: &[[u8; 3]], choice: f64| {
            colours[(choice * colours.len() as f64) as usize].map(f64::from)
        };
        let base = of(palette(finish), choice(0));
        // What stands beside it: white, or a colour of paint.
        let light = [236.0, 234.0, 228.0];
        let paint = of(palette(Finish::Bands), choice(2));
        let accent =
            if finish == Finish::Bands && (choice(1) < 0.6 || paint == base) { light } else { paint };
        Self {
            finish,
            base,
            accent,
            choices: [choice(3), choice(4), choice(5), choice(6)],
            seed: derive_seed(seed, 1),
        }
    }

    fn pixel(&self, x: u32, y: u32) -> Rgb<u8> {
        let (u, v) = ((f64::from(x) + 0.5) / f64::from(SIDE), (f64::from(y) + 0.5) / f64::from(SIDE));
        let [a, b, c, _] = self.choices;
        let fine = self.noise(u, v, [24, 24], 0) - 0.5;
        let broad = self.noise(u, v, [3, 3], 1) - 0.5;
        // A mix towards the accent, and a change of brightness.
        let (mix, bright) = match self.finish {
            Finish::Bands => {
                let n = 2.0 + (a * 4.0).floor();
                let position = v * n - (v * n).floor();
                (if position < 0.25 + 0.4 * b { 0.0 } else { 1.0 }, 0.10 * broad + 0.04 * fine)
            }
            Finish::Cardboard => {
                let tape = (v - (0.3 + 0.4 * a)).abs() < 0.06;
                (0.0, 0.16 * fine + 0.30 * broad + if tape { 0.28 } else { 0.0 })
            }
            Finish::Fabric => {
                let [x, y] = [x, y].map(|i| i / 2 % 2);
                (0.10 * (b + broad), if x == y { 0.12 } else { -0.10 } + 0.15 * fine)
            }
            Finish::Glaze => {
                let from = 0.1 + 0.5 * a;
                let border = v > from && v < from + 0.08 + 0.15 * b;
                (if border { 0.85 } else { 0.0 }, 0.08 * broad + 0.03 * fine)
            }
            Finish::Metal => (0.0, 0.16 * (self.noise(u, v, [2, 40], 2) - 0.5) + 0.22 * broad),
            Finish::Stone => {
                let spot = self.noise(u, v, [16, 16], 3);
                (0.0, if spot > 0.62 + 0.1 * c { -0.28 } else { 0.10 } + 0.25 * broad + 0.12 * fine)
            }
            Finish::Wood => {
                let grain = self.noise(u, v, [4, 28], 4) + 0.5 * self.noise(u, v, [2, 9], 5);
                (0.0, 0.55 * (grain - 0.75) + 0.05 * fine)
            }
        };
        let colour: [u8; 3] = std::array::from_fn(|i| {
            let mixed = self.base[i] + (self.accent[i] - self.base[i]) * mix;
            (mixed * (1.0 + bright)).clamp(0.0, 255.0).round() as u8
        });
        Rgb(colour)
    }

    /// Smooth noise between 0 and 1 of so many cells across and up; across, it repeats.
    fn noise(&self, u: f64, v: f64, cells: [u32; 2], layer: u64) -> f64 {
        let at = |share: f64, n: u32| {
            let place = share * f64::from(n);
            let cell = place.floor();
            let t = place - cell;
            (cell as u32, t * t * (3.0 - 2.0 * t))
        };
        let ((column, s), (row, t)) = (at(u, cells[0]), at(v, cells[1]));
        let knot = |column: u32, row: u32| {
            let index = u64::from(row) * 4096 + u64::from(column % cells[0]);
            share(sequence(derive_seed(self.seed, layer), index))
        };
        let along = |row: u32| {
            let (left, right) = (knot(column, row), knot(column + 1, row));
            left + (right - left) * s
        };
        let (lower, upper) = (along(row), along(row + 1));
        lower + (upper - lower) * t
    }
}

/// Of 64 random bits, a number from 0 to below 1.
fn share(bits: u64) -> f64 {
    (bits >> 11) as f64 / (1_u64 << 53) as f64
}
