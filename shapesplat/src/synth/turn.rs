//! Cosine and sine by sums and products, equal on every machine.

use std::f64::consts::TAU;

/// `[cos, sin]` of a number of turns, to 1e−15; the same for numbers that differ by whole turns where these are exact.
pub(super) fn turn(turns: f64) -> [f64; 2] {
    let eighths = (turns - turns.floor()) * 8.0;
    // Within an eighth of a turn of the nearest quarter.
    let quarter = ((eighths + 1.0) / 2.0).floor();
    let angle = (eighths - 2.0 * quarter) * (TAU / 8.0);
    let square = angle * angle;
    let (mut cos, mut sin) = (1.0, 1.0);
    for i in (1..=9).rev() {
        let n = f64::from(2 * i);
        cos = 1.0 - square / ((n - 1.0) * n) * cos;
        sin = 1.0 - square / (n * (n + 1.0)) * sin;
    }
    sin *= angle;
    match quarter as u8 % 4 {
        0 => [cos, sin],
        1 => [-sin, cos],
        2 => [-cos, -sin],
        _ => [sin, -cos],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_are_those_of_the_mathematical_library() {
        for i in -500..500 {
            let turns = f64::from(i) / 97.0;
            let ([cos, sin], (s, c)) = (turn(turns), (turns * TAU).sin_cos());
            assert!(
                (cos - c).abs() < 2e-14 && (sin - s).abs() < 2e-14,
                "{turns} turns: {cos} {sin}, not {c} {s}"
            );
        }
        assert_eq!(
            [turn(0.0), turn(0.25), turn(1.0)],
            [[1.0, 0.0], [-0.0, 1.0], [1.0, 0.0]],
            "whole quarters"
        );
    }
}
