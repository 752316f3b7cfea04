//! A method with its options as words: what the command line, recipes and `merge.json` say.

use std::path::PathBuf;
use std::sync::Arc;

use grouping_core::cluster::Symmetry;
use serde::{Deserialize, Serialize};

use super::{
    Average, Cat, CoreSpace, Dare, DenseSvd, Density, Entrywise, Features, Gauge, Inner, Knots, Lego, Linear,
    MagnitudePrune, MajoritySign, Masks, MergeConfig, MergeMethod, Norm, Preset, RankRule, RefRank,
    Reweighting, Svd, TaskArithmetic, Ties, TiesDelta, Tsv,
};
use crate::{Error, Result};

/// Names of the methods.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum MethodName {
    /// LoRA-LEGO: cluster the ranks of all adapters, one merged rank a cluster
    #[default]
    Lego,
    /// Add the factors A and B apart (holds cross terms)
    Linear,
    /// Put all ranks side by side: the exact weighted sum
    Cat,
    /// The best approximation of the weighted sum at a rank
    Svd,
    /// The weighted sum times --lambda: exact, or its best approximation with --rank
    TaskArithmetic,
    /// The mean of the factors A and of the factors B
    Average,
    /// TIES on the factors: trim to --density, elect a sign, average what agrees
    Ties,
    /// DARE on the factors: keep --density at random and rescale, then as linear
    DareLinear,
    /// DARE on the factors: keep --density at random and rescale, then as ties
    DareTies,
    /// Trim the factors to --density, then as linear
    MagnitudePrune,
    /// TIES on the dense updates of each module, approximated at --rank
    TiesSvd,
    /// DARE on the dense updates of each module, added and approximated at --rank
    DareLinearSvd,
    /// DARE on the dense updates, then as ties-svd
    DareTiesSvd,
    /// Trim the dense updates of each module to --density, add, approximate at --rank
    MagnitudePruneSvd,
    /// TIES as in its paper: trims each adapter as a whole, weights vote; approximated at --rank
    TiesDelta,
    /// DARE as in its paper; the same as dare-linear-svd
    DareDelta,
    /// KnOTS: --inner on the updates' coordinates in the subspace of all of them
    Knots,
    /// Core Space: --inner on the updates' cores between common bases of all factors
    CoreSpace,
    /// TSV-Merge: singular vectors of all updates, decorrelated
    Tsv,
}

impl MethodName {
    /// The name as it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Lego => "lego",
            Self::Linear => "linear",
            Self::Cat => "cat",
            Self::Svd => "svd",
            Self::TaskArithmetic => "task-arithmetic",
            Self::Average => "average",
            Self::Ties => "ties",
            Self::DareLinear => "dare-linear",
            Self::DareTies => "dare-ties",
            Self::MagnitudePrune => "magnitude-prune",
            Self::TiesSvd => "ties-svd",
            Self::DareLinearSvd => "dare-linear-svd",
            Self::DareTiesSvd => "dare-ties-svd",
            Self::MagnitudePruneSvd => "magnitude-prune-svd",
            Self::TiesDelta => "ties-delta",
            Self::DareDelta => "dare-delta",
            Self::Knots => "knots",
            Self::CoreSpace => "core-space",
            Self::Tsv => "tsv",
        }
    }

    /// Whether the method keeps a share of the values, `--density`.
    fn prunes(self) -> bool {
        self.drops() || self.trims()
    }

    /// Whether the method keeps the largest values.
    fn trims(self) -> bool {
        use MethodName::{MagnitudePrune, MagnitudePruneSvd, Ties, TiesDelta, TiesSvd};
        matches!(self, Ties | MagnitudePrune | TiesSvd | MagnitudePruneSvd | TiesDelta)
    }

    /// Whether the method keeps values at random, or by `--masks`.
    fn drops(self) -> bool {
        use MethodName::{DareDelta, DareLinear, DareLinearSvd, DareTies, DareTiesSvd};
        matches!(self, DareLinear | DareTies | DareLinearSvd | DareTiesSvd | DareDelta)
    }

    /// Whether the method merges inside a subspace, `--inner`.
    fn has_inner(self) -> bool {
        matches!(self, Self::Knots | Self::CoreSpace)
    }

    /// Whether the method elects a sign, `--majority-sign`.
    fn elects(self) -> bool {
        matches!(self, Self::Ties | Self::DareTies | Self::TiesSvd | Self::DareTiesSvd | Self::TiesDelta)
    }
}

