//! What a long computation tells about itself: typed events to one observer, and a writer of JSON lines.

use std::io::{self, Write};
use std::ops::ControlFlow;
use std::path::PathBuf;

use serde_json::{Map, Value};

/// One thing that happened.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// A measured number.
    Metric {
        /// What was measured, as `loss`.
        name: String,
        /// The number.
        value: f64,
        /// What tells it from other numbers of that name, as (`step`, 10) or (`task`, "rev").
        labels: Vec<(String, Value)>,
    },
    /// How far the work has come.
    Progress {
        /// Units done.
        done: usize,
        /// Units in all.
        total: usize,
        /// What is counted, as `step`.
        unit: &'static str,
    },
    /// Work goes on from a checkpoint instead of from the start.
    Resumed {
        /// The steps done before.
        step: usize,
        /// The checkpoint.
        path: PathBuf,
    },
    /// A checkpoint was written.
    Checkpoint {
        /// The steps done.
        step: usize,
        /// The checkpoint.
        path: PathBuf,
    },
}

impl Event {
    /// A [`Event::Metric`].
    pub fn metric<V: Into<Value>>(
        name: &str,
        value: f64,
        labels: impl IntoIterator<Item = (&'static str, V)>,
    ) -> Self {
        let labels = labels.into_iter().map(|(key, label)| (key.to_owned(), label.into())).collect();
        Self::Metric { name: name.to_owned(), value, labels }
    }

    /// The event as one JSON object, its kind under `event`.
    pub fn to_json(&self) -> Value {
        let mut fields = Map::new();
        let mut put = |key: &str, value: Value| fields.insert(key.to_owned(), value);
        match self {
            Self::Metric { name, value, labels } => {
                put("event", "metric".into());
                put("name", name.as_str().into());
                put("value", (*value).into());
                for (key, label) in labels {
                    put(key, label.clone());
                }
            }
            Self::Progress { done, total, unit } => {
                put("event", "progress".into());
                put("done", (*done).into());
                put("total", (*total).into());
                put("unit", (*unit).into());
            }
            Self::Resumed { step, path } => {
                put("event", "resumed".into());
                put("step", (*step).into());
                put("path", path.display().to_string().into());
            }
            Self::Checkpoint { step, path } => {
                put("event", "checkpoint".into());
                put("step", (*step).into());
                put("path", path.display().to_string().into());
            }
        }
        Value::Object(fields)
    }
}

/// Receives events, and may ask for an early end.
pub trait Observer {
    /// Called with each event; [`ControlFlow::Break`] asks to stop as soon as that can be done cleanly.
    fn on_event(&mut self, event: &Event) -> ControlFlow<()>;
}

impl<F: FnMut(&Event) -> ControlFlow<()>> Observer for F {
    fn on_event(&mut self, event: &Event) -> ControlFlow<()> {
        self(event)
    }
}

/// Writes each event as one line of JSON, and asks to stop when that fails.
///
/// ```
/// use grouping_core::train::{Event, JsonLines, Observer};
///
/// let mut lines = JsonLines::new(Vec::new());
/// let _ = lines.on_event(&Event::metric("loss", 0.5, [("step", 3)]));
/// let text = String::from_utf8(lines.finish().unwrap()).unwrap();
/// assert_eq!(text, "{\"event\":\"metric\",\"name\":\"loss\",\"step\":3,\"value\":0.5}\n");
/// ```
#[derive(Debug)]
pub struct JsonLines<W> {
    writer: W,
    error: Option<io::Error>,
}

impl<W: Write> JsonLines<W> {
    /// Lines to `writer`, flushed one by one.
    pub fn new(writer: W) -> Self {
        Self { writer, error: None }
    }

    /// The writer, or the first error in writing to it.
    ///
    /// # Errors
    /// The first error in writing, after which nothing was written any more.
    pub fn finish(self) -> io::Result<W> {
        self.error.map_or(Ok(self.writer), Err)
    }
}

impl<W: Write> Observer for JsonLines<W> {
    fn on_event(&mut self, event: &Event) -> ControlFlow<()> {
        if self.error.is_none() {
            let line = format!("{}\n", event.to_json());
            let written = self.writer.write_all(line.as_bytes()).and_then(|()| self.writer.flush());
            self.error = written.err();
        }
        if self.error.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}
