//! A whole merge as a file: adapters with weights and content hashes, the method, and others for some modules.
//!
//! ```toml
//! include = "self_attn"
//!
//! [[adapter]]
//! path = "rust-adapter"                 # relative to the recipe's folder
//! weight = 0.5
//! sha256 = "9f86d081…"                  # optional; checked before the merge
//!
//! [merge]
//! method = "lego"
//! rank = 8
//!
//! [[module]]
//! pattern = "v_proj$"
//! merge = { method = "svd", rank = "energy:0.9" }
//! ```

use std::fs::File;
use std::path::{Path, PathBuf};

use grouping_core::files::text::read_text;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::adapter::{Adapter, CONFIG_FILE, Output, TENSOR_FILE};
use crate::card::{RECIPE_FILE, card};
use crate::dora::{self, BaseModel, Compression};
use crate::merge::{BaseMismatch, MergeConfig, MethodSpec, Plan, RankRule, SavedModules};
use crate::{Error, Result};

/// A recipe is a few kilobytes; nobody needs more than this to be read.
const RECIPE_LIMIT: u64 = 4 << 20;

/// A merge in words. Read from TOML, or from the JSON that a merge leaves beside its result.
///
/// ```
/// use grouping_core::matrix::Matrix;
/// use lego_merge::adapter::{Adapter, AdapterConfig, Output};
/// use lego_merge::merge::{MethodSpec, Plan, merge_to};
/// use lego_merge::recipe::{Recipe, RecipeAdapter};
///
/// let folder = tempfile::tempdir().expect("a folder");
/// let [source, merged] = ["source", "merged"].map(|name| folder.path().join(name));
/// let (a, b) = (Matrix::from_fn(2, 3, |i, j| (i + j) as f32), Matrix::from_fn(4, 2, |i, j| (i + j) as f32));
/// Adapter::from_factors("made", AdapterConfig::new(2), [("layer.q".to_string(), a, b)])?.write(&source, false)?;
///
/// let recipe = Recipe::new(vec![RecipeAdapter::new(source)], MethodSpec::new("svd".parse()?));
/// let (adapters, _) = recipe.without_magnitudes(recipe.open()?)?;
/// let config = recipe.config()?;
/// let plan = Plan::new(&adapters, &config)?;
/// merge_to(&plan, &recipe.beside(Output::new(&merged), &plan)?, |_| ())?;
/// let again = Recipe::read(&merged.join("merge.json"))?;
/// assert_eq!(again.merge, recipe.merge);
/// # Ok::<(), lego_merge::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Recipe {
    /// Version of this crate that wrote the recipe.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lego_merge: Option<String>,
    /// Base model of the adapters, for readers; the adapters' own configurations decide.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_model: Option<String>,
    /// What is merged.
    #[serde(rename = "adapter")]
    pub adapters: Vec<RecipeAdapter>,
    /// How.
    #[serde(default)]
    pub merge: MethodSpec,
    /// How the modules that a pattern finds are merged instead; the first that fits.
    #[serde(default, rename = "module", skip_serializing_if = "Vec::is_empty")]
    pub modules: Vec<RecipeModules>,
    /// Only modules in whose names this regular expression is found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub include: Option<String>,
    /// No modules in whose names this regular expression is found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exclude: Option<String>,
    /// What becomes of modules that several adapters save whole and differ in; an error unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modules_to_save: Option<SavedModules>,
    /// Weights of the base model, a folder or file, against which DoRA adapters are compressed; relative to the recipe's folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<PathBuf>,
    /// Whether adapters that name different base models are merged.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub allow_base_mismatch: bool,
}

/// One adapter of a recipe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct RecipeAdapter {
    /// Folder or file, relative to the recipe's folder.
    pub path: PathBuf,
    /// Its weight, 1 unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<f64>,
    /// What [`content_hash`] must give.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

/// Modules that are merged otherwise.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct RecipeModules {
    /// Regular expression, found anywhere in the module's full name.
    pub pattern: String,
    /// How.
    pub merge: MethodSpec,
}

impl RecipeAdapter {
    /// An adapter of weight 1, its content unchecked.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), weight: None, sha256: None }
    }
}

impl Recipe {
    /// Merges adapters by one method.
    pub fn new(adapters: Vec<RecipeAdapter>, merge: MethodSpec) -> Self {
        let lego_merge = Some(env!("CARGO_PKG_VERSION").into());
        Self {
            lego_merge,
            base_model: None,
            adapters,
            merge,
            modules: vec![],
            include: None,
            exclude: None,
            modules_to_save: None,
            base: None,
            allow_base_mismatch: false,
        }
    }

    /// Reads a recipe: JSON where the file's name ends so, else TOML. Paths are made relative to where the process runs.
    ///
    /// # Errors
    /// [`Error::Core`] for a file that cannot be read, [`Error::FileField`](grouping_core::Error::FileField) for one that is no recipe.
    pub fn read(path: &Path) -> Result<Self> {
        let text = read_text(path, RECIPE_LIMIT)?;
        let misfit = |e: String| Error::format(path, "recipe", "adapters and how to merge them", e);
        let mut recipe: Self = if path.extension().is_some_and(|e| e == "json") {
            serde_json::from_str(&text).map_err(|e| misfit(e.to_string()))?
        } else {
            toml::from_str(&text).map_err(|e| misfit(e.to_string().trim_end().into()))?
        };
        if recipe.adapters.is_empty() {
            return Err(Error::format(path, "adapter", "at least one adapter", "none"));
        }
        let folder = path.parent().unwrap_or(Path::new(""));
        recipe.adapters.iter_mut().for_each(|a| a.path = folder.join(&a.path));
        recipe.base = recipe.base.map(|base| folder.join(base));
        Ok(recipe)
    }

