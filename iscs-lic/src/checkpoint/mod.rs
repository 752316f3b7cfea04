//! Checkpoints of learned image codecs: which architecture a file holds, its tensors under neutral names, and its coder's tables.
//!
//! A checkpoint is what `torch.save` wrote (`.pth`, `.pth.tar`, alone or inside of what a training script saves) or a safetensors file,
//! with weights of 16, 32 or 64 bits. Neutral names are those of CompressAI 1.2.8; `names.rs` lists the others. Architecture and widths
//! follow from names and shapes. Every tensor of a file is used, or is a constant that is known, or is named in an error.
//!
//! Parameters are given as the networks use them: masked weights are zero under their mask, and [`Checkpoint::gdn`] undoes the
//! reparametrisation of a normalisation.

mod architectures;
mod buffers;
mod changed;
mod design;
mod layers;
mod names;
mod open;
mod save;
mod tables;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use grouping_core::files::tensor_file::{Tensor, TensorFile};

pub use buffers::{GAMMA_BOUND, PEDESTAL, beta_bound};
pub(crate) use changed::Changes;
pub use design::{Architecture, CONTEXT_KERNEL, Context, Design, FILTERS, Mask};
pub use layers::{Conv, Layer, Network, Part};

use crate::{Error, Result};

/// A learned image codec in a file; clones share it.
///
/// ```
/// use iscs_lic::checkpoint::{Architecture, Checkpoint};
///
/// let checkpoint = Checkpoint::default_model()?;
/// assert_eq!(checkpoint.architecture(), Architecture::MeanScaleHyperprior);
/// assert_eq!((checkpoint.n(), checkpoint.m()), (32, 64));
/// assert_eq!(checkpoint.tensor("g_a.0.weight")?.shape, [32, 3, 5, 5]);
/// # Ok::<(), iscs_lic::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Checkpoint {
    file: Arc<TensorFile>,
    /// The name in the file of each neutral name.
    names: BTreeMap<String, String>,
    design: Design,
    fingerprint: [u8; 16],
    is_half: bool,
    recomputes: bool,
}

/// A normalisation's parameters as its formula has them.
#[derive(Clone, Debug, PartialEq)]
pub struct Gdn {
    /// β `[channels]`.
    pub beta: Vec<f32>,
    /// γ `[channels, channels]`, row-major: row i weighs the squares that divide channel i.
    pub gamma: Vec<f32>,
}

impl Checkpoint {
    /// Opens a checkpoint and reads all of its parameters once.
    ///
    /// # Errors
    /// [`Error::Core`] for a file that cannot be read or is damaged, for names of no known architecture, and for a tensor that is
    /// missing, unknown, of another shape, or not finite, naming it.
    pub fn open(path: &Path) -> Result<Self> {
        open::open(TensorFile::open(path)?)
    }

    /// The model that comes with this crate: `mbt2018-mean` with N = 32 and M = 64.
    ///
    /// # Errors
    /// None but those of a broken build.
    pub fn default_model() -> Result<Self> {
        let bytes = include_bytes!("../../assets/ms_n32_m64.safetensors");
        open::open(TensorFile::in_memory(Path::new("ms_n32_m64.safetensors"), bytes)?)
    }

    /// Computes all tables and scales anew, whatever the file holds.
    ///
    /// # Errors
    /// [`Error::Core`] for parameters of 16 bits with tables beside them: those were made before the parameters were rounded, and none
    /// made from the rounded ones would read the same streams.
    pub fn updated(mut self) -> Result<Self> {
        let holds_tables = |name: &str| self.length(&format!("{name}.{}", buffers::TABLES[0])) > 0;
        if self.is_half && self.entropy_models().iter().any(|name| holds_tables(name)) {
            let expected = "parameters of 32 or 64 bits, from which tables can be computed anew";
            return Err(self.misfit("weights", expected, "parameters of 16 bits beside tables"));
        }
        self.recomputes = true;
        Ok(self)
    }

    /// The file.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// Which codec it is.
    pub fn architecture(&self) -> Architecture {
        self.design.architecture
    }

    /// N: channels of the transforms.
    pub fn n(&self) -> usize {
        self.design.n
    }

    /// M: channels of the latent y.
    pub fn m(&self) -> usize {
        self.design.m
    }

    /// Its networks.
    pub fn design(&self) -> &Design {
        &self.design
    }

    /// The first 16 bytes of BLAKE3 over all parameters in the order of their neutral names: for each the length of its name as a
    /// little-endian u32, its name, its rank as a u32, the length of each axis as a u64, and its values as little-endian f32, as
    /// [`Checkpoint::tensor`] gives them.
    ///
    /// It depends neither on the container, spelling and order of a file nor on its tables.
    pub fn fingerprint(&self) -> [u8; 16] {
        self.fingerprint
    }

    /// The tensor of this neutral name, rounded to `f32`; masked weights are zero under their mask.
    ///
    /// # Errors
    /// [`Error::Core`] where there is none, or none of floats.
    pub fn tensor(&self, neutral: &str) -> Result<Tensor> {
        let mut tensor = self.file.decode_rounded(self.stored(neutral))?;
        let context = neutral.strip_suffix(".weight");
        if let Some(context) = self.design.contexts.iter().find(|c| Some(c.name.as_str()) == context) {
            context.mask.apply(&mut tensor.values);
        }
        Ok(tensor)
    }

    /// The shape of the tensor of this neutral name.
    pub fn shape(&self, neutral: &str) -> Option<&[usize]> {
        self.file.shape(self.names.get(neutral)?)
    }

    /// The parameters of the normalisation of this neutral name, such as `g_a.1`.
    ///
    /// Stored are β' and γ'; β = max(β', (10⁻⁶ + 2⁻³⁶)^½)² − 2⁻³⁶, and γ = max(γ', 2⁻¹⁸)² − 2⁻³⁶.
    ///
    /// # Errors
    /// As [`Checkpoint::tensor`].
    pub fn gdn(&self, neutral: &str) -> Result<Gdn> {
        let parameter = |name: &str, bound: f32| -> Result<Vec<f32>> {
            let stored = self.tensor(&format!("{neutral}.{name}"))?.values;
            Ok(stored.into_iter().map(|v| v.max(bound)).map(|v| v * v - PEDESTAL).collect())
        };
        Ok(Gdn { beta: parameter("beta", beta_bound())?, gamma: parameter("gamma", GAMMA_BOUND)? })
    }

    /// The names of the entropy models: the bottleneck's, then the conditional Gaussians'.
    pub fn entropy_models(&self) -> Vec<&str> {
        let bottleneck = self.design.bottleneck.0.as_str();
        [bottleneck].into_iter().chain(self.design.gaussians.iter().map(String::as_str)).collect()
    }

    /// The name in the file of the tensor of this neutral name, or the neutral name where there is none.
    fn stored<'a>(&'a self, neutral: &'a str) -> &'a str {
        self.names.get(neutral).map_or(neutral, String::as_str)
    }

    /// How many values the tensor of this neutral name has.
    fn length(&self, neutral: &str) -> usize {
        self.shape(neutral).map_or(0, |shape| shape.iter().product())
    }

    fn misfit(&self, neutral: &str, expected: impl Into<String>, found: impl ToString) -> Error {
        Error::format(self.path(), self.stored(neutral), expected, found)
    }
}
