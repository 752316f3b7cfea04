//! Splats become a `.sog`.

use std::io::Write;

use grouping_core::matrix::Matrix;
use rayon::prelude::*;

use super::super::activation::{self, ALPHA_MARGIN, byte};
use super::super::bounds::refuse_none;
use super::super::dropped::{counted, dropped};
use super::super::{ErrorSum, Written};
use super::codebook::Codebook;
use super::meta::{ANTIALIASED, Asset, Coded, Files, Means, Meta, Rest, VERSION};
use super::palette::{self, Palette};
use super::pixel::{pack_rotation, squeeze, stretch, unpack_rotation};
use super::{COEFFICIENTS, DEGREE, ENTRIES_A_ROW, STEPS, archive, image};
use crate::splats::morton_order;
use crate::{Error, Result, Splats};

const MEANS: [&str; 2] = ["means_l.webp", "means_u.webp"];
const QUATS: &str = "quats.webp";
const SCALES: &str = "scales.webp";
const SH0: &str = "sh0.webp";
const PALETTE: [&str; 2] = ["shN_centroids.webp", "shN_labels.webp"];

/// Pixels of an image, and the errors of what they stand for.
struct Drawn {
    pixels: Vec<[u8; 4]>,
    errors: ErrorSum,
}

/// Writes a `.sog`.
///
/// # Errors
/// No Gaussian at all, more than an image has pixels, and the system's.
pub(crate) fn write(splats: &Splats, out: &mut dyn Write) -> Result<Written> {
    refuse_none(splats, ".sog")?;
    let n = splats.len();
    let sides = image::sides(n)?;
    let order = morton_order(&splats.positions);
    let degree = splats.degree().min(DEGREE);
    let (mut first, mut second) = (None, None);
    rayon::join(
        || first = Some(plain(splats, &order)),
        || second = (degree > 0).then(|| rest(splats, &order, degree)),
    );
    let Plain { means, low, quats, unturned, scales, flat, sh0, opacity } =
        first.ok_or_else(|| Error::setting("splats", "columns", "none"))?;
    let rest = second.transpose()?;

    let mut dropped = dropped(splats, ".sog", DEGREE, true);
    dropped.extend(counted(unturned, "quaternions of length 0: written as no rotation"));
    dropped.extend(counted(flat, "scales of -inf: written as e^-20 of the least other"));
    let mut written = Written { count: n, keeps_order: false, dropped, errors: Vec::new() };
    written.add("position", low.errors);
    written.add("scale", scales.1.errors);
    written.add("rotation", quats.errors);
    written.add("opacity", opacity);
    written.add("colour", sh0.1.errors);
    if let Some(rest) = &rest {
        written.add("sh", rest.labels.errors);
    }

    let meta = Meta {
        version: VERSION,
        asset: Asset { generator: concat!("shapesplat ", env!("CARGO_PKG_VERSION")).into() },
        count: n as u64,
        model: (splats.antialiased == Some(true)).then(|| ANTIALIASED.into()),
        means: Means { mins: means.mins, maxs: means.maxs, files: MEANS.map(String::from) },
        scales: Coded { codebook: scales.0.codes, files: [SCALES.into()] },
        quats: Files { files: [QUATS.into()] },
        sh0: Coded { codebook: sh0.0.codes, files: [SH0.into()] },
        rest: rest.as_ref().map(|rest| Rest {
            count: rest.count as u64,
            bands: degree,
            codebook: rest.codes.clone(),
            files: PALETTE.map(String::from),
        }),
    };
    let json = serde_json::to_vec(&meta)
        .map_err(|error| Error::setting("splats", "numbers that JSON can hold", error))?;
    let mut images = vec![
        (MEANS[0], low.pixels, sides),
        (MEANS[1], means.high, sides),
        (QUATS, quats.pixels, sides),
        (SCALES, scales.1.pixels, sides),
        (SH0, sh0.1.pixels, sides),
    ];
    if let Some(rest) = rest {
        let width = ENTRIES_A_ROW * COEFFICIENTS[degree];
        images.push((PALETTE[0], rest.entries, (width, rest.count.div_ceil(ENTRIES_A_ROW))));
        images.push((PALETTE[1], rest.labels.pixels, sides));
    }
    let files = images.into_par_iter().map(|(name, pixels, sides)| Ok((name, image::write(pixels, sides)?)));
    let mut files: Vec<(&str, Vec<u8>)> = files.collect::<Result<_>>()?;
    files.push(("meta.json", json));
    archive::write(&files, out)?;
    Ok(written)
}

/// The bounds of positions and their high bytes.
struct HighMeans {
    mins: [f64; 3],
    maxs: [f64; 3],
    high: Vec<[u8; 4]>,
}

/// What every scene has.
struct Plain {
    means: HighMeans,
    low: Drawn,
    quats: Drawn,
    unturned: usize,
    scales: (Codebook, Drawn),
    flat: usize,
    sh0: (Codebook, Drawn),
    opacity: ErrorSum,
}

