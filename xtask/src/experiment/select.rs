//! Picks numbers out of metric records: one a seed, then mean and standard deviation over seeds.
//!
//! A selector must leave nothing open: where matching records differ in a label that it does not list, it is refused
//! rather than averaged in silence. A list that is not wholly there gives no number rather than a partial mean.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};
use indexmap::IndexMap;

use super::metrics::Record;
use super::spec::{Scalar, Selector, Value};

/// A selector with its list variables filled in: label → the values it may have.
#[derive(Clone, Debug)]
pub(crate) struct Selection {
    metric: String,
    filter: IndexMap<String, Vec<String>>,
    best_of: Option<String>,
}

impl Selection {
    pub(crate) fn new(selector: &Selector, variables: &IndexMap<String, Value>) -> Result<Selection> {
        let mut filter = IndexMap::new();
        for (label, value) in &selector.filter {
            filter.insert(label.clone(), values(value, variables).with_context(|| format!("where {label}"))?);
        }
        if let Some(label) = &selector.best_of {
            ensure!(filter.contains_key(label), "best-of `{label}` is not listed in where");
        }
        ensure!(!filter.contains_key("seed"), "where `seed`: a number is made for each seed");
        Ok(Selection { metric: selector.metric.clone(), filter, best_of: selector.best_of.clone() })
    }

    /// The same with a label fixed to one value.
    pub(crate) fn with(&self, label: &str, value: &str) -> Selection {
        let mut fixed = self.clone();
        fixed.filter.insert(label.to_owned(), vec![value.to_owned()]);
        fixed
    }

    /// The values that `where` lists for a label.
    pub(crate) fn listed(&self, label: &str) -> Option<&[String]> {
        self.filter.get(label).map(Vec::as_slice)
    }

    /// Whether `where` listed only these values for the label, or nothing.
    pub(crate) fn admits(&self, record: &Record) -> bool {
        record.name == self.metric
            && self
                .filter
                .iter()
                .all(|(label, values)| record.labels.get(label).is_some_and(|v| values.contains(v)))
    }

    /// One number for each seed that has all of it, in the order of the seeds.
    pub(crate) fn by_seed(&self, records: &[Record]) -> Result<Vec<f64>> {
        let mut seeds: BTreeMap<u64, IndexMap<Vec<&str>, (f64, &Record)>> = BTreeMap::new();
        for record in records.iter().filter(|record| self.admits(record)) {
            let seed = record.labels.get("seed").and_then(|seed| seed.parse().ok()).unwrap_or(0);
            let cell: Vec<&str> = self.filter.keys().map(|label| record.labels[label].as_str()).collect();
            let before = seeds.entry(seed).or_default().insert(cell, (record.value, record));
            if let Some((_, other)) = before {
                bail!(self.open(record, other));
            }
        }
        let mut numbers = Vec::new();
        let n_cells: usize = self.filter.values().map(Vec::len).product();
        for cells in seeds.into_values() {
            if cells.len() == n_cells {
                numbers.push(self.reduce(&cells));
            }
        }
        Ok(numbers)
    }

    fn reduce(&self, cells: &IndexMap<Vec<&str>, (f64, &Record)>) -> f64 {
        let along = self.best_of.as_ref().and_then(|label| self.filter.get_index_of(label));
        let mut groups: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
        for (cell, (value, _)) in cells {
            groups.entry(along.map_or("", |i| cell[i])).or_default().push(*value);
        }
        groups.values().map(|values| mean(values)).fold(f64::NEG_INFINITY, f64::max)
    }

    fn open(&self, a: &Record, b: &Record) -> String {
        let differ = |label: &&String| a.labels.get(*label) != b.labels.get(*label);
        let labels = a.labels.keys().chain(b.labels.keys()).filter(differ);
        let mut names: Vec<String> = labels.map(|label| format!("`{label}`")).collect();
        names.sort();
        names.dedup();
        match names.is_empty() {
            true => format!("metric `{}` is there twice with equal labels", self.metric),
            false => format!("metric `{}` differs in {}: list it in where", self.metric, names.join(", ")),
        }
    }

