//! A network as a codec of an evaluation: real strings and files, decoded again.

use std::time::Instant;

use super::estimate::Estimate;
use super::evaluate::{Coding, PictureCodec};
use crate::Result;
use crate::checkpoint::Checkpoint;
use crate::codec::{Codec, EncodeOptions};
use crate::picture::Picture;

/// A codec with its options.
#[derive(Debug)]
pub struct Learned<'a> {
    codec: &'a Codec,
    options: EncodeOptions,
    estimate: Option<Estimate>,
}

impl<'a> Learned<'a> {
    /// Of a codec.
    pub fn new(codec: &'a Codec, options: EncodeOptions) -> Self {
        Self { codec, options, estimate: None }
    }

    /// With the rate by likelihoods beside the real one.
    ///
    /// # Errors
    /// When the checkpoint has no parameters of a factorised prior.
    pub fn with_estimate(mut self, checkpoint: &Checkpoint) -> Result<Self> {
        self.estimate = Some(Estimate::new(checkpoint)?);
        Ok(self)
    }
}

impl PictureCodec for Learned<'_> {
    fn code(&self, picture: &Picture) -> Result<Coding> {
        let start = Instant::now();
        let coded = self.codec.encode(picture, &self.options)?;
        let encoding_secs = start.elapsed().as_secs_f64();
        let start = Instant::now();
        let decoded = self.codec.decode(&coded)?;
        let decoding_secs = start.elapsed().as_secs_f64();
        let estimated_bits = match &self.estimate {
            None => None,
            Some(estimate) => Some(estimate.bits(&self.codec.trace(picture, &self.options)?.strings)),
        };
        Ok(Coding {
            n_string_bytes: coded.strings.iter().map(|string| string.bytes.len()).sum(),
            n_file_bytes: coded.to_iscs()?.len(),
            estimated_bits,
            picture: decoded,
            encoding_secs,
            decoding_secs: Some(decoding_secs),
        })
    }
}