fn plain(splats: &Splats, order: &[u32]) -> Plain {
    let (means, low) = positions(splats, order);
    let (mut quats, mut unturned) =
        (Drawn { pixels: Vec::with_capacity(order.len()), errors: ErrorSum::default() }, 0);
    for row in rows(order) {
        let unit = activation::unit(splats.rotations.each_ref().map(|part| part[row])).unwrap_or_else(|| {
            unturned += 1;
            [1.0, 0.0, 0.0, 0.0]
        });
        let pixel = pack_rotation(unit);
        quats.errors.take(activation::turn_error(unit, unpack_rotation(pixel)));
        quats.pixels.push(pixel);
    }
    let scales = coded(&splats.scales, order);
    let flat = splats.scales.iter().flatten().filter(|&&scale| scale == f32::NEG_INFINITY).count();
    let mut sh0 = coded(&splats.dc, order);
    let mut opacity = ErrorSum::default();
    for (pixel, row) in sh0.1.pixels.iter_mut().zip(rows(order)) {
        let alpha = activation::alpha(splats.opacities[row]);
        pixel[3] = byte(alpha);
        opacity.take(alpha - (f64::from(pixel[3]) / 255.0).clamp(ALPHA_MARGIN, 1.0 - ALPHA_MARGIN));
    }
    Plain { means, low, quats, unturned, scales, flat, sh0, opacity }
}

fn rows(order: &[u32]) -> impl Iterator<Item = usize> {
    order.iter().map(|&row| row as usize)
}

fn positions(splats: &Splats, order: &[u32]) -> (HighMeans, Drawn) {
    let extremes = splats
        .positions
        .each_ref()
        .map(|axis| axis.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(a, b), &v| (a.min(v), b.max(v))));
    let (mins, maxs) = (extremes.map(|(a, _)| squeeze(a.into())), extremes.map(|(_, b)| squeeze(b.into())));
    let mut high = Vec::with_capacity(order.len());
    let mut low = Drawn { pixels: Vec::with_capacity(order.len()), errors: ErrorSum::default() };
    for row in rows(order) {
        let mut pixels = [[255; 4]; 2];
        for axis in 0..3 {
            let (value, range) = (f64::from(splats.positions[axis][row]), maxs[axis] - mins[axis]);
            let share = if range > 0.0 { (squeeze(value) - mins[axis]) / range } else { 0.0 };
            let steps = (share * STEPS + 0.5) as u16;
            [pixels[0][axis], pixels[1][axis]] = steps.to_le_bytes();
            low.errors.take(value - stretch(mins[axis] + range * (f64::from(steps) / STEPS)));
        }
        low.pixels.push(pixels[0]);
        high.push(pixels[1]);
    }
    (HighMeans { mins, maxs, high }, low)
}

/// Three columns by one codebook.
fn coded(columns: &[Vec<f32>; 3], order: &[u32]) -> (Codebook, Drawn) {
    let codebook = Codebook::of(&columns.each_ref().map(Vec::as_slice));
    let mut errors = ErrorSum::default();
    let pixel = |row: usize| {
        let [a, b, c] = columns.each_ref().map(|column| {
            let code = codebook.nearest(column[row]);
            errors.take(f64::from(column[row]) - f64::from(codebook.codes[usize::from(code)]));
            code
        });
        [a, b, c, 255]
    };
    let pixels = rows(order).map(pixel).collect();
    (codebook, Drawn { pixels, errors })
}

/// The palette of the higher degrees.
struct Coefficients {
    count: usize,
    codes: Vec<f32>,
    entries: Vec<[u8; 4]>,
    labels: Drawn,
}

fn rest(splats: &Splats, order: &[u32], degree: usize) -> Result<Coefficients> {
    let (n, given, a_channel) = (splats.len(), splats.rest.len() / 3, COEFFICIENTS[degree]);
    let columns: Vec<&[f32]> = (0..3)
        .flat_map(|channel| (0..a_channel).map(move |k| channel * given + k))
        .map(|i| splats.rest[i].as_slice())
        .collect();
    let d = columns.len();
    let mut points = Matrix::zeros(n, d);
    points.values_mut().par_chunks_exact_mut(d).zip(order.par_iter()).for_each(|(point, &row)| {
        point.iter_mut().zip(&columns).for_each(|(value, column)| *value = column[row as usize]);
    });
    let palette = Palette::of(points.view(), palette::size(n))?;
    let codebook = Codebook::of(&[palette.entries.values()]);
    let count = palette.entries.n_rows();
    let codes: Vec<u8> = palette.entries.values().par_iter().map(|&value| codebook.nearest(value)).collect();
    let entry = |code: &[u8], k: usize| [code[k], code[a_channel + k], code[2 * a_channel + k], 255];
    let entries =
        codes.chunks_exact(d).flat_map(|code| (0..a_channel).map(move |k| entry(code, k))).collect();
    let mut errors = ErrorSum::default();
    for (point, &label) in points.values().chunks_exact(d).zip(&palette.labels) {
        let code = &codes[usize::from(label) * d..][..d];
        let (mut greatest, mut sum) = (0.0f64, 0.0f64);
        for (value, &code) in point.iter().zip(code) {
            let error = (f64::from(*value) - f64::from(codebook.codes[usize::from(code)])).abs();
            greatest = greatest.max(error);
            sum += error;
        }
        errors.take_all(greatest, sum, d);
    }
    let pixels = palette.labels.iter().map(|label| [label.to_le_bytes()[0], label.to_le_bytes()[1], 0, 255]);
    let labels = Drawn { pixels: pixels.collect(), errors };
    Ok(Coefficients { count, codes: codebook.codes, entries, labels })
}
