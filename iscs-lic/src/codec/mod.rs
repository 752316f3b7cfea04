//! Pictures to strings and back, with the networks of a checkpoint.
//!
//! Encoding: the picture is padded, `g_a` turns it into latents y, and the prior codes y, after the hyper-latent z where there is one.
//! Decoding walks the same way (one code path, see `strings.rs`) to the decoded ŷ, from which `g_s` makes the picture. So an encoder knows,
//! to the bit, which picture its decoder will show.

mod integers;
mod memory;
mod padding;
mod prior;
mod strings;

use std::sync::{Arc, Mutex, PoisonError};

use burn::tensor::Device;

use self::integers::Integers;
use self::padding::{padded_rows, padded_sides};
use self::prior::{Latents, Prior};
use self::strings::{In, Out, Port, check_finite};
use crate::checkpoint::{Architecture, Checkpoint, Design};
use crate::container::{Coded, Mode, Pads, Role};
use crate::model::{Planes, Runner};
use crate::picture::Picture;
use crate::{Error, Result};

pub use padding::Padding;
pub use strings::StringTrace;

/// How a picture is encoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EncodeOptions {
    /// What is added around the picture.
    pub padding: Padding,
    /// The arithmetic.
    pub mode: Mode,
}

/// A learned image codec on a device.
///
/// ```
/// use burn::tensor::Device;
/// use iscs_lic::checkpoint::Checkpoint;
/// use iscs_lic::codec::{Codec, EncodeOptions};
/// use iscs_lic::picture::Picture;
///
/// let codec = Codec::load(&Checkpoint::default_model()?, &Device::flex())?;
/// let picture = Picture::new(20, 9, vec![90; 20 * 9 * 3])?;
/// let coded = codec.encode(&picture, &EncodeOptions::default())?;
/// let decoded = codec.decode(&coded)?;
/// assert_eq!((decoded.width(), decoded.height()), (20, 9));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Codec {
    design: Design,
    fingerprint: [u8; 16],
    g_a: Runner,
    g_s: Runner,
    prior: Prior,
    /// Rows of a strip, where they are given.
    strip: Option<usize>,
    checkpoint: Checkpoint,
    /// Made when a picture first needs them.
    integers: Mutex<Option<Arc<Integers>>>,
}

/// A coded picture and the picture that its decoder shows.
#[derive(Debug)]
pub struct Reconstruction {
    /// What is coded.
    pub coded: Coded,
    /// What will be decoded.
    pub picture: Picture,
}

/// What an encoder computes on its way, for measurements and tests.
#[derive(Debug)]
pub struct Trace {
    /// The coded picture.
    pub coded: Coded,
    /// y, of the padded picture.
    pub y: Planes,
    /// ŷ.
    pub y_hat: Planes,
    /// Each string, in the order of decoding.
    pub strings: Vec<StringTrace>,
    /// The decoded planes `[3, height, width]` without pads: before they are cut to 0…1, or, where pixels are made of integers, those of the
    /// picture.
    pub x_hat: Planes,
}

/// A picture of which parts are missing.
#[derive(Debug)]
pub struct Partial {
    /// The picture; the missing latents are what their tables expect.
    pub picture: Picture,
    /// The strings that were missing, or depend on missing ones, in the order of decoding.
    pub lost: Vec<Role>,
}

/// What the analysis finds.
struct Analysis {
    width: u32,
    height: u32,
    pads: Pads,
    y: Planes,
}

/// What an encoder finds.
struct Coding {
    coded: Coded,
    y: Planes,
    y_hat: Planes,
    traces: Option<Vec<StringTrace>>,
}

impl Codec {
    /// Loads the networks and tables of a checkpoint.
    ///
    /// # Errors
    /// As [`Checkpoint::tensor`] and [`Checkpoint::tables`], and for more slices than a byte counts.
    pub fn load(checkpoint: &Checkpoint, device: &Device) -> Result<Self> {
        let design = checkpoint.design().clone();
        if design.slices.len() > usize::from(u8::MAX) {
            let found = design.slices.len();
            return Err(Error::format(checkpoint.path(), "slices of y", "at most 255", found));
        }
        Ok(Self {
            g_a: Runner::load(checkpoint, design.network("g_a"), device)?,
            g_s: Runner::load(checkpoint, design.network("g_s"), device)?,
            prior: Prior::load(checkpoint, device)?,
            fingerprint: checkpoint.fingerprint(),
            design,
            strip: None,
            checkpoint: checkpoint.clone(),
            integers: Mutex::new(None),
        })
    }

    /// Runs the networks in strips of about so many rows of the picture; absent, of as many as a bounded memory holds. On the CPU no
    /// byte depends on it.
    #[must_use]
    pub fn with_strip_rows(self, rows: usize) -> Self {
        Self { strip: Some(rows), ..self }
    }

    fn strip_rows(&self, width: usize) -> usize {
        self.strip.unwrap_or_else(|| memory::strip_rows(width, self.design.n))
    }

