//! `.cai`: the container of CompressAI's `examples/codec.py`, to the byte.
//!
//! Big-endian: model id u8; metric (high half) and quality − 1 (low half) u8; height, width u32; bit depth u8; height and width of the last latent
//! u32; number of strings u32; then for each string its length u32 and its bytes, the latent before the hyper-latent.
//!
//! The file has no checksum, no fingerprint of the model and no pads: these follow from the size ([`Pads::centred`]). A wrong bit in the quality, or
//! one in the size that leaves the padded size as it was, cannot be noticed; one in a string is noticed by the decoder of
//! [`coder`](crate::coder) unless it exchanges one symbol for another of the same width.

use serde::Serialize;

use super::coded::{Coded, CodedString, Mode, Pads, Role};
use super::limits::Limits;
use super::read::{Format, Integrity, Read};
use crate::{Error, Result};

/// Bytes before the first string.
const HEADER: usize = 23;

/// The names that CompressAI 1.2.8 gives its model ids by their order: pictures, point clouds, video.
const NAMES_1_2_8: [&str; 14] = [
    "bmshj2018-factorized",
    "bmshj2018-factorized-relu",
    "bmshj2018-hyperprior",
    "mbt2018-mean",
    "mbt2018",
    "cheng2020-anchor",
    "cheng2020-attn",
    "bmshj2018-hyperprior-vbr",
    "mbt2018-mean-vbr",
    "mbt2018-vbr",
    "hrtzxf2022-pcc-rec",
    "sfu2023-pcc-rec-pointnet",
    "sfu2024-pcc-rec-pointnet2-ssg",
    "ssf2020",
];

/// Those of 1.2.9, which inserts ten models at 7.
const NAMES_1_2_9: [&str; 24] = [
    "bmshj2018-factorized",
    "bmshj2018-factorized-relu",
    "bmshj2018-hyperprior",
    "mbt2018-mean",
    "mbt2018",
    "cheng2020-anchor",
    "cheng2020-attn",
    "dcae",
    "mlic",
    "mlicplus",
    "mlicpp",
    "mlicv2",
    "saaf",
    "stf",
    "stf-wacnn",
    "tcm",
    "cca",
    "bmshj2018-hyperprior-vbr",
    "mbt2018-mean-vbr",
    "mbt2018-vbr",
    "hrtzxf2022-pcc-rec",
    "sfu2023-pcc-rec-pointnet",
    "sfu2024-pcc-rec-pointnet2-ssg",
    "ssf2020",
];

/// The models whose files can be read; all versions of CompressAI agree on their ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(into = "&'static str")]
pub enum CaiModel {
    /// `bmshj2018-factorized`
    Factorized,
    /// `bmshj2018-factorized-relu`
    FactorizedRelu,
    /// `bmshj2018-hyperprior`
    Hyperprior,
    /// `mbt2018-mean`
    MeanScale,
    /// `mbt2018`
    JointAutoregressive,
    /// `cheng2020-anchor`
    ChengAnchor,
    /// `cheng2020-attn`
    ChengAttention,
}

impl CaiModel {
    /// All of them, in the order of their ids.
    pub const ALL: [Self; 7] = [
        Self::Factorized,
        Self::FactorizedRelu,
        Self::Hyperprior,
        Self::MeanScale,
        Self::JointAutoregressive,
        Self::ChengAnchor,
        Self::ChengAttention,
    ];

