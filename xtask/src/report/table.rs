//! A table of metrics: rows are the values of one label, columns are selectors; cells are mean ± sd over seeds.

use anyhow::{Context, Result};
use indexmap::{IndexMap, IndexSet};
use serde::{Deserialize, Serialize};

use crate::experiment::metrics::Record;
use crate::experiment::select::{Selection, mean, standard_deviation};
use crate::experiment::spec::{Best, Table, Value};

/// What stands where a number is missing.
pub(crate) const NOTHING: &str = "–";
/// What marks a search that ended at its border.
const EDGE: char = '†';

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Grid {
    pub(crate) name: String,
    pub(crate) title: String,
    pub(crate) header: Vec<String>,
    pub(crate) rows: Vec<Vec<Cell>>,
    pub(crate) notes: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Cell {
    pub(crate) text: String,
    pub(crate) strong: bool,
}

struct Drawn {
    title: String,
    selection: Selection,
    best: Option<Best>,
    edges: Vec<f64>,
    decimals: usize,
}

/// Fills a table; a row is there when any column has records for it.
pub(crate) fn grid(
    table: &Table,
    records: &[Record],
    variables: &IndexMap<String, Value>,
    n_seeds: usize,
) -> Result<Grid> {
    let mut columns = Vec::new();
    for column in &table.columns {
        let selection = super::selection(&column.value, variables)?;
        let drawn = |title: String, selection| {
            let (best, edges, decimals) = (column.best, column.edges.clone(), column.decimals);
            Drawn { title, selection, best, edges, decimals }
        };
        match &column.each {
            Some(label) => {
                let values =
                    selection.listed(label).with_context(|| format!("each `{label}` is not in where"))?;
                columns.extend(values.iter().map(|value| drawn(value.clone(), selection.with(label, value))));
            }
            None => {
                let title = column.title.clone().unwrap_or_else(|| column.value.metric.clone());
                columns.push(drawn(title, selection));
            }
        }
    }
    let admitted =
        records.iter().filter(|record| columns.iter().any(|column| column.selection.admits(record)));
    let names: IndexSet<&str> =
        admitted.filter_map(|r| r.labels.get(&table.rows)).map(String::as_str).collect();

    anyhow::ensure!(!names.is_empty(), "no row: none of its metrics has a label `{}`", table.rows);
    let mut rows: Vec<Vec<Cell>> = names.iter().map(|name| vec![cell((*name).to_owned())]).collect();
    let mut marked = false;
    for column in &columns {
        let mut numbers = Vec::with_capacity(rows.len());
        for name in &names {
            let values = column.selection.with(&table.rows, name).by_seed(records)?;
            let context = || format!("column `{}`, row `{name}`", column.title);
            anyhow::ensure!(
                values.is_empty() || values.len() == n_seeds,
                "{}: some seeds are missing",
                context()
            );
            numbers.push(values);
        }
        let competes = |name: &&str| !table.reference_rows.iter().any(|reference| reference == name);
        let means: Vec<Option<f64>> = numbers
            .iter()
            .zip(&names)
            .map(|(values, name)| {
                (!values.is_empty() && competes(name)).then(|| rounded(mean(values), column.decimals))
            })
            .collect();
        let best = column.best.and_then(|best| {
            let means = means.iter().flatten().copied();
            match best {
                Best::Max => means.reduce(f64::max),
                Best::Min => means.reduce(f64::min),
            }
        });
        for ((row, values), mean) in rows.iter_mut().zip(&numbers).zip(means) {
            let mut text = format_mean(values, column.decimals);
            if values.iter().any(|value| column.edges.contains(value)) {
                text.push(EDGE);
                marked = true;
            }
            row.push(Cell { text, strong: mean.is_some() && mean == best });
        }
    }
    let header = std::iter::once(table.rows.clone()).chain(columns.into_iter().map(|c| c.title)).collect();
    let notes =
        if marked { vec![format!("{EDGE} at the border of the values searched")] } else { Vec::new() };
    Ok(Grid { name: table.name.clone(), title: table.title.clone(), header, rows, notes })
}

fn cell(text: String) -> Cell {
    Cell { text, strong: false }
}

/// To the digits that are shown, so that equal text is equally bold.
fn rounded(value: f64, decimals: usize) -> f64 {
    let unit = 10f64.powi(i32::try_from(decimals).unwrap_or(0));
    (value * unit).round() / unit
}

/// `62.1`, `62.1 ± 0.4`, or a dash.
pub(crate) fn format_mean(values: &[f64], decimals: usize) -> String {
    if values.is_empty() {
        return NOTHING.to_owned();
    }
    let mean = mean(values);
    match standard_deviation(values) {
        Some(sd) => format!("{mean:.decimals$} ± {sd:.decimals$}"),
        None => format!("{mean:.decimals$}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::select::tests::record;
    use crate::testing::assert_refused;

    fn table(text: &str) -> Table {
        toml::from_str(&format!("name = 't'\ntitle = 'T'\nrows = 'method'\n{text}")).expect("a table")
    }

    const COLUMNS: &str = "
        reference-rows = ['single']
        [[column]]
        value = { metric = 'em', where = { task = ['rev', 'inc'] } }
        each = 'task'
        best = 'max'
        [[column]]
        title = 'mean'
        value = { metric = 'em', where = { task = ['rev', 'inc'] } }
        best = 'max'
        [[column]]
        title = 'scale'
        value = { metric = 'tuned' }
        edges = [5.0]
        decimals = 0
    ";

    #[test]
    fn rows_columns_means_and_marks() {
        let records = [
            record("em", 99.0, "seed=0 task=rev method=single"),
            record("em", 50.04, "seed=0 task=rev method=cat"),
            record("em", 70.0, "seed=0 task=inc method=cat"),
            record("em", 50.0, "seed=0 task=rev method=svd"),
            record("em", 10.0, "seed=0 task=inc method=svd"),
            record("tuned", 5.0, "seed=0 method=cat"),
            record("other", 5.0, "seed=0 method=unseen"),
        ];
        let grid = grid(&table(COLUMNS), &records, &IndexMap::new(), 1).expect("it fills");
        let shown: Vec<String> = grid
            .rows
            .iter()
            .map(|row| {
                let cell =
                    |cell: &Cell| if cell.strong { format!("*{}*", cell.text) } else { cell.text.clone() };
                row.iter().map(cell).collect::<Vec<_>>().join(" ")
            })
            .collect();
        assert_eq!(grid.header, ["method", "rev", "inc", "mean", "scale"], "one column a task");
        let want = ["single 99.0 – – –", "cat *50.0* *70.0* *60.0* 5†", "svd *50.0* 10.0 30.0 –"];
        assert_eq!(
            shown, want,
            "equal text is equally bold, a bound never, a partial mean is none, an edge is marked"
        );
        assert_eq!(grid.notes.len(), 1, "the mark is explained");
    }

    #[test]
    fn seeds_give_a_deviation_and_must_all_be_there() {
        let mut records =
            vec![record("tuned", 1.0, "seed=0 method=a"), record("tuned", 3.0, "seed=1 method=a")];
        let table = table("[[column]]\nvalue = { metric = 'tuned' }");
        let filled = grid(&table, &records, &IndexMap::new(), 2).expect("it fills");
        assert_eq!(filled.rows[0][1].text, "2.0 ± 1.4", "mean and sample deviation");
        records.pop();
        assert_refused(grid(&table, &records, &IndexMap::new(), 2), "some seeds are missing");
    }
}
