//! The table of merging methods: each says everything about itself in its own file, and only this table lists them all.
//!
//! Names in files and on the command line, help, checks of options and the README's table derive from it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{
    MergeMethod, MethodSpec, cat, core_space, dare, dense, knots, lego, linear, magnitude_prune, svd,
    task_arithmetic, ties, tsv,
};
use crate::{Error, Result};

/// What a method says of itself.
#[derive(Debug)]
#[non_exhaustive]
pub struct MethodInfo {
    /// Name, as recipes have it.
    pub name: &'static str,
    /// What it does, in one line; settings stand in backticks.
    pub help: &'static str,
    /// Where it loses, and to what; methods stand in backticks.
    pub loses: &'static str,
    /// Rank of its results.
    pub rank: ResultRank,
    /// Fields of [`MethodSpec`] that only some methods have, this one among them.
    pub options: &'static [&'static str],
    /// The method with the options of a specification.
    pub(super) build: fn(&MethodSpec) -> Result<Box<dyn MergeMethod>>,
}

/// All methods.
pub static METHODS: [MethodName; 19] = [
    MethodName(&lego::LEGO),
    MethodName(&linear::LINEAR),
    MethodName(&cat::CAT),
    MethodName(&svd::SVD),
    MethodName(&task_arithmetic::TASK_ARITHMETIC),
    MethodName(&linear::AVERAGE),
    MethodName(&ties::TIES),
    MethodName(&dare::DARE_LINEAR),
    MethodName(&dare::DARE_TIES),
    MethodName(&magnitude_prune::MAGNITUDE_PRUNE),
    MethodName(&dense::TIES_SVD),
    MethodName(&dense::DARE_LINEAR_SVD),
    MethodName(&dense::DARE_TIES_SVD),
    MethodName(&dense::MAGNITUDE_PRUNE_SVD),
    MethodName(&dense::TIES_DELTA),
    MethodName(&dense::DARE_DELTA),
    MethodName(&knots::KNOTS),
    MethodName(&core_space::CORE_SPACE),
    MethodName(&tsv::TSV),
];

/// One of [`METHODS`], by name.
///
/// ```
/// use lego_merge::merge::MethodName;
///
/// let ties: MethodName = "ties".parse()?;
/// assert_eq!(ties.info().options, ["density", "majority_sign"]);
/// assert!("knit".parse::<MethodName>().is_err());
/// # Ok::<(), lego_merge::Error>(())
/// ```
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(try_from = "String", into = "&'static str")]
pub struct MethodName(&'static MethodInfo);

impl MethodName {
    /// The name as it is written.
    pub fn as_str(self) -> &'static str {
        self.0.name
    }

    /// What the method says of itself.
    pub fn info(self) -> &'static MethodInfo {
        self.0
    }
}

impl Default for MethodName {
    /// LoRA-LEGO.
    fn default() -> Self {
        METHODS[0]
    }
}

impl PartialEq for MethodName {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for MethodName {}

impl fmt::Debug for MethodName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for MethodName {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        METHODS.into_iter().find(|method| method.as_str() == name).ok_or_else(|| {
            let names = METHODS.map(MethodName::as_str).join(", ");
            Error::setting("method", format!("one of {names}"), name)
        })
    }
}

impl TryFrom<String> for MethodName {
    type Error = Error;

    fn try_from(name: String) -> Result<Self> {
        name.parse()
    }
}

impl From<MethodName> for &'static str {
    fn from(method: MethodName) -> Self {
        method.as_str()
    }
}

#[cfg(feature = "cli")]
impl clap::ValueEnum for MethodName {
    fn value_variants<'a>() -> &'a [Self] {
        &METHODS
    }

    fn to_possible_value(&self) -> Option<clap::builder::PossibleValue> {
        Some(clap::builder::PossibleValue::new(self.as_str()).help(flags(self.0.help)))
    }
}

/// A line with settings in backticks as the command's help says it: `` `ref_rank` `` is `--ref-rank`.
#[cfg(feature = "cli")]
pub fn flags(help: &str) -> String {
    let between = |(i, part): (usize, &str)| {
        if i % 2 == 1 { format!("--{}", part.replace('_', "-")) } else { part.into() }
    };
    help.split('`').enumerate().map(between).collect()
}

/// The rank that a method gives a module, by the ranks `rᵢ` of the module's sources.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ResultRank {
    /// That of the module's largest source.
    LargestSource,
    /// That of an exact result, `Σ rᵢ`.
    AllUnits,
    /// The one asked for, else the largest of any source in any module; at most `Σ rᵢ`.
    ChosenOrLargest,
    /// The one asked for, else that of an exact result; at most `Σ rᵢ`.
    ChosenOrAllUnits,
}

impl ResultRank {
    /// Whether a rank may be asked for.
    pub fn is_chosen(self) -> bool {
        matches!(self, Self::ChosenOrLargest | Self::ChosenOrAllUnits)
    }

    /// The rank of a module whose sources have these; `largest` is that of any source in any module.
    pub(super) fn of(self, sources: &[usize], wanted: Option<usize>, largest: usize) -> usize {
        let all = sources.iter().sum();
        match self {
            Self::LargestSource => sources.iter().copied().max().unwrap_or(0),
            Self::AllUnits => all,
            Self::ChosenOrLargest => wanted.unwrap_or(largest).min(all),
            Self::ChosenOrAllUnits => wanted.unwrap_or(all).min(all),
        }
    }
}

impl fmt::Display for ResultRank {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LargestSource => "the largest source's",
            Self::AllUnits => "the sum of the sources'",
            Self::ChosenOrLargest => "`rank`",
            Self::ChosenOrAllUnits => "the sum of the sources', or `rank`",
        })
    }
}
