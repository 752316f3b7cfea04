//! What each latent channel is worth, by taking it away.
//!
//! - `ΔMSE_c`: how much the mean squared error of the decoded pictures grows when channel c of ŷ is its mean, everywhere. The mean is that of
//!   ŷ_c over all positions of all pictures; the error is that of samples from 0 to 255, cut to that range and not rounded, on the mean over
//!   the pictures.
//! - `bits_c`: what the symbols of channel c take, by the likelihoods that the model gives them, over all pictures. So many are saved where the
//!   channel is not coded. Channels that are decoded with its help, in a model whose channels see each other, may then cost more, which is not counted.
//!
//! Cost: one synthesis a picture and channel. Channels that are done are kept in a file, so that a run that ends early goes on where it was.

use std::ops::{ControlFlow, Range};
use std::path::Path;

use grouping_core::stats::norms::{Moments, moments};

use super::ablation_file::Kept;
use crate::checkpoint::{Architecture, Checkpoint, Design};
use crate::codec::{Codec, EncodeOptions, StringTrace, Trace};
use crate::container::{Coded, Role};
use crate::measure::estimate::Estimate;
use crate::model::Planes;
use crate::picture::Picture;
use crate::{Error, Result};

/// How far the error of a run that goes on may be from that of the run before, by the rounding of another machine.
const SAME_RUN: f64 = 1e-4;

/// What each channel is worth.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Ablation {
    /// The mean squared error of the decoded pictures, with all channels; of samples from 0 to 255.
    pub mse: f64,
    /// How much it grows without a channel, `[M]`; where it falls, below zero.
    pub delta_mse: Vec<f64>,
    /// Bits of each channel over all pictures, `[M]`.
    pub bits: Vec<f64>,
}

/// What an ablation is of, as 128 bits each: the model, and every picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AblationSource {
    pub(super) model: String,
    pub(super) pictures: Vec<String>,
}

impl AblationSource {
    /// Of a checkpoint and pictures, by the checkpoint's fingerprint and the pictures' samples.
    pub fn new(checkpoint: &Checkpoint, pictures: &[Picture]) -> Self {
        let of_picture = |picture: &Picture| {
            let mut hash = blake3::Hasher::new();
            for side in [picture.width(), picture.height()] {
                hash.update(&(side as u64).to_le_bytes());
            }
            hex(&hash.update(picture.rgb()).finalize().as_bytes()[..16])
        };
        Self { model: hex(&checkpoint.fingerprint()), pictures: pictures.iter().map(of_picture).collect() }
    }

    /// A name for the file that keeps it: `ablation-` and 16 digits that follow from model and pictures.
    pub fn file_name(&self) -> String {
        let mut hash = blake3::Hasher::new();
        [&self.model].into_iter().chain(&self.pictures).for_each(|part| _ = hash.update(part.as_bytes()));
        format!("ablation-{}.json", hex(&hash.finalize().as_bytes()[..8]))
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A picture that was coded with all channels.
struct Subject<'a> {
    picture: &'a Picture,
    coded: Coded,
    y_hat: Planes,
}

/// Takes each channel away in turn. Channels that `file` holds are not computed again, and it is written anew after each; it need not be there
/// before. `progress` is told how many of all channels are done, at first and after each, and may end the run: then there is no ablation yet.
///
/// # Errors
/// [`Error::Core`] for no pictures, a file that cannot be read or written, or is no ablation of this model and these pictures, and an error that is
/// not finite; and as [`Codec::encode`].
pub fn ablate(
    codec: &Codec,
    pictures: &[Picture],
    file: &Path,
    mut progress: impl FnMut(usize, usize) -> ControlFlow<()>,
) -> Result<Option<Ablation>> {
    if pictures.is_empty() {
        return Err(Error::setting("pictures", "at least one", "none"));
    }
    let m = codec.checkpoint().m();
    let mut kept = Kept::read(file, AblationSource::new(codec.checkpoint(), pictures), m)?;
    if progress(kept.n_done(), m).is_break() {
        return Ok(None);
    }
    if let Some(whole) = kept.whole() {
        return Ok(Some(whole));
    }
    let (mut subjects, bits) = coded(codec, pictures)?;
    let mse = mean_error(codec, &subjects)?;
    kept.begin(file, mse, bits, SAME_RUN)?;
    let means = means(&subjects, m)?;
    while let Some(channel) = kept.pending() {
        let growth = without(codec, &mut subjects, channel, means[channel])? - mse;
        kept.put(file, channel, growth)?;
        if progress(kept.n_done(), m).is_break() {
            return Ok(None);
        }
    }
    Ok(kept.whole())
}

/// The pictures, coded, and the bits of each channel.
fn coded<'a>(codec: &Codec, pictures: &'a [Picture]) -> Result<(Vec<Subject<'a>>, Vec<f64>)> {
    let checkpoint = codec.checkpoint();
    let estimate = Estimate::new(checkpoint)?;
    let mut bits = vec![0.0; checkpoint.m()];
    let mut subjects = vec![];
    for picture in pictures {
        let Trace { mut coded, y_hat, strings, .. } = codec.trace(picture, &EncodeOptions::default())?;
        for string in &strings {
            // The hyper-latent belongs to no channel of y.
            let Some(channels) = channels_of(string, checkpoint.design()) else { continue };
            estimate.symbol_bits(string).enumerate().for_each(|(i, b)| bits[channels.of(i)] += b);
        }
        coded.strings.clear();
        subjects.push(Subject { picture, coded, y_hat });
    }
    Ok((subjects, bits))
}

