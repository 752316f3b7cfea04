//! Procrustes: turned points are turned back, and no other rotation is better.

use grouping_core::matching::procrustes::{PairLayout, PlaneRotations, Rotation, residual_square};
use grouping_core::testing::assert_refused;
use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// `n` rows of `d` values around 0.
fn points(n: usize, d: usize, seed: u64) -> Vec<f64> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..n * d).map(|_| rng.random_range(-1.0..1.0)).collect()
}

/// `Aᵀ·B` of row-major `[n, d]`.
fn cross(a: &[f64], b: &[f64], d: usize) -> Vec<f64> {
    let mut out = vec![0.0; d * d];
    for (a, b) in a.chunks_exact(d).zip(b.chunks_exact(d)) {
        for i in 0..d {
            for j in 0..d {
                out[i * d + j] += a[i] * b[j];
            }
        }
    }
    out
}

fn square(x: &[f64]) -> f64 {
    x.iter().map(|v| v * v).sum()
}

fn distance_square(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum()
}

/// Some orthogonal matrix, as the best one between unrelated points.
fn any_rotation(d: usize, seed: u64) -> Rotation {
    Rotation::from_cross(&points(d, d, seed), d).expect("a rotation")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_best_rotation(d in 1usize..9, seed in any::<u64>(), noise in prop_oneof![Just(0.0), 0f64..1.0]) {
        let a = points(20, d, seed);
        let turn = any_rotation(d, seed ^ 1);
        let extra = points(20, d, seed ^ 2);
        let b: Vec<f64> = turn.after(&a).iter().zip(&extra).map(|(b, e)| b + noise * e).collect();
        let m = cross(&a, &b, d);
        let best = Rotation::from_cross(&m, d).expect("a rotation");
        let product = best.transposed_before(best.values());
        let identity = Rotation::identity(d);
        prop_assert!(distance_square(&product, identity.values()) < 1e-20, "orthogonal");
        let found = distance_square(&best.after(&a), &b);
        let expected = residual_square(square(&a), square(&b), best.gain());
        prop_assert!((found - expected).abs() < 1e-9, "{} instead of {}", found, expected);
        if noise == 0.0 {
            prop_assert!(distance_square(best.values(), turn.values()) < 1e-16, "the turn itself");
        }
        for other in 3..8 {
            let other = any_rotation(d, seed ^ other);
            prop_assert!(found <= distance_square(&other.after(&a), &b) + 1e-9, "another is better");
        }
        // What an alignment of many needs: cross matrices turn as the points do.
        let turned = cross(&turn.after(&a), &b, d);
        prop_assert!(distance_square(&turn.transposed_before(&m), &turned) < 1e-18, "Qᵀ·M");
        let turned = cross(&a, &turn.after(&b), d);
        prop_assert!(distance_square(&turn.after(&m), &turned) < 1e-18, "M·Q");
    }

    #[test]
    fn the_best_angles(half in 1usize..5, seed in any::<u64>(), interleaved in any::<bool>(), noise in prop_oneof![Just(0.0), 0f64..1.0]) {
        let layout = if interleaved { PairLayout::Interleaved } else { PairLayout::Halves };
        let d = 2 * half;
        let (a, extra) = (points(20, d, seed), points(20, d, seed ^ 2));
        let angles: Vec<f64> = points(1, half, seed ^ 1).iter().map(|x| 3.0 * x).collect();
        let turn = PlaneRotations::new(angles.clone(), layout);
        let turned = |rotations: &PlaneRotations, rows: &[f64]| {
            let mut rows = rows.to_vec();
            rows.chunks_exact_mut(d).for_each(|row| rotations.turn(row));
            rows
        };
        let b: Vec<f64> = turned(&turn, &a).iter().zip(&extra).map(|(b, e)| b + noise * e).collect();
        let m = cross(&a, &b, d);
        let best = PlaneRotations::from_cross(&m, d, layout).expect("angles");
        if noise == 0.0 {
            prop_assert!(distance_square(best.angles(), &angles) < 1e-18, "{:?} for {:?}", best, angles);
        }
        let found = distance_square(&turned(&best, &a), &b);
        let expected = residual_square(square(&a), square(&b), best.gain());
        prop_assert!((found - expected).abs() < 1e-9, "{} instead of {}", found, expected);
        for step in [-0.01, 0.01, 1.0] {
            for pair in 0..half {
                let mut other = best.angles().to_vec();
                other[pair] += step;
                let other = PlaneRotations::new(other, layout);
                prop_assert!(found <= distance_square(&turned(&other, &a), &b) + 1e-9, "another is better");
            }
        }
        let free = Rotation::from_cross(&m, d).expect("a rotation");
        prop_assert!(free.gain() >= best.gain() - 1e-9, "any rotation gains at least as much");
        // A rotation of the same planes, as positions make, may come before or after.
        let position = PlaneRotations::new(points(1, half, seed ^ 3), layout);
        let both = (turned(&best, &turned(&position, &a)), turned(&position, &turned(&best, &a)));
        prop_assert!(distance_square(&both.0, &both.1) < 1e-20, "they commute");
        let row = &a[..d];
        let by_matrix: Vec<f64> = (0..d).map(|j| (0..d).map(|i| row[i] * best.values()[i * d + j]).sum()).collect();
        prop_assert!(distance_square(&by_matrix, &turned(&best, row)) < 1e-20, "the matrix says the same");
    }
}

#[test]
fn nothing_to_go_by_and_wrong_input() {
    let still = PlaneRotations::from_cross(&[0.0; 16], 4, PairLayout::Interleaved).expect("angles");
    assert_eq!(still.angles(), [0.0; 2], "no angle is better than another");
    let any = Rotation::from_cross(&[0.0; 9], 3).expect("a rotation");
    let product = any.transposed_before(any.values());
    assert!(distance_square(&product, Rotation::identity(3).values()) < 1e-20, "orthogonal all the same");
    assert!(Rotation::from_cross(&[], 0).expect("nothing").values().is_empty(), "no dimension");
    assert_refused(Rotation::from_cross(&[1.0; 3], 2), "cross matrix: expected shape [2, 2]");
    assert_refused(
        PlaneRotations::from_cross(&[1.0; 9], 3, PairLayout::Halves),
        "dimension of pairs: expected an even number",
    );
    for bad in [f64::NAN, f64::INFINITY] {
        assert_refused(Rotation::from_cross(&[1.0, 0.0, bad, 1.0], 2), "is not finite");
        assert_refused(
            PlaneRotations::from_cross(&[1.0, 0.0, bad, 1.0], 2, PairLayout::Halves),
            "is not finite",
        );
    }
}