/// A method and its options; those of other methods must be absent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::Args))]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct MethodSpec {
    /// How to merge
    #[cfg_attr(feature = "cli", arg(long, value_enum, default_value = "lego"))]
    pub method: MethodName,
    /// Rank of the result: a number, energy:0.95 (share of the squared norm kept), ratio:0.01 (smallest singular value against the largest), or auto (by silhouette); for lego, svd and methods on dense updates [default: the largest source rank], and for task-arithmetic, knots, core-space and tsv [default: exact]
    #[cfg_attr(feature = "cli", arg(long, value_name = "K"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rank: Option<RankRule>,
    /// One weight an adapter, such as 1,0.5 or 1,-1 [default: 1 each]
    #[cfg_attr(
        feature = "cli",
        arg(long, value_delimiter = ',', allow_hyphen_values = true, value_name = "W,…")
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weights: Option<Vec<f64>>,
    /// The share of values that is kept, for the methods that prune; they need it
    #[cfg_attr(feature = "cli", arg(long, value_name = "D"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub density: Option<f64>,
    /// Replay the masks of DARE from a safetensors file: tensors MODULE.lora_A.ADAPTER and .lora_B.ADAPTER, or .delta.ADAPTER for methods on dense updates, of zeros and ones, adapters counted from 0
    #[cfg_attr(feature = "cli", arg(long, value_name = "FILE"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub masks: Option<PathBuf>,
    /// What knots and core-space do inside their subspace [default: ties]
    #[cfg_attr(feature = "cli", arg(long, value_enum, value_name = "HOW"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inner: Option<Inner>,
    /// How the methods of TIES elect a sign [default: total]
    #[cfg_attr(feature = "cli", arg(long, value_enum, value_name = "RULE"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub majority_sign: Option<MajoritySign>,
    /// A factor on the whole result, for every method
    #[cfg_attr(
        feature = "cli",
        arg(long, default_value_t = 1.0, allow_hyphen_values = true, value_name = "L")
    )]
    pub lambda: f64,
    /// Seed of the clustering, of random pruning and of the decomposition of dense updates
    #[cfg_attr(feature = "cli", arg(long, default_value_t = 0))]
    pub seed: u64,
    /// lego: as another code has it; its choices are defaults that other options replace
    #[cfg_attr(feature = "cli", arg(long, value_enum, value_name = "CODE"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preset: Option<Preset>,
    /// lego: what is clustered [default: raw]
    #[cfg_attr(feature = "cli", arg(long, value_enum, value_name = "FEATURES"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub features: Option<Features>,
    /// lego: how the length of a rank is shared by its halves in A and B [default: raw]
    #[cfg_attr(feature = "cli", arg(long, value_enum, value_name = "GAUGE"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gauge: Option<Gauge>,
    /// lego: take a rank and its negative, which are the same update, as the same point
    #[cfg_attr(feature = "cli", arg(long))]
    pub antipodal: bool,
    /// lego: runs of k-means of which the best is kept [default: 10]
    #[cfg_attr(feature = "cli", arg(long, value_name = "N"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restarts: Option<usize>,
    /// lego: the norm of parameter reweighting [default: inf]
    #[cfg_attr(feature = "cli", arg(long, value_enum, value_name = "NORM"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub norm: Option<Norm>,
    /// lego: the r of output reweighting √(r/k), from the ranks of a module's sources: mean, median, max, or a number [default: mean]
    #[cfg_attr(feature = "cli", arg(long, value_name = "R"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ref_rank: Option<RefRank>,
    /// lego: keep centroids as they are instead of rescaling them to their members' mean norm
    #[cfg_attr(feature = "cli", arg(long))]
    pub no_parameter_reweighting: bool,
    /// lego: leave out the factor √(r/k)
    #[cfg_attr(feature = "cli", arg(long))]
    pub no_output_reweighting: bool,
}

impl Default for MethodSpec {
    fn default() -> Self {
        Self::new(MethodName::default())
    }
}

impl MethodSpec {
    /// A method with its defaults.
    pub fn new(method: MethodName) -> Self {
        Self {
            method,
            rank: None,
            weights: None,
            density: None,
            masks: None,
            inner: None,
            majority_sign: None,
            lambda: 1.0,
            seed: 0,
            preset: None,
            features: None,
            gauge: None,
            antipodal: false,
            restarts: None,
            norm: None,
            ref_rank: None,
            no_parameter_reweighting: false,
            no_output_reweighting: false,
        }
    }

