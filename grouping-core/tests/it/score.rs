//! Scores of classifiers and their intervals.

use grouping_core::score::Score;

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
