//! What writers tell is true: errors, what is not kept, and what is read again.

use std::path::Path;

use grouping_core::testing::assert_refused;
use proptest::prelude::*;

use super::scenes::{files, read_spz, scene, spz_options};
use super::{activation, dot_splat, glb, sog, spz};
use crate::Splats;
use crate::splats::{Extra, Values, morton_order};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn what_is_written_is_read_within_the_errors_that_are_told(
        n in 1usize..40, degree in 0usize..=4, seed in any::<u64>(), version in 2u32..=4,
    ) {
        let splats = scene(n, degree, seed);
        let mut bytes = Vec::new();
        let told = spz::write(&splats, &spz_options(version), &mut bytes).expect("written");
        let read = read_spz(&bytes, Path::new("a.spz")).expect("read");
        compare(&splats, &read, &told, if version == 4 { 4 } else { 3 });

        let mut bytes = Vec::new();
        let told = dot_splat::write(&splats, &mut bytes).expect("written");
        compare(&splats, &dot_splat::read(&bytes, Path::new("a.splat")).expect("read"), &told, 0);

        let mut bytes = Vec::new();
        let told = glb::write(&splats, &mut bytes).expect("written");
        compare(&splats, &glb::read(&bytes, Path::new("a.glb")).expect("read"), &told, 3);

        let mut bytes = Vec::new();
        let told = sog::write(&splats, &mut bytes).expect("written");
        let read = sog::read(&bytes, Path::new("a.sog")).expect("read");
        let order = morton_order(&splats.positions);
        let sorted = |column: &Vec<f32>| order.iter().map(|&row| column[row as usize]).collect::<Vec<f32>>();
        let sorted = Splats {
            positions: splats.positions.each_ref().map(sorted),
            scales: splats.scales.each_ref().map(sorted),
            rotations: splats.rotations.each_ref().map(sorted),
            opacities: sorted(&splats.opacities),
            dc: splats.dc.each_ref().map(sorted),
            rest: splats.rest.iter().map(sorted).collect(),
            ..Splats::default()
        };
        compare(&sorted, &read, &told, 3);
    }
}

/// The errors of what was read are those that the writer told, to the rounding of 32 bits.
fn compare(given: &Splats, read: &Splats, told: &super::Written, degree: usize) {
    assert_eq!((read.len(), told.count), (given.len(), given.len()), "no Gaussian is lost");
    assert_eq!(read.degree(), given.degree().min(degree), "the degree");
    let a_channel = [given, read].map(|splats| splats.rest.len() / 3);
    let kept: Vec<Vec<f32>> = (0..3)
        .flat_map(|channel| (0..a_channel[1]).map(move |k| channel * a_channel[0] + k))
        .map(|i| given.rest[i].clone())
        .collect();
    let alphas = |splats: &Splats| splats.opacities.iter().map(|&x| activation::alpha(x) as f32).collect();
    let (given_alphas, read_alphas): ([Vec<f32>; 1], [Vec<f32>; 1]) = ([alphas(given)], [alphas(read)]);
    type Pair<'a> = (&'a str, &'a [Vec<f32>], &'a [Vec<f32>]);
    let pairs: [Pair<'_>; 5] = [
        ("position", &given.positions, &read.positions),
        ("scale", &given.scales, &read.scales),
        ("opacity", &given_alphas, &read_alphas),
        ("colour", &given.dc, &read.dc),
        ("sh", &kept, &read.rest),
    ];
    let told_of = |property: &str| {
        told.errors.iter().find(|e| e.property == property).map_or((0.0, 0.0), |e| (e.greatest, e.mean))
    };
    for (property, given, read) in pairs {
        let errors = given
            .iter()
            .flatten()
            .zip(read.iter().flatten())
            .map(|(a, b)| (f64::from(*a) - f64::from(*b)).abs());
        let errors: Vec<f64> = errors.collect();
        let greatest = errors.iter().fold(0.0, |a: f64, &b| a.max(b));
        let mean = errors.iter().sum::<f64>() / errors.len().max(1) as f64;
        let (told_greatest, told_mean) = told_of(property);
        assert!(greatest.is_finite(), "{property}: what is read is finite");
        // Values up to 10 have 24 bits.
        assert!(
            (greatest - told_greatest).abs() < 2e-6,
            "{property}: {greatest}, and {told_greatest} was told"
        );
        assert!((mean - told_mean).abs() < 2e-6, "{property}: {mean} on average, and {told_mean} was told");
    }
    for row in 0..given.len() {
        let turn = |splats: &Splats| splats.rotations.each_ref().map(|part| part[row]);
        let error = activation::turn_error(turn(given), turn(read).map(f64::from));
        assert!(error <= told_of("rotation").0 + 1e-6, "row {row}: {error} is more than was told");
    }
}

