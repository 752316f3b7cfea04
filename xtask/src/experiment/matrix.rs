//! A stage's parameter matrix: axes × points → assignments, the last axis fastest.

use anyhow::{Context, Result, ensure};
use indexmap::IndexMap;

use super::spec::{Experiment, Scalar, Scale, Stage, Value, applies};

/// One point of an axis: its name, what tables say, and the arguments it stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Point {
    pub(crate) name: String,
    pub(crate) label: String,
    pub(crate) args: Vec<String>,
}

/// One point for each axis of a stage.
pub(crate) type Assignment = IndexMap<String, Point>;

/// All combinations of a stage's axes at a scale.
pub(crate) fn assignments(experiment: &Experiment, stage: &Stage, scale: Scale) -> Result<Vec<Assignment>> {
    let mut axes = IndexMap::new();
    for (axis, values) in &stage.matrix {
        let points = points(experiment, scale, values)
            .with_context(|| format!("stage `{}`, axis `{axis}` of its matrix", stage.name))?;
        axes.insert(axis.clone(), points);
    }
    Ok(expand(&axes))
}

fn points(experiment: &Experiment, scale: Scale, values: &Value) -> Result<Vec<Point>> {
    let plain = |name: String| Point { label: name.clone(), name, args: Vec::new() };
    let points: Vec<Point> = match values {
        Value::One(Scalar::Text(name)) => {
            if let Some(points) = experiment.axes.get(name) {
                let here = points.iter().filter(|point| applies(point.scales.as_deref(), scale));
                here.map(|point| Point {
                    name: point.name.clone(),
                    label: point.label.clone().unwrap_or_else(|| point.name.clone()),
                    args: point.args.clone(),
                })
                .collect()
            } else {
                let variables = experiment.variables(scale)?;
                let list =
                    variables.get(name).with_context(|| format!("no axis or variable is called `{name}`"))?;
                list.list().into_iter().map(plain).collect()
            }
        }
        values => values.list().into_iter().map(plain).collect(),
    };
    ensure!(!points.is_empty(), "there are no values at scale `{scale}`");
    for (i, point) in points.iter().enumerate() {
        ensure!(points[..i].iter().all(|other| other.name != point.name), "`{}` is there twice", point.name);
    }
    Ok(points)
}

fn expand(axes: &IndexMap<String, Vec<Point>>) -> Vec<Assignment> {
    let mut all = vec![Assignment::new()];
    for (axis, points) in axes {
        all = all
            .iter()
            .flat_map(|assignment| {
                points.iter().map(|point| {
                    let mut assignment = assignment.clone();
                    assignment.insert(axis.clone(), point.clone());
                    assignment
                })
            })
            .collect();
    }
    all
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn axis(sizes: &[usize]) -> IndexMap<String, Vec<Point>> {
        let point = |i: usize| Point { name: i.to_string(), label: i.to_string(), args: vec![] };
        sizes.iter().enumerate().map(|(a, &n)| (format!("axis{a}"), (0..n).map(point).collect())).collect()
    }

    proptest! {
        #[test]
        fn the_matrix_is_the_whole_product_in_order(sizes in prop::collection::vec(1usize..4, 0..4)) {
            let all = expand(&axis(&sizes));
            prop_assert_eq!(all.len(), sizes.iter().product::<usize>(), "as many as the product of the axes");
            let names = |a: &Assignment| a.values().map(|p| p.name.parse().unwrap_or(99)).collect::<Vec<u32>>();
            let listed: Vec<Vec<u32>> = all.iter().map(names).collect();
            prop_assert!(listed.windows(2).all(|w| w[0] < w[1]), "distinct, the last axis fastest: {:?}", listed);
        }
    }

    #[test]
    fn a_string_names_an_axis_or_a_variable() {
        let text = r#"
            title = "t"
            claim = "c"
            source = "s"
            variables = { ranks = [8, 16] }
            [[axes.method]]
            name = "cat"
            label = "concatenation"
            args = ["--method", "cat"]
            [[axes.method]]
            name = "svd"
            scales = ["paper"]
            [scales.smoke]
            seeds = [0]
            variables = { ranks = [8] }
            [scales.paper]
            seeds = [0]
            [[stage]]
            name = "a"
            command = ["true"]
            matrix = { method = "method", k = "ranks" }
        "#;
        let experiment = Experiment::parse(text).expect("the file is right");
        let at = |scale| assignments(&experiment, &experiment.stages[0], scale).expect("the matrix expands");
        assert_eq!(at(Scale::Smoke).len(), 1, "smoke has one method and one rank");
        assert_eq!(at(Scale::Smoke)[0]["method"].label, "concatenation", "the point's label is kept");
        assert_eq!(at(Scale::Paper).len(), 4, "paper has two methods and two ranks");
        let missing = Experiment::parse(&text.replace("\"ranks\"", "\"rnks\"")).expect("syntax is right");
        let error =
            assignments(&missing, &missing.stages[0], Scale::Smoke).expect_err("there is no such list");
        assert!(format!("{error:#}").contains("rnks"), "the missing name is given: {error:#}");
    }
}
