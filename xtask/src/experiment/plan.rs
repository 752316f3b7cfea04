//! From experiment files to a graph of stage instances (stage × seed × point of its matrix) in an order in which
//! each comes after what it needs.
//!
//! An experiment that is needed (`needs = ["lego-merge/bed"]`) is planned whole, before the one that needs it, so
//! that its own expectations are judged too. Where seeds differ, its stages are also planned at the seeds wanted.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use indexmap::IndexMap;

use super::matrix::{Assignment, assignments};
use super::spec::{Experiment, Scale, Stage, Value, applies};
use super::template::{Token, parse};
use crate::cargo::{Executable, Features, Kind};

/// What a stage runs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Program {
    Binary(Executable),
    Command(Vec<String>),
}

/// A part of one argument: text, the stage's own output, or the output of another instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    Text(String),
    Out,
    Output(usize),
}

/// One stage at one seed and one point of its matrix.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) experiment: String,
    pub(crate) stage: String,
    pub(crate) seed: u64,
    pub(crate) point: Assignment,
    pub(crate) program: Program,
    pub(crate) args: Vec<Vec<Piece>>,
    /// Indices of the instances that come first, each below this one's own.
    pub(crate) needs: Vec<usize>,
    pub(crate) threads: usize,
    /// What its metrics are labelled with.
    pub(crate) labels: BTreeMap<String, String>,
}

impl Node {
    /// `lego-merge/bed adapter task=rev seed=0`.
    pub(crate) fn title(&self) -> String {
        let point: String =
            self.point.iter().map(|(axis, point)| format!(" {axis}={}", point.name)).collect();
        format!("{} {}{point} seed={}", self.experiment, self.stage, self.seed)
    }

    pub(crate) fn writes_output(&self) -> bool {
        self.args.iter().flatten().any(|piece| *piece == Piece::Out)
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) scale: Scale,
    /// The experiments, each after those it needs.
    pub(crate) experiments: Vec<String>,
    pub(crate) nodes: Vec<Node>,
    /// Package → features wanted by any of its binaries.
    pub(crate) features: Features,
}

/// All experiment files of the workspace by `crate/name`.
pub(crate) struct Library {
    pub(crate) experiments: IndexMap<String, Experiment>,
}

impl Library {
    /// Reads `<folder>/<crate>/<name>.toml`, in the order of the names.
    pub(crate) fn read(folder: &Path) -> Result<Library> {
        let mut experiments = IndexMap::new();
        for package in entries(folder)?.into_iter().filter(|path| path.is_dir()) {
            for file in
                entries(&package)?.into_iter().filter(|path| path.extension().is_some_and(|e| e == "toml"))
            {
                let part = |path: &Path| path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
                experiments.insert(format!("{}/{}", part(&package), part(&file)), Experiment::read(&file)?);
            }
        }
        ensure!(!experiments.is_empty(), "there are no experiments in {}", folder.display());
        Ok(Library { experiments })
    }

    pub(crate) fn get(&self, id: &str) -> Result<&Experiment> {
        self.experiments.get(id).with_context(|| {
            let known: Vec<&str> = self.experiments.keys().map(String::as_str).collect();
            format!("there is no experiment `{id}`, only {}", known.join(", "))
        })
    }

    /// The experiments that a command line names: all, those of a crate, or one.
    pub(crate) fn select(&self, wanted: Option<&str>) -> Result<Vec<String>> {
        let Some(wanted) = wanted else { return Ok(self.experiments.keys().cloned().collect()) };
        let prefix = format!("{wanted}/");
        let ids: Vec<String> =
            self.experiments.keys().filter(|id| id.starts_with(&prefix)).cloned().collect();
        if ids.is_empty() {
            self.get(wanted)?;
            return Ok(vec![wanted.to_owned()]);
        }
        Ok(ids)
    }
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let read =
        std::fs::read_dir(folder).with_context(|| format!("cannot read the folder {}", folder.display()))?;
    let mut paths = read.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<PathBuf>>>()?;
    paths.sort();
    Ok(paths)
}

