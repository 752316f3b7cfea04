//! The compact form of a scene in a page.
//!
//! 32 bytes a Gaussian, little-endian: position 3 × f32, quaternion x, y, z of w ≥ 0 as snorm16, logarithms of scales 3 × f16, dc
//! 3 × f16, alpha f16. Behind them the coefficients of degrees 1 to 3, one signed byte each: of the greatest magnitude within
//! the degree, ±127. Bytes lie in planes, all first bytes, then all second ones, because gzip packs them better so.

use std::io::{self, Write};

use super::ViewOptions;
use crate::Splats;

/// The highest degree that the page draws.
const SHOWN: usize = 3;
/// Alpha from which a Gaussian counts for where the scene is.
const VISIBLE: f32 = 0.1;
/// The share of Gaussians that the first view shows whole, at least.
const IN_VIEW: f64 = 0.95;
/// Bytes of a record.
const RECORD: usize = 32;

/// What the page has to know beside the Gaussians, as JSON that may stand in HTML.
pub(super) fn scene(splats: &Splats, options: &ViewOptions) -> String {
    let (centre, radius) = extent(splats);
    let shown = splats.degree().min(SHOWN);
    let up = options.frame.up();
    let scene = serde_json::json!({
        "name": options.name,
        "count": splats.len(),
        "degree": splats.degree(),
        "shown": shown,
        "ranges": ranges(splats),
        "antialiased": splats.antialiased == Some(true),
        "centre": centre,
        "radius": radius,
        "up": up,
        "right": options.frame.right(),
        "forward": options.frame.forward(),
    });
    scene.to_string().replace('<', "\\u003c")
}

/// The greatest magnitude of a coefficient in each degree.
fn ranges(splats: &Splats) -> [f32; SHOWN] {
    let per_channel = splats.rest.len() / 3;
    std::array::from_fn(|band| {
        let orders = band * (band + 2)..(band + 1) * (band + 3);
        let columns =
            splats.rest.iter().enumerate().filter(|(i, _)| orders.contains(&(i % per_channel.max(1))));
        let magnitudes = columns.flat_map(|(_, column)| column).map(|c| c.abs()).filter(|c| c.is_finite());
        magnitudes.fold(0.0, f32::max)
    })
}

/// Where the scene is, without its outliers: the middle of what is visible, and the distance from there that holds nearly all.
fn extent(splats: &Splats) -> ([f32; 3], f32) {
    let is_seen = |row: &usize| alpha(splats.opacities[*row]) > VISIBLE;
    let mut rows: Vec<usize> = (0..splats.len()).filter(is_seen).collect();
    if rows.is_empty() {
        rows = (0..splats.len()).collect();
    }
    let [x, y, z] = &splats.positions;
    rows.retain(|&row| x[row].is_finite() && y[row].is_finite() && z[row].is_finite());
    if rows.is_empty() {
        return ([0.0; 3], 1.0);
    }
    let quantile = |mut values: Vec<f32>, share: f64| {
        let place = ((values.len() - 1) as f64 * share).round() as usize;
        *values.select_nth_unstable_by(place, f32::total_cmp).1
    };
    let centre = [x, y, z].map(|axis| {
        let values: Vec<f32> = rows.iter().map(|&row| axis[row]).collect();
        // Half way between the quantiles of both sides: dense parts of an object do not draw it to them.
        let (low, high) = (quantile(values.clone(), 0.03), quantile(values, 0.97));
        low + (high - low) / 2.0
    });
    let distance = |row: &usize| {
        let off = [x, y, z].into_iter().zip(centre).map(|(axis, c)| f64::from(axis[*row]) - f64::from(c));
        off.map(|d| d * d).sum::<f64>().sqrt() as f32
    };
    let radius = quantile(rows.iter().map(distance).collect(), IN_VIEW);
    let largest = rows.iter().map(|&row| splats.scales.iter().fold(f32::NEG_INFINITY, |a, s| a.max(s[row])));
    let size = quantile(largest.map(f32::exp).collect(), 0.5);
    let radius = radius.max(2.0 * size);
    (centre, if radius > 0.0 && radius.is_finite() { radius } else { 1.0 })
}

fn alpha(logit: f32) -> f32 {
    1.0 / (1.0 + (-logit).exp())
}

