//! `iscs-lic verify`.

use std::io::{Write, stdout};
use std::path::PathBuf;
use std::process::ExitCode;

use iscs_lic::container::Format;
use iscs_lic::measure::{ms_ssim, psnr};
use iscs_lic::picture::Picture;
use serde_json::json;

use super::answer;
use super::coded::{decode, read};
use super::model::{ModelArgs, PictureArgs};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A coded picture: .iscs or .cai
    #[arg(value_name = "FILE")]
    coded: PathBuf,
    #[command(flatten)]
    model: ModelArgs,
    /// A picture that was decoded from it, on whatever machine: every sample must be equal
    #[arg(long, value_name = "PICTURE")]
    decoded: Option<PathBuf>,
    /// The picture that was encoded: shows PSNR and MS-SSIM
    #[arg(long, value_name = "PICTURE")]
    source: Option<PathBuf>,
    #[command(flatten)]
    reading: PictureArgs,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Exit status 1 where a sample differs; a file that is damaged or of another model is a failure.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let read = read(&args.coded)?;
    let codec = args.model.codec()?;
    let (picture, _) = decode(&args.coded, &codec, &read, true)?;
    let other = |path: &PathBuf| -> anyhow::Result<Picture> {
        let (other, _) = Picture::read(path, &args.reading.options())?;
        let sides = |picture: &Picture| format!("{}×{}", picture.width(), picture.height());
        let (expected, found) = (sides(&picture), sides(&other));
        anyhow::ensure!(expected == found, "{}: expected {expected} pixels, found {found}", path.display());
        Ok(other)
    };
    let n_differing = args
        .decoded
        .as_ref()
        .map(other)
        .transpose()?
        .map(|decoded| picture.rgb().iter().zip(decoded.rgb()).filter(|(a, b)| a != b).count());
    let source = args.source.as_ref().map(other).transpose()?;
    let quality = source.as_ref().map(|source| (psnr(source, &picture), ms_ssim(source, &picture)));
    let is_negative = n_differing.is_some_and(|n| n > 0);
    if args.json {
        let value = json!({"file": args.coded, "whole": true, "differing_samples": n_differing,
            "psnr-rgb": quality.and_then(|q| q.0), "ms-ssim-rgb": quality.and_then(|q| q.1)});
        return answer(writeln!(stdout(), "{value}").map_err(Into::into), is_negative);
    }
    // A .cai has no checksums: a bit that flips may turn a symbol into another of the same width.
    let whole = match read.format() {
        Format::Cai(_) => "decodes to its end",
        Format::Iscs => "whole, every word of its strings used",
    };
    let mut line = format!("{}: {whole}", args.coded.display());
    match n_differing {
        None => {}
        Some(0) => line.push_str("; the decoded picture is equal"),
        Some(n) => line.push_str(&format!("; {n} of {} samples differ", picture.rgb().len())),
    }
    if let Some((psnr, ms_ssim)) = quality {
        let shown = |value: Option<f64>, none: &str| value.map_or(none.to_owned(), |v| format!("{v:.4}"));
        line.push_str(&format!("; {} dB, MS-SSIM {}", shown(psnr, "infinitely many"), shown(ms_ssim, "–")));
    }
    answer(writeln!(stdout(), "{line}").map_err(Into::into), is_negative)
}