    /// The configuration of a merge.
    ///
    /// # Errors
    /// [`Error::Option`] for an option that the method does not have, needs, or cannot use.
    pub fn config(&self) -> Result<MergeConfig> {
        self.check_options()?;
        let mut config = MergeConfig::boxed(self.method()?).with_lambda(self.lambda).with_seed(self.seed);
        config.weights.clone_from(&self.weights);
        config.rank = self.rank.or(self.preset.and_then(Preset::rank).map(RankRule::Fixed));
        Ok(config)
    }

    fn method(&self) -> Result<Box<dyn MergeMethod>> {
        let majority = self.majority_sign.unwrap_or_default();
        let masks = self.masks.as_ref().map(Masks::open).transpose()?.map(Arc::new);
        Ok(match self.method {
            MethodName::Lego => Box::new(self.lego()?),
            MethodName::Linear => Box::new(Linear),
            MethodName::Cat => Box::new(Cat),
            MethodName::Svd => Box::new(Svd),
            MethodName::TaskArithmetic => Box::new(TaskArithmetic),
            MethodName::Average => Box::new(Average),
            MethodName::Ties => Box::new(Ties::new(self.density()?).with_majority_sign(majority)),
            MethodName::DareLinear => Box::new(Dare::linear(self.density()?).with_masks(masks)),
            MethodName::DareTies => Box::new(Dare::ties(self.density()?, majority).with_masks(masks)),
            MethodName::MagnitudePrune => Box::new(MagnitudePrune::new(self.density()?)),
            MethodName::TiesSvd => Box::new(DenseSvd::ties(self.density()?, majority)),
            MethodName::DareLinearSvd => Box::new(DenseSvd::dare_linear(self.density()?).with_masks(masks)),
            MethodName::DareTiesSvd => {
                Box::new(DenseSvd::dare_ties(self.density()?, majority).with_masks(masks))
            }
            MethodName::MagnitudePruneSvd => Box::new(DenseSvd::magnitude_prune(self.density()?)),
            MethodName::TiesDelta => Box::new(TiesDelta::new(self.density()?).with_majority_sign(majority)),
            MethodName::DareDelta => Box::new(DenseSvd::dare_delta(self.density()?).with_masks(masks)),
            MethodName::Knots => match self.entrywise()? {
                Some(inner) => Box::new(Knots::new(inner)),
                None => {
                    let expected = "ta, ties or dare with the method knots".into();
                    return Err(Error::Option { option: "inner", expected, found: "tsv".into() });
                }
            },
            MethodName::CoreSpace => match self.entrywise()? {
                Some(inner) => Box::new(CoreSpace::new(inner)),
                None => Box::new(CoreSpace::tsv()),
            },
            MethodName::Tsv => Box::new(Tsv),
        })
    }

    /// The method, with what it does inside its subspace where it has one.
    fn words(&self) -> String {
        let method = self.method.as_str();
        if self.method.has_inner() {
            format!("the method {method} --inner {}", self.inner.unwrap_or_default().as_str())
        } else {
            format!("the method {method}")
        }
    }

    /// What is done entry by entry inside the subspace; `None` is TSV, which is not.
    fn entrywise(&self) -> Result<Option<Entrywise>> {
        Ok(match self.inner.unwrap_or_default() {
            Inner::Ta => Some(Entrywise::Sum),
            Inner::Ties => Some(Entrywise::Ties(self.density()?)),
            Inner::Dare => Some(Entrywise::Dare(self.density()?)),
            Inner::Tsv => None,
        })
    }

    fn density(&self) -> Result<Density> {
        let missing = || Error::Option {
            option: "density",
            expected: format!("--density with {}, such as 0.5", self.words()),
            found: "none".into(),
        };
        Density::new(self.density.ok_or_else(missing)?)
    }

    fn lego(&self) -> Result<Lego> {
        let refuse = |option, expected: &str, found: String| {
            Err(Error::Option { option, expected: expected.into(), found })
        };
        let mut lego = self.preset.map_or_else(Lego::default, Lego::preset);
        match (self.norm, self.no_parameter_reweighting) {
            (Some(norm), true) if norm != Norm::None => {
                let without = "no norm with --no-parameter-reweighting";
                return refuse("norm", without, format!("{norm:?}").to_lowercase());
            }
            (_, true) => lego = lego.with_norm(Norm::None),
            (norm, false) => lego = norm.into_iter().fold(lego, Lego::with_norm),
        }
        match (self.ref_rank, self.no_output_reweighting) {
            (Some(rank), true) => {
                return refuse("ref-rank", "none with --no-output-reweighting", rank.to_string());
            }
            (None, true) => lego = lego.with_output_reweighting(Reweighting::Off),
            (rank, false) => lego = rank.into_iter().fold(lego, Lego::with_ref_rank),
        }
        if self.restarts == Some(0) {
            return refuse("restarts", "at least 1", "0".into());
        }
        lego = self.features.into_iter().fold(lego, Lego::with_features);
        lego = self.gauge.into_iter().fold(lego, Lego::with_gauge);
        lego = self.restarts.into_iter().fold(lego, Lego::with_n_restarts);
        Ok(if self.antipodal { lego.with_symmetry(Symmetry::Antipodal) } else { lego })
    }

