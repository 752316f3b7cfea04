//! JSON lines that programs print: `{"event":"metric","name":…,"value":…,labels…}` and
//! `{"event":"progress","done":…,"total":…,"unit":…}`; every other line is information.
//!
//! A stage that was killed and resumed may repeat lines, so of metrics with equal name and labels the last counts.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use indexmap::IndexMap;
use serde::Serialize;
use serde_json::{Map, Value};

/// One number with the labels it belongs to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Record {
    event: &'static str,
    pub(crate) name: String,
    pub(crate) value: f64,
    #[serde(flatten)]
    pub(crate) labels: BTreeMap<String, String>,
}

impl Record {
    pub(crate) fn new(name: &str, value: f64, labels: BTreeMap<String, String>) -> Record {
        Record { event: "metric", name: name.to_owned(), value, labels }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Progress {
    pub(crate) done: u64,
    pub(crate) total: u64,
    pub(crate) unit: String,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Line {
    Metric(Record),
    Progress(Progress),
    Information,
}

/// Reads one line; only a line that calls itself an event and is not one is an error.
pub(crate) fn parse_line(line: &str) -> Result<Line> {
    let Ok(Value::Object(mut fields)) = serde_json::from_str(line) else { return Ok(Line::Information) };
    match fields.remove("event").as_ref().and_then(Value::as_str) {
        Some("metric") => metric(fields).map(Line::Metric),
        Some("progress") => progress(&fields).map(Line::Progress),
        _ => Ok(Line::Information),
    }
    .with_context(|| format!("printed an event that cannot be read: {line}"))
}

fn metric(mut fields: Map<String, Value>) -> Result<Record> {
    let name = fields.remove("name");
    let name = name.as_ref().and_then(Value::as_str).context("a metric needs a `name`")?.to_owned();
    let value = fields.remove("value").as_ref().and_then(Value::as_f64);
    let value = value.with_context(|| format!("metric `{name}` needs a finite number as its `value`"))?;
    let mut labels = BTreeMap::new();
    for (label, value) in fields {
        let text = match value {
            Value::String(text) => text,
            Value::Number(number) => match number.as_f64() {
                Some(x) if number.is_f64() => x.to_string(),
                _ => number.to_string(),
            },
            Value::Bool(yes) => yes.to_string(),
            Value::Null => continue,
            _ => bail!("label `{label}` of metric `{name}` is not a string or a number"),
        };
        labels.insert(label, text);
    }
    Ok(Record::new(&name, value, labels))
}

fn progress(fields: &Map<String, Value>) -> Result<Progress> {
    let number = |name: &str| {
        fields
            .get(name)
            .and_then(Value::as_u64)
            .with_context(|| format!("progress needs a whole number `{name}`"))
    };
    let unit = fields.get("unit").and_then(Value::as_str).unwrap_or_default().to_owned();
    Ok(Progress { done: number("done")?, total: number("total")?, unit })
}

/// The metrics of one stage from what it printed, with the stage's labels added.
pub(crate) fn collect(printed: &str, labels: &BTreeMap<String, String>) -> Result<Vec<Record>> {
    let mut records: IndexMap<(String, BTreeMap<String, String>), f64> = IndexMap::new();
    for line in printed.lines() {
        let Line::Metric(mut record) = parse_line(line)? else { continue };
        for (label, value) in labels {
            let own = record.labels.insert(label.clone(), value.clone());
            if let Some(own) = own.filter(|own| own != value) {
                bail!("metric `{}` has label `{label}` = `{own}`, its stage says `{value}`", record.name);
            }
        }
        records.insert((record.name, record.labels), record.value);
    }
    Ok(records.into_iter().map(|((name, labels), value)| Record::new(&name, value, labels)).collect())
}

#[cfg(test)]
mod tests {
    use crate::testing::assert_refused;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lines_are_told_apart() {
        let metric =
            parse_line(r#"{"event":"metric","name":"loss","value":0.5,"step":3,"scale":1.0,"x":null}"#);
        let labels = [("step", "3"), ("scale", "1")].map(|(k, v)| (k.to_owned(), v.to_owned()));
        let want = Record::new("loss", 0.5, BTreeMap::from(labels));
        assert_eq!(metric.expect("it reads"), Line::Metric(want), "labels are text, null is none");
        let progress =
            parse_line(r#"{"event":"progress","done":1,"total":9,"unit":"step"}"#).expect("it reads");
        assert!(
            matches!(progress, Line::Progress(Progress { total: 9, .. })),
            "progress is read: {progress:?}"
        );
        for other in
            ["", "merged 7 modules", "{\"a\":1}", "[1]", "{\"event\":\"start\"}", "{\"event\":\"metr"]
        {
            assert_eq!(parse_line(other).expect("it is information"), Line::Information, "`{other}`");
        }
    }

    #[test]
    fn a_broken_event_is_an_error() {
        for (line, words) in [
            (r#"{"event":"metric","name":"loss","value":null}"#, "metric `loss` needs a finite number"),
            (r#"{"event":"metric","value":1}"#, "a metric needs a `name`"),
            (r#"{"event":"metric","name":"loss","value":1,"shape":[1]}"#, "label `shape` of metric `loss`"),
            (r#"{"event":"progress","done":-1,"total":2}"#, "progress needs a whole number `done`"),
        ] {
            assert_refused(parse_line(line), words);
        }
    }

    #[test]
    fn labels_of_stage_and_metric_must_agree() {
        let line = r#"{"event":"metric","name":"a","value":1,"task":"rev"}"#;
        let labels = |task: &str| BTreeMap::from([("task".to_owned(), task.to_owned())]);
        assert_eq!(collect(line, &labels("rev")).expect("they agree").len(), 1, "equal labels are one");
        let error = collect(line, &labels("inc")).expect_err("they differ").to_string();
        assert!(error.contains("rev") && error.contains("inc"), "both values are named: {error}");
    }

    proptest! {
        #[test]
        fn a_repeated_tail_changes_nothing(values in prop::collection::vec(-9i32..9, 1..20), from in 0usize..20) {
            let line = |(i, v): (usize, &i32)| format!("{{\"event\":\"metric\",\"name\":\"m\",\"value\":{v},\"step\":{i}}}\n");
            let lines: Vec<String> = values.iter().enumerate().map(line).collect();
            let repeated = lines.concat() + &lines[from.min(lines.len())..].concat();
            let read = |text: &str| collect(text, &BTreeMap::new()).expect("metrics read");
            prop_assert_eq!(read(&lines.concat()), read(&repeated), "a resumed run repeats lines without effect");
        }

        #[test]
        fn any_line_is_read_without_panic(line in ".{0,80}") {
            let _ = parse_line(&line);
        }
    }
}
