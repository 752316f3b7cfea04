//! What a case came to: its medians, its ratio with the spread of the rounds, the verdict, and the table of all of them.

use serde::Serialize;

use super::case::{Against, Case, Measure};
use super::rounds::{Round, median, ratio};
use crate::report::markdown;
use crate::report::table::NOTHING;

#[derive(Debug, Serialize)]
pub(super) struct Outcome {
    name: String,
    id: String,
    /// The median of the rounds, in seconds or bytes.
    ours: f64,
    /// The same of what ours is compared with.
    reference: Option<f64>,
    measure: Measure,
    reference_measure: Measure,
    /// The median of the rounds' ratios; not quite the ratio of the medians.
    ratio: Option<f64>,
    /// The least and the greatest ratio of a round.
    ratio_range: Option<[f64; 2]>,
    at_most: Option<f64>,
    limit: Option<f64>,
    rounds: Vec<Round>,
}

impl Outcome {
    pub(super) fn new(case: &Case, rounds: Vec<Round>) -> Self {
        let ratio = ratio(&rounds);
        let reference_measure = match &case.against {
            Some(Against::Reference(reference)) => reference.measure.unwrap_or(case.measure),
            _ => case.measure,
        };
        Self {
            name: case.name.clone(),
            id: case.ours.id(),
            ours: median(rounds.iter().map(|round| round.ours)).unwrap_or(f64::NAN),
            reference: median(rounds.iter().filter_map(|round| round.reference)),
            measure: case.measure,
            reference_measure,
            ratio: ratio.map(|(ratio, _)| ratio),
            ratio_range: ratio.map(|(_, range)| range),
            at_most: case.at_most,
            limit: case.limit,
            rounds,
        }
    }

    pub(super) fn within_limit(&self) -> bool {
        self.ratio.zip(self.at_most).is_none_or(|(ratio, most)| ratio <= most)
            && self.limit.is_none_or(|limit| self.ours <= limit)
    }

    fn verdict(&self) -> &'static str {
        match (self.ratio.or(self.limit), self.within_limit()) {
            (None, _) => "",
            (_, true) => "ok",
            (_, false) => "too much",
        }
    }

    fn cells(&self) -> [String; 8] {
        let number = |value: Option<f64>| value.map_or(NOTHING.to_owned(), |x| format!("{x:.3}"));
        let figure = |value: Option<f64>, measure| value.map_or(NOTHING.to_owned(), |x| written(x, measure));
        let spread = match self.ratio_range {
            Some([least, most]) if self.rounds.len() > 1 => {
                format!("{least:.3}–{most:.3} of {}", self.rounds.len())
            }
            _ => NOTHING.to_owned(),
        };
        [
            self.name.clone(),
            written(self.ours, self.measure),
            figure(self.limit, self.measure),
            figure(self.reference, self.reference_measure),
            number(self.ratio),
            spread,
            number(self.at_most),
            self.verdict().to_owned(),
        ]
    }

    /// One line while others are still measured.
    pub(super) fn line(&self) -> String {
        let [name, ours, _, reference, ratio, spread, _, verdict] = self.cells();
        format!("{name}: {ours}, reference {reference}, ratio {ratio} ({spread}) {verdict}")
    }
}

/// All of them, aligned.
pub(super) fn table(outcomes: &[Outcome]) -> String {
    let heading = ["bench", "ours", "at most", "reference", "ratio", "rounds", "at most", ""];
    let mut rows = vec![heading.map(str::to_owned).to_vec()];
    rows.extend(outcomes.iter().map(|outcome| outcome.cells().to_vec()));
    markdown::aligned(&rows)
}

fn written(value: f64, measure: Measure) -> String {
    match measure {
        Measure::Memory => format!("{:.0} MB", value / 1e6),
        Measure::Size => format!("{:.3} MB of output", value / 1e6),
        Measure::Cpu => duration(value) + " CPU",
        Measure::Wall => duration(value) + " wall",
    }
}

fn duration(secs: f64) -> String {
    match secs {
        s if s >= 1.0 => format!("{s:.2} s"),
        s if s >= 1e-3 => format!("{:.2} ms", s * 1e3),
        s => format!("{:.2} µs", s * 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(case: &str, rounds: &[(f64, Option<f64>)]) -> Outcome {
        let ours = "name = \"n\"\nprocess = { binary = \"b\", args = [] }";
        let case: Case = toml::from_str(&format!("{ours}\n{case}")).expect("a case");
        Outcome::new(&case, rounds.iter().map(|&(ours, other)| Round::new(ours, other)).collect())
    }

    const AGAINST_CPU: &str =
        "reference = { script = \"s\", name = \"n\", measure = \"cpu\" }\nat-most = 0.5";

    #[test]
    fn limits_are_judged() {
        let judged = |case: &str, rounds: &[(f64, Option<f64>)]| outcome(case, rounds).within_limit();
        assert!(judged(AGAINST_CPU, &[(0.02, Some(0.05))]), "below the ratio");
        assert!(!judged(AGAINST_CPU, &[(0.03, Some(0.05))]), "above it");
        assert!(
            judged(&format!("{AGAINST_CPU}\nlimit = 0.03"), &[(0.02, None)]),
            "without a reference the figure is judged"
        );
        assert!(!judged("limit = 0.01", &[(0.02, None)]), "and can be too great");
        let disturbed = [(0.02, Some(0.05)), (0.04, Some(0.05)), (0.021, Some(0.05))];
        assert!(judged(AGAINST_CPU, &disturbed), "the median of the rounds is judged, not the worst");
    }

    #[test]
    fn the_table_tells_measures_and_rounds_apart() {
        let rounds = [(0.02, Some(0.033)), (0.02, Some(0.04)), (0.02, Some(0.025))];
        let memory = outcome("measure = \"memory\"\nlimit = 3e8", &[(1.5e8, None)]);
        let table = table(&[outcome(AGAINST_CPU, &rounds), memory]);
        for words in ["20.00 ms wall", "33.00 ms CPU", "0.500–0.800 of 3", "too much", "150 MB", "300 MB"] {
            assert!(table.contains(words), "figures and verdict are shown: no {words}\n{table}");
        }
    }
}