    /// Rows of y a strip, where they are given.
    fn latent_rows(&self) -> Option<usize> {
        self.strip.map(|rows| (rows / Design::Y_STRIDE).max(1))
    }

    /// The checkpoint that it was loaded from.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// Which architecture it is.
    pub fn architecture(&self) -> Architecture {
        self.design.architecture
    }

    /// The roles of a picture's strings, in the order of decoding.
    pub fn roles(&self) -> Vec<Role> {
        self.prior.roles()
    }

    /// Encodes a picture.
    ///
    /// # Errors
    /// For latents, scales or means that are not finite, and in integer modes for weights beyond what the integers hold.
    pub fn encode(&self, picture: &Picture, options: &EncodeOptions) -> Result<Coded> {
        Ok(self.code(picture, options, None)?.coded)
    }

    /// Encodes a picture, and decodes it on the way.
    ///
    /// # Errors
    /// As [`Codec::encode`].
    pub fn reconstruct(&self, picture: &Picture, options: &EncodeOptions) -> Result<Reconstruction> {
        let Coding { coded, y_hat, .. } = self.code(picture, options, None)?;
        let picture = self.shown(&coded, &y_hat)?;
        Ok(Reconstruction { coded, picture })
    }

    /// Encodes a picture and keeps all that is computed on the way.
    ///
    /// # Errors
    /// As [`Codec::encode`].
    pub fn trace(&self, picture: &Picture, options: &EncodeOptions) -> Result<Trace> {
        let Coding { coded, y, y_hat, traces } = self.code(picture, options, Some(vec![]))?;
        let x_hat = self.planes(&coded, &y_hat)?;
        Ok(Trace { coded, y, y_hat, strings: traces.unwrap_or_default(), x_hat })
    }

    /// y of a picture with its pads, before it is rounded, `[M, h / 16, w / 16]`.
    ///
    /// # Errors
    /// For latents that are not finite.
    pub fn latents_of(&self, picture: &Picture, padding: Padding) -> Result<Planes> {
        Ok(self.analysis(picture, padding)?.y)
    }

    /// The planes `[3, height, width]` that the decoder of a coded picture would make of other latents, without pads and before they are cut
    /// to 0…1; of a picture whose pixels are made of integers, those of the picture.
    ///
    /// # Errors
    /// [`Error::Core`] for latents of another shape than the picture's, and as [`Codec::decode`].
    pub fn planes_of(&self, coded: &Coded, y_hat: &Planes) -> Result<Planes> {
        let Coded { width, height, pads, .. } = *coded;
        let [height, width] = padded_sides(width, height, pads, &self.design)?;
        let expected = [self.design.m, height / Design::Y_STRIDE, width / Design::Y_STRIDE];
        if y_hat.shape() != expected {
            let (expected, found) = (expected.to_vec(), y_hat.shape().to_vec());
            return Err(grouping_core::Error::Shape { what: "ŷ".into(), expected, found }.into());
        }
        self.planes(coded, y_hat)
    }

    /// Decodes a picture.
    ///
    /// # Errors
    /// [`Error::Container`] for the picture of another model, for strings that are missing or of other roles, and for rows of tables that are
    /// not those of the encoder; [`Error::Coding`] for a string that is no stream of these tables.
    pub fn decode(&self, coded: &Coded) -> Result<Picture> {
        let (y_hat, _) = self.latents(coded, None)?;
        self.shown(coded, &y_hat)
    }

    /// Decodes what can be decoded of a picture of which some strings are damaged: `whole[i]` says whether string i is not. Latents whose
    /// string is missing, or depends on one that is, are what their tables expect.
    ///
    /// # Errors
    /// As [`Codec::decode`], and [`Error::Container`] where nothing can be decoded.
    pub fn decode_partial(&self, coded: &Coded, whole: &[bool]) -> Result<Partial> {
        let (y_hat, lost) = self.latents(coded, Some(whole))?;
        Ok(Partial { picture: self.shown(coded, &y_hat)?, lost })
    }

    /// Encodes a picture, and traces its strings where `traces` is given.
    fn code(
        &self,
        picture: &Picture,
        options: &EncodeOptions,
        traces: Option<Vec<StringTrace>>,
    ) -> Result<Coding> {
        let Analysis { width, height, pads, y } = self.analysis(picture, options.padding)?;
        let latents = Latents { height: y.height, width: y.width, y: Some(&y), strip: self.latent_rows() };
        let mut port = Port::Out(Out { traces, hashes: options.mode == Mode::Float, ..Out::default() });
        let y_hat = self.walk(&mut port, latents, options.mode)?;
        let Port::Out(Out { strings, traces, .. }) = port else { unreachable!("made above") };
        let coded =
            Coded { width, height, pads, mode: options.mode, model: self.fingerprint, plan: [0; 8], strings };
        Ok(Coding { coded, y, y_hat, traces })
    }

