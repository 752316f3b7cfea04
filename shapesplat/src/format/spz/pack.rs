//! Columns of splats are quantised to the bytes of a `.spz`, a block of rows at a time, and their errors are summed.
//!
//! The arithmetic is Niantic's, in `f32`, so that the bytes are; the sigmoid is taken in `f64`, where no system's `exp` differs in a byte.

use std::ops::Range;

use super::super::activation::{self, ALPHA_MARGIN};
use super::super::dropped::counted;
use super::super::{ErrorSum, Written};
use super::rotation;
use crate::splats::POSITIONS;
use crate::{Error, Result, Splats};

/// Fractional bits of positions where none are set: steps of 1/4096, as in all writers.
const FRACTIONAL_BITS: u32 = 12;
/// More of them than 24 bits with a sign can use.
const MOST_FRACTIONAL_BITS: u32 = 23;
/// The numbers of 24 bits with a sign.
const NUMBERS: std::ops::RangeInclusive<f32> = -8_388_608.0..=8_388_607.0;

/// The columns of a file, in its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Column {
    Positions,
    Alphas,
    Colours,
    Scales,
    Rotations,
    Coefficients,
}

impl Column {
    pub(super) const ALL: [Self; 6] =
        [Self::Positions, Self::Alphas, Self::Colours, Self::Scales, Self::Rotations, Self::Coefficients];

    /// Bytes of a Gaussian.
    pub(super) fn row_bytes(self, version: u32, degree: usize) -> usize {
        match self {
            Self::Positions if version == 1 => 6,
            Self::Positions => 9,
            Self::Alphas => 1,
            Self::Colours | Self::Scales => 3,
            Self::Rotations if version < 3 => 3,
            Self::Rotations => 4,
            Self::Coefficients => 3 * ((degree + 1).pow(2) - 1),
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Positions => "positions",
            Self::Alphas => "alphas",
            Self::Colours => "colours",
            Self::Scales => "scales",
            Self::Rotations => "rotations",
            Self::Coefficients => "coefficients",
        }
    }
}

/// How positions become numbers of 24 bits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Fixed {
    pub(super) bits: u32,
    /// The position that 12 bits do not reach.
    reason: Option<f32>,
}

impl Fixed {
    /// Takes the bits that are set, or 12, or as many as the furthest position leaves.
    pub(super) fn choose(splats: &Splats, set: Option<u32>) -> Result<Self> {
        let (mut least, mut greatest) = (0.0f32, 0.0f32);
        for (column, values) in POSITIONS.iter().zip(&splats.positions) {
            for (row, &value) in values.iter().enumerate() {
                if !value.is_finite() {
                    return Err(refused(row, column, "a finite number", value));
                }
                (least, greatest) = (least.min(value), greatest.max(value));
            }
        }
        let fits = |bits: u32| [least, greatest].iter().all(|&v| NUMBERS.contains(&scaled(v, bits)));
        let furthest = if greatest >= -least { greatest } else { least };
        let Some(most) = (0..=MOST_FRACTIONAL_BITS).rev().find(|&bits| fits(bits)) else {
            let (column, row) = POSITIONS
                .iter()
                .zip(&splats.positions)
                .find_map(|(column, values)| Some((*column, values.iter().position(|&v| v == furthest)?)))
                .unwrap_or((POSITIONS[0], 0));
            return Err(refused(row, column, "at most 2^23, which is what a .spz holds", furthest));
        };
        match set {
            None if fits(FRACTIONAL_BITS) => Ok(Self { bits: FRACTIONAL_BITS, reason: None }),
            None => Ok(Self { bits: most, reason: Some(furthest) }),
            Some(bits) if bits > MOST_FRACTIONAL_BITS => {
                Err(Error::setting("spz_fractional_bits", "at most 23", bits))
            }
            Some(bits) if !fits(bits) => {
                let expected = format!("at most {most}, since a position is {furthest}");
                Err(Error::setting("spz_fractional_bits", expected, bits))
            }
            Some(bits) => Ok(Self { bits, reason: None }),
        }
    }

