//! `results/index.html`: every experiment that has run, with its claims, tables and plots, on one page.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::Value;

use super::{Report, markdown};
use crate::experiment::cache::write_atomic;
use crate::experiment::spec::Scale;

const STYLE: &str = "
:root { color-scheme: light; }
body { font: 15px/1.5 system-ui, sans-serif; color: #282c34; background: #fff; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }
h1, h2, h3 { line-height: 1.25; }
section { border-top: 1px solid #dee1e6; margin-top: 2.5rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; margin: .75rem 0; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .7rem; border-bottom: 1px solid #eceef1; text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
.claims td:first-child { white-space: normal; min-width: 22rem; }
th { border-bottom: 2px solid #dee1e6; }
tr.off td:last-child { color: #b00020; font-weight: 600; }
.small { color: #666c77; font-size: .9em; }
img { max-width: 100%; height: auto; }
";

/// Collects all reports below `results/` into one page.
pub(crate) fn write_index(root: &Path) -> Result<()> {
    let results = root.join("results");
    let mut folders = Vec::new();
    for package in folders_of(&results)? {
        for experiment in folders_of(&package)? {
            for scale in Scale::ALL {
                let folder = experiment.join(scale.to_string());
                if folder.join("report.json").exists() {
                    folders.push(folder);
                }
            }
        }
    }
    let mut sections = Vec::new();
    for folder in folders {
        let report = Report::read(&folder)?;
        let run = fs::read(folder.join("run.json")).ok().and_then(|text| serde_json::from_slice(&text).ok());
        sections.push((report, run));
    }
    write_atomic(&results.join("index.html"), page(&sections).as_bytes())
}

fn folders_of(folder: &Path) -> Result<Vec<PathBuf>> {
    let read = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut folders: Vec<PathBuf> =
        read.filter_map(|entry| Some(entry.ok()?.path())).filter(|p| p.is_dir()).collect();
    folders.sort();
    Ok(folders)
}

fn page(sections: &[(Report, Option<Value>)]) -> String {
    let mut html = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>Results</title>\n\
         <style>{STYLE}</style>\n</head>\n<body>\n<h1>Results</h1>\n<ul>\n"
    );
    for (report, _) in sections {
        let off = report.n_out_of_tolerance();
        let state = if off == 0 { "as expected".to_owned() } else { format!("{off} not as expected") };
        let (id, title) = (anchor(report), escape(&report.title));
        let _ = writeln!(html, "<li><a href=\"#{id}\">{title}</a>, {} — {state}</li>", report.scale);
    }
    html += "</ul>\n";
    for (report, run) in sections {
        section(&mut html, report, run.as_ref());
    }
    html + "</body>\n</html>\n"
}

fn anchor(report: &Report) -> String {
    format!("{}-{}", report.experiment.replace('/', "-"), report.scale)
}

fn section(html: &mut String, report: &Report, run: Option<&Value>) {
    let folder = format!("{}/{}", report.experiment, report.scale);
    let _ = writeln!(html, "<section id=\"{}\">\n<h2>{}</h2>", anchor(report), escape(&report.title));
    let _ =
        writeln!(html, "<p>{}</p>\n<p class=\"small\">{}</p>", escape(&report.claim), escape(&report.source));
    if let Some(note) = &report.note {
        let _ = writeln!(html, "<p>{}</p>", escape(note));
    }
    let _ = writeln!(
        html,
        "<p class=\"small\"><code>cargo xtask repro {} --scale {}</code>",
        report.experiment, report.scale
    );
    let _ = write!(html, " · seeds {:?}", report.seeds);
    if let Some(cost) = run.map(|run| &run["cost"]) {
        let number = |name: &str| cost[name].as_f64().unwrap_or(0.0);
        let peak = number("peak_memory_bytes") / 1048576.0;
        let _ = write!(
            html,
            " · {:.0} s of stages, {:.0} CPU s, peak {peak:.0} MiB",
            number("wall_secs"),
            number("cpu_secs")
        );
    }
    let _ = writeln!(
        html,
        " · <a href=\"{folder}/run.json\">run</a> · <a href=\"{folder}/metrics.jsonl\">metrics</a></p>"
    );
    if !report.verdicts.is_empty() {
        let rows = markdown::claims(&report.verdicts);
        let off = |row: usize| row > 0 && !report.verdicts[row - 1].within_tolerance;
        html.push_str("<h3>Claims</h3>\n<div class=\"wide\"><table class=\"claims\">\n");
        for (r, row) in rows.iter().enumerate() {
            let cells: String =
                row.iter().map(|text| element(if r == 0 { "th" } else { "td" }, &escape(text))).collect();
            let _ = writeln!(html, "<tr{}>{cells}</tr>", if off(r) { " class=\"off\"" } else { "" });
        }
        html.push_str("</table></div>\n");
    }
    for grid in &report.tables {
        let _ = writeln!(html, "<h3>{}</h3>\n<div class=\"wide\"><table>", escape(&grid.title));
        let cells: String = grid.header.iter().map(|text| element("th", &escape(text))).collect();
        let _ = writeln!(html, "<tr>{cells}</tr>");
        for row in &grid.rows {
            let cell = |text: String, strong: bool| if strong { element("strong", &text) } else { text };
            let cells: String = row.iter().map(|c| element("td", &cell(escape(&c.text), c.strong))).collect();
            let _ = writeln!(html, "<tr>{cells}</tr>");
        }
        html.push_str("</table></div>\n");
        for note in &grid.notes {
            let _ = writeln!(html, "<p class=\"small\">{}</p>", escape(note));
        }
    }
    for plot in &report.plots {
        let _ = writeln!(html, "<p><img src=\"{folder}/{}\" alt=\"{}\"></p>", plot.file, escape(&plot.title));
    }
    html.push_str("</section>\n");
}

fn element(name: &str, inner: &str) -> String {
    format!("<{name}>{inner}</{name}>")
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