impl Plan {
    pub(crate) fn new(library: &Library, wanted: &[String], scale: Scale) -> Result<Plan> {
        let plan = Plan { scale, experiments: Vec::new(), nodes: Vec::new(), features: Features::new() };
        let mut planner = Planner { library, plan, instances: HashMap::new() };
        for id in wanted {
            planner.experiment(id, &mut Vec::new())?;
        }
        Ok(planner.plan)
    }

    /// The instances that belong to an experiment at its own seeds.
    pub(crate) fn of<'a>(&'a self, id: &'a str, seeds: &'a [u64]) -> impl Iterator<Item = usize> + 'a {
        (0..self.nodes.len())
            .filter(move |&i| self.nodes[i].experiment == id && seeds.contains(&self.nodes[i].seed))
    }
}

struct Planner<'a> {
    library: &'a Library,
    plan: Plan,
    /// (experiment, stage, seed) → its instances.
    instances: HashMap<(String, String, u64), Vec<usize>>,
}

impl Planner<'_> {
    fn experiment(&mut self, id: &str, above: &mut Vec<String>) -> Result<()> {
        if above.iter().any(|other| other == id) {
            bail!("experiments need each other in a circle: {} → {id}", above.join(" → "));
        }
        if self.plan.experiments.iter().any(|other| other == id) {
            return Ok(());
        }
        let experiment = self.library.get(id)?;
        above.push(id.to_owned());
        for need in experiment.stages.iter().flat_map(|stage| &stage.needs).filter(|need| need.contains('/'))
        {
            self.experiment(need, above).with_context(|| format!("needed by `{id}`"))?;
        }
        above.pop();
        for &seed in &experiment.scale(self.plan.scale).with_context(|| id.to_owned())?.seeds {
            for stage in &experiment.stages {
                self.stage(id, &stage.name, seed)?;
            }
        }
        self.plan.experiments.push(id.to_owned());
        Ok(())
    }

    /// The instances of a stage at a seed, planned when they are not yet.
    fn stage(&mut self, id: &str, name: &str, seed: u64) -> Result<Vec<usize>> {
        let key = (id.to_owned(), name.to_owned(), seed);
        if let Some(instances) = self.instances.get(&key) {
            return Ok(instances.clone());
        }
        let experiment = self.library.get(id)?;
        let position = experiment.stages.iter().position(|stage| stage.name == name);
        let position = position.with_context(|| format!("experiment `{id}` has no stage `{name}`"))?;
        let stage = &experiment.stages[position];
        let mut instances = Vec::new();
        if applies(stage.scales.as_deref(), self.plan.scale) {
            for need in stage.needs.iter().filter(|need| !need.contains('/')) {
                ensure!(
                    experiment.stages[..position].iter().any(|other| &other.name == need),
                    "`{id}`, stage `{name}` needs `{need}`, which is not a stage above it"
                );
            }
            for point in assignments(experiment, stage, self.plan.scale).with_context(|| id.to_owned())? {
                let node = self
                    .instance(id, experiment, stage, seed, point)
                    .with_context(|| format!("`{id}`, stage `{name}`"))?;
                instances.push(self.plan.nodes.len());
                self.plan.nodes.push(node);
            }
        }
        self.instances.insert(key, instances.clone());
        Ok(instances)
    }

    fn instance(
        &mut self,
        id: &str,
        experiment: &Experiment,
        stage: &Stage,
        seed: u64,
        point: Assignment,
    ) -> Result<Node> {
        let mut labels =
            BTreeMap::from([("seed".to_owned(), seed.to_string()), ("stage".to_owned(), stage.name.clone())]);
        labels.extend(point.iter().map(|(axis, point)| (axis.clone(), point.label.clone())));
        let scope = Scope {
            id,
            stage,
            seed,
            point: &point,
            variables: &experiment.variables(self.plan.scale)?,
            needs: BTreeSet::new(),
        };
        let mut resolver = Resolver { planner: self, scope };
        let mut args = Vec::new();
        for template in &stage.args {
            args.extend(resolver.arguments(template, true)?);
        }
        for need in stage.needs.iter().filter(|need| !need.contains('/')) {
            resolver.outputs(id, need)?;
        }
        for (label, template) in &stage.labels {
            let value = resolver.text(template).with_context(|| format!("label `{label}`"))?;
            labels.insert(label.clone(), value);
        }
        let needs = resolver.scope.needs.into_iter().collect();
        let program = match (&stage.binary, &stage.command) {
            (Some(binary), _) => {
                let (package, binary) = binary.split_once('/').context("a binary is `crate/binary`")?;
                let features = self.plan.features.entry(package.to_owned()).or_default();
                features.extend(stage.features.iter().cloned());
                let (package, name) = (package.to_owned(), binary.to_owned());
                Program::Binary(Executable { package, kind: Kind::Bin, name })
            }
            (None, command) => Program::Command(command.clone().unwrap_or_default()),
        };
        let (experiment, threads) = (id.to_owned(), stage.threads);
        Ok(Node { experiment, stage: stage.name.clone(), seed, point, program, args, needs, threads, labels })
    }
}

