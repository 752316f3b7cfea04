//! `iscs-lic encode`.

use std::io::{Write, stdout};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context;
use grouping_core::command::{not_an_input, say};
use grouping_core::files::output::{Existing, write_file};
use iscs_lic::codec::{Codec, EncodeOptions, Padding};
use iscs_lic::container::{CaiHeader, CaiModel, Metric};
use iscs_lic::measure::psnr;
use iscs_lic::picture::Picture;
use serde_json::json;

use super::model::{Deterministic, ModelArgs, PictureArgs, mode};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A picture: PNG, JPEG, WebP, TIFF, BMP or PNM
    #[arg(value_name = "PICTURE")]
    picture: PathBuf,
    /// The file to write: .iscs, or .cai, which CompressAI's codec.py decodes
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    #[command(flatten)]
    model: ModelArgs,
    /// Compute in integers what must come out alike on every machine
    #[arg(long, value_enum, value_name = "WHAT")]
    deterministic: Option<Deterministic>,
    #[command(flatten)]
    source: PictureArgs,
    /// For .cai: the quality, from 1 to 8, under which CompressAI's zoo has the model [default: 1]
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=8))]
    quality: Option<u8>,
    /// For .cai: what CompressAI's zoo has the model trained for [default: mse]
    #[arg(long, value_enum)]
    metric: Option<MetricName>,
    /// Decode what was encoded, and show its PSNR
    #[arg(long)]
    check: bool,
    /// Replace a file that exists
    #[arg(long)]
    force: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum MetricName {
    Mse,
    MsSsim,
}

/// Which file holds a coded picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Container {
    Iscs,
    Cai,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let container = container(&args.output)?;
    let existing = Existing::replaced_if(args.force);
    existing.check(&args.output)?;
    not_an_input(&args.output, &[&args.picture])?;
    let mode = mode(args.deterministic);
    let padding = match container {
        Container::Iscs => Padding::Edge,
        Container::Cai => Padding::Zeros,
    };
    anyhow::ensure!(
        container == Container::Iscs || args.deterministic.is_none(),
        "--deterministic: expected an output .iscs, found .cai, which CompressAI decodes in floating point"
    );
    for (flag, is_given) in [("--quality", args.quality.is_some()), ("--metric", args.metric.is_some())] {
        anyhow::ensure!(
            container == Container::Cai || !is_given,
            "{flag}: expected an output .cai, found .iscs, which names its model itself"
        );
    }
    let (picture, notes) = Picture::read(&args.picture, &args.source.options())?;
    for note in notes {
        say(format_args!("note: {}: {note}", args.picture.display()));
    }
    let codec = args.model.codec()?;
    let cai = (container == Container::Cai).then(|| header(&codec, args)).transpose()?;
    if cai.is_some() && args.model.is_built_in() {
        let name = args.output.display();
        say(format_args!(
            "note: {name}: CompressAI's zoo has no such model: its codec.py will not decode this file"
        ));
    }
    let named = || args.picture.display().to_string();
    let start = Instant::now();
    let options = EncodeOptions { padding, mode };
    let coded = codec.encode(&picture, &options).with_context(named)?;
    let secs = start.elapsed().as_secs_f64();
    let bytes = match &cai {
        None => coded.to_iscs()?,
        Some(header) => coded.write_cai(header)?,
    };
    let decoded = args.check.then(|| codec.decode(&coded)).transpose().with_context(named)?;
    write_file(&args.output, existing, |mut file| {
        file.write_all(&bytes).map_err(grouping_core::Error::file(&args.output, "write"))
    })?;
    let n_strings: usize = coded.strings.iter().map(|string| string.bytes.len()).sum();
    let bpp = |n: usize| n as f64 * 8.0 / (picture.width() * picture.height()) as f64;
    let psnr = decoded.as_ref().map(|decoded| psnr(&picture, decoded));
    if args.json {
        let value = json!({
            "output": args.output, "width": picture.width(), "height": picture.height(), "bytes": bytes.len(),
            "file-bpp": bpp(bytes.len()), "bpp": bpp(n_strings), "encoding_time": secs,
            "psnr-rgb": psnr.flatten(),
        });
        return Ok(writeln!(stdout(), "{value}")?);
    }
    let quality = match psnr {
        None => String::new(),
        Some(None) => ", kept exactly".to_owned(),
        Some(Some(psnr)) => format!(", {psnr:.3} dB"),
    };
    let (name, n) = (args.output.display(), bytes.len());
    Ok(writeln!(stdout(), "{name}: {n} bytes, {:.4} bits a pixel{quality}, {secs:.2} s", bpp(n))?)
}

/// What a `.cai` says of its model.
fn header(codec: &Codec, args: &Args) -> anyhow::Result<CaiHeader> {
    let name = codec.architecture().name();
    let Some(model) = CaiModel::from_name(name) else {
        anyhow::bail!(
            "{}: expected an output .iscs, found .cai, which has no place for {name}",
            args.output.display()
        );
    };
    let metric = match args.metric {
        None | Some(MetricName::Mse) => Metric::Mse,
        Some(MetricName::MsSsim) => Metric::MsSsim,
    };
    Ok(CaiHeader { model, metric, quality: args.quality.unwrap_or(1) })
}

/// By the extension.
fn container(path: &Path) -> anyhow::Result<Container> {
    let extension = path.extension().map(|extension| extension.to_string_lossy().to_lowercase());
    match extension.as_deref() {
        Some("iscs") => Ok(Container::Iscs),
        Some("cai") => Ok(Container::Cai),
        _ => anyhow::bail!("{}: expected an output that ends in .iscs or .cai", path.display()),
    }
}
