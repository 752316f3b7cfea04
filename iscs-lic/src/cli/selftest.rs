//! `iscs-lic selftest`.

use std::io::{Write, stdout};
use std::process::ExitCode;

use iscs_lic::fixed::{Check, selftest};
use serde_json::{Value, json};

use super::answer;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Exit status 1 where a digest differs.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let checks = selftest()?;
    let n_other = checks.iter().filter(|check| !check.holds()).count();
    answer(print(args, &checks, n_other), n_other > 0)
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