struct Scope<'a> {
    id: &'a str,
    stage: &'a Stage,
    seed: u64,
    point: &'a Assignment,
    variables: &'a IndexMap<String, Value>,
    needs: BTreeSet<usize>,
}

struct Resolver<'p, 'l, 's> {
    planner: &'p mut Planner<'l>,
    scope: Scope<'s>,
}

impl Resolver<'_, '_, '_> {
    /// The arguments that a template stands for: one, or several where a list stands alone.
    fn arguments(&mut self, template: &str, spread: bool) -> Result<Vec<Vec<Piece>>> {
        let tokens = parse(template)?;
        if let [Token::Placeholder(name)] = tokens.as_slice() {
            if let Some(point) = name.strip_suffix(".args").and_then(|axis| self.scope.point.get(axis)) {
                ensure!(spread, "`{{{name}}}` cannot stand within another axis's arguments");
                let mut args = Vec::new();
                for template in point.args.clone() {
                    args.extend(self.arguments(&template, false)?);
                }
                return Ok(args);
            }
            if let Some(outputs) = self.stage_outputs(name)? {
                return Ok(outputs.into_iter().map(|node| vec![Piece::Output(node)]).collect());
            }
        }
        let mut pieces = Vec::new();
        for token in tokens {
            pieces.push(match token {
                Token::Text(text) => Piece::Text(text),
                Token::Placeholder(name) if name == "out" => Piece::Out,
                Token::Placeholder(name) => match self.stage_outputs(&name)? {
                    Some(outputs) => {
                        ensure!(
                            outputs.len() == 1,
                            "`{template}`: `{{{name}}}` is {} outputs, so it must stand alone",
                            outputs.len()
                        );
                        Piece::Output(outputs[0])
                    }
                    None => Piece::Text(self.value(&name)?),
                },
            });
        }
        Ok(vec![pieces])
    }

    fn text(&self, template: &str) -> Result<String> {
        let tokens = parse(template)?.into_iter();
        let texts = tokens.map(|token| match token {
            Token::Text(text) => Ok(text),
            Token::Placeholder(name) => self.value(&name),
        });
        texts.collect()
    }

    fn value(&self, name: &str) -> Result<String> {
        let scope = &self.scope;
        if let Some(point) = scope.point.get(name) {
            return Ok(point.name.clone());
        }
        if let Some(point) = name.strip_suffix(".label").and_then(|axis| scope.point.get(axis)) {
            return Ok(point.label.clone());
        }
        match name {
            "seed" => Ok(scope.seed.to_string()),
            "scale" => Ok(self.planner.plan.scale.to_string()),
            "threads" => Ok(scope.stage.threads.to_string()),
            _ => match scope.variables.get(name) {
                Some(value) => Ok(value.joined()),
                None => bail!("`{{{name}}}` is no axis of the stage and no variable of the scale"),
            },
        }
    }

    /// The instances behind `stage.NAME` or `crate/experiment.NAME`; none for any other name.
    fn stage_outputs(&mut self, name: &str) -> Result<Option<Vec<usize>>> {
        let needs = &self.scope.stage.needs;
        let own = name.strip_prefix("stage.").map(|stage| (self.scope.id.to_owned(), stage.to_owned()));
        let other = || {
            let (id, stage) = name.rsplit_once('.')?;
            id.contains('/').then(|| (id.to_owned(), stage.to_owned()))
        };
        let Some((id, stage)) = own.or_else(other) else { return Ok(None) };
        let need = if id == self.scope.id { &stage } else { &id };
        ensure!(needs.contains(need), "`{{{name}}}` stands in args, but `{need}` not in needs");
        self.outputs(&id, &stage).map(Some)
    }

    fn outputs(&mut self, id: &str, stage: &str) -> Result<Vec<usize>> {
        let all = self.planner.stage(id, stage, self.scope.seed)?;
        let same = |node: &Node| {
            node.point
                .iter()
                .all(|(axis, theirs)| self.scope.point.get(axis).is_none_or(|ours| ours.name == theirs.name))
        };
        let matched: Vec<usize> = all.into_iter().filter(|&i| same(&self.planner.plan.nodes[i])).collect();
        ensure!(!matched.is_empty(), "`{id}` has no instance of stage `{stage}` at this point of the matrix");
        self.scope.needs.extend(&matched);
        Ok(matched)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BED: &str = r#"
        title = "t"
        claim = "c"
        source = "s"
        variables = { tasks = ["x", "y"], size = 4 }
        scales = { smoke = { seeds = [0, 1] }, mini = { seeds = [0], variables = { size = 9 } } }
        [[stage]]
        name = "base"
        command = ["true"]
        args = ["--seed={seed}", "{size}", "{out}"]
        [[stage]]
        name = "adapt"
        command = ["true"]
        matrix = { task = "tasks" }
        needs = ["base"]
        args = ["{stage.base}", "{task}", "{out}"]
    "#;
    const MERGE: &str = r#"
        title = "t"
        claim = "c"
        source = "s"
        scales = { smoke = { seeds = [0] }, mini = { seeds = [5] } }
        [[axes.method]]
        name = "cat"
        label = "Cat"
        args = ["--method", "cat"]
        [[axes.method]]
        name = "none"
        [[stage]]
        name = "merge"
        command = ["true"]
        matrix = { method = "method" }
        needs = ["m/bed"]
        args = ["{m/bed.adapt}", "{method.args}", "-o", "{out}"]
        labels = { row = "{method.label}!" }
        [[stage]]
        name = "score"
        command = ["true"]
        matrix = { method = "method", task = ["y"] }
        needs = ["merge", "m/bed"]
        args = ["{m/bed.base}", "{m/bed.adapt}", "--adapter={stage.merge}"]
    "#;

    fn library(files: &[(&str, &str)]) -> Library {
        let parsed = files.iter().map(|(id, text)| {
            ((*id).to_owned(), Experiment::parse(text).unwrap_or_else(|e| panic!("{id}: {e:#}")))
        });
        Library { experiments: parsed.collect() }
    }

    fn shown(plan: &Plan, node: &Node) -> Vec<String> {
        let piece = |piece: &Piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Out => "OUT".to_owned(),
            Piece::Output(i) => format!("<{}>", plan.nodes[*i].title()),
        };
        node.args.iter().map(|arg| arg.iter().map(piece).collect()).collect()
    }

    #[test]
    fn outputs_are_matched_by_axis_and_fan_in_otherwise() {
        let library = library(&[("m/multi", MERGE), ("m/bed", BED)]);
        let plan = Plan::new(&library, &["m/multi".to_owned()], Scale::Smoke).expect("the plan stands");
        assert_eq!(plan.experiments, ["m/bed", "m/multi"], "what is needed comes first, whole");
        let titles: Vec<String> = plan.nodes.iter().map(Node::title).collect();
        let merge =
            titles.iter().position(|t| t == "m/multi merge method=cat seed=0").expect("it is planned");
        assert_eq!(
            shown(&plan, &plan.nodes[merge]),
            ["<m/bed adapt task=x seed=0>", "<m/bed adapt task=y seed=0>", "--method", "cat", "-o", "OUT"],
            "both adapters of the same seed fan in"
        );
        assert_eq!(plan.nodes[merge].labels["row"], "Cat!", "a label may hold the point's label");
        let score =
            titles.iter().position(|t| t == "m/multi score method=none task=y seed=0").expect("planned");
        assert_eq!(
            shown(&plan, &plan.nodes[score]),
            [
                "<m/bed base seed=0>",
                "<m/bed adapt task=y seed=0>",
                "--adapter=<m/multi merge method=none seed=0>"
            ],
            "shared axes are matched by name"
        );
        assert_eq!(plan.nodes[score].needs.len(), 3, "it waits for each of the three");
    }

    #[test]
    fn a_needed_experiment_is_planned_at_the_seeds_wanted() {
        let library = library(&[("m/bed", BED), ("m/multi", MERGE)]);
        let plan = Plan::new(&library, &["m/multi".to_owned()], Scale::Mini).expect("the plan stands");
        let titles: Vec<String> = plan.nodes.iter().map(Node::title).collect();
        for want in ["m/bed base seed=0", "m/bed base seed=5"] {
            assert!(titles.iter().any(|t| t == want), "`{want}` is planned: {titles:?}");
        }
        assert_eq!(plan.of("m/bed", &[0]).count(), 3, "the extra seed is not among its own");
        assert_eq!(shown(&plan, &plan.nodes[0])[1], "9", "the scale's variable wins");
    }

    #[test]
    fn mistakes_are_named() {
        let circle = BED.replace("needs = [\"base\"]", "needs = [\"base\", \"m/multi\"]");
        let cases = [
            (circle, MERGE.to_owned(), "circle"),
            (BED.replace("needs = [\"base\"]", "needs = [\"bse\"]"), MERGE.to_owned(), "bse"),
            (BED.replace("needs = [\"base\"]", "needs = []"), MERGE.to_owned(), "not in needs"),
            (BED.replace("{size}", "{sizes}"), MERGE.to_owned(), "{sizes}"),
            (
                BED.to_owned(),
                MERGE.replace("\"{m/bed.adapt}\", \"{m", "\"a{m/bed.adapt}\", \"{m"),
                "stand alone",
            ),
            (BED.to_owned(), MERGE.replace("{m/bed.adapt}", "{m/bed.adpt}"), "no stage `adpt`"),
            (BED.to_owned(), MERGE.replace("task = [\"y\"]", "task = [\"z\"]"), "no instance"),
        ];
        for (bed, merge, want) in cases {
            let merge = merge.replace("a{m/bed.adapt}", "a{m/bed.adapt}b");
            let library = library(&[("m/bed", &bed), ("m/multi", &merge)]);
            let plan = Plan::new(&library, &["m/multi".to_owned()], Scale::Smoke);
            let error = format!("{:#}", plan.map(|p| p.nodes.len()).expect_err("the plan cannot stand"));
            assert!(error.contains(want), "`{want}` is said, got: {error}");
        }
    }

    proptest! {
        #[test]
        fn each_instance_comes_after_what_it_needs(
            n_tasks in 1usize..5,
            links in prop::collection::vec(prop::collection::vec(any::<bool>(), 6), 1..6),
        ) {
            let mut text = String::from(
                "title='t'\nclaim='c'\nsource='s'\nscales={smoke={seeds=[0,3]}}\n",
            );
            for (i, link) in links.iter().enumerate() {
                let needs: Vec<String> = (0..i).filter(|&j| link[j]).map(|j| format!("'s{j}'")).collect();
                let args: Vec<String> = (0..i).filter(|&j| link[j]).map(|j| format!("'{{stage.s{j}}}'")).collect();
                let matrix = if link[5] { format!("t = {:?}", (0..n_tasks).collect::<Vec<_>>()) } else { String::new() };
                text += &format!(
                    "[[stage]]\nname='s{i}'\ncommand=['true']\nmatrix={{{matrix}}}\nneeds=[{}]\nargs=[{}]\n",
                    needs.join(","), args.join(","),
                );
            }
            let plan = Plan::new(&library(&[("c/e", &text)]), &["c/e".to_owned()], Scale::Smoke).expect("it stands");
            for (i, node) in plan.nodes.iter().enumerate() {
                prop_assert!(node.needs.iter().all(|&need| need < i), "{} after all it needs", node.title());
                prop_assert!(node.needs.iter().all(|&n| plan.nodes[n].seed == node.seed), "seeds do not mix");
                let outputs = node.args.len();
                prop_assert_eq!(outputs, node.needs.len(), "an argument for each output");
            }
        }
    }
}