    /// y of the padded picture.
    fn analysis(&self, picture: &Picture, padding: Padding) -> Result<Analysis> {
        let pads = padding.pads(picture, &self.design);
        let side = |length: usize| {
            let found = format!("{length} pixels");
            u32::try_from(length).map_err(|_| Error::setting("picture", "sides below 2³²", found))
        };
        let (width, height) = (side(picture.width())?, side(picture.height())?);
        let [padded_height, padded_width] = padded_sides(width, height, pads, &self.design)?;
        let [y_height, y_width] = [padded_height, padded_width].map(|side| side / Design::Y_STRIDE);
        let mut y = Planes::zeros([self.design.m, y_height, y_width]);
        let rows = |rows| padded_rows(picture, pads, padding, rows);
        let strip = self.strip_rows(padded_width);
        self.g_a.run_strips(padded_height, strip, rows, |at, strip| {
            y.put_rows(at, &strip);
            Ok(())
        })?;
        check_finite("y", &y.values)?;
        Ok(Analysis { width, height, pads, y })
    }

    /// ŷ of a coded picture, and the roles that are missing where that is accepted.
    fn latents(&self, coded: &Coded, whole: Option<&[bool]>) -> Result<(Planes, Vec<Role>)> {
        if coded.model != [0; 16] && coded.model != self.fingerprint {
            let expected = format!("{}, the model that is loaded", hex(&self.fingerprint));
            return Err(Error::container("model", expected, hex(&coded.model)));
        }
        if coded.plan != [0; 8] {
            return Err(Error::container("plan", "none", hex(&coded.plan)));
        }
        let Coded { width, height, pads, mode, .. } = *coded;
        let [height, width] = padded_sides(width, height, pads, &self.design)?;
        let mut port = Port::In(In::new(coded, &self.prior.roles(), whole)?);
        let (height, width) = (height / Design::Y_STRIDE, width / Design::Y_STRIDE);
        let y_hat =
            self.walk(&mut port, Latents { height, width, y: None, strip: self.latent_rows() }, mode)?;
        let Port::In(In { lost, .. }) = port else { unreachable!("made above") };
        Ok((y_hat, lost))
    }

    /// Exchanges all strings in the arithmetic of a mode; ŷ.
    fn walk(&self, port: &mut Port<'_>, latents: Latents<'_>, mode: Mode) -> Result<Planes> {
        if mode == Mode::Float {
            return self.prior.walk(port, latents);
        }
        let z = latents.y.map(|y| self.prior.hyper_latents(y, latents.strip)).transpose()?.flatten();
        self.integers()?.walk(port, [latents.height, latents.width], latents.y, z.as_ref())
    }

    fn integers(&self) -> Result<Arc<Integers>> {
        let mut held = self.integers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(integers) = &*held {
            return Ok(integers.clone());
        }
        let integers = Arc::new(Integers::load(&self.checkpoint)?);
        *held = Some(integers.clone());
        Ok(integers)
    }

    /// Computes the picture without its pads, from top to bottom: `put` takes each strip's planes.
    fn synthesise(
        &self,
        coded: &Coded,
        y_hat: &Planes,
        mut put: impl FnMut(Planes) -> Result<()>,
    ) -> Result<()> {
        let Pads { left, top, .. } = coded.pads;
        let [left, top] = [left, top].map(usize::from);
        let [width, height] = [coded.width, coded.height].map(|side| side as usize);
        let strip = self.strip_rows(y_hat.width * Design::Y_STRIDE) / Design::Y_STRIDE;
        self.g_s.run_strips(
            y_hat.height,
            strip,
            |rows| y_hat.rows(rows),
            |at, strip| {
                let (from, to) = (at.clamp(top, top + height), (at + strip.height).clamp(top, top + height));
                if from == to { Ok(()) } else { put(strip.window(from - at..to - at, left..left + width)) }
            },
        )
    }

    /// The planes of the picture without its pads.
    fn planes(&self, coded: &Coded, y_hat: &Planes) -> Result<Planes> {
        let [width, height] = [coded.width, coded.height].map(|side| side as usize);
        if coded.mode == Mode::Pixels {
            let values = self.shown(coded, y_hat)?.planes();
            return Ok(Planes { channels: 3, height, width, values });
        }
        let (mut x_hat, mut at) = (Planes::zeros([3, height, width]), 0);
        self.synthesise(coded, y_hat, |strip| {
            x_hat.put_rows(at, &strip);
            at += strip.height;
            Ok(())
        })?;
        Ok(x_hat)
    }

    /// The picture without its pads.
    fn shown(&self, coded: &Coded, y_hat: &Planes) -> Result<Picture> {
        if coded.mode == Mode::Pixels {
            return self.integers()?.picture(coded, y_hat);
        }
        let [width, height] = [coded.width, coded.height].map(|side| side as usize);
        let mut rgb = Vec::with_capacity(3 * width * height);
        self.synthesise(coded, y_hat, |strip| {
            rgb.extend_from_slice(Picture::from_planes(strip.width, strip.height, &strip.values)?.rgb());
            Ok(())
        })?;
        Picture::new(width, height, rgb)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
