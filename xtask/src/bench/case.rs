//! The format of `xtask/benches/<crate>.toml`: cases, what they measure, and what they are compared with.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use super::Bed;
use super::criterion::Criterion;
use super::process::{Prepare, WholeProcess};
use super::reference::Reference;
use crate::cargo::{Executable, Features};

/// The benches of one crate.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Cases {
    /// Lists of words that arguments name by `@`.
    #[serde(default)]
    pub(super) lists: IndexMap<String, Vec<String>>,
    #[serde(default)]
    pub(super) prepare: Vec<Prepare>,
    /// How often each case and what it is compared with are measured, in turn.
    #[serde(default = "one")]
    rounds: NonZeroUsize,
    #[serde(rename = "case")]
    pub(super) cases: Vec<Case>,
}

fn one() -> NonZeroUsize {
    NonZeroUsize::MIN
}

impl Cases {
    pub(super) fn n_rounds(&self, case: &Case) -> usize {
        case.rounds.unwrap_or(self.rounds).get()
    }

    /// Adds what has to be built, and the features that it needs.
    pub(super) fn executables(
        &self,
        package: &str,
        wanted: &mut BTreeSet<Executable>,
        features: &mut Features,
    ) {
        wanted.extend(self.prepare.iter().map(|prepare| prepare.executable(package)));
        for work in self.cases.iter().flat_map(Case::works) {
            wanted.insert(work.executable(package));
            features.entry(package.to_owned()).or_default().extend(work.features().iter().cloned());
        }
    }

    /// Neighbours that are compared with one and the same run of a reference, so that it is run once a round for all of them.
    pub(super) fn measured_together(&self) -> impl Iterator<Item = &[Case]> {
        self.cases.chunk_by(|a, b| match (&a.against, &b.against) {
            (Some(Against::Reference(one)), Some(Against::Reference(other))) => {
                one.is_same_run(other) && self.n_rounds(a) == self.n_rounds(b)
            }
            _ => false,
        })
    }
}

/// Reads and checks one file.
pub(crate) fn read(path: &Path) -> Result<Cases> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    toml::from_str(&text).with_context(|| format!("{} is not a list of benches", path.display()))
}

/// One thing to measure, as it is judged.
#[derive(Debug, Deserialize)]
#[serde(try_from = "Written")]
pub(super) struct Case {
    pub(super) name: String,
    pub(super) ours: Work,
    pub(super) measure: Measure,
    pub(super) against: Option<Against>,
    pub(super) at_most: Option<f64>,
    pub(super) limit: Option<f64>,
    rounds: Option<NonZeroUsize>,
}

/// A case as it stands in the file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Written {
    /// What is measured, in words.
    name: String,
    criterion: Option<Criterion>,
    process: Option<WholeProcess>,
    /// What of ours counts.
    #[serde(default)]
    measure: Measure,
    reference: Option<Reference>,
    /// Another of ours to compare with, such as the same on one thread.
    versus: Option<Work>,
    /// The greatest allowed ratio ours / reference.
    at_most: Option<f64>,
    /// The greatest allowed figure of ours, in seconds or bytes.
    limit: Option<f64>,
    /// The file's number of rounds unless given.
    rounds: Option<NonZeroUsize>,
}

impl TryFrom<Written> for Case {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let name = written.name.clone();
        Self::checked(written).map_err(|error| format!("case `{name}` {error:#}"))
    }
}

impl Case {
    fn checked(written: Written) -> Result<Self> {
        let Written { name, measure, at_most, limit, rounds, .. } = written;
        let ours = match (written.criterion, written.process) {
            (Some(criterion), None) => Work::Criterion(criterion),
            (None, Some(process)) => Work::Process(process),
            _ => anyhow::bail!("needs either a criterion target or a process"),
        };
        let against = match (written.reference, written.versus) {
            (Some(reference), None) => Some(Against::Reference(reference)),
            (None, Some(work)) => Some(Against::Work(work)),
            (None, None) => None,
            _ => anyhow::bail!("is compared with either a reference or another of ours"),
        };
        ours.check(measure)?;
        if let Some(Against::Work(other)) = &against {
            other.check(measure)?;
        }
        ensure!(at_most.is_none() || against.is_some(), "has a greatest ratio and no reference");
        Ok(Self { name, ours, measure, against, at_most, limit, rounds })
    }

    /// Ours, and another of ours that it is compared with.
    fn works(&self) -> impl Iterator<Item = &Work> {
        let other = match &self.against {
            Some(Against::Work(other)) => Some(other),
            _ => None,
        };
        [Some(&self.ours), other].into_iter().flatten()
    }
}

/// What ours is compared with.
#[derive(Debug)]
pub(super) enum Against {
    Reference(Reference),
    Work(Work),
}

/// Something of ours that is measured.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Work {
    Criterion(Criterion),
    Process(WholeProcess),
}

impl Work {
    pub(super) fn id(&self) -> String {
        match self {
            Work::Criterion(criterion) => criterion.id().to_owned(),
            Work::Process(process) => process.id(),
        }
    }