#[test]
fn infinite_opacities_flat_scales_and_quaternions_of_any_length_are_read_finite() {
    let mut splats = scene(300, 1, 3);
    splats.opacities[..2].copy_from_slice(&[f32::INFINITY, f32::NEG_INFINITY]);
    splats.scales[1][2] = f32::NEG_INFINITY;
    splats.rotations.iter_mut().for_each(|part| part[3] *= 1e-30);
    splats.rotations.iter_mut().for_each(|part| part[4] = 0.0);
    for (name, bytes, read) in files(&splats).into_iter().take(6) {
        let read = read(&bytes, Path::new(&name)).expect("read");
        assert_eq!(read.len(), 300, "{name}: no row is lost");
        assert!(
            read.columns().iter().all(|(_, column)| column.iter().all(|v| v.is_finite())),
            "{name}: finite"
        );
        let greatest = read.opacities.iter().fold(f32::MIN, |a, &b| a.max(b));
        let flattest = read.scales[1].iter().fold(f32::MAX, |a, &b| a.min(b));
        assert!(greatest > 13.0, "{name}: alpha 1 is a logit of {greatest}");
        let expected = if name.ends_with(".spz") { -10.0 } else { -19.0 };
        assert!(flattest <= expected, "{name}: flat is e^{flattest}");
        if name != ".sog" {
            let turn = read.rotations.each_ref().map(|part| f64::from(part[4]));
            let error = activation::turn_error([1.0, 0.0, 0.0, 0.0], turn);
            assert!(error < 1e-4, "{name}: a quaternion of zeros is no rotation, and {turn:?} was read");
        }
    }
}

#[test]
fn what_no_format_holds_is_told() {
    let mut splats = scene(4, 3, 4);
    splats.scales[0][0] = -12.75;
    splats.scales[1][0] = 9.0;
    splats.dc[2][1] = 5.0;
    splats.rest[7][2] = 1.5;
    splats.antialiased = Some(true);
    splats.comments = vec!["by hand".into()];
    let values = Values::U8(vec![1, 2, 3, 4]);
    splats.extras = vec![Extra { name: "confidence".into(), values }];
    let told = spz::write(&splats, &spz_options(4), &mut Vec::new()).expect("written").dropped;
    let expected = [
        "column `confidence` (uchar): .spz version 4 holds no others",
        "1 comments: .spz version 4 holds none",
        "1 scales below e^-10: .spz begins there",
        "1 scales above e^5.94: .spz ends there",
        "1 coefficients of colours beyond ±3.33: .spz ends there",
        "1 coefficients of spherical harmonics beyond ±1: .spz ends there",
    ];
    assert_eq!(told, expected, ".spz");
    let told = dot_splat::write(&splats, &mut Vec::new()).expect("written").dropped;
    let expected = [
        "degree 3 of the spherical harmonics: .splat holds none",
        "column `confidence` (uchar): .splat holds no others",
        "1 comments: .splat holds none",
        "the mark of antialiased training: .splat has none",
    ];
    assert_eq!(told[..4], expected, ".splat");
    assert!(told[4].ends_with("colours outside 0 to 1: .splat holds none beyond"), "{told:?}");
    let four = scene(2, 4, 5);
    for (format, told) in [
        ("version 3", spz::write(&four, &spz_options(3), &mut Vec::new()).expect("written")),
        (".glb", glb::write(&four, &mut Vec::new()).expect("written")),
        (".sog", sog::write(&four, &mut Vec::new()).expect("written")),
    ] {
        assert!(
            told.dropped[0].starts_with("degree 4 of the spherical harmonics"),
            "{format}: {:?}",
            told.dropped
        );
    }
    assert_eq!(
        spz::write(&four, &spz_options(4), &mut Vec::new()).expect("written").dropped,
        [""; 0],
        "version 4"
    );
}

#[test]
fn a_file_without_a_gaussian_is_not_written() {
    let none = scene(0, 0, 0);
    assert_refused(spz::write(&none, &spz_options(4), &mut Vec::new()), "at least one Gaussian");
    assert_refused(dot_splat::write(&none, &mut Vec::new()), "at least one Gaussian");
    assert_refused(glb::write(&none, &mut Vec::new()), "at least one Gaussian");
    assert_refused(sog::write(&none, &mut Vec::new()), "at least one Gaussian");
}