    /// As people read it: `exact_match[split=test, task=rev,sort]`.
    pub(crate) fn describe(&self) -> String {
        let filter: Vec<String> = self.filter.iter().map(|(k, v)| format!("{k}={}", v.join(","))).collect();
        format!("{}[{}]", self.metric, filter.join(", "))
    }
}

fn values(value: &Value, variables: &IndexMap<String, Value>) -> Result<Vec<String>> {
    if let Value::One(Scalar::Text(text)) = value
        && let Some(name) = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'))
    {
        return Ok(variables.get(name).with_context(|| format!("no variable is called `{name}`"))?.list());
    }
    let list = value.list();
    ensure!(!list.is_empty(), "the list is empty");
    Ok(list)
}

pub(crate) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The sample standard deviation; none of fewer than two numbers.
pub(crate) fn standard_deviation(values: &[f64]) -> Option<f64> {
    (values.len() > 1).then(|| {
        let mean = mean(values);
        let squares: f64 = values.iter().map(|x| (x - mean).powi(2)).sum();
        (squares / (values.len() - 1) as f64).sqrt()
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// `record("em", 1.0, "seed=0 task=rev")`.
    pub(crate) fn record(name: &str, value: f64, labels: &str) -> Record {
        let pairs = labels.split_whitespace().filter_map(|pair| pair.split_once('='));
        Record::new(name, value, pairs.map(|(k, v)| (k.to_owned(), v.to_owned())).collect())
    }

    pub(crate) fn selection(text: &str) -> Selection {
        let variables = IndexMap::from([("tasks".to_owned(), toml_value("['rev', 'inc']"))]);
        let selector: Selector = toml::from_str(text).expect("a selector");
        Selection::new(&selector, &variables).expect("a right selector")
    }

    fn toml_value(text: &str) -> Value {
        let mut table: IndexMap<String, Value> = toml::from_str(&format!("v = {text}")).expect("a value");
        table.swap_remove("v").expect("there")
    }

    fn records() -> Vec<Record> {
        let mut all = Vec::new();
        for (seed, shift) in [(1, 10.0), (0, 0.0)] {
            for (task, value) in [("rev", 4.0), ("inc", 6.0), ("copy", 100.0)] {
                for (method, factor) in [("a", 1.0), ("b", 2.0)] {
                    let labels = format!("seed={seed} task={task} method={method}");
                    all.push(record("em", value * factor + shift, &labels));
                }
            }
        }
        all
    }

    #[test]
    fn lists_average_and_best_of_takes_the_greatest() {
        let mean = selection("metric = 'em'\nwhere = { task = '{tasks}', method = 'a' }");
        assert_eq!(
            mean.by_seed(&records()).expect("it selects"),
            [5.0, 15.0],
            "the mean of two tasks, by seed"
        );
        let best =
            selection("metric = 'em'\nwhere = { task = '{tasks}', method = ['a', 'b'] }\nbest-of = 'method'");
        assert_eq!(best.by_seed(&records()).expect("it selects"), [10.0, 20.0], "the better method's mean");
    }

    #[test]
    fn what_is_open_is_refused_and_what_is_missing_gives_nothing() {
        let open = selection("metric = 'em'\nwhere = { task = 'rev' }").by_seed(&records());
        assert!(open.expect_err("two methods").to_string().contains("`method`"), "the open label is named");
        let partial = selection("metric = 'em'\nwhere = { task = ['rev', 'gone'], method = 'a' }");
        assert!(partial.by_seed(&records()).expect("it selects").is_empty(), "no partial mean");
    }

    proptest! {
        #[test]
        fn the_order_of_records_does_not_matter(order in Just(records()).prop_shuffle()) {
            let mean = selection("metric = 'em'\nwhere = { task = '{tasks}', method = 'b' }");
            prop_assert_eq!(mean.by_seed(&order).expect("it selects"), [10.0, 20.0], "seeds in order, values equal");
        }

        #[test]
        fn the_deviation_ignores_shifts(values in prop::collection::vec(-100.0f64..100.0, 2..9), shift in -50.0f64..50.0) {
            let moved: Vec<f64> = values.iter().map(|x| x + shift).collect();
            let (a, b) = (standard_deviation(&values).expect("two"), standard_deviation(&moved).expect("two"));
            prop_assert!((a - b).abs() < 1e-9, "{} and {} are equal", a, b);
        }
    }
}
