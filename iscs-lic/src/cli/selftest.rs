//! `iscs-lic selftest`.

use std::io::{Write, stdout};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use grouping_core::command::answer;
use grouping_core::files::output::{Existing, write_folder};
use iscs_lic::fixed::{Check, selftest};
use serde_json::{Value, json};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Write what was computed, and the digests that it should have, for `sha256sum --check SHA256SUMS`
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Replace a folder that exists
    #[arg(long)]
    force: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Exit status 1 where a digest differs.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let existing = Existing::replaced_if(args.force);
    if let Some(folder) = &args.output {
        existing.check(folder)?;
    }
    let checks = selftest()?;
    if let Some(folder) = &args.output {
        write(folder, &checks, existing)?;
    }
    let n_other = checks.iter().filter(|check| !check.holds()).count();
    answer(print(args, &checks, n_other), n_other > 0)
}

/// Writes the bytes that were hashed, and a line a file as `sha256sum` prints them, of what every machine computes.
fn write(folder: &Path, checks: &[Check], existing: Existing) -> iscs_lic::Result<()> {
    write_folder(folder, existing, |staging| {
        let put = |name: &str, bytes: &[u8]| {
            let path = staging.join(name);
            std::fs::write(&path, bytes).map_err(grouping_core::Error::file(&path, "write"))
        };
        let mut sums = String::new();
        for check in checks {
            for (digest, kind) in [(&check.symbols, "symbols"), (&check.picture, "rgb")] {
                let name = format!("{}x{}.{kind}", check.width, check.height);
                put(&name, &digest.bytes)?;
                sums.push_str(&format!("{}  {name}\n", digest.expected));
            }
        }
        Ok(put("SHA256SUMS", sums.as_bytes())?)
    })
}

fn print(args: &Args, checks: &[Check], n_other: usize) -> anyhow::Result<()> {
    if args.json {
        let pictures: Vec<Value> = checks
            .iter()
            .map(|check| {
                json!({"width": check.width, "height": check.height, "holds": check.holds(),
                    "symbols": {"expected": check.symbols.expected, "found": check.symbols.found},
                    "picture": {"expected": check.picture.expected, "found": check.picture.found}})
            })
            .collect();
        writeln!(stdout(), "{}", json!({"holds": n_other == 0, "pictures": pictures}))?;
    } else {
        for check in checks {
            let size = format!("{}×{}", check.width, check.height);
            let short = |digest: &str| digest.get(..16).unwrap_or(digest).to_owned();
            let (symbols, picture) = (short(&check.symbols.found), short(&check.picture.found));
            let verdict = if check.holds() { "as everywhere" } else { "OTHERS than everywhere" };
            writeln!(stdout(), "{size:>7}  symbols {symbols}  picture {picture}  {verdict}")?;
        }
        let verdict = match n_other {
            0 => "This machine decodes the same symbols and pictures as every other.".into(),
            n => format!(
                "{n} of {} pictures differ: this machine must not decode integer modes.",
                checks.len()
            ),
        };
        writeln!(stdout(), "{verdict}")?;
    }
    Ok(())
}