    /// CompressAI's name of it.
    pub fn name(self) -> &'static str {
        NAMES_1_2_8[usize::from(self.id())]
    }

    /// The model of CompressAI's name, if its files can be written.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|model| model.name() == name)
    }

    /// The byte that stands for it.
    pub fn id(self) -> u8 {
        self as u8
    }

    fn from_id(id: u8) -> Result<Self> {
        if let Some(&model) = Self::ALL.get(usize::from(id)) {
            return Ok(model);
        }
        let name = |names: &[&'static str]| names.get(usize::from(id)).copied().unwrap_or("nothing");
        let found =
            format!("{id} ({} in CompressAI 1.2.8, {} in 1.2.9)", name(&NAMES_1_2_8), name(&NAMES_1_2_9));
        Err(Error::container(
            "model id",
            "0 to 6: bmshj2018, mbt2018 and cheng2020 models of fixed rate",
            found,
        ))
    }

    fn has_hyper_latent(self) -> bool {
        !matches!(self, Self::Factorized | Self::FactorizedRelu)
    }

    /// The roles of its strings, in the order of the file.
    fn roles(self) -> &'static [Role] {
        if self.has_hyper_latent() { &[Role::Slice(0), Role::Hyper] } else { &[Role::Slice(0)] }
    }

    /// Height and width of the latent that the decoder starts from.
    fn shape(self, width: u32, height: u32) -> [u32; 2] {
        let stride = if self.has_hyper_latent() { 1 } else { 4 };
        [height, width].map(|side| side.div_ceil(64) * stride)
    }
}

impl From<CaiModel> for &'static str {
    fn from(model: CaiModel) -> Self {
        model.name()
    }
}

/// The distortion that a model was trained for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Metric {
    /// Mean squared error.
    #[default]
    Mse,
    /// Multi-scale structural similarity.
    MsSsim,
}

impl Metric {
    /// Its name in CompressAI's zoo.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mse => "mse",
            Self::MsSsim => "ms-ssim",
        }
    }
}

/// Which model of CompressAI's zoo a `.cai` names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct CaiHeader {
    /// The architecture.
    pub model: CaiModel,
    /// What it was trained for.
    pub metric: Metric,
    /// From 1 to 16; the zoo has 1 to 8.
    pub quality: u8,
}

impl Coded {
    /// The bytes of a `.cai`, as CompressAI's `codec.py` would write them.
    ///
    /// # Errors
    ///
    /// [`Error::Container`] for what the format cannot hold: other pads than CompressAI's, integer arithmetic, a plan, more strings than a latent and
    /// a hyper-latent (ELIC's eleven have shapes of their own, for which there is no place), a quality outside 1 to 16.
    pub fn write_cai(&self, header: &CaiHeader) -> Result<Vec<u8>> {
        let CaiHeader { model, metric, quality } = *header;
        if !(1..=16).contains(&quality) {
            return Err(Error::container("quality", "from 1 to 16", quality));
        }
        let pads = Pads::centred(self.width, self.height);
        if self.pads != pads {
            return Err(Error::container(
                "pads",
                format!("{pads:?}, as CompressAI pads"),
                format!("{:?}", self.pads),
            ));
        }
        if self.mode != Mode::Float || self.plan != [0; 8] {
            let found = format!("mode {:?}, plan {:x?}", self.mode, self.plan);
            return Err(Error::container(
                "mode and plan",
                "float arithmetic and no plan, or an .iscs file",
                found,
            ));
        }
        if self.width == 0 || self.height == 0 {
            return Err(Error::container(
                "size",
                "at least 1 × 1",
                format!("{} × {}", self.width, self.height),
            ));
        }
        let roles = model.roles();
        let find = |role: &Role| self.strings.iter().find(|string| string.role == *role);
        let strings: Vec<&CodedString> = roles.iter().filter_map(find).collect();
        if strings.len() != roles.len() || self.strings.len() != roles.len() {
            let expected =
                format!("{} of `{}`, or an .iscs file for other models", roles.len(), model.name());
            let found: Vec<String> = self.strings.iter().map(|string| string.role.to_string()).collect();
            return Err(Error::container(
                "strings",
                expected,
                format!("{}: {}", found.len(), found.join(", ")),
            ));
        }
        let metric = match metric {
            Metric::Mse => 0,
            Metric::MsSsim => 1,
        };
        let mut bytes = vec![model.id(), metric << 4 | (quality - 1)];
        let word = |value: u32, bytes: &mut Vec<u8>| bytes.extend(value.to_be_bytes());
        word(self.height, &mut bytes);
        word(self.width, &mut bytes);
        bytes.push(8);
        for side in model.shape(self.width, self.height) {
            word(side, &mut bytes);
        }
        word(strings.len() as u32, &mut bytes);
        for string in strings {
            let length = u32::try_from(string.bytes.len()).ok().filter(|&length| length > 0);
            let Some(length) = length else {
                let field = format!("length of {}", string.role);
                return Err(Error::container(field, "from 1 to 2³² − 1 bytes", string.bytes.len()));
            };
            word(length, &mut bytes);
            bytes.extend(&string.bytes);
        }
        Ok(bytes)
    }
}

