//! Rates and distortions of codecs on a folder of pictures, kept as results that `iscs-lic compare` reads, and told as metrics.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use grouping_core::files::output::{Existing, write_folder, write_text};
use grouping_core::image::files_below;
use grouping_core::train::{Event, Observer};
use iscs_lic::measure::curve::Curve;
use iscs_lic::measure::evaluate::{Measures, PictureCodec, evaluate};
use iscs_lic::measure::results::{Metric, Results, to_json};
use iscs_lic::picture::ReadOptions;

/// Bits a pixel at which curves are told, by PCHIP over log rate, so that they can be drawn over the rate.
const RATES: [f64; 8] = [0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 1.5, 2.0];

/// Codes every picture below `data` with each codec, and writes the means to `out`.
///
/// # Errors
/// When a picture cannot be coded, or `out` cannot be written.
pub(crate) fn measure(
    name: &str,
    codecs: &[(String, Box<dyn PictureCodec + '_>)],
    data: &Path,
    out: &Path,
    observer: &mut impl Observer,
) -> Result<Vec<Measures>> {
    let files = files_below(data)?;
    ensure!(!files.is_empty(), "{}: expected pictures, found none", data.display());
    let mut means = Vec::new();
    let total = codecs.len() * files.len();
    let mut done = 0;
    for (point, codec) in codecs {
        let tell = |_: &Path| {
            done += 1;
            let _ = observer.on_event(&Event::Progress { done, total, unit: "picture" });
        };
        let mut all = evaluate(&**codec, &files, &ReadOptions::default(), tell);
        if let Some((_, error)) = all.failed.pop() {
            return Err(error.into());
        }
        let Some(mean) = all.mean() else { continue };
        report(&mean, point, observer);
        means.push(mean);
    }
    let points: Vec<(f64, f64)> = means.iter().filter_map(|mean| Some((mean.bpp, mean.psnr?))).collect();
    if let Ok(curve) = Curve::new(&points) {
        for rate in RATES {
            if let Some(psnr) = curve.quality_at(rate) {
                let _ = observer.on_event(&Event::metric("psnr_at", psnr, [("rate", rate)]));
            }
        }
    }
    write_text(out, Existing::Replace, &to_json(name, "Inference (files)", &means).to_string())?;
    Ok(means)
}

/// Copies the first `n` of Kodak's pictures from the folder that the environment names.
///
/// # Errors
/// When there are none, or `out` cannot be written.
pub(crate) fn copy_kodak(out: &Path, n: usize) -> Result<()> {
    let data =
        std::env::var_os("GROUPING_DATA").context("expected the folder of the data in GROUPING_DATA")?;
    let files = files_below(&Path::new(&data).join("kodak"))?;
    ensure!(!files.is_empty(), "{}: expected kodak/*.png", Path::new(&data).display());
    write_folder(out, Existing::Replace, |staging| -> iscs_lic::Result<()> {
        for path in files.iter().take(n) {
            let to = staging.join(path.file_name().unwrap_or_default());
            std::fs::copy(path, &to).map_err(grouping_core::Error::file(&to, "write"))?;
        }
        Ok(())
    })?;
    Ok(())
}

fn report(mean: &Measures, point: &str, observer: &mut impl Observer) {
    let numbers = [
        ("bpp", Some(mean.bpp)),
        ("file_bpp", Some(mean.file_bpp)),
        ("psnr", mean.psnr),
        ("ms_ssim", mean.ms_ssim),
        ("encode_secs", Some(mean.encoding_secs)),
        ("decode_secs", mean.decoding_secs),
    ];
    for (name, value) in numbers {
        if let Some(value) = value {
            let _ = observer.on_event(&Event::metric(name, value, [("point", point)]));
        }
    }
}

/// Tells how many dB each point of `own` lies above the curve of `anchor` at the same rate.
///
/// # Errors
/// When a file is no results, the anchor no curve, or no point lies within its rates.
pub(crate) fn above(own: &Path, anchor: &Path, observer: &mut impl Observer) -> Result<()> {
    let (own, anchor) = (Results::read(own, Metric::Psnr)?, Results::read(anchor, Metric::Psnr)?);
    let curve = Curve::new(&anchor.points)?;
    let mut n_told = 0;
    for (rate, quality) in own.points {
        if let Some(other) = curve.quality_at(rate) {
            let _ = observer.on_event(&Event::metric(
                "db_above",
                quality - other,
                [("anchor", anchor.name.as_str())],
            ));
            n_told += 1;
        }
    }
    ensure!(n_told > 0, "expected a rate within those of {}, found none", anchor.name);
    Ok(())
}
