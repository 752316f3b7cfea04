//! `cargo xtask repro`: plan, build, run, report.
//!
//! Writes `results/<crate>/<name>/<scale>/{run.json, metrics.jsonl, table.md, report.json, *.svg}` for each
//! experiment and `results/index.html` for all that have run.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde::Serialize;

use crate::cargo;
use crate::console::Console;
use crate::experiment::cache::{Cache, Usage, hash_file, keys, write_atomic};
use crate::experiment::metrics::{Record, collect};
use crate::experiment::plan::{Library, Plan, Program};
use crate::experiment::run::{Finished, Run, shell};
use crate::experiment::spec::{Experiment, Scale};
use crate::report::{self, Report, html};

/// Where an experiment's results at a scale are.
pub(crate) fn folder(root: &Path, id: &str, scale: Scale) -> PathBuf {
    root.join("results").join(id).join(scale.to_string())
}

/// Runs what is wanted; whether every outcome is within tolerance.
pub(crate) fn repro(root: &Path, wanted: Option<&str>, scale: Scale, jobs: usize) -> Result<bool> {
    ensure!(jobs > 0, "--jobs needs at least 1");
    let library = Library::read(&root.join("xtask/experiments"))?;
    let ids = library.select(wanted)?;
    let plan = Plan::new(&library, &ids, scale)?;
    for id in &plan.experiments {
        report::check(library.get(id)?, scale).with_context(|| id.clone())?;
    }
    let binaries = build(root, &plan)?;
    let programs = hash_programs(&plan, &binaries)?;
    let keys = keys(&plan, &programs);
    let cache = Cache::new(root.join("results/cache"));
    let console = Console::new();
    let started = Instant::now();
    let run = Run { plan: &plan, keys: &keys, cache: &cache, binaries: &binaries, jobs, console: &console };
    let finished = run.run()?;
    let elapsed_secs = started.elapsed().as_secs_f64();

    let mut reports = Vec::new();
    let versions = Versions::new(root, &programs);
    for id in &plan.experiments {
        let experiment = library.get(id)?;
        let report = (|| {
            let seeds = &experiment.scale(scale)?.seeds;
            let nodes: Vec<usize> = plan.of(id, seeds).collect();
            let folder = folder(root, id, scale);
            let mut records = Vec::new();
            for &i in &nodes {
                let path = cache.slot(&keys[i]).stdout();
                let printed =
                    fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
                records
                    .extend(collect(&printed, &plan.nodes[i].labels).with_context(|| plan.nodes[i].title())?);
            }
            let run = RunFile::new(id, experiment, &plan, &nodes, &keys, &finished, &versions, elapsed_secs);
            write_atomic(&folder.join("run.json"), &serde_json::to_vec_pretty(&run)?)?;
            write_metrics(&folder, &records)?;
            let rendered = report::render(id, experiment, scale, &records)?;
            rendered.write(&folder)?;
            Ok::<Report, anyhow::Error>(rendered.report)
        })();
        reports.push(report.with_context(|| id.clone())?);
    }
    html::write_index(root)?;
    print_summary(root, &reports)?;
    Ok(reports.iter().all(|report| report.n_out_of_tolerance() == 0))
}

/// Makes the reports of what has run again from its metrics, with the experiment files as they are now. A run that no
/// longer fits its file keeps the report that it has, and this is said.
pub(crate) fn report_again(root: &Path) -> Result<()> {
    let library = Library::read(&root.join("xtask/experiments"))?;
    let mut reports = Vec::new();
    for (id, experiment) in &library.experiments {
        for scale in experiment.scales.keys() {
            let folder = folder(root, id, *scale);
            let path = folder.join("metrics.jsonl");
            if path.exists() {
                let printed =
                    fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
                let records = collect(&printed, &BTreeMap::new())?;
                match report::render(id, experiment, *scale, &records) {
                    Ok(rendered) => {
                        rendered.write(&folder)?;
                        reports.push(rendered.report);
                    }
                    Err(error) => writeln!(
                        std::io::stderr(),
                        "warning: {id} at scale {scale} has run with another experiment file and is left as it is; \
                         cargo xtask repro {id} --scale {scale} runs it again: {error:#}"
                    )?,
                }
            }
        }
    }
    ensure!(!reports.is_empty(), "nothing has run with these experiment files: cargo xtask repro");
    html::write_index(root)?;
    print_summary(root, &reports)
}

/// The release binaries of a plan, built in one call.
fn build(root: &Path, plan: &Plan) -> Result<HashMap<Program, PathBuf>> {
    let binaries = plan.nodes.iter().filter_map(|node| match &node.program {
        Program::Binary(binary) => Some(binary.clone()),
        Program::Command(_) => None,
    });
    let built = cargo::build(root, &binaries.collect(), &plan.features)?;
    Ok(built.into_iter().map(|(binary, path)| (Program::Binary(binary), path)).collect())
}

