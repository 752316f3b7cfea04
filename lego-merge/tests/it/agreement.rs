//! What a result keeps of each adapter: against updates formed densely, and where the answer is known.

use grouping_core::low_rank::LowRankSum;
use lego_merge::adapter::Adapter;
use lego_merge::merge::{Average, Cat, Density, Lego, Linear, MergeConfig, Svd, TaskArithmetic, Ties, merge};
use proptest::prelude::*;

use crate::adapters::{Dense, random, updates};

const MODULES: [&str; 2] = ["layers.0.q", "layers.1.q"];

fn dot(a: &Dense, b: &Dense) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn cosines_and_norms_are_those_of_the_updates(seeds in prop::collection::vec(any::<u64>(), 3), rank in 1usize..5, alpha in -4.0..4.0f64) {
        let adapters: Vec<Adapter> =
            seeds.iter().enumerate().map(|(i, &s)| random(s, rank + i, alpha, &MODULES, [9, 7])).collect();
        let weights = [1.0, -0.5, 0.25];
        let ties = Ties::new(Density::new(0.5).expect("a density"));
        let configs = [
            MergeConfig::new(Lego::default()), MergeConfig::new(Svd), MergeConfig::new(Cat), MergeConfig::new(Linear),
            MergeConfig::new(Average), MergeConfig::new(ties), MergeConfig::new(TaskArithmetic),
        ];
        for config in configs {
            let (merged, report) = merge(&adapters, &config.with_weights(weights), |_| ()).expect("a merge");
            let found = updates(&merged);
            let mut whole = [[0.0f64; 3]; 3];
            for module in &report.modules {
                let result = &found[&module.module];
                prop_assert!((module.norm - dot(result, result).sqrt()).abs() <= 1e-6 * module.norm.max(1e-9), "norm");
                for (i, part) in module.agreement.iter().enumerate() {
                    let own = &updates(&adapters[i])[&module.module];
                    let (norm, along) = (dot(own, own).sqrt(), dot(own, result));
                    prop_assert_eq!(part.adapter, i, "every adapter has the module");
                    prop_assert!((part.norm - norm).abs() <= 1e-6 * norm, "norm of adapter {}", i);
                    let cosine = along / (norm * module.norm);
                    prop_assert!((part.cosine - cosine).abs() < 1e-6, "{}: {} instead of {}", report.method, part.cosine, cosine);
                    prop_assert!(part.retained_energy >= cosine * cosine - 1e-6, "the result lies in its own spaces");
                    whole[i] = [whole[i][0] + along, whole[i][1] + norm * norm, whole[i][2] + dot(result, result)];
                }
            }
            for (part, [along, own, result]) in report.agreement().iter().zip(whole) {
                let cosine = along / (own * result).sqrt();
                prop_assert!((part.cosine - cosine).abs() < 1e-6, "the whole: {} instead of {}", part.cosine, cosine);
            }
            if report.method == "cat" {
                prop_assert!(report.agreement().iter().all(|part| part.retained_energy > 1.0 - 1e-9), "cat keeps all");
            }
        }
    }

    #[test]
    fn truncation_of_one_adapter_retains_its_largest_singular_values(seed: u64, k in 1usize..6) {
        let one = random(seed, 6, 3.0, &MODULES, [9, 8]);
        let (_, report) =
            merge(std::slice::from_ref(&one), &MergeConfig::new(Svd).with_rank(k), |_| ()).expect("a merge");
        for module in &report.modules {
            let f = one.factors(&module.module).expect("factors");
            let sum = LowRankSum::new(9, 8).plus(f.scale, f.b.view(), f.a.view()).expect("fitting factors");
            let squares: Vec<f64> = sum.svd().expect("an SVD").singular_values().iter().map(|s| s * s).collect();
            let expected = squares[..k].iter().sum::<f64>() / squares.iter().sum::<f64>();
            let part = module.agreement[0];
            prop_assert!((part.retained_energy - expected).abs() < 1e-6, "{} instead of {}", part.retained_energy, expected);
            prop_assert!((part.cosine.powi(2) - expected).abs() < 1e-6, "the result is the projection: {}", part.cosine);
            let residual = (module.distance / module.sum_norm).powi(2);
            prop_assert!((residual + expected - 1.0).abs() < 1e-6, "what is not kept is the residual");
        }
    }
}

#[test]
fn adapters_without_a_module_or_update_agree_with_nothing() {
    let [x, y] = [random(1, 2, 2.0, &MODULES, [5, 4]), random(2, 3, 0.0, &MODULES[1..], [5, 4])];
    let (_, report) = merge(&[x, y], &MergeConfig::new(Svd).with_rank(2), |_| ()).expect("a merge");
    assert_eq!(report.modules[0].agreement.len(), 1, "one adapter has the module");
    assert_eq!(report.modules[1].agreement[1].cosine, 0.0, "α is 0: there is no update");
    let [one, zero] = report.agreement()[..] else { panic!("two adapters") };
    assert!((one.cosine - 1.0).abs() < 1e-6 && one.retained_energy > 1.0 - 1e-9, "{one:?} is all there is");
    assert_eq!((zero.adapter, zero.norm, zero.cosine, zero.retained_energy), (1, 0.0, 0.0, 0.0), "{zero:?}");
}