    /// Options that are given must be the method's own.
    fn check_options(&self) -> Result<()> {
        let method = self.method;
        let is_lego = method == MethodName::Lego;
        let prunes = method.prunes() || (method.has_inner() && self.inner.unwrap_or_default().prunes());
        let options = [
            ("--density", self.density.is_some(), prunes, "methods that prune"),
            ("--inner", self.inner.is_some(), method.has_inner(), "knots and core-space"),
            (
                "--majority-sign",
                self.majority_sign.is_some(),
                method.elects(),
                "methods of TIES (ties, dare-ties, ties-svd, dare-ties-svd, ties-delta)",
            ),
            ("--preset", self.preset.is_some(), is_lego, "lego"),
            ("--features", self.features.is_some(), is_lego, "lego"),
            ("--gauge", self.gauge.is_some(), is_lego, "lego"),
            ("--antipodal", self.antipodal, is_lego, "lego"),
            ("--restarts", self.restarts.is_some(), is_lego, "lego"),
            ("--norm", self.norm.is_some(), is_lego, "lego"),
            ("--ref-rank", self.ref_rank.is_some(), is_lego, "lego"),
            ("--masks", self.masks.is_some(), method.drops(), "methods of DARE"),
            ("--no-parameter-reweighting", self.no_parameter_reweighting, is_lego, "lego"),
            ("--no-output-reweighting", self.no_output_reweighting, is_lego, "lego"),
        ];
        match options.into_iter().find(|&(_, given, fits, _)| given && !fits) {
            None => Ok(()),
            Some((option, _, _, owners)) => {
                Err(Error::Option { option, expected: format!("it with {owners} only"), found: self.words() })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_of_lego_are_read_from_words() {
        let text = r#"{"method": "lego", "preset": "nsc", "features": "raw", "gauge": "balanced", "antipodal": true,
            "restarts": 3, "norm": "l2", "ref-rank": 8, "rank": "energy:0.9"}"#;
        let spec: MethodSpec = serde_json::from_str(text).expect("a specification");
        assert_eq!((spec.norm, spec.ref_rank), (Some(Norm::L2), Some(RefRank::Rank(8))), "{spec:?}");
        assert_eq!(spec.config().expect("a configuration").rank, Some(RankRule::Energy(0.9)), "{spec:?}");
        let again = serde_json::to_string(&spec).expect("JSON");
        assert_eq!(serde_json::from_str::<MethodSpec>(&again).expect("a specification"), spec, "{again}");
        let mut smoea = MethodSpec::new(MethodName::Lego);
        smoea.preset = Some(Preset::Smoea);
        let rank = |spec: &MethodSpec| spec.config().expect("a configuration").rank;
        assert_eq!(rank(&smoea), Some(RankRule::Fixed(16)), "the preset's rank");
        smoea.rank = Some(RankRule::Fixed(4));
        assert_eq!(rank(&smoea), Some(RankRule::Fixed(4)), "the given rank");
    }

    #[test]
    fn names_are_those_of_the_methods() {
        for text in [
            "lego",
            "linear",
            "cat",
            "svd",
            "task-arithmetic",
            "average",
            "ties",
            "dare-linear",
            "ties-svd",
            "dare-linear-svd",
            "dare-ties-svd",
            "magnitude-prune-svd",
            "ties-delta",
            "dare-delta",
            "tsv",
            "knots",
            "core-space",
        ] {
            let name: MethodName = serde_json::from_str(&format!("\"{text}\"")).expect("a method");
            assert_eq!(name.as_str(), text, "written as read");
            let mut spec = MethodSpec::new(name);
            spec.density = (name.prunes() || name.has_inner()).then_some(0.5);
            assert_eq!(spec.config().expect("a method").method.name(), text, "the method's own name");
        }
    }
}
