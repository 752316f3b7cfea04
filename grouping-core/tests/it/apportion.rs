//! Whole seats by weights: known results, bounds, and what holds for any weights.

use grouping_core::Error;
use grouping_core::matching::apportion::{ApportionConfig, Repair, apportion, round_and_repair};
use grouping_core::testing::assert_refused;
use proptest::prelude::*;

#[test]
fn known_apportionments() {
    // Hamilton's example of the Alabama paradox: one seat more, one party less.
    let votes = [6., 6., 2.];
    assert_eq!(apportion(&votes, &ApportionConfig::new(10)), Ok(vec![4, 4, 2]), "10 seats");
    assert_eq!(apportion(&votes, &ApportionConfig::new(11)), Ok(vec![5, 5, 1]), "11 seats");
    let of = |weights: &[f64], config: ApportionConfig| apportion(weights, &config).expect("seats");
    assert_eq!(of(&[0., 0., 0.], ApportionConfig::new(4)), [2, 1, 1], "no weight at all");
    assert_eq!(of(&[5., 0.], ApportionConfig::new(0)), [0, 0], "no seat");
    assert_eq!(of(&[1e-300, 3e-300], ApportionConfig::new(4)), [1, 3], "tiny weights");
    assert_eq!(of(&[1e308, 1e308, 1e308], ApportionConfig::new(3)), [1, 1, 1], "a sum beyond f64");
    let bounded = ApportionConfig::new(10).with_minima(vec![0, 3, 0]).with_maxima(vec![4, 9, 2]);
    assert_eq!(of(&[8., 1., 8.], bounded), [4, 4, 2], "both at their maximum, the rest to the third");
    assert_eq!(of(&[7., 0., 0.], ApportionConfig::new(7).with_maximum(3)), [3, 2, 2], "rest without weight");
    assert_eq!(of(&[1., 1.], ApportionConfig::new(6).with_maximum(3)), [3, 3], "every seat there is");
}

#[test]
fn impossible_bounds_are_refused() {
    let refused =
        |weights: &[f64], config: ApportionConfig| apportion(weights, &config).expect_err("impossible");
    let message = refused(&[1., 1.], ApportionConfig::new(3).with_minimum(2)).to_string();
    assert_eq!(message, "seats: expected 4 to 18446744073709551615 for 2 parties, found 3", "the message");
    for config in [
        ApportionConfig::new(3).with_maximum(1),
        ApportionConfig::new(3).with_minima(vec![2, 0]).with_maximum(1),
        ApportionConfig::new(usize::MAX),
        ApportionConfig::new(3).with_minimum(usize::MAX),
    ] {
        assert!(matches!(refused(&[1., 1.], config.clone()), Error::Setting { .. }), "{config:?}");
    }
    let short = refused(&[1., 1.], ApportionConfig::new(3).with_minima(vec![1]));
    assert!(matches!(short, Error::Shape { .. }), "bounds of one party: {short}");
    assert!(matches!(refused(&[], ApportionConfig::new(0)), Error::Setting { .. }), "nobody");
    assert!(matches!(refused(&[1., -1.], ApportionConfig::new(1)), Error::Setting { .. }), "negative");
    for bad in [f64::NAN, f64::INFINITY] {
        assert!(matches!(refused(&[1., bad], ApportionConfig::new(1)), Error::NotFinite { .. }), "{bad}");
    }
}

#[test]
fn repairs_end() {
    let first = |_: &[usize], _: Repair| Some(0);
    assert_eq!(round_and_repair(&[0.5, 1.5], 4, first), Ok(vec![2, 2]), "halves to even, then two given");
    assert_eq!(round_and_repair(&[2.5, 3.5, 3.5], 9, first), Ok(vec![1, 4, 4]), "one taken");
    let nobody = round_and_repair(&[0.2, 0.2], 1, |_, _| None);
    assert!(matches!(nobody, Err(Error::NoConvergence { .. })), "nobody is chosen: {nobody:?}");
    let outside = round_and_repair(&[0.2, 0.2], 1, |_, _| Some(2));
    assert!(matches!(outside, Err(Error::NoConvergence { .. })), "no such party: {outside:?}");
    let empty = round_and_repair(&[0.2, 1.5, 1.5], 3, first);
    assert!(matches!(empty, Err(Error::NoConvergence { .. })), "taken from nothing: {empty:?}");
    for (quotas, words) in [
        (&[f64::NAN][..], "is not finite"),
        (&[-0.6], "expected at least 0"),
        (&[7.0], "quotas: expected at most 3"),
        (&[], "parties: expected at least 1"),
    ] {
        assert_refused(round_and_repair(quotas, 3, first), words);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn seats_keep_their_bounds(
        parties in prop::collection::vec((prop_oneof![0f64..9.0, Just(0.0), Just(3.0)], 0usize..4, 0usize..9), 1..20),
        share in 0f64..1.0,
    ) {
        let weights: Vec<f64> = parties.iter().map(|p| p.0).collect();
        let minima: Vec<usize> = parties.iter().map(|p| p.1).collect();
        let maxima: Vec<usize> = parties.iter().map(|p| p.1 + p.2).collect();
        let (least, most) = (minima.iter().sum::<usize>(), maxima.iter().sum::<usize>());
        let n_seats = least + (share * (most - least) as f64) as usize;
        let config = ApportionConfig::new(n_seats).with_minima(minima.clone()).with_maxima(maxima.clone());
        let seats = apportion(&weights, &config).expect("bounds that can be met");
        prop_assert_eq!(seats.iter().sum::<usize>(), n_seats, "every seat");
        for i in 0..seats.len() {
            prop_assert!(minima[i] <= seats[i] && seats[i] <= maxima[i], "party {}: {:?}", i, seats);
        }
    }

    #[test]
    fn quotas_are_kept(weights in prop::collection::vec(0f64..9.0, 1..20), n_seats in 0usize..100, power in -60i32..60) {
        let seats = apportion(&weights, &ApportionConfig::new(n_seats)).expect("seats");
        let sum: f64 = weights.iter().sum();
        for (seats, weight) in seats.iter().zip(&weights) {
            let quota = n_seats as f64 * weight / sum;
            prop_assert!(sum == 0.0 || (*seats as f64 - quota).abs() < 1.0 + 1e-9, "{} for {}", seats, quota);
        }
        let scaled: Vec<f64> = weights.iter().map(|w| w * 2f64.powi(power)).collect();
        prop_assert_eq!(apportion(&scaled, &ApportionConfig::new(n_seats)).expect("seats"), seats, "scale");
    }
}