    pub(super) fn said(self) -> Option<String> {
        self.reason.map(|position| {
            let lost = FRACTIONAL_BITS - self.bits;
            format!("{lost} of {FRACTIONAL_BITS} fractional bits of positions, since one is {position}")
        })
    }
}

fn refused(row: usize, column: &str, expected: &str, found: f32) -> Error {
    Error::Value { row, column: column.into(), expected: expected.into(), found: found.to_string() }
}

fn scaled(value: f32, bits: u32) -> f32 {
    (value * (1u32 << bits) as f32).round()
}

/// What became of the values of some rows.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Totals {
    position: ErrorSum,
    scale: ErrorSum,
    rotation: ErrorSum,
    opacity: ErrorSum,
    colour: ErrorSum,
    coefficient: ErrorSum,
    small: usize,
    great: usize,
    strong: usize,
    steep: usize,
    unturned: usize,
}

impl Totals {
    pub(super) fn join(&mut self, later: Self) {
        self.position.join(later.position);
        self.scale.join(later.scale);
        self.rotation.join(later.rotation);
        self.opacity.join(later.opacity);
        self.colour.join(later.colour);
        self.coefficient.join(later.coefficient);
        self.small += later.small;
        self.great += later.great;
        self.strong += later.strong;
        self.steep += later.steep;
        self.unturned += later.unturned;
    }

    pub(super) fn said(&self) -> impl Iterator<Item = String> {
        let said = [
            counted(self.small, "scales below e^-10: .spz begins there"),
            counted(self.great, "scales above e^5.94: .spz ends there"),
            counted(self.strong, "coefficients of colours beyond ±3.33: .spz ends there"),
            counted(self.steep, "coefficients of spherical harmonics beyond ±1: .spz ends there"),
            counted(self.unturned, "quaternions of length 0: written as no rotation"),
        ];
        said.into_iter().flatten()
    }

    pub(super) fn add_to(&self, written: &mut Written) {
        written.add("position", self.position);
        written.add("scale", self.scale);
        written.add("rotation", self.rotation);
        written.add("opacity", self.opacity);
        written.add("colour", self.colour);
        written.add("sh", self.coefficient);
    }
}

/// Splats and the settings of a file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Packer<'a> {
    pub(super) splats: &'a Splats,
    pub(super) version: u32,
    pub(super) degree: usize,
    pub(super) positions: Fixed,
    /// Bits of coefficients: of degree 1, and of those above.
    pub(super) sh_bits: [u32; 2],
}