/// Which channel a string's symbols belong to.
struct Channels {
    range: Range<usize>,
    /// Symbols of one channel that stand together; none where the channels take turns.
    run: Option<usize>,
}

impl Channels {
    fn of(&self, symbol: usize) -> usize {
        match self.run {
            Some(run) => self.range.start + symbol / run,
            None => self.range.start + symbol % self.range.len(),
        }
    }
}

fn channels_of(string: &StringTrace, design: &Design) -> Option<Channels> {
    let slice = |k: u8| {
        let first = design.slices[..usize::from(k)].iter().sum::<usize>();
        first..first + design.slices[usize::from(k)]
    };
    let range = match string.role {
        Role::Hyper => return None,
        Role::Slice(k) | Role::Anchors(k) | Role::NonAnchors(k) => slice(k),
    };
    let takes_turns = matches!(
        design.architecture,
        Architecture::JointAutoregressive | Architecture::Cheng2020Anchor | Architecture::Cheng2020Attention
    );
    let run = (string.symbols.len() / range.len().max(1)).max(1);
    Some(Channels { range, run: (!takes_turns).then_some(run) })
}

/// The mean of each channel of ŷ over all positions of all pictures.
fn means(subjects: &[Subject<'_>], m: usize) -> Result<Vec<f32>> {
    let mut all = vec![Moments::default(); m];
    for Subject { y_hat, .. } in subjects {
        let of_picture = moments(&y_hat.values, &y_hat.shape(), &[1, 2])?.values;
        all.iter_mut().zip(&of_picture).for_each(|(all, one)| *all = all.merge(one));
    }
    Ok(all.iter().map(|moments| moments.mean() as f32).collect())
}

/// The mean error with `channel` set to `mean`; the latents are left as they were.
fn without(codec: &Codec, subjects: &mut [Subject<'_>], channel: usize, mean: f32) -> Result<f64> {
    let put = |subjects: &mut [Subject<'_>], values: Option<Vec<Vec<f32>>>| {
        let mut taken = vec![];
        for (i, Subject { y_hat, .. }) in subjects.iter_mut().enumerate() {
            let area = y_hat.area();
            let plane = &mut y_hat.values[channel * area..(channel + 1) * area];
            taken.push(plane.to_vec());
            match &values {
                Some(values) => plane.copy_from_slice(&values[i]),
                None => plane.fill(mean),
            }
        }
        taken
    };
    let taken = put(subjects, None);
    let error = mean_error(codec, subjects);
    put(subjects, Some(taken));
    error.map_err(|cause| match cause {
        Error::Core(grouping_core::Error::NotFinite { index, value, .. }) => {
            let what = format!("the error without channel {channel}");
            grouping_core::Error::NotFinite { what, index, value }.into()
        }
        other => other,
    })
}

/// The mean over the pictures of the mean squared error.
fn mean_error(codec: &Codec, subjects: &[Subject<'_>]) -> Result<f64> {
    let mut sum = 0.0;
    for (index, Subject { picture, coded, y_hat }) in subjects.iter().enumerate() {
        let decoded = codec.planes_of(coded, y_hat)?;
        let n = decoded.values.len() as f64;
        let squares = decoded.values.iter().zip(picture.planes()).map(|(&found, wanted)| {
            let difference = 255.0 * (f64::from(found.clamp(0.0, 1.0)) - f64::from(wanted));
            difference * difference
        });
        let error = squares.sum::<f64>() / n;
        if !error.is_finite() {
            let what = "the error of the decoded pictures".into();
            return Err(grouping_core::Error::NotFinite { what, index, value: error }.into());
        }
        sum += error;
    }
    Ok(sum / subjects.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_belong_to_the_channels_of_their_string() {
        let design = Checkpoint::default_model().expect("the model").design().clone();
        let string = |role, n| StringTrace {
            role,
            rows: vec![0; n],
            symbols: vec![0; n],
            latents: vec![],
            means: vec![],
            scales: vec![],
        };
        let of = |string: &StringTrace, design: &Design| channels_of(string, design).expect("channels of y");
        let whole = of(&string(Role::Slice(0), 64 * 6), &design);
        assert_eq!([0, 5, 6, 383].map(|i| whole.of(i)), [0, 0, 1, 63], "channel after channel");
        assert!(channels_of(&string(Role::Hyper, 12), &design).is_none(), "of no channel of y");
        let serial = Design { architecture: Architecture::JointAutoregressive, ..design.clone() };
        let serial = of(&string(Role::Slice(0), 64 * 6), &serial);
        assert_eq!([0, 5, 64, 383].map(|i| serial.of(i)), [0, 5, 0, 63], "position after position");
        let sliced = Design { architecture: Architecture::Elic2022, slices: vec![16, 48], ..design };
        let sliced = of(&string(Role::NonAnchors(1), 48 * 3), &sliced);
        assert_eq!([0, 3, 143].map(|i| sliced.of(i)), [16, 17, 63], "the channels of a slice");
    }
}
