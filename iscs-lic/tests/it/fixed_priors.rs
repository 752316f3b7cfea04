//! Integer codecs whose tables follow from decoded latents, position by position, in two passes and slice by slice, against another
//! implementation of the format (`oracles/iscs-lic/fixed_priors.py`), from the picture to the picture.

use std::collections::BTreeMap;

use iscs_lic::Result;
use iscs_lic::container::Role;
use iscs_lic::fixed::{Analysis, Ask, Latents, Prior, Symbols, Synthesis};
use sha2::{Digest as _, Sha256};

use crate::recipe::{data, small};

const SIDES: [usize; 2] = [128, 64];

/// Gradients, edges and grain, interleaved RGB.
fn picture() -> Vec<u8> {
    let [width, height] = SIDES;
    let sample = |i: usize| {
        let (c, x, y) = (i % 3, i / 3 % width, i / 3 / width);
        let edge = if (x + 2 * y) % 61 > 30 { 90 } else { 0 };
        (40 + edge + (x * (c + 2) + 3 * y) % 90 + (37 * x + 59 * y + x * y) % 13) as u8
    };
    (0..width * height * 3).map(sample).collect()
}

/// Answers with the symbols of latents, and keeps all rows and symbols in the order in which they are asked for.
struct Encoder {
    z: Latents,
    y: Latents,
    /// Channels of y that were asked for.
    n_channels: usize,
    rows: Vec<i32>,
    symbols: Vec<i32>,
}

/// The difference from the mean to the nearest integer, halves upwards.
fn symbol(latent: i32, mean: i32) -> i32 {
    (latent - mean + 2048) >> 12
}

impl Encoder {
    fn keep(&mut self, rows: &[u16], symbols: &[i32]) {
        self.rows.extend(rows.iter().map(|&row| i32::from(row)));
        self.symbols.extend_from_slice(symbols);
    }
}

impl Symbols for Encoder {
    fn string(&mut self, ask: Ask<'_>) -> Result<(Vec<i32>, bool)> {
        let [_, height, width] = self.y.shape;
        let n_planes = ask.rows.len() / (height * width);
        let latents: Vec<i32> = match ask.role {
            Role::Hyper => self.z.values.clone(),
            Role::Slice(_) => {
                let from = self.n_channels * height * width;
                self.n_channels += n_planes;
                self.y.values[from..][..ask.rows.len()].to_vec()
            }
            // Every other position, from the first of a row or from the second.
            Role::Anchors(_) | Role::NonAnchors(_) => {
                let colour = usize::from(matches!(ask.role, Role::NonAnchors(_)));
                let channels = self.n_channels..self.n_channels + 2 * n_planes;
                self.n_channels += 2 * n_planes * colour;
                let lines = channels.flat_map(|c| (0..height).map(move |y| (c, y)));
                let places = lines.flat_map(|(c, y)| {
                    (0..width / 2).map(move |x| (c * height + y) * width + 2 * x + (y + colour) % 2)
                });
                places.map(|at| self.y.values[at]).collect()
            }
        };
        let symbols: Vec<i32> = latents.iter().zip(ask.means).map(|(&v, &mean)| symbol(v, mean)).collect();
        self.keep(ask.rows, &symbols);
        Ok((symbols, true))
    }

    fn begin(&mut self, _: Role) -> Result<bool> {
        Ok(true)
    }

    fn next(
        &mut self,
        [row, column]: [usize; 2],
        rows: &[u16],
        means: &[i32],
        symbols: &mut [i32],
    ) -> Result<()> {
        let [_, height, width] = self.y.shape;
        for (c, (to, &mean)) in symbols.iter_mut().zip(means).enumerate() {
            *to = symbol(self.y.values[(c * height + row) * width + column], mean);
        }
        self.keep(rows, symbols);
        Ok(())
    }
}

fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn digest_of_words(words: &[i32]) -> String {
    digest(&words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>())
}

#[test]
fn contexts_and_slices_are_those_of_another_implementation() {
    let text = std::fs::read_to_string(data("fixed_priors.json")).expect("the goldens");
    let wanted: BTreeMap<String, BTreeMap<String, String>> = serde_json::from_str(&text).expect("digests");
    let names = ["cheng2020-anchor-checkerboard", "elic2022-official", "mbt2018", "ms2020"];
    assert_eq!(wanted.keys().collect::<Vec<_>>(), names, "every way of depending on what was decoded");
    for (name, wanted) in wanted {
        let checkpoint = small(&name);
        let analysis = Analysis::load(&checkpoint).expect("integers");
        let (y, z) = analysis.latents(&picture(), SIDES[0], SIDES[1]).expect("latents");
        let [_, height, width] = y.shape;
        let z = z.expect("a hyperprior");
        let mut encoder = Encoder { z, y, n_channels: 0, rows: vec![], symbols: vec![] };
        let prior = Prior::load(&checkpoint).expect("integers");
        let latents = prior.walk(&mut encoder, width, height).expect("walks");
        let synthesis = Synthesis::load(&checkpoint).expect("integers");
        let shown = synthesis.crop(&latents, width, height, 0..SIDES[0], 0..SIDES[1]).expect("a picture");
        let found = [
            ("rows", digest_of_words(&encoder.rows)),
            ("symbols", digest_of_words(&encoder.symbols)),
            ("latents", digest_of_words(&latents)),
            ("picture", digest(&shown)),
        ];
        for (what, found) in found {
            assert_eq!(found, wanted[what], "{name}: {what}");
        }
    }
}
