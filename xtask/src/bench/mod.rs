//! `cargo xtask bench`: our benches and the reference on the same work, in turn, in one call; ratios are stored,
//! printed and judged.
//!
//! `xtask/benches/<crate>.toml` lists cases. Each names what is ours, a benchmark of a criterion target or a command of a
//! binary measured as a whole process; and, where there is one, the script that does the same work in Python and prints
//! `{"event":"bench","name":…,"wall_secs":…,"cpu_secs":…}` (and `peak_memory_bytes`, `output_bytes`), the greatest ratio allowed, and the
//! greatest figure.
//!
//! - `measure`: `wall` (unless given), `cpu`, `memory`, or `size`, the bytes of all files below `{out}`. A criterion target measures one of
//!   the first two, and its ids say which: the CPU time where the name of the group, the part before the first `/`, ends in `_cpu`. A whole
//!   process has all four.
//! - `rounds`, of the file or of a case (1 unless given): how often ours and what it is compared with, a reference or `versus` another of
//!   ours, are measured next to each other, in an order that turns. The median of the rounds' ratios is judged; the least and the greatest
//!   are shown beside it. A reference is run afresh in each round, and once for neighbours in the file that name the same run of it.
//! - `{work}` and `{out}` in arguments stand for folders, `@name` for a list; in those of a script also `{name}` for the name of its event,
//!   for scripts that can do one of their works alone.

mod case;
mod criterion;
mod outcome;
mod process;
mod reference;
mod rounds;
mod words;

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use self::case::{Against, Case};
use self::outcome::{Outcome, table};
use self::reference::{References, interpreter};
use self::rounds::{Round, Turn, turns};
use self::words::Words;
use crate::cargo::{self, Executable, Features};
use crate::experiment::cache::write_atomic;

pub(crate) use self::case::read;

/// What the cases of one crate are measured with.
#[derive(Debug)]
struct Bed<'a> {
    words: &'a Words,
    package: &'a str,
    built: &'a HashMap<Executable, PathBuf>,
    references: References<'a>,
}

/// The crates that have benches, with their files.
pub(crate) fn files(root: &Path) -> Result<Vec<(String, PathBuf)>> {
    let folder = root.join("xtask/benches");
    let mut files = Vec::new();
    for entry in fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            let package = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            files.push((package, path));
        }
    }
    files.sort();
    Ok(files)
}

/// What is to be run.
#[derive(Debug, clap::Args)]
pub(crate) struct Wanted {
    /// The crate; all crates with benches when absent
    package: Option<String>,
    /// A Python environment with the requirements of `oracles/CRATE`
    #[arg(long, value_name = "VENV")]
    reference: Option<PathBuf>,
    /// Only cases with this text in their name; their results are printed and not stored
    #[arg(long, value_name = "TEXT")]
    case: Option<String>,
}

/// Runs the benches; whether all are within their limits.
pub(crate) fn bench(root: &Path, wanted: &Wanted) -> Result<bool> {
    let mut files = files(root)?;
    if let Some(wanted) = &wanted.package {
        files.retain(|(package, _)| package == wanted);
        ensure!(!files.is_empty(), "there is no xtask/benches/{wanted}.toml");
    }
    let python = wanted.reference.as_deref().map(interpreter).transpose()?;
    let mut all = Vec::new();
    let (mut executables, mut features) = (BTreeSet::new(), Features::new());
    for (package, path) in files {
        let mut cases = read(&path)?;
        if let Some(text) = &wanted.case {
            cases.cases.retain(|case| case.name.contains(text));
            ensure!(!cases.cases.is_empty(), "{}: no case with `{text}` in its name", path.display());
        }
        cases.executables(&package, &mut executables, &mut features);
        all.push((package, path, cases));
    }
    // Everything is built before anything is measured.
    let built = cargo::build(root, &executables, &features)?;
    let mut all_within = true;
    for (package, path, cases) in all {
        let words = Words::new(root.join("results/bench/work").join(&package), &cases.lists);
        for prepare in &cases.prepare {
            prepare
                .run(root, &built[&prepare.executable(&package)], &words)
                .with_context(|| path.display().to_string())?;
        }
        let references = References::new(root, python.as_deref());
        let mut bed = Bed { words: &words, package: &package, built: &built, references };
        let mut outcomes = Vec::new();
        for together in cases.measured_together() {
            let measured = measure(together, cases.n_rounds(&together[0]), &mut bed)?;
            for outcome in &measured {
                writeln!(std::io::stderr(), "{}", outcome.line())?;
            }
            outcomes.extend(measured);
        }
        if wanted.case.is_none() {
            let place = root.join(format!("results/bench/{package}.json"));
            write_atomic(&place, &serde_json::to_vec_pretty(&outcomes)?)?;
        }
        let mut out = std::io::stdout().lock();
        writeln!(out, "\n{package}\n{}", table(&outcomes))?;
        all_within &= outcomes.iter().all(Outcome::within_limit);
    }
    Ok(all_within)
}

/// Measures cases that are compared with one thing.
fn measure(cases: &[Case], n_rounds: usize, bed: &mut Bed<'_>) -> Result<Vec<Outcome>> {
    let mut rounds = vec![Vec::new(); cases.len()];
    for round in 0..n_rounds {
        let mut ours = vec![f64::NAN; cases.len()];
        let mut others = vec![None; cases.len()];
        for turn in turns(cases.len(), round) {
            match turn {
                Turn::Ours(i) => {
                    let case = &cases[i];
                    ours[i] = case.ours.figure(case.measure, bed).with_context(of(case))?;
                }
                Turn::Other => others = compared(cases, bed).with_context(of(&cases[0]))?,
            }
        }
        for (i, (ours, other)) in ours.into_iter().zip(others).enumerate() {
            rounds[i].push(Round::new(ours, other));
        }
    }
    Ok(cases.iter().zip(rounds).map(|(case, rounds)| Outcome::new(case, rounds)).collect())
}

/// The figures that each of these cases is compared with, from one run; none where there is nothing, or no Python.
fn compared(cases: &[Case], bed: &mut Bed<'_>) -> Result<Vec<Option<f64>>> {
    let timed = match &cases[0].against {
        Some(Against::Reference(reference)) => bed.references.run(reference, bed.words)?,
        _ => None,
    };
    let figure = |case: &Case| match (&case.against, &timed) {
        (Some(Against::Reference(reference)), Some(timed)) => reference.figure(timed, case.measure).map(Some),
        (Some(Against::Work(other)), _) => other.figure(case.measure, bed).map(Some),
        _ => Ok(None),
    };
    cases.iter().map(figure).collect()
}

fn of(case: &Case) -> impl Fn() -> String {
    move || format!("case `{}`", case.name)
}
