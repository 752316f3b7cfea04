//! `iscs-lic verify`.

use std::io::{Write, stdout};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use grouping_core::command::{answer, say};
use iscs_lic::codec::Codec;
use iscs_lic::container::{Format, Read};
use iscs_lic::measure::{ms_ssim, psnr};
use iscs_lic::picture::Picture;
use serde_json::json;

use super::coded::{check_model, read};
use super::model::{ModelArgs, PictureArgs};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit status: 0 whole and equal, 1 damaged or a sample differs, 2 not readable or another model's."
)]
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

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let read = read(&args.coded)?;
    let codec = args.model.codec()?;
    check_model(&args.coded, &codec, &read)?;
    let format = read.format();
    match decoded(&args.coded, &codec, read)? {
        Ok(picture) => compare(args, format, &picture),
        Err(damage) => {
            let printed = if args.json {
                writeln!(stdout(), "{}", json!({"file": args.coded, "whole": false, "damage": damage}))
            } else {
                writeln!(stdout(), "{}: damaged: {damage}", args.coded.display())
            };
            answer(printed.map_err(Into::into), true)
        }
    }
}

/// The picture, or how its strings are damaged.
fn decoded(path: &Path, codec: &Codec, read: Read) -> anyhow::Result<Result<Picture, String>> {
    let shown = |error: iscs_lic::Error| match error {
        // What the strings hold; else another model, or another machine's tables.
        damage @ iscs_lic::Error::Coding { .. } => Ok(Err(damage.to_string())),
        other => Err(anyhow::Error::from(other).context(path.display().to_string())),
    };
    match read.strict() {
        Err(damage) => Ok(Err(damage.to_string())),
        Ok(coded) => codec.decode(&coded).map_or_else(shown, |picture| Ok(Ok(picture))),
    }
}

/// Compares what was decoded with other pictures of it.
fn compare(args: &Args, format: Format, picture: &Picture) -> anyhow::Result<ExitCode> {
    let other = |path: &PathBuf| -> anyhow::Result<Picture> {
        let (other, notes) = Picture::read(path, &args.reading.options())?;
        for note in notes {
            say(format_args!("note: {}: {note}", path.display()));
        }
        let sides = |picture: &Picture| format!("{}×{}", picture.width(), picture.height());
        let (expected, found) = (sides(picture), sides(&other));
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
    let quality = source.as_ref().map(|source| (psnr(source, picture), ms_ssim(source, picture)));
    let is_negative = n_differing.is_some_and(|n| n > 0);
    if args.json {
        let value = json!({"file": args.coded, "whole": true, "differing_samples": n_differing,
            "psnr-rgb": quality.and_then(|q| q.0), "ms-ssim-rgb": quality.and_then(|q| q.1)});
        return answer(writeln!(stdout(), "{value}").map_err(Into::into), is_negative);
    }
    // A .cai has no checksums: a bit that flips may turn a symbol into another of the same width.
    let whole = match format {
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
