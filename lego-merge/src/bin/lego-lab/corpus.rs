//! The procedural corpus: rows `task d1 … dL = o1 … o(L−1)` of 2L+1 symbols, and the L answers o1 … oL they predict.
//!
//! Symbols: digits 0–9, `=` 10, end 11, one for each task from 12 on; the vocabulary of 48 leaves room for more tasks.
//! The base sees strings of length 5 and 6 and now and then of length 8; adapters and scores use length 8 alone, so that
//! adapters share what they learn (the length) and differ in the task.

use burn::tensor::{Device, Int, Tensor, TensorData};
use grouping_core::seed::derive_seed;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::task::Task;

/// Number of symbols.
pub(crate) const VOCAB_SIZE: usize = 48;
/// The length that adapters train at and that scores are taken at.
pub(crate) const LONG: usize = 8;
/// The lengths that the base mostly sees; one of three batches has the longer.
pub(crate) const SHORT: [usize; 2] = [5, 6];

const EQUALS: i32 = 10;
const FIRST_TASK: i32 = 12;

/// Rows of one length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Examples {
    length: usize,
    /// `[n, 2·length + 1]`.
    tokens: Vec<i32>,
    /// `[n, length]`.
    answers: Vec<i32>,
}

impl Examples {
    /// One random string for each of `tasks`, all of `length` digits.
    pub(crate) fn random(tasks: impl IntoIterator<Item = Task>, length: usize, rng: &mut ChaCha8Rng) -> Self {
        let (mut tokens, mut answers) = (Vec::new(), Vec::new());
        for task in tasks {
            let digits: Vec<u8> = (0..length).map(|_| rng.random_range(0..10)).collect();
            let answer = task.answer(&digits);
            tokens.push(FIRST_TASK + task.idx() as i32);
            tokens.extend(digits.into_iter().map(i32::from));
            tokens.push(EQUALS);
            tokens.extend(answer[..length - 1].iter().copied().map(i32::from));
            answers.extend(answer.into_iter().map(i32::from));
        }
        Self { length, tokens, answers }
    }

    /// The strings of `split` that `task` is scored on: the same for every model of a seed.
    pub(crate) fn held_out(task: Task, split: Split, n_examples: usize, seed: u64) -> Self {
        let stream = match split {
            Split::Validation => 0,
            Split::Test => 1,
        };
        let seed = derive_seed(derive_seed(derive_seed(seed, HELD_OUT), stream), task.idx() as u64);
        Self::random(std::iter::repeat_n(task, n_examples), LONG, &mut ChaCha8Rng::seed_from_u64(seed))
    }

    /// The number of rows.
    pub(crate) fn n_rows(&self) -> usize {
        self.answers.len() / self.length
    }

    /// The answers `[n, length]`, row-major.
    pub(crate) fn answers(&self) -> &[i32] {
        &self.answers
    }

    /// The length of the answers.
    pub(crate) fn length(&self) -> usize {
        self.length
    }

    /// Rows `start .. start + n` as tensors.
    pub(crate) fn tensors(&self, start: usize, n: usize, device: &Device) -> ExampleTensors {
        let (length, seq) = (self.length, 2 * self.length + 1);
        let line = |values: Vec<i32>| {
            let n = values.len();
            Tensor::<1, Int>::from_data(TensorData::new(values, [n]), device)
        };
        let places = (0..n)
            .flat_map(|row| (length + 1..seq).map(move |position| (row * seq + position) as i32))
            .collect();
        ExampleTensors {
            tokens: line(self.tokens[start * seq..][..n * seq].to_vec()).reshape([n, seq]),
            places: line(places),
            answers: line(self.answers[start * length..][..n * length].to_vec()),
        }
    }
}

/// [`Examples`] on a device.
#[derive(Debug, Clone)]
pub(crate) struct ExampleTensors {
    /// `[n, 2·length + 1]`.
    pub(crate) tokens: Tensor<2, Int>,
    /// Where answers are predicted, `[n · length]`, as the decoder counts places.
    pub(crate) places: Tensor<1, Int>,
    /// `[n · length]`.
    pub(crate) answers: Tensor<1, Int>,
}

/// Which held-out strings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub(crate) enum Split {
    /// For choosing a scale.
    Validation,
    /// For the numbers that are reported.
    Test,
}

impl Split {
    /// Its name in metric lines.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Validation => "validation",
            Self::Test => "test",
        }
    }
}

/// Streams of a seed: what is random in the bed, each from its own.
pub(crate) const BASE_WEIGHTS: u64 = 1;
pub(crate) const BASE_BATCHES: u64 = 2;
pub(crate) const ADAPTER_WEIGHTS: u64 = 3;
pub(crate) const ADAPTER_BATCHES: u64 = 4;
const HELD_OUT: u64 = 5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_hold_question_and_answer() {
        let rev = Task::named("rev").expect("a task");
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let examples = Examples::random([rev, rev], 3, &mut rng);
        assert_eq!(examples.tokens.len(), 14, "two rows of seven symbols");
        let row = &examples.tokens[7..];
        assert_eq!((row[0], row[4]), (FIRST_TASK + 1, EQUALS), "the task and the equals sign: {row:?}");
        let answer = &examples.answers[3..];
        assert_eq!(answer, [row[3], row[2], row[1]], "the digits reversed");
        assert_eq!(row[5..], answer[..2], "all answers but the last are inputs");
        let tensors = examples.tensors(1, 1, &Device::flex());
        let places: Vec<i32> = tensors.places.into_data().try_into_vec().expect("whole numbers");
        assert_eq!(places, [4, 5, 6], "the equals sign predicts the first answer");
    }

    #[test]
    fn splits_tasks_and_seeds_have_strings_of_their_own() {
        let (rev, inc) = (Task::named("rev").expect("a task"), Task::named("inc").expect("a task"));
        let digits = |task, split, seed| Examples::held_out(task, split, 4, seed).tokens[1..9].to_vec();
        let first = digits(rev, Split::Test, 0);
        assert_eq!(first, digits(rev, Split::Test, 0), "the same again");
        for other in
            [digits(rev, Split::Validation, 0), digits(inc, Split::Test, 0), digits(rev, Split::Test, 1)]
        {
            assert_ne!(first, other, "split, task and seed each change the strings");
        }
    }
}