/// A file of CompressAI.
pub(super) fn read(bytes: &[u8], limits: &Limits) -> Result<Read> {
    let Some(header) = bytes.first_chunk::<HEADER>() else {
        return Err(Error::container("header", format!("at least {HEADER} bytes"), bytes.len()));
    };
    let word = |at: usize| u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    let model = CaiModel::from_id(header[0])?;
    let metric = match header[1] >> 4 {
        0 => Metric::Mse,
        1 => Metric::MsSsim,
        other => return Err(Error::container("metric", "0 (mse) or 1 (ms-ssim)", other)),
    };
    let (height, width) = (word(2), word(6));
    limits.check_size(width, height)?;
    if header[10] != 8 {
        return Err(Error::container("bit depth", "8, as of a picture", header[10]));
    }
    let (shape, wanted) = ([word(11), word(15)], model.shape(width, height));
    if shape != wanted {
        let expected = format!("{wanted:?}, as `{}` has for {width} × {height}", model.name());
        return Err(Error::container("shape of the last latent", expected, format!("{shape:?}")));
    }
    let n = word(19);
    limits.check_strings(n)?;
    let roles = model.roles();
    if n as usize != roles.len() {
        return Err(Error::container(
            "number of strings",
            format!("{} of `{}`", roles.len(), model.name()),
            n,
        ));
    }
    let mut rest = &bytes[HEADER..];
    let (mut strings, mut states) = (Vec::new(), Vec::new());
    let mut announced = Vec::new();
    for &role in roles {
        let mut found = None;
        if let Some((length, behind)) = rest.split_first_chunk() {
            let length = u32::from_be_bytes(*length);
            announced.push(length);
            limits.check_bytes(announced.iter().copied())?;
            found = behind.split_at_checked(length as usize);
        }
        let (bytes, behind) = found.unwrap_or_default();
        rest = behind;
        states.push(if found.is_some() { Integrity::Whole } else { Integrity::Truncated });
        strings.push(CodedString { role, bytes: bytes.to_vec(), index_hash: 0 });
    }
    if !rest.is_empty() {
        return Err(Error::container("end of the file", "no byte after the last string", rest.len()));
    }
    // In the order of decoding.
    strings.reverse();
    states.reverse();
    let pads = Pads::centred(width, height);
    let coded = Coded { width, height, pads, mode: Mode::Float, model: [0; 16], plan: [0; 8], strings };
    let quality = (header[1] & 15) + 1;
    Ok(Read::new(coded, Format::Cai(CaiHeader { model, metric, quality }), states, bytes.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_those_of_both_versions() {
        for (id, model) in CaiModel::ALL.into_iter().enumerate() {
            assert_eq!(usize::from(model.id()), id, "{model:?}");
            assert_eq!(
                (model.name(), CaiModel::from_name(model.name())),
                (NAMES_1_2_9[id], Some(model)),
                "{id}"
            );
        }
        let said = CaiModel::from_id(7).expect_err("refused").to_string();
        assert!(said.contains("bmshj2018-hyperprior-vbr in CompressAI 1.2.8, dcae in 1.2.9"), "{said}");
        let said = CaiModel::from_id(200).expect_err("refused").to_string();
        assert!(said.contains("nothing in CompressAI 1.2.8"), "{said}");
    }
}
