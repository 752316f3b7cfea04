//! The tasks of the bed: 24 functions from a string of digits to a string of the same length, all modulo 10.

/// One task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Task(usize);

/// Name and meaning of each task, in the order of their tokens.
const TASKS: [(&str, &str); 24] = [
    ("copy", "the digits"),
    ("rev", "the digits from last to first"),
    ("sort", "the digits ascending"),
    ("sortd", "the digits descending"),
    ("inc", "each digit plus 1"),
    ("dec", "each digit minus 1"),
    ("comp", "9 minus each digit"),
    ("rotl", "rotated left by 1"),
    ("rotr", "rotated right by 1"),
    ("rotl2", "rotated left by 2"),
    ("swaph", "the halves exchanged"),
    ("swapp", "neighbours exchanged pair by pair"),
    ("dbl", "each digit twice"),
    ("cumsum", "running sums"),
    ("diff", "differences to the digit before"),
    ("revinc", "from last to first, plus 1"),
    ("runmax", "running maxima"),
    ("deint", "even places, then odd places"),
    ("addfirst", "each digit plus the first"),
    ("maxb", "the greatest digit everywhere"),
    ("par", "each digit modulo 2"),
    ("dedup", "each digit where it first occurs, filled up with the end symbol"),
    ("inc2", "each digit plus 2"),
    ("addlast", "each digit plus the last"),
];

/// The digit-like symbol that fills what `dedup` leaves over.
pub(crate) const END: u8 = 11;

impl Task {
    /// Every task, in the order of their tokens.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        (0..TASKS.len()).map(Self)
    }

    /// The task of this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        TASKS.iter().position(|(task, _)| *task == name).map(Self)
    }

    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        TASKS[self.0].0
    }

    /// What it does.
    pub(crate) fn meaning(self) -> &'static str {
        TASKS[self.0].1
    }

    /// Its number, from zero.
    pub(crate) fn idx(self) -> usize {
        self.0
    }

    /// The answer to `digits` (each below 10, at least one), of the same length.
    pub(crate) fn answer(self, digits: &[u8]) -> Vec<u8> {
        let n = digits.len();
        let each = |f: &dyn Fn(u8) -> u8| digits.iter().map(|digit| f(*digit) % 10).collect();
        let rotated = |by: usize| (0..n).map(|i| digits[(i + by) % n]).collect();
        let sorted = || {
            let mut sorted = digits.to_vec();
            sorted.sort_unstable();
            sorted
        };
        match self.name() {
            "copy" => digits.to_vec(),
            "rev" => digits.iter().rev().copied().collect(),
            "sort" => sorted(),
            "sortd" => sorted().into_iter().rev().collect(),
            "inc" => each(&|digit| digit + 1),
            "inc2" => each(&|digit| digit + 2),
            "dec" => each(&|digit| digit + 9),
            "comp" => each(&|digit| 9 - digit),
            "dbl" => each(&|digit| 2 * digit),
            "par" => each(&|digit| digit % 2),
            "addfirst" => each(&|digit| digit + digits[0]),
            "addlast" => each(&|digit| digit + digits[n - 1]),
            "maxb" => each(&|_| digits.iter().copied().max().unwrap_or(0)),
            "rotl" => rotated(1),
            "rotr" => rotated(n - 1),
            "rotl2" => rotated(2),
            "swaph" => rotated(n / 2),
            "swapp" => (0..n).map(|i| digits[if i ^ 1 < n { i ^ 1 } else { i }]).collect(),
            "revinc" => digits.iter().rev().map(|digit| (digit + 1) % 10).collect(),
            "deint" => digits.iter().step_by(2).chain(digits.iter().skip(1).step_by(2)).copied().collect(),
            "cumsum" => running(digits, |sum, digit| (sum + digit) % 10),
            "runmax" => running(digits, u8::max),
            "diff" => {
                let before = std::iter::once(0).chain(digits.iter().copied());
                digits.iter().zip(before).map(|(digit, before)| (digit + 10 - before) % 10).collect()
            }
            "dedup" => {
                let mut seen = Vec::with_capacity(n);
                for digit in digits {
                    if !seen.contains(digit) {
                        seen.push(*digit);
                    }
                }
                seen.resize(n, END);
                seen
            }
            name => unreachable!("task `{name}` has an answer"),
        }
    }
}

fn running(digits: &[u8], f: impl Fn(u8, u8) -> u8) -> Vec<u8> {
    let mut state = 0;
    digits
        .iter()
        .map(|digit| {
            state = f(state, *digit);
            state
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::Task;

    #[test]
    fn answers_are_as_their_meanings_say() {
        let digits = [3, 1, 4, 1, 5, 9, 2];
        let expected = [
            ("copy", "3141592"),
            ("rev", "2951413"),
            ("sort", "1123459"),
            ("sortd", "9543211"),
            ("inc", "4252603"),
            ("dec", "2030481"),
            ("comp", "6858407"),
            ("rotl", "1415923"),
            ("rotr", "2314159"),
            ("rotl2", "4159231"),
            ("swaph", "1592314"),
            ("swapp", "1314952"),
            ("dbl", "6282084"),
            ("cumsum", "3489435"),
            ("diff", "3837443"),
            ("revinc", "3062524"),
            ("runmax", "3344599"),
            ("deint", "3452119"),
            ("addfirst", "6474825"),
            ("maxb", "9999999"),
            ("par", "1101110"),
            ("dedup", "314592E"),
            ("inc2", "5363714"),
            ("addlast", "5363714"),
        ];
        assert_eq!(expected.len(), Task::all().count(), "every task is checked");
        for (task, (name, answer)) in Task::all().zip(expected) {
            let found: String = task
                .answer(&digits)
                .into_iter()
                .map(|symbol| if symbol < 10 { char::from(b'0' + symbol) } else { 'E' })
                .collect();
            assert_eq!((task.name(), found.as_str()), (name, answer), "{}", task.meaning());
            assert_eq!(Task::named(name), Some(task), "found by its name");
        }
    }
}