/// All records and coefficients, plane by plane.
pub(super) fn write(splats: &Splats, out: &mut impl Write) -> io::Result<()> {
    let n = splats.len();
    let mut records = Vec::with_capacity(n);
    records.extend((0..n).map(|row| record(splats, row)));
    let mut plane = vec![0; n];
    for byte in 0..RECORD {
        plane.iter_mut().zip(&records).for_each(|(plane, record)| *plane = record[byte]);
        out.write_all(&plane)?;
    }
    drop(records);
    let stored = match splats.degree().min(SHOWN) {
        0 => return Ok(()),
        degree => degree * (degree + 2),
    };
    let (per_channel, ranges) = (splats.rest.len() / 3, ranges(splats));
    let factor = |i: usize| {
        let range = ranges[if i < 3 {
            0
        } else if i < 8 {
            1
        } else {
            2
        }];
        if range > 0.0 { 127.0 / range } else { 0.0 }
    };
    let mut line = Vec::with_capacity(stored);
    for channel in splats.rest.chunks_exact(per_channel) {
        for row in 0..n {
            line.clear();
            let values = channel[..stored].iter().enumerate();
            line.extend(values.map(|(i, column)| (column[row] * factor(i)).round() as i8 as u8));
            out.write_all(&line)?;
        }
    }
    Ok(())
}

fn record(splats: &Splats, row: usize) -> [u8; RECORD] {
    let quaternion = [0, 1, 2, 3].map(|k| f64::from(splats.rotations[k][row]));
    let norm = quaternion.iter().map(|q| q * q).sum::<f64>().sqrt();
    let sign = if quaternion[0] < 0.0 { -1.0 } else { 1.0 };
    let part = |k: usize| if norm > 0.0 { sign * quaternion[k] / norm } else { 0.0 };
    let snorm = |value: f64| ((value * 32767.0).round() as i16).to_le_bytes();
    // What e⁸⁰ is larger than is not to be seen as it is; and f16 has no more than 65504.
    let half = |value: f32| half_bits(value.clamp(-80.0, 80.0)).to_le_bytes();
    let colour = |value: f32| half_bits(value.clamp(-1000.0, 1000.0)).to_le_bytes();
    let mut out = [0; RECORD];
    for axis in 0..3 {
        out[4 * axis..][..4].copy_from_slice(&splats.positions[axis][row].to_le_bytes());
        out[12 + 2 * axis..][..2].copy_from_slice(&snorm(part(axis + 1)));
        out[18 + 2 * axis..][..2].copy_from_slice(&half(splats.scales[axis][row]));
        out[24 + 2 * axis..][..2].copy_from_slice(&colour(splats.dc[axis][row]));
    }
    out[30..].copy_from_slice(&half_bits(alpha(splats.opacities[row])).to_le_bytes());
    out
}

/// The nearest f16 of a magnitude below 65504, ties to even; NaN becomes 0.
fn half_bits(value: f32) -> u16 {
    if value.is_nan() {
        return 0;
    }
    let (sign, magnitude) = ((value.to_bits() >> 16 & 0x8000) as u16, value.abs());
    // Below 2⁻¹⁴ steps of 2⁻²⁴; above, 10 bits of mantissa, rounded by bits.
    if magnitude < 6.103_515_6e-5 {
        return sign | (magnitude * 16_777_216.0).round_ties_even() as u16;
    }
    let bits = magnitude.to_bits() - (112 << 23);
    let rounded = bits + 0xfff + (bits >> 13 & 1);
    sign | (rounded >> 13) as u16
}

#[cfg(test)]
mod tests {
    use super::half_bits;

    #[test]
    fn halves_are_those_of_ieee_754() {
        let cases = [
            (0.0, 0),
            (-0.0, 0x8000),
            (1.0, 0x3c00),
            (-2.0, 0xc000),
            (0.333_251_95, 0x3555),
            (65504.0, 0x7bff),
            (5.960_464_5e-8, 1),
            (6.097_555e-5, 0x3ff),
            (6.103_515_6e-5, 0x400),
            (1.000_488_3, 0x3c00),
            (1.001_464_8, 0x3c02),
        ];
        for (value, expected) in cases {
            assert_eq!(half_bits(value), expected, "{value}");
        }
    }
}
