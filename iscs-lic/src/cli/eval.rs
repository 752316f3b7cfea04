//! `iscs-lic eval`.

use std::io::{Write, stdout};
use std::path::PathBuf;
use std::process::ExitCode;

use burn::tensor::Device;
use grouping_core::command::{CellAlignment, answer, bar, check_output, say, table};
use grouping_core::files::output::{Existing, write_text};
use grouping_core::image::files_below;
use iscs_lic::checkpoint::Checkpoint;
use iscs_lic::codec::{Codec, EncodeOptions, Padding};
use iscs_lic::measure::evaluate::{Evaluation, Measures, evaluate};
use iscs_lic::measure::learned::Learned;
use iscs_lic::measure::results::to_json;
use serde_json::json;

use super::model::{Deterministic, PictureArgs, mode};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Pictures, or folders whose pictures are taken, also those in folders below
    #[arg(value_name = "DIR", required = true)]
    data: Vec<PathBuf>,
    /// A checkpoint of CompressAI, and again for each point of the curve; without one the small model that is built in
    #[arg(long, value_name = "FILE")]
    model: Vec<PathBuf>,
    /// Compute the entropy coder's tables anew, as CompressAI's eval_model does unless told not to
    #[arg(long)]
    update: bool,
    /// Compute in integers what must come out alike on every machine
    #[arg(long, value_enum, value_name = "WHAT")]
    deterministic: Option<Deterministic>,
    /// Pad with zeros to multiples of 64, as CompressAI does, instead of replicating the edge to the least size
    #[arg(long)]
    pad_as_compressai: bool,
    /// Add the rate by the likelihoods that the model gives its symbols: an estimate
    #[arg(long)]
    estimate: bool,
    /// Show each picture
    #[arg(long)]
    per_image: bool,
    #[command(flatten)]
    source: PictureArgs,
    /// The codec's name in the results; else that of its architecture
    #[arg(long)]
    name: Option<String>,
    /// Write the results, for `compare` and CompressAI's plot
    #[arg(short, long, value_name = "FILE.json")]
    output: Option<PathBuf>,
    /// Replace results that exist
    #[arg(long)]
    force: bool,
    /// Print the results as JSON
    #[arg(long)]
    json: bool,
}

/// Exit status 1 where a picture was not read.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let existing = Existing::replaced_if(args.force);
    if let Some(path) = &args.output {
        existing.check(path)?;
        check_output(path, "json", &[])?;
    }
    let files = files(args)?;
    let checkpoints = match &args.model[..] {
        [] => vec![Checkpoint::default_model()?],
        paths => paths.iter().map(|path| Checkpoint::open(path)).collect::<Result<_, _>>()?,
    };
    let name = args.name.clone().unwrap_or_else(|| checkpoints[0].architecture().name().to_owned());
    let padding = if args.pad_as_compressai { Padding::Zeros } else { Padding::Edge };
    let options = EncodeOptions { padding, mode: mode(args.deterministic) };
    let bar = bar(files.len() * checkpoints.len(), "pictures");
    let mut evaluations = Vec::new();
    let mut n_failed = 0;
    for checkpoint in checkpoints {
        let checkpoint = if args.update { checkpoint.updated()? } else { checkpoint };
        let codec = Codec::load(&checkpoint, &Device::flex())?;
        let learned = Learned::new(&codec, options);
        let learned = if args.estimate { learned.with_estimate(&checkpoint)? } else { learned };
        evaluations.push(evaluate(&learned, &files, &args.source.options(), |_| bar.inc(1)));
    }
    bar.finish_and_clear();
    // A picture is read again for each model, and says the same each time.
    for (path, note) in evaluations.first().into_iter().flat_map(|evaluation| &evaluation.notes) {
        say(format_args!("note: {}: {note}", path.display()));
    }
    for (at, evaluation) in evaluations.iter_mut().enumerate() {
        let n_coded = evaluation.pictures.len();
        for (path, error) in evaluation.failed.drain(..) {
            n_failed += 1;
            say(format_args!(
                "warning: {}: left out of {}: {:#}",
                path.display(),
                label(args, at),
                anyhow::Error::from(error)
            ));
        }
        anyhow::ensure!(n_coded > 0, "{}: expected a picture that can be coded, found none", label(args, at));
    }
    let means: Vec<Measures> = evaluations.iter().filter_map(Evaluation::mean).collect();
    let description = "Inference (ans)";
    let results = to_json(&name, description, &means);
    if let Some(path) = &args.output {
        write_text(path, existing, &format!("{results:#}\n"))?;
    }
    if args.json {
        let mut value = results;
        if args.per_image {
            value["pictures"] =
                json!(evaluations.iter().map(|evaluation| &evaluation.pictures).collect::<Vec<_>>());
        }
        answer(writeln!(stdout(), "{value}").map_err(Into::into), n_failed > 0)
    } else {
        answer(print(args, &evaluations, &means), n_failed > 0)
    }
}

/// What a point of the curve is called.
fn label(args: &Args, at: usize) -> String {
    args.model.get(at).map_or("built in".to_owned(), |path| path.display().to_string())
}

fn files(args: &Args) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in &args.data {
        if path.is_dir() {
            let below = files_below(path)?;
            anyhow::ensure!(!below.is_empty(), "{}: expected pictures, found none", path.display());
            files.extend(below);
        } else {
            files.push(path.clone());
        }
    }
    Ok(files)
}

fn print(args: &Args, evaluations: &[Evaluation], means: &[Measures]) -> anyhow::Result<()> {
    let mut header = vec!["", "bits/pixel", "of the file", "PSNR, dB", "MS-SSIM", "encode, s", "decode, s"];
    if args.estimate {
        header.insert(3, "estimate");
    }
    let mut table = table(header);
    let row = |name: String, m: &Measures| {
        let shown =
            |value: Option<f64>, digits: usize| value.map_or("–".to_owned(), |v| format!("{v:.digits$}"));
        let mut row = vec![
            name,
            format!("{:.4}", m.bpp),
            format!("{:.4}", m.file_bpp),
            shown(m.psnr, 3),
            shown(m.ms_ssim, 5),
            format!("{:.2}", m.encoding_secs),
            shown(m.decoding_secs, 2),
        ];
        if args.estimate {
            row.insert(3, shown(m.estimated_bpp, 4));
        }
        row
    };
    for (at, evaluation) in evaluations.iter().enumerate() {
        if args.per_image {
            for picture in &evaluation.pictures {
                table.add_row(row(picture.source.display().to_string(), &picture.measures));
            }
        }
        if let Some(mean) = means.get(at) {
            let n = evaluation.pictures.len();
            table.add_row(row(format!("{}: mean of {n}", label(args, at)), mean));
        }
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    Ok(writeln!(stdout(), "{table}")?)
}
