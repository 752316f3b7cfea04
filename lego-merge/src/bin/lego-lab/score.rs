//! Exact match of a model, with or without an adapter, on held-out strings of the long length.
//!
//! A row counts when the greatest logit is right at all of its answers, given the right answers before (which for exact match
//! is the same as greedy decoding). An adapter is folded into the base as `W + g·s·B·A`; one global factor g can be chosen on
//! the validation split by the mean over the tuning tasks.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use burn::tensor::{Device, Tensor};
use grouping_core::nn::Decoder;
use grouping_core::train::{Event, Observer, Outcome};
use rayon::prelude::*;
use serde_json::Value;

use crate::bed::read_base;
use crate::corpus::{Examples, Split, VOCAB_SIZE};
use crate::peft;
use crate::task::Task;

/// What to score.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ScoreSettings {
    /// The folder of the base.
    pub(crate) base: PathBuf,
    /// The PEFT folder of an adapter.
    pub(crate) adapter: Option<PathBuf>,
    /// Seed of the held-out strings.
    pub(crate) seed: u64,
    /// Tasks to score.
    pub(crate) tasks: Vec<Task>,
    /// Tasks whose mean on the validation split chooses the factor.
    pub(crate) tune_tasks: Vec<Task>,
    /// Rows a task and split.
    pub(crate) n_examples: usize,
    /// Factors g to choose from; empty, nothing is tuned.
    pub(crate) grid: Vec<f64>,
    /// Number of threads; the scores do not depend on it.
    pub(crate) n_threads: usize,
}

/// Scores a model and tells the scores to `observer` as metrics.
///
/// `exact_match` (percent) has the labels `task`, `split` and `scale`; with a grid, `exact_match_tuned` has each task's test score
/// at the chosen factor, which `tuned_scale` names.
///
/// # Errors
/// When settings do not fit or files cannot be read.
pub(crate) fn score(settings: &ScoreSettings, observer: &mut impl Observer) -> Result<Outcome> {
    ensure!(settings.n_examples > 0, "--examples: expected at least 1, found 0");
    ensure!(!settings.tasks.is_empty(), "--tasks: expected at least one task");
    ensure!(
        settings.grid.is_empty() || !settings.tune_tasks.is_empty(),
        "--tune-tasks: expected at least one task to tune on"
    );
    let pool = rayon::ThreadPoolBuilder::new().num_threads(settings.n_threads).build()?;
    let base = read_base(&settings.base, &Device::flex())?;
    let updates = match &settings.adapter {
        Some(dir) => peft::read_deltas(dir, &base)?,
        None => Vec::new(),
    };
    let at_scale = |scale: f64| -> Decoder {
        let mut decoder = base.clone();
        for (name, projection) in decoder.projections_mut() {
            if let Some((_, delta)) = updates.iter().find(|(module, _)| *module == name) {
                let delta: &Tensor<2> = delta;
                projection.weight =
                    projection.weight.clone().map(|weight| weight + delta.clone().mul_scalar(scale));
            }
        }
        decoder
    };
    let measure = |scales: &[f64], tasks: &[Task], split: Split| -> Vec<Vec<f64>> {
        let decoders: Vec<Decoder> = scales.iter().map(|scale| at_scale(*scale)).collect();
        let sets: Vec<Examples> = tasks
            .iter()
            .map(|task| Examples::held_out(*task, split, settings.n_examples, settings.seed))
            .collect();
        let jobs: Vec<(&Decoder, &Examples)> =
            decoders.iter().flat_map(|decoder| sets.iter().map(move |set| (decoder, set))).collect();
        let scores: Vec<f64> =
            pool.install(|| jobs.into_par_iter().map(|(decoder, set)| exact_match(decoder, set)).collect());
        scores.chunks(tasks.len()).map(<[f64]>::to_vec).collect()
    };

    let mut events = Vec::new();
    let untuned = measure(&[1.0], &settings.tasks, Split::Test).remove(0);
    report(&mut events, "exact_match", &settings.tasks, &untuned, Split::Test, 1.0);
    if !settings.grid.is_empty() {
        let by_scale = measure(&settings.grid, &settings.tune_tasks, Split::Validation);
        let mut best = (f64::NEG_INFINITY, 1.0);
        for (scale, scores) in settings.grid.iter().zip(&by_scale) {
            report(&mut events, "exact_match", &settings.tune_tasks, scores, Split::Validation, *scale);
            let mean = scores.iter().sum::<f64>() / scores.len() as f64;
            if mean > best.0 {
                best = (mean, *scale);
            }
        }
        let tuned = measure(&[best.1], &settings.tasks, Split::Test).remove(0);
        report(&mut events, "exact_match_tuned", &settings.tasks, &tuned, Split::Test, best.1);
        events.push(Event::metric("tuned_scale", best.1, NO_LABELS));
    }
    for event in &events {
        if observer.on_event(event).is_break() {
            return Ok(Outcome::Stopped);
        }
    }
    Ok(Outcome::Finished)
}

const NO_LABELS: [(&str, Value); 0] = [];

fn report(events: &mut Vec<Event>, name: &str, tasks: &[Task], scores: &[f64], split: Split, scale: f64) {
    for (task, value) in tasks.iter().zip(scores) {
        let labels = [
            ("task", Value::from(task.name())),
            ("split", Value::from(split.name())),
            ("scale", Value::from(scale)),
        ];
        events.push(Event::metric(name, *value, labels));
    }
}

/// The percentage of rows that are right throughout.
fn exact_match(decoder: &Decoder, examples: &Examples) -> f64 {
    const ROWS_AT_ONCE: usize = 64;
    let (n_rows, length) = (examples.n_rows(), examples.length());
    let mut n_right = 0;
    for start in (0..n_rows).step_by(ROWS_AT_ONCE) {
        let n = ROWS_AT_ONCE.min(n_rows - start);
        let batch = examples.tensors(start, n, &Device::flex());
        let logits = decoder.logits_at(batch.tokens, batch.places);
        let logits: Vec<f32> = logits.into_data().try_into_vec().expect("logits are f32");
        let answers = &examples.answers()[start * length..][..n * length];
        let mut right = logits.chunks(VOCAB_SIZE).zip(answers).map(|(row, answer)| greatest(row) == *answer);
        // Every answer is looked at, so that the next row starts at its own.
        n_right += (0..n).filter(|_| right.by_ref().take(length).fold(true, |all, one| all & one)).count();
    }
    100.0 * n_right as f64 / n_rows as f64
}

/// The index of the first greatest value.
fn greatest(row: &[f32]) -> i32 {
    let mut best = 0;
    for (idx, value) in row.iter().enumerate() {
        if *value > row[best] {
            best = idx;
        }
    }
    best as i32
}