    /// Checks the content of every adapter that has a hash, and gives a hash to every other.
    ///
    /// # Errors
    /// [`Error::FileField`](grouping_core::Error::FileField) for an adapter whose content is another, [`Error::Io`](grouping_core::Error::Io) for one that cannot be read.
    pub fn check_content(&mut self) -> Result<()> {
        for adapter in &mut self.adapters {
            let found = content_hash(&adapter.path)?;
            match &adapter.sha256 {
                Some(expected) if !expected.eq_ignore_ascii_case(&found) => {
                    return Err(Error::format(&adapter.path, "sha256", expected, found));
                }
                _ => adapter.sha256 = Some(found),
            }
        }
        Ok(())
    }

    /// Opens the adapters.
    ///
    /// # Errors
    /// Those of [`Adapter::read`].
    pub fn open(&self) -> Result<Vec<Adapter>> {
        self.adapters.iter().map(|adapter| Adapter::read(&adapter.path)).collect()
    }

    /// The adapters with DoRA compressed against the base, where the recipe names one, and what that lost.
    ///
    /// # Errors
    /// Those of [`BaseModel::open`] and [`dora::compress`].
    pub fn without_magnitudes(
        &self,
        adapters: Vec<Adapter>,
    ) -> Result<(Vec<Adapter>, Vec<Vec<Compression>>)> {
        let Some(base) = &self.base else { return Ok((adapters, vec![])) };
        let rank = match self.merge.rank {
            Some(RankRule::Fixed(rank)) => Some(rank),
            _ => None,
        };
        dora::without_magnitudes(&adapters, &BaseModel::open(base)?, rank, self.merge.seed)
    }

    /// The output with this recipe and a card beside the adapter, where it is a folder.
    ///
    /// # Errors
    /// Those of [`Recipe::to_json`].
    pub fn beside(&self, output: Output, plan: &Plan<'_>) -> Result<Output> {
        let base_model = plan.config().base_model_name_or_path.clone();
        let recipe = Self { base_model, ..self.clone() };
        let text = recipe.to_json(output.path())?;
        let card = card(&recipe, plan.config());
        Ok(output.with_document(RECIPE_FILE, text).with_document("README.md", card))
    }

    /// The configuration of the merge.
    ///
    /// # Errors
    /// [`grouping_core::Error::Setting`] for options or patterns that do not fit, or weights given twice.
    pub fn config(&self) -> Result<MergeConfig> {
        let weights = self.weights()?;
        let spec = |spec: &MethodSpec| {
            let mut spec = spec.clone();
            if spec.weights.is_none() {
                spec.weights.clone_from(&weights);
            }
            spec.config()
        };
        let mut config = spec(&self.merge)?;
        for modules in &self.modules {
            config = config.with_override(&modules.pattern, spec(&modules.merge)?)?;
        }
        if let Some(pattern) = &self.include {
            config = config.with_include(pattern)?;
        }
        if let Some(pattern) = &self.exclude {
            config = config.with_exclude(pattern)?;
        }
        let bases = if self.allow_base_mismatch { BaseMismatch::Allow } else { BaseMismatch::Refuse };
        Ok(config.with_saved_modules(self.modules_to_save.unwrap_or_default()).with_base_mismatch(bases))
    }

    /// Weights that stand beside the adapters.
    fn weights(&self) -> Result<Option<Vec<f64>>> {
        if self.adapters.iter().all(|a| a.weight.is_none()) {
            return Ok(None);
        }
        if let Some(weights) = &self.merge.weights {
            let found = format!("both, {weights:?}");
            return Err(Error::setting("weights", "weights beside the adapters or in [merge]", found));
        }
        Ok(Some(self.adapters.iter().map(|a| a.weight.unwrap_or(1.0)).collect()))
    }

    /// The recipe as it is written into `folder`, beside the merged adapter: paths relative to it where they can be.
    ///
    /// # Errors
    /// [`Error::FileField`](grouping_core::Error::FileField) for values that JSON cannot hold.
    pub fn to_json(&self, folder: &Path) -> Result<String> {
        let mut recipe = self.clone();
        let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
        for path in recipe.adapters.iter_mut().map(|a| &mut a.path).chain(&mut recipe.base) {
            if let Some(relative) = pathdiff::diff_paths(absolute(path), absolute(folder)) {
                *path = relative;
            }
            // JSON holds Unicode only; what is no text is marked, rather than no merge made.
            *path = path.to_string_lossy().into_owned().into();
        }
        serde_json::to_string_pretty(&recipe)
            .map(|text| text + "\n")
            .map_err(|e| Error::format(folder, "recipe", "values that JSON can hold", e))
    }
}

/// SHA-256 of an adapter in hexadecimal digits: of its file, or of its tensors' file followed by its configuration.
///
/// # Errors
/// [`Error::Io`](grouping_core::Error::Io) for files that cannot be read.
pub fn content_hash(adapter: &Path) -> Result<String> {
    let files = if adapter.is_dir() {
        let tensors = adapter.join(TENSOR_FILE);
        let tensors = if tensors.exists() { tensors } else { adapter.join("adapter_model.bin") };
        vec![tensors, adapter.join(CONFIG_FILE)]
    } else {
        vec![adapter.to_path_buf()]
    };
    let mut hash = Sha256::new();
    for path in files {
        let mut file = File::open(&path).map_err(Error::io(&path, "open"))?;
        if !file.metadata().map_err(Error::io(&path, "read"))?.is_file() {
            return Err(Error::format(&path, "adapter", "a file that ends", "a device or folder"));
        }
        std::io::copy(&mut file, &mut hash).map_err(Error::io(&path, "read"))?;
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}
