//! The experiment file `xtask/experiments/<crate>/<name>.toml`: what is claimed, what is run, what is expected.
//!
//! ```toml
//! title = "…"                        claim = "…"                     source = "…"
//! [variables]                        # constants for every scale; lists too
//! [[axes.method]]                    # a named axis: name, label, args, scales
//! [scales.smoke]                     # seeds, note, variables (override those above)
//! [[stage]]                          # name, binary "crate/bin" + features, matrix, needs, args, labels, threads
//! [[expect]]                         # claim, source, value, minus, one relation, expected, tolerance, scales
//! [[table]]                          # rows × columns of the metrics' labels
//! [[plot]]                           # bars or lines of the same
//! ```
//!
//! Points of axes, expectations, tables and plots may say `needs-env = "VARIABLE"`. Where that is not set, points are not run, and the others are reported only as far as a
//! run with it has left numbers.
//!
//! In `args`: `{seed}`, `{scale}`, `{threads}`, `{out}`, `{variable}`, `{axis}`, `{axis.label}`, and, standing
//! alone, `{axis.args}`, `{stage.NAME}` and `{crate/experiment.NAME}`. The last two are the output of a stage
//! listed in `needs`: axes that both stages have are matched by name, the others fan in to one argument a point.

use std::fmt;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

/// How much is run: minutes with one seed, tens of minutes with several, or hours.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Scale {
    Smoke,
    Mini,
    Paper,
}

impl Scale {
    pub(crate) const ALL: [Scale; 3] = [Scale::Smoke, Scale::Mini, Scale::Paper];
}

impl fmt::Display for Scale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Scale::Smoke => "smoke",
            Scale::Mini => "mini",
            Scale::Paper => "paper",
        })
    }
}

/// A number or a string; numbers print without needless digits, so that `1` and `1.0` are one label.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged, expecting = "a number or a string")]
pub(crate) enum Scalar {
    Int(i64),
    Float(f64),
    Text(String),
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scalar::Int(x) => write!(f, "{x}"),
            Scalar::Float(x) => write!(f, "{x}"),
            Scalar::Text(x) => f.write_str(x),
        }
    }
}

/// One value or a list of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged, expecting = "a number, a string, or a list of them")]
pub(crate) enum Value {
    One(Scalar),
    Many(Vec<Scalar>),
}

impl Value {
    /// The value as one argument; a list is joined by commas.
    pub(crate) fn joined(&self) -> String {
        self.list().join(",")
    }

    /// The value as a list; one value is a list of one.
    pub(crate) fn list(&self) -> Vec<String> {
        match self {
            Value::One(x) => vec![x.to_string()],
            Value::Many(xs) => xs.iter().map(Scalar::to_string).collect(),
        }
    }
}

/// One point of a named axis.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct AxisPoint {
    pub(crate) name: String,
    /// What tables say; the name when absent.
    pub(crate) label: Option<String>,
    /// What `{axis.args}` stands for; may hold placeholders of variables.
    #[serde(default)]
    pub(crate) args: Vec<String>,
    /// The scales that have this point; all when absent.
    pub(crate) scales: Option<Vec<Scale>>,
    /// An environment variable without which it is left out.
    pub(crate) needs_env: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct ScaleSpec {
    pub(crate) seeds: Vec<u64>,
    /// How long it takes, in words.
    pub(crate) note: Option<String>,
    #[serde(default)]
    pub(crate) variables: IndexMap<String, Value>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Stage {
    pub(crate) name: String,
    /// `crate/binary` of this workspace, built in release mode …
    pub(crate) binary: Option<String>,
    #[serde(default)]
    pub(crate) features: Vec<String>,
    /// … or any program with its first arguments.
    pub(crate) command: Option<Vec<String>>,
    /// Axis → list of values, or the name of an axis or of a list variable.
    #[serde(default)]
    pub(crate) matrix: IndexMap<String, Value>,
    /// Stages above this one, and experiments (`crate/name`) whose stages `args` refer to.
    #[serde(default)]
    pub(crate) needs: Vec<String>,
    #[serde(default)]
    pub(crate) args: Vec<String>,
    /// Labels added to each metric, beside `seed`, `stage` and the axes.
    #[serde(default)]
    pub(crate) labels: IndexMap<String, String>,
    /// Cores that it keeps busy.
    #[serde(default = "one")]
    pub(crate) threads: usize,
    /// The scales that run it; all when absent.
    pub(crate) scales: Option<Vec<Scale>>,
}

fn one() -> usize {
    1
}

/// Which metric records make one number a seed.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Selector {
    pub(crate) metric: String,
    /// Label → value; a list (or `"{list-variable}"`) averages over its values, all of which must be there.
    #[serde(default, rename = "where")]
    pub(crate) filter: IndexMap<String, Value>,
    /// A label listed in `where`: the greatest over its values is taken instead of their mean.
    pub(crate) best_of: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Outcome {
    Reproduced,
    NotReproduced,
}

/// A claim with the outcome that we expect; the exit code says whether the expectation held.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Expect {
    pub(crate) name: String,
    pub(crate) claim: String,
    pub(crate) source: String,
    pub(crate) value: Selector,
    /// Subtracted seed by seed.
    pub(crate) minus: Option<Selector>,
    #[serde(default)]
    pub(crate) unit: String,
    /// Reproduced when the mean over seeds is at least this …
    pub(crate) at_least: Option<f64>,
    /// … or at most this …
    pub(crate) at_most: Option<f64>,
    /// … or this, give or take `within`.
    pub(crate) target: Option<f64>,
    pub(crate) within: Option<f64>,
    #[serde(default = "reproduced")]
    pub(crate) expected: Outcome,
    /// How far beyond the border the value may lie before an unexpected outcome counts as out of tolerance.
    #[serde(default)]
    pub(crate) tolerance: f64,
    /// The scales at which it is judged; all when absent.
    pub(crate) scales: Option<Vec<Scale>>,
    /// An environment variable without which it is left out.
    pub(crate) needs_env: Option<String>,
}

