//! `cargo xtask report --publish`: brings what the READMEs show from `results/` into the repository.
//!
//! A link to `docs/results/<crate>/<name>/<scale>/<file>` is answered by a copy of that file. Text between a line
//! `<!-- results <crate>/<name>/<scale> <table> -->` and `<!-- end results -->` becomes that table, where `claims` is
//! the table of verdicts. What has been published before and has no results here stays as it is.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use super::{Report, markdown};
use crate::experiment::cache::write_atomic;

const BEGIN: &str = "<!-- results ";
const END: &str = "<!-- end results -->";

/// What was written and what was left, relative to the root.
pub(crate) struct Published {
    pub(crate) written: Vec<PathBuf>,
    pub(crate) left: Vec<PathBuf>,
}

/// Refreshes all READMEs and `docs/results`.
pub(crate) fn publish(root: &Path) -> Result<Published> {
    let mut left: Vec<PathBuf> = Vec::new();
    let mut copies: Vec<(PathBuf, Vec<u8>)> = Vec::new();
    for readme in readmes(root)? {
        let path = root.join(&readme);
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let context = || readme.display().to_string();
        let report = |id: &str| {
            let (results, published) = (root.join("results").join(id), Path::new("docs/results").join(id));
            if !results.exists() && root.join(&published).exists() {
                return Ok(None);
            }
            Report::read(&results).map(Some)
        };
        let fresh = with_tables(&text, report).with_context(context)?;
        for file in linked(&fresh) {
            let from = root.join("results").join(&file);
            let published = Path::new("docs/results").join(&file);
            if !from.parent().is_some_and(Path::exists) && root.join(&published).exists() {
                left.push(published);
                continue;
            }
            let bytes = fs::read(&from).with_context(|| {
                format!("{} shows {}, which has not been made", readme.display(), from.display())
            })?;
            copies.push((published, bytes));
        }
        if fresh != text {
            copies.push((readme, fresh.into_bytes()));
        }
    }
    copies.sort();
    copies.dedup();
    for (path, bytes) in &copies {
        write_atomic(&root.join(path), bytes)?;
    }
    left.sort();
    left.dedup();
    Ok(Published { written: copies.into_iter().map(|(path, _)| path).collect(), left })
}

/// The README of the workspace and of each crate.
fn readmes(root: &Path) -> Result<Vec<PathBuf>> {
    let mut found = vec![PathBuf::from("README.md")];
    for entry in fs::read_dir(root).with_context(|| format!("cannot read {}", root.display()))? {
        let readme = Path::new(&entry?.file_name()).join("README.md");
        found.push(readme);
    }
    found.retain(|path| root.join(path).is_file());
    found.sort();
    Ok(found)
}

/// The files below `docs/results/` that a text links to.
fn linked(text: &str) -> Vec<PathBuf> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    let after = text.split("docs/results/").skip(1);
    let mut files: Vec<PathBuf> = after
        .map(|rest| rest.split(|c| !plain(c)).next().unwrap_or_default().trim_end_matches('.'))
        .filter(|file| {
            file.split('/').count() == 4 && file.split('/').all(|part| !part.is_empty() && part != "..")
        })
        .map(PathBuf::from)
        .collect();
    files.sort();
    files.dedup();
    files
}

/// The text with each marked table replaced by the one of its report, where there is one.
fn with_tables(text: &str, report: impl Fn(&str) -> Result<Option<Report>>) -> Result<String> {
    let mut fresh = String::new();
    let mut rest = text;
    while let Some(begin) = marker(rest) {
        let after = &rest[begin + BEGIN.len()..];
        let close = after.find("-->").with_context(|| format!("`{BEGIN}` is not closed"))?;
        let [id, table] = after[..close].split_whitespace().collect::<Vec<_>>()[..] else {
            bail!("`{BEGIN}{}-->` is not of the form <crate>/<name>/<scale> <table>", &after[..close]);
        };
        let lines = match report(id)? {
            None => None,
            Some(report) if table == "claims" => Some(markdown::aligned(&markdown::claims(&report.verdicts))),
            Some(report) => {
                let grid = report.tables.iter().find(|grid| grid.name == table);
                Some(markdown::grid(grid.with_context(|| format!("{id} has no table `{table}`"))?))
            }
        };
        let end = after.find(END).with_context(|| format!("`{BEGIN}{id}` has no `{END}`"))?;
        ensure!(!after[close..end].contains(BEGIN), "`{BEGIN}{id}` has no `{END}` of its own");
        let kept = if lines.is_some() { close + 3 } else { end };
        fresh += &rest[..begin + BEGIN.len() + kept];
        if let Some(lines) = lines {
            fresh += &format!("\n{lines}");
        }
        rest = &after[end..];
    }
    Ok(fresh + rest)
}

/// Where the next line begins that opens a table.
fn marker(text: &str) -> Option<usize> {
    text.match_indices(BEGIN).map(|(at, _)| at).find(|&at| at == 0 || text[..at].ends_with('\n'))
}

#[cfg(test)]
mod tests {
    use super::super::table::{Cell, Grid};
    use super::*;
    use crate::experiment::spec::Scale;
    use crate::testing::assert_refused;

    fn report() -> Report {
        let cell = |text: &str| Cell { text: text.to_owned(), strong: false };
        Report {
            experiment: "c/e".into(),
            title: "t".into(),
            claim: "c".into(),
            source: "s".into(),
            note: None,
            scale: Scale::Mini,
            seeds: vec![0],
            verdicts: vec![],
            tables: vec![Grid {
                name: "methods".into(),
                title: "T".into(),
                header: vec!["a".into(), "b".into()],
                rows: vec![vec![cell("x"), cell("1")]],
                notes: vec![],
            }],
            plots: vec![],
        }
    }

    #[test]
    fn marked_tables_are_replaced_again_and_again() {
        let text = "before\n<!-- results c/e/mini methods -->\nold\n<!-- end results -->\nafter\n";
        let fresh = with_tables(text, |_| Ok(Some(report()))).expect("it is replaced");
        assert!(fresh.contains("| x   |   1 |") && !fresh.contains("old"), "the table is there: {fresh}");
        assert!(fresh.starts_with("before\n") && fresh.ends_with("-->\nafter\n"), "the rest stays: {fresh}");
        assert_eq!(with_tables(&fresh, |_| Ok(Some(report()))).expect("again"), fresh, "twice is once");
        assert_eq!(with_tables(text, |_| Ok(None)).expect("nothing new"), text, "what has no report stays");
        let quoted = "as `<!-- results A/B/C TABLE -->` and `<!-- end results -->` say";
        assert_eq!(
            with_tables(quoted, |_| Ok(Some(report()))).expect("no table"),
            quoted,
            "inside a line it is a word"
        );
        for (wrong, words) in [
            ("<!-- results c/e/mini -->", "not of the form <crate>/<name>/<scale> <table>"),
            ("<!-- results c/e/mini methods -->", "has no `<!-- end results -->`"),
            ("<!-- results c/e/mini gone --> <!-- end results -->", "c/e/mini has no table `gone`"),
        ] {
            assert_refused(with_tables(wrong, |_| Ok(Some(report()))), words);
        }
    }

    #[test]
    fn links_are_found() {
        let text = "![p](docs/results/c/e/mini/p.svg) and [t](../docs/results/c/e/mini/table.md). `docs/results/` docs/results/../../x/y";
        assert_eq!(
            linked(text),
            [PathBuf::from("c/e/mini/p.svg"), PathBuf::from("c/e/mini/table.md")],
            "files only"
        );
    }
}