    fn check(&self, wanted: Measure) -> Result<()> {
        if let Work::Criterion(criterion) = self {
            let (id, known) = (criterion.id(), criterion.measure());
            ensure!(
                wanted == known,
                "wants the {} of `{id}`, which measures the {} (ids of a group whose name ends in `_cpu` the CPU time, others the wall time)",
                wanted.words(),
                known.words()
            );
        }
        Ok(())
    }

    fn executable(&self, package: &str) -> Executable {
        match self {
            Work::Criterion(criterion) => criterion.executable(package),
            Work::Process(process) => process.executable(package),
        }
    }

    fn features(&self) -> &[String] {
        match self {
            Work::Criterion(criterion) => criterion.features(),
            Work::Process(_) => &[],
        }
    }

    /// Measures it now, in seconds or bytes.
    pub(super) fn figure(&self, measure: Measure, bed: &mut Bed<'_>) -> Result<f64> {
        let executable = bed.built.get(&self.executable(bed.package)).context("it was not built")?;
        match self {
            Work::Criterion(criterion) => criterion.median_secs(executable, bed.words),
            Work::Process(process) => process.figure(executable, measure, bed.words),
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Measure {
    #[default]
    Wall,
    Cpu,
    Memory,
    Size,
}

impl Measure {
    fn words(self) -> &'static str {
        match self {
            Measure::Wall => "wall time",
            Measure::Cpu => "CPU time",
            Measure::Memory => "peak memory",
            Measure::Size => "size of outputs",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CRITERION: &str = "criterion = { bench = \"b\", id = \"i/threads_2\" }";
    const CPU: &str = "criterion = { bench = \"b\", id = \"i_cpu/threads_2\" }";
    const PROCESS: &str = "process = { binary = \"b\", args = [] }";

    fn parse(text: &str) -> Result<Cases, String> {
        toml::from_str(text).map_err(|error| error.to_string())
    }

    fn one_case(case: &str) -> Result<Cases, String> {
        parse(&format!("[[case]]\nname = \"x\"\n{case}"))
    }

    #[test]
    fn a_case_names_one_thing_to_measure() {
        assert!(one_case(CRITERION).is_ok() && one_case(PROCESS).is_ok(), "either");
        let versus = one_case(&format!("{CRITERION}\nversus.{CRITERION}\nat-most = 1.0"));
        assert!(versus.is_ok(), "compared with another: {versus:?}");
        let reference = "reference = { script = \"s\", name = \"n\" }";
        for (case, want) in [
            (String::new(), "needs either"),
            (format!("{CRITERION}\n{PROCESS}"), "needs either"),
            (format!("{PROCESS}\nat-most = 1.0"), "no reference"),
            (format!("{CRITERION}\nversus.{CRITERION}\n{reference}"), "either a reference"),
            (format!("{CRITERION}\nrounds = 0"), "nonzero"),
        ] {
            let said = one_case(&case).expect_err("refused");
            assert!(said.contains(want), "{case}: `{want}` is said: {said}");
        }
    }

    #[test]
    fn a_target_measures_what_its_id_says() {
        assert!(one_case(&format!("{CPU}\nmeasure = \"cpu\"")).is_ok(), "CPU time of a CPU group");
        for (case, want) in [
            (format!("{CRITERION}\nmeasure = \"memory\""), "the peak memory of `i/threads_2`"),
            (format!("{CRITERION}\nmeasure = \"cpu\""), "the CPU time of `i/threads_2`"),
            (CPU.to_owned(), "the wall time of `i_cpu/threads_2`"),
            (format!("{CRITERION}\nversus.{CPU}"), "the wall time of `i_cpu/threads_2`"),
        ] {
            let said = one_case(&case).expect_err("refused");
            assert!(said.contains(want) && said.contains("case `x`"), "{case}: `{want}` is said: {said}");
        }
    }

    #[test]
    fn rounds_are_those_of_the_case_or_of_the_file() {
        let two = |head: &str| {
            parse(&format!(
                "{head}\n[[case]]\nname = \"a\"\n{PROCESS}\n[[case]]\nname = \"b\"\n{PROCESS}\nrounds = 5"
            ))
        };
        let rounds = |cases: &Cases| cases.cases.iter().map(|case| cases.n_rounds(case)).collect::<Vec<_>>();
        assert_eq!(rounds(&two("").expect("valid")), [1, 5], "one unless given");
        assert_eq!(rounds(&two("rounds = 3").expect("valid")), [3, 5], "the file's unless given by the case");
    }

    #[test]
    fn neighbours_share_a_run_of_the_reference() {
        let case = |ours: &str, name: &str, more: &str| {
            format!(
                "[[case]]\nname = \"x\"\n{ours}\nreference = {{ script = \"s\", name = \"{name}\" }}\n{more}\n"
            )
        };
        let cpu = format!("{CPU}\nmeasure = \"cpu\"");
        let text = [
            case(CRITERION, "m", ""),
            case(&cpu, "m", ""),
            case(CRITERION, "n", ""),
            case(&cpu, "n", "rounds = 2"),
            format!("[[case]]\nname = \"x\"\n{CRITERION}\n"),
        ];
        let cases = parse(&text.concat()).expect("valid");
        let lengths: Vec<usize> = cases.measured_together().map(<[Case]>::len).collect();
        assert_eq!(lengths, [2, 1, 1, 1], "same run and rounds together, all else alone");
    }
}