fn reproduced() -> Outcome {
    Outcome::Reproduced
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Best {
    Max,
    Min,
}

/// One column of a table, or with `each` one a value of a label.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Column {
    /// The heading; with `each` the label's value is the heading.
    pub(crate) title: Option<String>,
    pub(crate) value: Selector,
    /// A label listed in `where`: one column for each of its values.
    pub(crate) each: Option<String>,
    /// Which value of the column is set in bold.
    pub(crate) best: Option<Best>,
    /// Values at which a search ended at its border; marked.
    #[serde(default)]
    pub(crate) edges: Vec<f64>,
    #[serde(default = "one")]
    pub(crate) decimals: usize,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Table {
    pub(crate) name: String,
    pub(crate) title: String,
    /// The label whose values are the rows, in the order of the stages.
    pub(crate) rows: String,
    /// Rows that are bounds rather than competitors, never set in bold.
    #[serde(default)]
    pub(crate) reference_rows: Vec<String>,
    #[serde(rename = "column")]
    pub(crate) columns: Vec<Column>,
    pub(crate) scales: Option<Vec<Scale>>,
    /// An environment variable without which it is left out.
    pub(crate) needs_env: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum PlotKind {
    /// Horizontal bars: one group a value of `x`, one bar a series.
    Bars,
    /// Lines over numeric values of `x`, one a series.
    Lines,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Series {
    pub(crate) title: String,
    pub(crate) value: Selector,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Plot {
    pub(crate) name: String,
    pub(crate) title: String,
    pub(crate) kind: PlotKind,
    /// The label along the axis of categories (bars) or of numbers (lines).
    pub(crate) x: String,
    pub(crate) x_title: Option<String>,
    pub(crate) y_title: String,
    #[serde(rename = "series")]
    pub(crate) series: Vec<Series>,
    /// Values drawn across the whole plot.
    #[serde(default, rename = "reference")]
    pub(crate) references: Vec<Series>,
    pub(crate) scales: Option<Vec<Scale>>,
    /// An environment variable without which it is left out.
    pub(crate) needs_env: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Experiment {
    pub(crate) title: String,
    pub(crate) claim: String,
    pub(crate) source: String,
    /// Plain words printed under the claim.
    pub(crate) note: Option<String>,
    #[serde(default)]
    pub(crate) variables: IndexMap<String, Value>,
    #[serde(default)]
    pub(crate) axes: IndexMap<String, Vec<AxisPoint>>,
    pub(crate) scales: IndexMap<Scale, ScaleSpec>,
    #[serde(rename = "stage")]
    pub(crate) stages: Vec<Stage>,
    #[serde(default, rename = "expect")]
    pub(crate) expectations: Vec<Expect>,
    #[serde(default, rename = "table")]
    pub(crate) tables: Vec<Table>,
    #[serde(default, rename = "plot")]
    pub(crate) plots: Vec<Plot>,
}

/// Whether something limited to `scales` takes part at `scale`.
pub(crate) fn applies(scales: Option<&[Scale]>, scale: Scale) -> bool {
    scales.is_none_or(|scales| scales.contains(&scale))
}

impl Experiment {
    /// Reads and checks a file; the error names the file and, for syntax and unknown fields, the line.
    pub(crate) fn read(path: &Path) -> Result<Experiment> {
        let text =
            std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        Experiment::parse(&text).with_context(|| format!("{} is not a valid experiment", path.display()))
    }

    pub(crate) fn parse(text: &str) -> Result<Experiment> {
        Experiment::parse_in(text, |name| std::env::var_os(name).is_some())
    }

    /// As [`parse`](Self::parse), where `is_set` says which environment variables are set.
    fn parse_in(text: &str, is_set: impl Fn(&str) -> bool) -> Result<Experiment> {
        let mut experiment: Experiment = toml::from_str(text)?;
        experiment.check()?;
        let stays = |needed: &Option<String>| needed.as_deref().is_none_or(&is_set);
        experiment.axes.values_mut().for_each(|points| points.retain(|point| stays(&point.needs_env)));
        Ok(experiment)
    }

    pub(crate) fn scale(&self, scale: Scale) -> Result<&ScaleSpec> {
        self.scales.get(&scale).with_context(|| {
            let known: Vec<String> = self.scales.keys().map(Scale::to_string).collect();
            format!("there is no scale `{scale}`, only {}", known.join(", "))
        })
    }

    /// The constants of a scale over those of the file.
    pub(crate) fn variables(&self, scale: Scale) -> Result<IndexMap<String, Value>> {
        let mut variables = self.variables.clone();
        variables.extend(self.scale(scale)?.variables.clone());
        Ok(variables)
    }

    fn check(&self) -> Result<()> {
        for (scale, spec) in &self.scales {
            let mut seeds = spec.seeds.clone();
            seeds.sort_unstable();
            seeds.dedup();
            ensure!(!seeds.is_empty(), "scale `{scale}` has no seeds");
            ensure!(seeds.len() == spec.seeds.len(), "scale `{scale}` lists a seed twice");
            for name in spec.variables.keys().chain(self.variables.keys()) {
                ensure!(
                    !RESERVED.contains(&name.as_str()) && !self.axes.contains_key(name),
                    "variable `{name}` has the name of an axis or of a built-in placeholder"
                );
            }
        }
        ensure!(!self.scales.is_empty(), "there are no scales");
        for (name, points) in &self.axes {
            ensure!(
                !RESERVED.contains(&name.as_str()),
                "axis `{name}` has the name of a built-in placeholder"
            );
            distinct("point", points.iter().map(|p| &p.name)).with_context(|| format!("axis `{name}`"))?;
        }
        distinct("stage", self.stages.iter().map(|s| &s.name))?;
        distinct("expectation", self.expectations.iter().map(|e| &e.name))?;
        distinct(
            "table or plot",
            self.tables.iter().map(|t| &t.name).chain(self.plots.iter().map(|p| &p.name)),
        )?;
        self.stages.iter().try_for_each(check_stage)?;
        self.expectations.iter().try_for_each(check_expectation)
    }
}

const RESERVED: [&str; 5] = ["seed", "scale", "threads", "out", "stage"];

/// Names become file names, labels and placeholders: lower case, digits, `-`.
fn distinct<'a>(what: &str, names: impl Iterator<Item = &'a String>) -> Result<()> {
    let mut seen: Vec<&str> = Vec::new();
    for name in names {
        ensure!(!name.is_empty(), "a {what} has an empty name");
        ensure!(
            name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_'),
            "{what} `{name}`: a name has letters, digits, `-` and `_` only"
        );
        ensure!(!seen.contains(&name.as_str()), "{what} `{name}` is there twice");
        seen.push(name);
    }
    Ok(())
}

fn check_stage(stage: &Stage) -> Result<()> {
    let name = &stage.name;
    match (&stage.binary, &stage.command) {
        (Some(binary), None) => ensure!(
            binary.split('/').count() == 2 && binary.split('/').all(|part| !part.is_empty()),
            "stage `{name}`: binary `{binary}` is not of the form `crate/binary`"
        ),
        (None, Some(command)) => {
            ensure!(!command.is_empty(), "stage `{name}`: the command is empty");
            ensure!(
                stage.features.is_empty(),
                "stage `{name}`: features belong to a binary, not to a command"
            );
        }
        _ => bail!("stage `{name}` needs either `binary` or `command`"),
    }
    ensure!(stage.threads > 0, "stage `{name}`: threads is 0");
    for axis in stage.matrix.keys() {
        ensure!(
            !RESERVED.contains(&axis.as_str()),
            "stage `{name}`: axis `{axis}` is a built-in placeholder"
        );
    }
    for label in stage.labels.keys() {
        ensure!(
            !["seed", "stage"].contains(&label.as_str()) && !stage.matrix.contains_key(label),
            "stage `{name}`: label `{label}` is already set by the stage"
        );
    }
    Ok(())
}

fn check_expectation(expect: &Expect) -> Result<()> {
    let relations = [expect.at_least, expect.at_most, expect.target].iter().flatten().count();
    ensure!(relations == 1, "expectation `{}` needs one of at-least, at-most, target", expect.name);
    ensure!(
        expect.target.is_some() == expect.within.is_some(),
        "expectation `{}`: target and within belong together",
        expect.name
    );
    ensure!(expect.tolerance >= 0.0, "expectation `{}` has a negative tolerance", expect.name);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str = r#"
        title = "t"
        claim = "c"
        source = "s"
        [scales.smoke]
        seeds = [0]
        [[stage]]
        name = "a"
        command = ["/bin/true"]
    "#;

    fn error_of(text: &str) -> String {
        format!("{:#}", Experiment::parse(text).expect_err("the text is wrong"))
    }

    #[test]
    fn a_small_file_reads() {
        let experiment = Experiment::parse(SMALL).expect("the file is right");
        assert_eq!(experiment.stages[0].threads, 1, "a stage keeps one core busy by default");
        assert_eq!(experiment.scale(Scale::Smoke).expect("there").seeds, [0], "seeds are read");
    }

    #[test]
    fn errors_name_what_is_wrong() {
        let unknown = SMALL.replace("name = \"a\"", "name = \"a\"\nnees = [\"b\"]");
        assert!(error_of(&unknown).contains("nees"), "an unknown field is named: {}", error_of(&unknown));
        assert!(error_of(&unknown).contains("line 9"), "its line is given: {}", error_of(&unknown));
        for (from, to, want) in [
            ("seeds = [0]", "seeds = []", "no seeds"),
            ("seeds = [0]", "seeds = [1, 1]", "twice"),
            ("seeds = [0]", "seeds = [0]\nvariables = { out = 1 }", "built-in placeholder"),
            ("name = \"a\"", "name = \"a b\"", "letters, digits"),
            ("command = [\"/bin/true\"]", "", "either `binary` or `command`"),
            ("command = [\"/bin/true\"]", "binary = \"one\"", "crate/binary"),
            ("command = [\"/bin/true\"]", "command = [\"x\"]\nlabels = { seed = \"1\" }", "already set"),
        ] {
            let error = error_of(&SMALL.replace(from, to));
            assert!(error.contains(want), "`{to}` should be refused with `{want}`, got: {error}");
        }
    }

    #[test]
    fn an_expectation_has_one_relation() {
        let expect = "[[expect]]\nname = \"e\"\nclaim = \"c\"\nsource = \"s\"\nvalue = { metric = \"m\" }\n";
        for relation in ["", "at-least = 1\nat-most = 2", "target = 1", "within = 1\nat-most = 1"] {
            assert!(!error_of(&format!("{SMALL}\n{expect}{relation}")).is_empty(), "`{relation}` is refused");
        }
        let fine = format!("{SMALL}\n{expect}target = 1\nwithin = 0.5");
        assert!(Experiment::parse(&fine).is_ok(), "a target with a width is accepted");
    }

    #[test]
    fn points_that_need_a_variable_are_left_out_without_it() {
        let text = format!(
            "{SMALL}\nmatrix = {{ bed = \"bed\" }}\n[[axes.bed]]\nname = \"embedded\"\n[[axes.bed]]\nname = \"real\"\nneeds-env = \"DATA\"\n"
        );
        let count = |set: bool| {
            let experiment = Experiment::parse_in(&text, |name| set && name == "DATA").expect("a right file");
            experiment.axes["bed"].len()
        };
        assert_eq!((count(false), count(true)), (1, 2), "the real bed comes with its data");
    }

    #[test]
    fn numbers_print_as_labels() {
        for (scalar, want) in
            [(Scalar::Float(1.0), "1"), (Scalar::Float(0.3), "0.3"), (Scalar::Int(-2), "-2")]
        {
            assert_eq!(scalar.to_string(), want, "a label is the shortest form of the number");
        }
    }
}
