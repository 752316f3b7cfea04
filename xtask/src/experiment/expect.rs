//! Verdicts: is a claim reproduced, and is that what we expect?
//!
//! A claim is *reproduced* when the mean over seeds of `value − minus` meets its relation. An outcome other than
//! the expected one counts as out of tolerance only when the mean lies more than `tolerance` beyond the border, so
//! that a run on another machine does not fail by a hair. A claim that we do not expect to be reproduced, and that
//! is not, is a finding and no failure.

use anyhow::{Context, Result, ensure};
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use super::metrics::Record;
use super::select::{Selection, mean, standard_deviation};
use super::spec::{Expect, Outcome, Scale, Value};

/// A judged claim.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Verdict {
    pub(crate) name: String,
    pub(crate) claim: String,
    pub(crate) source: String,
    /// The relation in words: `≥ 20 points`.
    pub(crate) relation: String,
    pub(crate) ours: f64,
    pub(crate) sd: Option<f64>,
    pub(crate) scale: Scale,
    pub(crate) outcome: Outcome,
    pub(crate) expected: Outcome,
    pub(crate) within_tolerance: bool,
}

impl Verdict {
    /// `reproduced (smoke)`, `not reproduced`, `not reproduced, unexpectedly`.
    pub(crate) fn words(&self) -> String {
        let outcome = match self.outcome {
            Outcome::Reproduced => "reproduced",
            Outcome::NotReproduced => "not reproduced",
        };
        let scale = if self.scale == Scale::Smoke { " (smoke)" } else { "" };
        let surprise = match (self.outcome == self.expected, self.within_tolerance) {
            (true, _) => "",
            (false, true) => ", within tolerance",
            (false, false) => ", unexpectedly",
        };
        format!("{outcome}{scale}{surprise}")
    }
}

/// Judges one expectation; an error when its numbers are not all there.
pub(crate) fn judge(
    expect: &Expect,
    records: &[Record],
    variables: &IndexMap<String, Value>,
    scale: Scale,
    n_seeds: usize,
) -> Result<Verdict> {
    let numbers = |selector| -> Result<Vec<f64>> {
        let selection = Selection::new(selector, variables)?;
        let numbers = selection.by_seed(records)?;
        ensure!(
            numbers.len() == n_seeds,
            "{} is there for {} of {n_seeds} seeds",
            selection.describe(),
            numbers.len()
        );
        Ok(numbers)
    };
    let context = || format!("expectation `{}`", expect.name);
    let mut values = numbers(&expect.value).with_context(context)?;
    if let Some(minus) = &expect.minus {
        for (value, minus) in values.iter_mut().zip(numbers(minus).with_context(context)?) {
            *value -= minus;
        }
    }
    let ours = mean(&values);
    let margin = margin(expect, ours);
    let outcome = if margin >= 0.0 { Outcome::Reproduced } else { Outcome::NotReproduced };
    Ok(Verdict {
        name: expect.name.clone(),
        claim: expect.claim.clone(),
        source: expect.source.clone(),
        relation: relation(expect),
        ours,
        sd: standard_deviation(&values),
        scale,
        outcome,
        expected: expect.expected,
        within_tolerance: outcome == expect.expected || margin.abs() <= expect.tolerance,
    })
}

/// How far inside (positive) or outside the border a value lies.
fn margin(expect: &Expect, value: f64) -> f64 {
    match (expect.at_least, expect.at_most, expect.target.zip(expect.within)) {
        (Some(least), _, _) => value - least,
        (_, Some(most), _) => most - value,
        (_, _, Some((target, within))) => within - (value - target).abs(),
        _ => f64::NAN,
    }
}

