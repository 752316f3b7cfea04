//! Scores of classifiers and their intervals.

use grouping_core::score::{Score, psnr};

#[test]
fn intervals_hold_the_score_and_narrow_with_more_images() {
    let logits: Vec<f32> = (0..400).flat_map(|i| if i % 4 == 0 { [0.0, 1.0] } else { [1.0, 0.0] }).collect();
    let score = Score::of(&logits, 2, &[0; 400]);
    assert_eq!((score.top1, score.top5), (0.75, 1.0), "three of four");
    let [low, high] = score.interval(0.95, 1000, 1);
    assert!(low < 0.75 && 0.75 < high && high - low < 0.12, "about ±0.042: {low} to {high}");
    let few = Score::of(&logits[..80], 2, &[0; 40]).interval(0.95, 1000, 1);
    assert!(few[1] - few[0] > high - low, "fewer images, a wider interval");
}

#[test]
fn psnr_is_that_of_the_mean_square() {
    let (a, b) = ([0.0f32, 64.0, 128.0, 255.0], [1.0f32, 62.0, 128.0, 250.0]);
    let want = 10.0 * (255.0f64 * 255.0 / (30.0 / 4.0)).log10();
    assert!((psnr(&a, &b, 255.0) - want).abs() < 1e-12, "{} dB, expected {want}", psnr(&a, &b, 255.0));
    assert_eq!(psnr(&a, &b, 255.0), psnr(&b, &a, 255.0), "either way");
    assert_eq!(psnr(&a, &a, 255.0), f64::INFINITY, "no noise at all");
}
