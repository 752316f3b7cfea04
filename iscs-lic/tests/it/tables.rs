//! Tables equal CompressAI's, and what is no table is refused.

use grouping_core::testing::assert_refused;
use iscs_lic::coder::{FactorizedPrior, SCALES, Tables, scale_index};
use serde::Deserialize;

use crate::fixture;

#[test]
fn stored_scales_are_those_of_the_checkpoint() {
    let stored = fixture::checkpoint().decode("gaussian_conditional.scale_table").expect("a tensor").values;
    let bits = |values: &[f32]| values.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(&SCALES), bits(&stored), "to the last bit");
}

#[test]
fn gaussian_tables_are_the_stored_ones() {
    let computed = Tables::gaussian(&SCALES).expect("64 scales");
    assert_eq!(computed.parts(), fixture::parts("gaussian_conditional"), "64 rows of up to 3,133 counts");
}

#[test]
fn the_escape_takes_what_rounding_leaves_over() {
    let tables = Tables::gaussian(&SCALES).expect("64 scales");
    let escape = |i: usize| tables.row(i).windows(2).last().map(|pair| pair[1] - pair[0]);
    assert_eq!([0, 20, 63].map(escape), [Some(1), Some(6), Some(58)], "of rows 0, 20 and 63");
}

#[test]
fn factorized_tables_are_the_stored_ones() {
    let file = fixture::checkpoint();
    let tensors = |kind: &str, n: usize| -> Vec<Vec<f32>> {
        (0..n)
            .map(|i| file.decode(&format!("entropy_bottleneck.{kind}.{i}")).expect("a tensor").values)
            .collect()
    };
    let (matrices, biases, factors) = (tensors("matrices", 5), tensors("biases", 5), tensors("factors", 4));
    let quantiles = file.decode("entropy_bottleneck.quantiles").expect("a tensor").values;
    let slices =
        |tensors: &'_ [Vec<f32>]| tensors.iter().map(Vec::as_slice).map(<[f32]>::to_vec).collect::<Vec<_>>();
    let prior = prior(&slices(&matrices), &biases, &factors, &quantiles);
    let computed = Tables::factorized(&prior).expect("a prior");
    assert_eq!(computed.parts(), fixture::parts("entropy_bottleneck"), "32 rows");
}

fn prior(
    matrices: &[Vec<f32>],
    biases: &[Vec<f32>],
    factors: &[Vec<f32>],
    quantiles: &[f32],
) -> FactorizedPrior {
    let [matrices, biases, factors] =
        [matrices, biases, factors].map(|tensors| tensors.iter().map(Vec::as_slice).collect::<Vec<_>>());
    FactorizedPrior::new(&matrices, &biases, &factors, quantiles).expect("tensors of one prior")
}

/// Of `oracles/iscs-lic/coder.py`: a row is none where CompressAI itself gives two on two instruction sets.
#[derive(Deserialize)]
struct Golden {
    matrices: Vec<Vec<f32>>,
    biases: Vec<Vec<f32>>,
    factors: Vec<Vec<f32>>,
    quantiles: Vec<f32>,
    offsets: Vec<i32>,
    rows: Vec<Option<Vec<u32>>>,
}

#[test]
fn tables_of_random_priors_are_compressais() {
    let goldens: Vec<Golden> = serde_json::from_str(include_str!("../data/priors.json")).expect("goldens");
    let mut wrong = Vec::new();
    let mut n_compared = 0;
    for (i, golden) in goldens.iter().enumerate() {
        let prior = prior(&golden.matrices, &golden.biases, &golden.factors, &golden.quantiles);
        let tables = Tables::factorized(&prior).expect("a prior");
        for (channel, (row, &offset)) in golden.rows.iter().zip(&golden.offsets).enumerate() {
            assert_eq!(tables.offset(channel), offset, "offset of channel {channel} of prior {i}");
            if let Some(row) = row {
                n_compared += 1;
                if tables.row(channel) != row {
                    let most = tables.row(channel).iter().zip(row).map(|(a, b)| a.abs_diff(*b)).max();
                    wrong.push((i, channel, most));
                }
            }
        }
    }
    assert!(wrong.is_empty() && n_compared > 300, "{} of {n_compared} rows differ: {wrong:?}", wrong.len());
}

#[test]
fn parts_come_back() {
    for model in ["gaussian_conditional", "entropy_bottleneck"] {
        let parts = fixture::parts(model);
        assert_eq!(fixture::tables(model).parts(), parts, "{model}");
    }
}

#[test]
fn indexes_of_scales_are_compressais() {
    let golden = fixture::golden();
    let scales = golden.decode("scales").expect("a tensor").values;
    let found: Vec<i32> = scales.iter().map(|&scale| i32::from(scale_index(&SCALES, scale))).collect();
    assert_eq!(found, fixture::integers(&golden, "indexes"), "of 8,192 scales");
}

#[test]
fn what_is_no_table_is_refused() {
    let of = |cdf: &[i32], length: i32| Tables::from_parts(cdf, cdf.len(), &[length], &[0]);
    of(&[0, 5, 65_536], 3).expect("a table");
    assert_refused(of(&[0, 5, 5, 65_536], 4), "strictly rising");
    assert_refused(of(&[0, -5, 65_536], 3), "found -5 before 65536");
    assert_refused(of(&[0, 5, 65_535], 3), "from 0 to 65,536");
    assert_refused(of(&[1, 5, 65_536], 3), "from 0 to 65,536");
    assert_refused(of(&[0, 65_536], 2), "at least 3");
    assert_refused(of(&[0, 5, 65_536], 4), "from 3 to 3");
    assert_refused(of(&[0, 5, 65_536], -1), "from 3 to 3");
    assert_refused(Tables::from_parts(&[], 3, &[], &[]), "from 1 to 65,535");
    assert_refused(Tables::from_parts(&[0, 5, 65_536], 3, &[3], &[]), "1 lengths and 0 offsets");
    assert_refused(Tables::from_parts(&[0, 5, 65_536], 3, &[3], &[i32::MAX]), "32 bits");
    assert_refused(
        Tables::from_parts(&[0; 4], usize::MAX, &[3, 3, 3, 3], &[0; 4]),
        "a length and an offset each",
    );
    for scale in [0.0, -1.0, f32::NAN, f32::INFINITY, 1e6] {
        assert_refused(Tables::gaussian(&[scale]), "a positive number below 5,363");
    }
    assert_refused(Tables::gaussian(&[]), "from 1 to 65,535");
}