impl Packer<'_> {
    pub(super) fn check(&self) -> Result<()> {
        match self.sh_bits.iter().find(|bits| !(1..=8).contains(*bits)) {
            Some(bits) => Err(Error::setting("spz_sh_bits", "1 to 8 bits of a coefficient", bits)),
            None => Ok(()),
        }
    }

    /// The bytes of some rows of a column.
    pub(super) fn pack(&self, column: Column, rows: Range<usize>) -> (Vec<u8>, Totals) {
        let mut bytes = Vec::with_capacity(rows.len() * column.row_bytes(self.version, self.degree));
        let mut totals = Totals::default();
        match column {
            Column::Positions => self.positions(rows, &mut bytes, &mut totals.position),
            Column::Alphas => self.alphas(rows, &mut bytes, &mut totals.opacity),
            Column::Colours => self.colours(rows, &mut bytes, &mut totals),
            Column::Scales => self.scales(rows, &mut bytes, &mut totals),
            Column::Rotations => self.rotations(rows, &mut bytes, &mut totals),
            Column::Coefficients => self.coefficients(rows, &mut bytes, &mut totals),
        }
        (bytes, totals)
    }

    fn positions(&self, rows: Range<usize>, bytes: &mut Vec<u8>, errors: &mut ErrorSum) {
        let step = (-f64::from(self.positions.bits)).exp2();
        for row in rows {
            for axis in &self.splats.positions {
                let number = scaled(axis[row], self.positions.bits) as i32;
                errors.take(f64::from(axis[row]) - f64::from(number) * step);
                bytes.extend_from_slice(&number.to_le_bytes()[..3]);
            }
        }
    }

    fn alphas(&self, rows: Range<usize>, bytes: &mut Vec<u8>, errors: &mut ErrorSum) {
        for &logit in &self.splats.opacities[rows] {
            let alpha = activation::alpha(logit);
            let kept = activation::byte(alpha);
            errors.take(alpha - (f64::from(kept) / 255.0).clamp(ALPHA_MARGIN, 1.0 - ALPHA_MARGIN));
            bytes.push(kept);
        }
    }

    fn colours(&self, rows: Range<usize>, bytes: &mut Vec<u8>, totals: &mut Totals) {
        for row in rows {
            for channel in &self.splats.dc {
                let exact = channel[row] * (0.15 * 255.0) + 127.5;
                totals.strong += usize::from(!(-0.5..=255.5).contains(&exact));
                let kept = exact.round().clamp(0.0, 255.0) as u8;
                totals.colour.take(f64::from(channel[row]) - (f64::from(kept) / 255.0 - 0.5) / 0.15);
                bytes.push(kept);
            }
        }
    }

    fn scales(&self, rows: Range<usize>, bytes: &mut Vec<u8>, totals: &mut Totals) {
        for row in rows {
            for axis in &self.splats.scales {
                let exact = (axis[row] + 10.0) * 16.0;
                totals.small += usize::from(exact < -0.5);
                totals.great += usize::from(exact > 255.5);
                let kept = exact.round().clamp(0.0, 255.0) as u8;
                totals.scale.take(f64::from(axis[row]) - (f64::from(kept) / 16.0 - 10.0));
                bytes.push(kept);
            }
        }
    }

    fn rotations(&self, rows: Range<usize>, bytes: &mut Vec<u8>, totals: &mut Totals) {
        for row in rows {
            let [w, x, y, z] = self.splats.rotations.each_ref().map(|part| part[row]);
            // Squares are summed in the order of Niantic's quaternions.
            let unit = activation::unit([x, y, z, w]).map(|[x, y, z, w]| [w, x, y, z]);
            let unit = unit.unwrap_or_else(|| {
                totals.unturned += 1;
                [1.0, 0.0, 0.0, 0.0]
            });
            let kept = if self.version < 3 {
                let kept = rotation::pack_three(unit);
                bytes.extend(kept);
                rotation::unpack_three(kept)
            } else {
                let kept = rotation::pack_four(unit);
                bytes.extend(kept);
                rotation::unpack_four(kept)
            };
            totals.rotation.take(activation::turn_error(unit, kept.map(f64::from)));
        }
    }

    fn coefficients(&self, rows: Range<usize>, bytes: &mut Vec<u8>, totals: &mut Totals) {
        let row_bytes = Column::Coefficients.row_bytes(self.version, self.degree);
        let (kept, given) = (row_bytes / 3, self.splats.rest.len() / 3);
        bytes.resize(rows.len() * row_bytes, 0);
        for (k, channel) in (0..kept).flat_map(|k| (0..3).map(move |channel| (k, channel))) {
            let shift = 8 - self.sh_bits[usize::from(k >= 3)];
            let half = (1 << shift) / 2;
            let values = &self.splats.rest[channel * given + k][rows.clone()];
            let slots = bytes[3 * k + channel..].iter_mut().step_by(row_bytes);
            let (mut greatest, mut sum) = (0.0f64, 0.0f64);
            for (slot, &value) in slots.zip(values) {
                totals.steep += usize::from(value.abs() > 1.0);
                let exact = (value * 128.0).clamp(-300.0, 300.0);
                // Rounds halves away from 0: the greatest number below ½ is added, since ½ would lift what is just below it, too.
                let whole = (exact + 0.499_999_97_f32.copysign(exact)) as i32 + 128;
                let stored = (((whole.max(0) + half) >> shift) << shift).min(255);
                let error = (f64::from(value) - f64::from(stored - 128) / 128.0).abs();
                greatest = greatest.max(error);
                sum += error;
                *slot = stored as u8;
            }
            totals.coefficient.take_all(greatest, sum, values.len());
        }
    }
}
