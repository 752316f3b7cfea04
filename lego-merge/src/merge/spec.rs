//! A method with its options as words: what the command line, recipes and `merge.json` say.

use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{
    Density, Entrywise, Features, Gauge, Inner, METHODS, MajoritySign, Masks, MergeConfig, MethodInfo,
    MethodName, Norm, Preset, RankRule, RefRank,
};
use crate::{Error, Result};

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
    /// [`grouping_core::Error::Setting`] for an option that the method does not have, needs, or cannot use.
    pub fn config(&self) -> Result<MergeConfig> {
        self.check_options()?;
        let mut config = MergeConfig::boxed((self.method.info().build)(self)?)
            .with_lambda(self.lambda)
            .with_seed(self.seed);
        config.weights.clone_from(&self.weights);
        config.rank = self.rank.or(self.preset.and_then(Preset::rank).map(RankRule::Fixed));
        Ok(config)
    }

    /// The share of values that is kept.
    pub(super) fn density(&self) -> Result<Density> {
        let missing = || Error::setting("density", format!("one with {}, such as 0.5", self.words()), "none");
        Density::new(self.density.ok_or_else(missing)?)
    }

    /// How a sign is elected.
    pub(super) fn majority_sign(&self) -> MajoritySign {
        self.majority_sign.unwrap_or_default()
    }

    /// The masks that are replayed, if any.
    pub(super) fn masks(&self) -> Result<Option<Arc<Masks>>> {
        Ok(self.masks.as_ref().map(Masks::open).transpose()?.map(Arc::new))
    }

    /// What is done entry by entry inside a subspace; `None` is TSV, which is not.
    pub(super) fn entrywise(&self) -> Result<Option<Entrywise>> {
        let inner = self.inner.unwrap_or_default();
        match self.density {
            Some(share) if !inner.prunes() => {
                Err(Error::setting("density", format!("none with {}", self.words()), share))
            }
            _ => Ok(match inner {
                Inner::Ta => Some(Entrywise::Sum),
                Inner::Ties => Some(Entrywise::Ties(self.density()?)),
                Inner::Dare => Some(Entrywise::Dare(self.density()?)),
                Inner::Tsv => None,
            }),
        }
    }

    /// The method, with what it does inside its subspace where it has one.
    fn words(&self) -> String {
        let MethodInfo { name, options, .. } = self.method.info();
        if options.contains(&"inner") {
            format!("the method {name} and inner {}", self.inner.unwrap_or_default().as_str())
        } else {
            format!("the method {name}")
        }
    }

    /// Options that are given must be the method's own.
    fn check_options(&self) -> Result<()> {
        let options = [
            ("density", self.density.is_some()),
            ("inner", self.inner.is_some()),
            ("majority_sign", self.majority_sign.is_some()),
            ("preset", self.preset.is_some()),
            ("features", self.features.is_some()),
            ("gauge", self.gauge.is_some()),
            ("antipodal", self.antipodal),
            ("restarts", self.restarts.is_some()),
            ("norm", self.norm.is_some()),
            ("ref_rank", self.ref_rank.is_some()),
            ("masks", self.masks.is_some()),
            ("no_parameter_reweighting", self.no_parameter_reweighting),
            ("no_output_reweighting", self.no_output_reweighting),
        ];
        let own = self.method.info().options;
        match options.into_iter().find(|(option, given)| *given && !own.contains(option)) {
            None => Ok(()),
            Some((option, _)) => {
                let owners = METHODS.iter().map(|m| m.info()).filter(|m| m.options.contains(&option));
                let owners = owners.map(|m| m.name).collect::<Vec<_>>().join(", ");
                Err(Error::setting(option, format!("it with {owners} only"), self.words()))
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
        let mut smoea = MethodSpec { preset: Some(Preset::Smoea), ..MethodSpec::default() };
        let rank = |spec: &MethodSpec| spec.config().expect("a configuration").rank;
        assert_eq!(rank(&smoea), Some(RankRule::Fixed(16)), "the preset's rank");
        smoea.rank = Some(RankRule::Fixed(4));
        assert_eq!(rank(&smoea), Some(RankRule::Fixed(4)), "the given rank");
    }

    #[test]
    fn every_option_of_a_method_is_a_field_and_refused_with_others() {
        let values = ["true", "3", "0.5", "\"ta\"", "\"total\"", "\"nsc\"", "\"raw\"", "\"l2\"", "\"masks\""];
        for option in METHODS.iter().flat_map(|method| method.info().options) {
            let text = |value| format!(r#"{{"method": "cat", "{}": {value}}}"#, option.replace('_', "-"));
            let given = values.iter().find_map(|value| serde_json::from_str::<MethodSpec>(&text(value)).ok());
            let given = given.unwrap_or_else(|| panic!("{option} is no field, or takes none of {values:?}"));
            let error = given.config().err().map(|error| error.to_string()).unwrap_or_default();
            assert!(error.contains(option) && error.contains("the method cat"), "{option} with cat: {error}");
        }
    }

    #[cfg(feature = "cli")]
    #[test]
    fn help_lists_the_methods_that_have_an_option() {
        use super::super::ResultRank;

        let command = <MethodSpec as clap::Args>::augment_args(clap::Command::new("any"));
        let help = |option| {
            let arg = command.get_arguments().find(|arg| arg.get_id() == option).expect("an option");
            arg.get_help().expect("a help line").to_string()
        };
        let names = |has: &dyn Fn(&MethodInfo) -> bool| -> Vec<&str> {
            METHODS.iter().map(|m| m.info()).filter(|m| has(m)).map(|m| m.name).collect()
        };
        let of_dense_updates = |name: &str| name.ends_with("-svd") || name.ends_with("-delta");
        let words = |names: Vec<&str>| match names.split_last() {
            Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
            None => String::new(),
        };
        let mut largest = names(&|m| m.rank == ResultRank::ChosenOrLargest);
        largest.retain(|name| !of_dense_updates(name));
        let largest = words([largest, vec!["methods on dense updates"]].concat());
        let exact = words(names(&|m| m.rank == ResultRank::ChosenOrAllUnits));
        let expected =
            format!("for {largest} [default: the largest source rank], and for {exact} [default: exact]");
        assert!(help("rank").ends_with(&expected), "{} beside {expected}", help("rank"));
        assert!(names(&|m| of_dense_updates(m.name)).iter().all(|n| !exact.contains(n)), "{exact}");
        let expected = format!("What {} do", words(names(&|m| m.options.contains(&"inner"))));
        assert!(help("inner").starts_with(&expected), "{} beside {expected}", help("inner"));
        let elect = names(&|m| m.options.contains(&"majority_sign"));
        assert_eq!(
            elect,
            names(&|m| m.name.contains("ties")),
            "the methods of TIES, as {}",
            help("majority_sign")
        );
    }

    #[test]
    fn names_are_those_of_the_methods() {
        for name in METHODS {
            let text = name.as_str();
            let read: MethodName = serde_json::from_str(&format!("\"{text}\"")).expect("a method");
            assert_eq!(read, name, "written as read");
            let mut spec = MethodSpec::new(name);
            spec.density = name.info().options.contains(&"density").then_some(0.5);
            assert_eq!(spec.config().expect("a method").method.info().name, text, "the method's own name");
        }
    }
}