fn relation(expect: &Expect) -> String {
    let words = match (expect.at_least, expect.at_most, expect.target.zip(expect.within)) {
        (Some(least), _, _) => format!("≥ {least}"),
        (_, Some(most), _) => format!("≤ {most}"),
        (_, _, Some((target, within))) => format!("{target} ± {within}"),
        _ => String::new(),
    };
    format!("{words} {}", expect.unit).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::select::tests::record;
    use super::*;

    fn expect(relation: &str) -> Expect {
        let text = format!(
            "name='e'\nclaim='c'\nsource='s'\nunit='points'\nvalue={{metric='m',where={{k='a'}}}}\n\
             minus={{metric='m',where={{k='b'}}}}\n{relation}"
        );
        toml::from_str(&text).expect("an expectation")
    }

    fn judged(relation: &str, difference: f64) -> Verdict {
        let records = [
            record("m", 10.0 + difference - 1.0, "seed=0 k=a"),
            record("m", 20.0 + difference + 1.0, "seed=1 k=a"),
            record("m", 10.0, "seed=0 k=b"),
            record("m", 20.0, "seed=1 k=b"),
        ];
        judge(&expect(relation), &records, &IndexMap::new(), Scale::Mini, 2).expect("it can be judged")
    }

    #[test]
    fn the_difference_is_taken_seed_by_seed() {
        let verdict = judged("at-least = 2", 3.0);
        assert!((verdict.ours - 3.0).abs() < 1e-12, "the mean difference, not {}", verdict.ours);
        assert!(
            (verdict.sd.expect("two seeds") - 2f64.sqrt()).abs() < 1e-12,
            "its deviation: {:?}",
            verdict.sd
        );
        assert_eq!(verdict.words(), "reproduced", "3 is at least 2");
        assert_eq!(verdict.relation, "≥ 2 points", "the relation is said with its unit");
    }

    #[test]
    fn only_an_unexpected_outcome_beyond_tolerance_counts() {
        for (relation, difference, words, within) in [
            ("at-least = 2\ntolerance = 1", 1.5, "not reproduced, within tolerance", true),
            ("at-least = 2\ntolerance = 1", 0.5, "not reproduced, unexpectedly", false),
            ("at-most = 2", 2.5, "not reproduced, unexpectedly", false),
            ("target = 2\nwithin = 1", 2.75, "reproduced", true),
            ("target = 2\nwithin = 1\ntolerance = 1", -0.5, "not reproduced, unexpectedly", false),
            ("at-least = 2\nexpected = 'not-reproduced'", 0.0, "not reproduced", true),
            ("at-least = 2\nexpected = 'not-reproduced'", 3.0, "reproduced, unexpectedly", false),
            (
                "at-least = 2\nexpected = 'not-reproduced'\ntolerance = 1",
                2.5,
                "reproduced, within tolerance",
                true,
            ),
        ] {
            let verdict = judged(relation, difference);
            assert_eq!(
                (verdict.words().as_str(), verdict.within_tolerance),
                (words, within),
                "{relation}: {difference}"
            );
        }
    }

    #[test]
    fn missing_numbers_are_an_error() {
        let records = [record("m", 1.0, "seed=0 k=a")];
        let error =
            judge(&expect("at-least = 0"), &records, &IndexMap::new(), Scale::Mini, 1).expect_err("no b");
        assert!(
            format!("{error:#}").contains("m[k=b] is there for 0 of 1 seeds"),
            "what is missing is named: {error:#}"
        );
    }

    proptest! {
        #[test]
        fn what_is_in_tolerance_stays_so_when_it_widens(
            value in -5.0f64..5.0, least in -5.0f64..5.0, a in 0.0f64..3.0, b in 0.0f64..3.0, negative in any::<bool>(),
        ) {
            let expected = if negative { "not-reproduced" } else { "reproduced" };
            let ok = |t: f64| judged(&format!("at-least = {least:?}\nexpected = '{expected}'\ntolerance = {t:?}"), value);
            let (narrow, wide) = (ok(a.min(b)), ok(a.max(b)));
            prop_assert!(!narrow.within_tolerance || wide.within_tolerance, "wider admits more");
            prop_assert_eq!(narrow.outcome, wide.outcome, "tolerance never changes the verdict on the claim");
        }
    }
}
