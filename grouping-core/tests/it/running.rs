//! Running statistics: against their sums, saved and read, malformed.

use grouping_core::stats::running::{ExponentialMean, WindowDifference};
use grouping_core::testing::assert_refused;
use proptest::prelude::*;

#[test]
fn settings_and_lengths_are_checked() {
    for decay in [-0.1, 1.1, f64::NAN] {
        assert_refused(ExponentialMean::new(decay), "decay: expected 0 to 1");
    }
    assert_refused(WindowDifference::new(0), "window: expected at least 1");
    let mut mean = ExponentialMean::new(0.5).expect("a mean");
    assert_eq!(mean.get(), None, "of nothing");
    mean.push(&[1.0, 2.0]).expect("two values");
    assert_refused(mean.push(&[1.0]), "running statistic: expected shape");
    assert_eq!(mean.get(), Some(&[1.0, 2.0][..]), "unchanged");
    let mut change = WindowDifference::new(1).expect("a window");
    change.push(&[1.0, 2.0]).expect("two values");
    assert_refused(change.push(&[1.0]), "running statistic: expected shape");
    assert_refused(change.push(&[f64::INFINITY, 0.0]), "value inf at index 0");
    assert_eq!(change.push(&[3.0, 0.0]), Ok(Some(vec![2.0, 2.0])), "unchanged");
}

#[test]
fn what_is_read_is_checked() {
    for (bad, words) in [
        (r#"{"decay":2.0,"values":null}"#, "decay: expected 0 to 1"),
        (r#"{"values":[1.0]}"#, "decay"),
        (r#"{"decay":0.5,"values":[1e999]}"#, "number out of range"),
        (r#"{"decay":0.5,"values":[null]}"#, "invalid type: null"),
        (r#"{"decay":0.5,"values":[1.0],"more":1}"#, "unknown field `more`"),
    ] {
        assert_refused(serde_json::from_str::<ExponentialMean>(bad), words);
    }
    assert_refused(
        serde_json::from_str::<WindowDifference>(r#"{"window":0,"values":null}"#),
        "window: expected at least 1",
    );
    let far: WindowDifference =
        serde_json::from_str(r#"{"window":3,"position":7,"values":[1.0]}"#).expect("a position beyond");
    assert_eq!(
        far,
        serde_json::from_str(r#"{"window":3,"position":1,"values":[1.0]}"#).expect("within"),
        "7 mod 3"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn sums_and_saved_states(values in prop::collection::vec(-9f64..9.0, 1..40), decay in 0f64..1.0, window in 1usize..6) {
        let mut mean = ExponentialMean::new(decay).expect("a mean");
        let mut change = WindowDifference::new(window).expect("a window");
        for (t, &value) in values.iter().enumerate() {
            let found = mean.push(&[value]).expect("a value")[0];
            let tail: f64 = (1..=t).map(|i| (1.0 - decay) * decay.powi((t - i) as i32) * values[i]).sum();
            let expected = decay.powi(t as i32) * values[0] + tail;
            prop_assert!((found - expected).abs() < 1e-12, "step {}: {} instead of {}", t, found, expected);
            let found = change.push(&[value]).expect("a value");
            let due = t % window == 0 && t >= window;
            prop_assert_eq!(found, due.then(|| vec![(value - values[t - window]).abs()]), "step {}", t);
            let text = serde_json::to_string(&(&mean, &change)).expect("written");
            let read: (ExponentialMean, WindowDifference) = serde_json::from_str(&text).expect("read");
            prop_assert_eq!(&read, &(mean.clone(), change.clone()), "step {}: saved", t);
            (mean, change) = read;
        }
    }
}
