//! Assertions on refusals, for tests alone.

use std::fmt::Display;

/// Fails the test unless `result` is an error whose message, with its causes where it shows them, holds `words`.
///
/// ```
/// use grouping_core::cluster::KMeansConfig;
/// use grouping_core::matrix::Matrix;
/// use grouping_core::testing::assert_refused;
///
/// let points = Matrix::zeros(2, 1);
/// assert_refused(KMeansConfig::new(3).fit(points.view()), "3 clusters of 2 points");
/// ```
#[track_caller]
pub fn assert_refused<T, E: Display>(result: Result<T, E>, words: &str) {
    match result {
        Ok(_) => panic!("this was taken, and is to be refused by `{words}`"),
        Err(error) => {
            let message = format!("{error:#}");
            assert!(message.contains(words), "this is to be refused by `{words}`, and was by: {message}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::assert_refused;

    #[test]
    fn only_a_refusal_with_these_words_will_do() {
        let fails = |result: Result<u8, &'static str>| {
            std::panic::catch_unwind(|| assert_refused(result, "at least 1")).is_err()
        };
        assert!(!fails(Err("seats: expected at least 1")), "the words are there");
        assert!(fails(Err("seats: expected an integer")), "another refusal");
        assert!(fails(Ok(1)), "no refusal");
    }
}
