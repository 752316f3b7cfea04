//! Reports as Markdown that also reads well as text.

use super::Report;
use super::table::{Cell, Grid, NOTHING};
use crate::experiment::expect::Verdict;

/// The whole report of one experiment at one scale.
pub(crate) fn page(report: &Report) -> String {
    let seeds: Vec<String> = report.seeds.iter().map(u64::to_string).collect();
    let mut page = format!("# {}\n\n{}\n\n", report.title, report.claim.trim());
    page += &format!("Source: {}. ", report.source);
    page += &format!("Made by `cargo xtask repro {} --scale {}`, ", report.experiment, report.scale);
    page += &format!("seed{} {}.\n", if seeds.len() == 1 { "" } else { "s" }, seeds.join(", "));
    if let Some(note) = &report.note {
        page += &format!("\n{}\n", note.trim());
    }
    if !report.verdicts.is_empty() {
        page += &format!("\n## Claims\n\n{}", aligned(&claims(&report.verdicts)));
        page += &match report.n_out_of_tolerance() {
            0 => "\nEach outcome is the one expected.\n".to_owned(),
            n => format!("\n{n} of {} outcomes differ from those expected.\n", report.verdicts.len()),
        };
    }
    for table in &report.tables {
        page += &format!("\n## {}\n\n{}", table.title, grid(table));
    }
    for plot in &report.plots {
        page += &format!("\n![{}]({})\n", plot.title, plot.file);
    }
    page
}

/// One table with its notes.
pub(crate) fn grid(grid: &Grid) -> String {
    let cell = |cell: &Cell| if cell.strong { format!("**{}**", cell.text) } else { cell.text.clone() };
    let mut lines = vec![grid.header.clone()];
    lines.extend(grid.rows.iter().map(|row| row.iter().map(cell).collect()));
    let notes: String = grid.notes.iter().map(|note| format!("\n{note}\n")).collect();
    aligned(&lines) + &notes
}

/// The rows of *claim (source) | ours | sd | scale | verdict*, with their heading.
pub(crate) fn claims(verdicts: &[Verdict]) -> Vec<Vec<String>> {
    let heading = ["claim (source)", "ours", "sd", "scale", "verdict"];
    let mut rows = vec![heading.map(str::to_owned).to_vec()];
    for verdict in verdicts {
        rows.push(vec![
            format!("{}: {} ({})", verdict.claim, verdict.relation, verdict.source),
            number(verdict.ours),
            verdict.sd.map_or(NOTHING.to_owned(), number),
            verdict.scale.to_string(),
            verdict.words(),
        ]);
    }
    rows
}

/// One decimal, or three significant digits of what is small.
fn number(value: f64) -> String {
    let text = format!("{value:.1}");
    if value != 0.0 && value.abs() < 0.95 { format!("{value:.3}") } else { text }
}

/// A Markdown table with padded cells: the first column to the left, the others to the right.
pub(crate) fn aligned(rows: &[Vec<String>]) -> String {
    let escape = |text: &String| text.replace('|', "\\|").replace('\n', " ");
    let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(escape).collect()).collect();
    let n_columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |c: usize| rows.iter().filter_map(|row| row.get(c)).map(|text| text.chars().count()).max();
    let widths: Vec<usize> = (0..n_columns).map(|c| width(c).unwrap_or(0).max(3)).collect();
    let mut text = String::new();
    for (r, row) in rows.iter().enumerate() {
        for (c, &width) in widths.iter().enumerate() {
            let cell = row.get(c).map_or("", String::as_str);
            text += &if c == 0 { format!("| {cell:<width$} ") } else { format!("| {cell:>width$} ") };
        }
        text += "|\n";
        if r == 0 {
            for (c, &width) in widths.iter().enumerate() {
                let dashes = "-".repeat(width - 1);
                text += &if c == 0 { format!("| {dashes}- ") } else { format!("| {dashes}: ") };
            }
            text += "|\n";
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn columns_are_aligned() {
        let rows = [vec!["a".to_owned(), "value".to_owned()], vec!["b|c – d".to_owned(), "1.0".to_owned()]];
        let want = "| a        | value |\n| -------- | ----: |\n| b\\|c – d |   1.0 |\n";
        assert_eq!(aligned(&rows), want, "padded by characters, not bytes; bars escaped");
    }

    #[test]
    fn small_numbers_keep_digits() {
        for (value, want) in
            [(62.04, "62.0"), (0.0, "0.0"), (0.035, "0.035"), (-3.25, "-3.2"), (0.999, "1.0")]
        {
            assert_eq!(number(value), want, "{value} as shown");
        }
    }

    proptest! {
        #[test]
        fn lines_have_equal_length(rows in prop::collection::vec(prop::collection::vec("[a-zé|±]{0,9}", 3), 1..6)) {
            let text = aligned(&rows);
            let lengths: Vec<usize> = text.lines().map(|line| line.chars().count()).collect();
            prop_assert_eq!(lengths.len(), rows.len() + 1, "a line a row and one below the heading");
            prop_assert!(lengths.iter().all(|&l| l == lengths[0]), "aligned:\n{}", text);
        }
    }
}
