//! Reports: from metrics to tables, plots and pages. `report.json` holds all of it, so that the page of all
//! experiments and the published copies are made without running anything again.

pub(crate) mod html;
pub(crate) mod markdown;
pub(crate) mod plot;
pub(crate) mod publish;
pub(crate) mod table;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use crate::experiment::cache::write_atomic;
use crate::experiment::expect::{Verdict, judge};
use crate::experiment::metrics::Record;
use crate::experiment::select::Selection;
use crate::experiment::spec::{Experiment, Scale, Selector, Value, applies};
use table::Grid;

/// What an experiment found at one scale.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) experiment: String,
    pub(crate) title: String,
    pub(crate) claim: String,
    pub(crate) source: String,
    pub(crate) note: Option<String>,
    pub(crate) scale: Scale,
    pub(crate) seeds: Vec<u64>,
    pub(crate) verdicts: Vec<Verdict>,
    pub(crate) tables: Vec<Grid>,
    pub(crate) plots: Vec<PlotFile>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct PlotFile {
    pub(crate) title: String,
    pub(crate) file: String,
}

/// A report and the plots that it names, as SVG.
pub(crate) struct Rendered {
    pub(crate) report: Report,
    pub(crate) plots: Vec<String>,
}

/// Judges, tabulates and draws.
pub(crate) fn render(
    id: &str,
    experiment: &Experiment,
    scale: Scale,
    records: &[Record],
) -> Result<Rendered> {
    let spec = experiment.scale(scale)?;
    let variables = experiment.variables(scale)?;
    let is_there = |needs_env: &Option<String>, selectors: &[&Selector]| -> bool {
        let has_records = |selector: &&Selector| {
            Selection::new(selector, &variables)
                .is_ok_and(|selection| records.iter().any(|r| selection.admits(r)))
        };
        let is_set = |name: &str| std::env::var_os(name).is_some();
        needs_env.as_deref().is_none_or(|name| is_set(name) || selectors.iter().any(has_records))
    };
    let mut verdicts = Vec::new();
    for expect in experiment.expectations.iter().filter(|e| applies(e.scales.as_deref(), scale)) {
        if !is_there(&expect.needs_env, &[&expect.value]) {
            continue;
        }
        verdicts.push(judge(expect, records, &variables, scale, spec.seeds.len())?);
    }
    let mut tables = Vec::new();
    for table in experiment.tables.iter().filter(|t| applies(t.scales.as_deref(), scale)) {
        if !is_there(&table.needs_env, &table.columns.iter().map(|column| &column.value).collect::<Vec<_>>())
        {
            continue;
        }
        let grid = table::grid(table, records, &variables, spec.seeds.len());
        tables.push(grid.with_context(|| format!("table `{}`", table.name))?);
    }
    let (mut files, mut plots) = (Vec::new(), Vec::new());
    for plot in experiment.plots.iter().filter(|p| applies(p.scales.as_deref(), scale)) {
        if !is_there(&plot.needs_env, &plot.series.iter().map(|series| &series.value).collect::<Vec<_>>()) {
            continue;
        }
        let svg = plot::draw(plot, records, &variables).with_context(|| format!("plot `{}`", plot.name))?;
        files.push(PlotFile { title: plot.title.clone(), file: format!("{}.svg", plot.name) });
        plots.push(svg);
    }
    let report = Report {
        experiment: id.to_owned(),
        title: experiment.title.clone(),
        claim: experiment.claim.clone(),
        source: experiment.source.clone(),
        note: experiment.note.clone(),
        scale,
        seeds: spec.seeds.clone(),
        verdicts,
        tables,
        plots: files,
    };
    Ok(Rendered { report, plots })
}

/// Checks what can be checked of selectors before anything has run: that the lists they name are there.
pub(crate) fn check(experiment: &Experiment, scale: Scale) -> Result<()> {
    let variables = experiment.variables(scale)?;
    let columns = experiment.tables.iter().flat_map(|table| table.columns.iter().map(|column| &column.value));
    let plots = experiment.plots.iter();
    let series =
        plots.flat_map(|plot| plot.series.iter().chain(&plot.references)).map(|series| &series.value);
    let expectations = experiment.expectations.iter().flat_map(|e| std::iter::once(&e.value).chain(&e.minus));
    for selector in columns.chain(series).chain(expectations) {
        selection(selector, &variables)?;
    }
    Ok(())
}

fn selection(selector: &Selector, variables: &IndexMap<String, Value>) -> Result<Selection> {
    Selection::new(selector, variables)
        .with_context(|| format!("the selector of metric `{}`", selector.metric))
}

impl Rendered {
    /// Writes `report.json`, `table.md` and the plots.
    pub(crate) fn write(&self, folder: &Path) -> Result<()> {
        for (file, svg) in self.report.plots.iter().zip(&self.plots) {
            write_atomic(&folder.join(&file.file), svg.as_bytes())?;
        }
        write_atomic(&folder.join("table.md"), markdown::page(&self.report).as_bytes())?;
        write_atomic(&folder.join("report.json"), &serde_json::to_vec_pretty(&self.report)?)
    }
}

impl Report {
    pub(crate) fn read(folder: &Path) -> Result<Report> {
        let path = folder.join("report.json");
        let text = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        serde_json::from_slice(&text).with_context(|| format!("{} is not a report", path.display()))
    }

    pub(crate) fn n_out_of_tolerance(&self) -> usize {
        self.verdicts.iter().filter(|verdict| !verdict.within_tolerance).count()
    }
}
