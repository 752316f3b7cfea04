//! Mersenne Twister MT19937 (Matsumoto and Nishimura 1998), as torch draws from it on the CPU.
//!
//! Seeding is `init_genrand` with the seed's lower 32 bits: what `torch.manual_seed` does. `torch.randint(0, n, (1,))` is
//! `next_u32 mod n` and `torch.rand` in f32 is `(next_u32 mod 2²⁴)·2⁻²⁴`.

use serde::{Deserialize, Serialize};

const N: usize = 624;
const M: usize = 397;

/// The generator with its state of 624 words.
///
/// ```
/// use kd_gqa::allocation::Mt19937;
/// let mut draws = Mt19937::new(5489); // the reference implementation's default seed
/// assert_eq!(draws.next_u32(), 3499211612);
/// assert_eq!(draws.next_u32(), 581869302);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "State", into = "State")]
pub struct Mt19937 {
    words: Box<[u32; N]>,
    next: usize,
}

impl Mt19937 {
    /// The generator that `torch.manual_seed(seed)` makes.
    pub fn new(seed: u64) -> Self {
        let mut words = Box::new([0; N]);
        words[0] = seed as u32;
        for i in 1..N {
            let previous: u32 = words[i - 1];
            words[i] = 1812433253u32.wrapping_mul(previous ^ (previous >> 30)).wrapping_add(i as u32);
        }
        Self { words, next: N }
    }

    /// The next 32 bits.
    pub fn next_u32(&mut self) -> u32 {
        if self.next == N {
            self.twist();
        }
        let mut y = self.words[self.next];
        self.next += 1;
        y ^= y >> 11;
        y ^= (y << 7) & 0x9D2C_5680;
        y ^= (y << 15) & 0xEFC6_0000;
        y ^ (y >> 18)
    }

    /// A draw from `0 … n − 1`, as `torch.randint(0, n, (1,))` takes it.
    ///
    /// # Panics
    /// When `n` is 0 or above 2²⁸, beyond which torch draws 64 bits.
    pub fn below(&mut self, n: usize) -> usize {
        assert!(n > 0 && n <= 1 << 28, "a draw below {n}");
        self.next_u32() as usize % n
    }

    /// A draw from [0, 1), as `torch.rand` takes it in f32.
    pub fn unit_f32(&mut self) -> f32 {
        const STEPS: u32 = 1 << 24;
        (self.next_u32() % STEPS) as f32 / STEPS as f32
    }

    fn twist(&mut self) {
        for i in 0..N {
            let y = (self.words[i] & 0x8000_0000) | (self.words[(i + 1) % N] & 0x7FFF_FFFF);
            let odd = if y & 1 == 1 { 0x9908_B0DF } else { 0 };
            self.words[i] = self.words[(i + M) % N] ^ (y >> 1) ^ odd;
        }
        self.next = 0;
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    words: Vec<u32>,
    next: usize,
}

impl From<Mt19937> for State {
    fn from(generator: Mt19937) -> Self {
        Self { words: generator.words.to_vec(), next: generator.next }
    }
}

impl TryFrom<State> for Mt19937 {
    type Error = String;
    fn try_from(state: State) -> Result<Self, String> {
        let found = format!("words of MT19937: expected {N}, found {}", state.words.len());
        let words: Box<[u32; N]> = state.words.into_boxed_slice().try_into().map_err(|_| found)?;
        match state.next {
            next @ 0..=N => Ok(Self { words, next }),
            next => Err(format!("position of MT19937: expected at most {N}, found {next}")),
        }
    }
}