/// The hash of each program's file: the release binary, or the command's program where that is a path.
fn hash_programs(plan: &Plan, binaries: &HashMap<Program, PathBuf>) -> Result<HashMap<Program, String>> {
    let mut programs = HashMap::new();
    for node in &plan.nodes {
        let path = match &node.program {
            Program::Command(command) => Path::new(&command[0]),
            binary => binaries.get(binary).context("a binary was not built")?,
        };
        if path.is_file() && !programs.contains_key(&node.program) {
            programs.insert(node.program.clone(), hash_file(path)?);
        }
    }
    Ok(programs)
}

fn write_metrics(folder: &Path, records: &[Record]) -> Result<()> {
    let mut lines = Vec::new();
    for record in records {
        serde_json::to_writer(&mut lines, record)?;
        lines.push(b'\n');
    }
    write_atomic(&folder.join("metrics.jsonl"), &lines)
}

/// What was run, with what, and what it cost.
#[derive(Serialize)]
struct RunFile<'a> {
    experiment: &'a str,
    scale: Scale,
    seeds: &'a [u64],
    versions: &'a Versions,
    configuration: &'a Experiment,
    /// The cost of making each stage, whether now or when it came into the cache.
    cost: Usage,
    /// How long this run took, all its experiments together.
    elapsed_secs: f64,
    stages: Vec<StageFile<'a>>,
}

#[derive(Serialize)]
struct StageFile<'a> {
    stage: &'a str,
    seed: u64,
    point: BTreeMap<&'a str, &'a str>,
    key: &'a str,
    command: String,
    cached: bool,
    /// Part of the work was done by earlier processes, whose cost is not in `usage`.
    resumed: bool,
    usage: Usage,
}

impl<'a> RunFile<'a> {
    #[expect(clippy::too_many_arguments, reason = "a record of everything that made the run")]
    fn new(
        id: &'a str,
        experiment: &'a Experiment,
        plan: &'a Plan,
        nodes: &[usize],
        keys: &'a [String],
        finished: &'a [Finished],
        versions: &'a Versions,
        elapsed_secs: f64,
    ) -> RunFile<'a> {
        let mut cost = Usage::default();
        let mut stages = Vec::with_capacity(nodes.len());
        for &i in nodes {
            let (node, Finished { record, cached }) = (&plan.nodes[i], &finished[i]);
            cost.wall_secs += record.usage.wall_secs;
            cost.cpu_secs += record.usage.cpu_secs;
            cost.peak_memory_bytes = cost.peak_memory_bytes.max(record.usage.peak_memory_bytes);
            stages.push(StageFile {
                stage: &node.stage,
                seed: node.seed,
                point: node.point.iter().map(|(axis, point)| (axis.as_str(), point.name.as_str())).collect(),
                key: &keys[i],
                command: shell(&record.command),
                cached: *cached,
                resumed: record.resumed,
                usage: record.usage,
            });
        }
        let seeds = experiment.scales.get(&plan.scale).map_or(&[][..], |spec| &spec.seeds);
        RunFile {
            experiment: id,
            scale: plan.scale,
            seeds,
            versions,
            configuration: experiment,
            cost,
            elapsed_secs,
            stages,
        }
    }
}

#[derive(Serialize)]
struct Versions {
    rustc: Option<String>,
    commit: Option<String>,
    /// Whether files differ from that commit.
    modified: Option<bool>,
    cores: usize,
    system: String,
    /// Program → blake3 of its file.
    programs: BTreeMap<String, String>,
}

impl Versions {
    fn new(root: &Path, programs: &HashMap<Program, String>) -> Versions {
        let said = |program: &str, args: &[&str]| {
            let output = Command::new(program).args(args).current_dir(root).output().ok()?;
            output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
        };
        let name = |program: &Program| match program {
            Program::Binary(binary) => format!("{}/{}", binary.package, binary.name),
            Program::Command(command) => shell(command),
        };
        Versions {
            rustc: said("rustc", &["--version"]),
            commit: said("git", &["rev-parse", "HEAD"]),
            modified: said("git", &["status", "--porcelain"]).map(|text| !text.is_empty()),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            system: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
            programs: programs.iter().map(|(program, hash)| (name(program), hash.clone())).collect(),
        }
    }
}

fn print_summary(root: &Path, reports: &[Report]) -> Result<()> {
    let mut out = std::io::stdout().lock();
    for report in reports {
        writeln!(out, "\n{} at scale {}: {}", report.experiment, report.scale, report.title)?;
        for verdict in &report.verdicts {
            let mark = if verdict.within_tolerance { ' ' } else { '!' };
            let sd = verdict.sd.map_or(String::new(), |sd| format!(" ± {sd:.1}"));
            let ours = format!("{:.1}{sd}", verdict.ours);
            writeln!(
                out,
                "{mark} {ours:>12}  {:<34} {} ({})",
                verdict.words(),
                verdict.claim,
                verdict.relation
            )?;
        }
        if report.n_out_of_tolerance() > 0 {
            writeln!(out, "! {} outcome(s) differ from those expected", report.n_out_of_tolerance())?;
        }
        let folder = folder(Path::new(""), &report.experiment, report.scale);
        writeln!(out, "  {}", folder.join("table.md").display())?;
    }
    writeln!(out, "\nall results: {}", root.join("results/index.html").display())?;
    Ok(())
}
