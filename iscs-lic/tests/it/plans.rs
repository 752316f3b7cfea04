//! Plans: what every one of them holds, the same for any number of threads, and files that are none.

use std::path::Path;

use grouping_core::testing::assert_refused;
use iscs_lic::channels::{Core, Preset};
use iscs_lic::checkpoint::Checkpoint;
use iscs_lic::plan::{Grouping, Objective, Plan, PlanConfig, Planned, Schedule, Slicing, plan, plan_by};
use proptest::prelude::*;

use crate::commands::{answers, run};
use crate::recipe::{ARCHITECTURES, small};

/// Numbers from 0 below 1 that follow from a seed.
pub(crate) fn scores(seed: u64, n: usize) -> Vec<f64> {
    let unit = |i: u64| (grouping_core::seed::sequence(seed, i) >> 11) as f64 / (1u64 << 53) as f64;
    (0..n as u64).map(unit).collect()
}

/// A plan of a model by these scores, which can be folded.
pub(crate) fn ordered(checkpoint: &Checkpoint, scores: &[f64]) -> Plan {
    let grouping = if checkpoint.design().slices.len() > 1 { Grouping::Model } else { Grouping::Uneven };
    let config = PlanConfig::new(Preset::Literal).with_grouping(Some(grouping));
    plan_by(checkpoint, "given", scores, &config).expect("a plan").plan
}

/// A plan of a model in an order that follows from a seed, and that can be folded.
pub(crate) fn shuffled(checkpoint: &Checkpoint, seed: u64) -> Plan {
    ordered(checkpoint, &scores(seed, checkpoint.m()))
}

fn assert_whole(plan: &Plan) {
    let m = plan.model().m;
    assert_eq!(plan.order().len(), m, "a channel a position");
    for (position, &channel) in plan.order().iter().enumerate() {
        assert_eq!(plan.inverse()[channel], position, "π⁻¹ ∘ π of position {position}");
    }
    assert_eq!(plan.slices().iter().sum::<usize>(), m, "slices sum to all channels");
    let core: usize = plan.slices()[..plan.n_core_slices()].iter().sum();
    assert_eq!(core, plan.n_core(), "the core ends with a slice");
    assert_eq!(plan.dependencies().len(), plan.slices().len(), "dependencies of each slice");
    for (k, earlier) in plan.dependencies().iter().enumerate() {
        assert!(earlier.iter().all(|&e| e < k), "slice {k} waits for {earlier:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn every_plan_is_whole_and_is_read_as_it_was_written(
        seed in any::<u64>(),
        share in 0.01f64..1.0,
        grouping in proptest::sample::select(Grouping::ALL[..4].to_vec()),
        schedule in proptest::sample::select(vec![Schedule::Serial, Schedule::CoreParallel]),
        n_slices in proptest::option::of(1usize..=16),
    ) {
        let checkpoint = small("mbt2018-mean");
        let slicing = n_slices.map_or(Slicing::Default, Slicing::Count);
        let config = PlanConfig::new(Preset::Literal)
            .with_core(Core::Share(share))
            .with_grouping(Some(grouping))
            .with_schedule(Some(schedule))
            .with_slicing(slicing);
        let Planned { plan, report } = plan_by(&checkpoint, "random", &scores(seed, 16), &config).expect("a plan");
        assert_whole(&plan);
        prop_assert!(plan.n_core() >= Core::Share(share).size(plan.scores()));
        let again = Plan::from_json(Path::new("plan.json"), &plan.to_json()).expect("a plan");
        prop_assert_eq!(&again, &plan);
        let all = report.progressive.last().copied().unwrap_or_default();
        prop_assert!((all - 1.0).abs() < 1e-12, "all slices hold all of the score: {all}");
        let path = report.parallelism;
        prop_assert!(path.critical_channels <= 16 && path.critical_slices <= plan.slices().len());
        if schedule == Schedule::Serial {
            prop_assert_eq!((path.critical_channels, path.critical_slices), (16, plan.slices().len()));
        }
    }
}

#[test]
fn a_plan_does_not_depend_on_the_number_of_threads() {
    let models = [Checkpoint::default_model().expect("the model"), small("elic2022-official")];
    let made = |n_threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().expect("threads");
        pool.install(|| {
            let all = models.iter().flat_map(|checkpoint| {
                Grouping::ALL.map(|grouping| {
                    let config = PlanConfig::new(Preset::Combined).with_grouping(Some(grouping));
                    let Planned { plan, report } = plan(checkpoint, &config).expect("a plan");
                    (plan.to_json(), serde_json::to_string(&report).expect("JSON"))
                })
            });
            all.collect::<Vec<_>>()
        })
    };
    let one = made(1);
    for n_threads in [2, 4] {
        assert!(made(n_threads) == one, "other plans with {n_threads} threads");
    }
}

#[test]
fn objectives_make_plans_of_their_own() {
    let checkpoint = Checkpoint::default_model().expect("the model");
    let of = |objective: Objective| {
        plan(&checkpoint, &PlanConfig::new(Preset::EntropyHead).with_objective(objective)).expect("a plan")
    };
    let [rate, progressive, parallel] = Objective::ALL.map(of);
    assert_eq!(rate.plan.grouping(), Grouping::CorrelationSpread, "the grouping for rate");
    let inside = |planned: &Planned| planned.report.rate.inside.expect("pairs");
    assert!(inside(&rate) < inside(&progressive), "spread takes correlated channels apart");
    let first = |planned: &Planned| planned.report.progressive[0] / planned.plan.slices()[0] as f64;
    assert!(first(&progressive) > first(&rate), "what matters stands first");
    let path = |planned: &Planned| planned.report.parallelism.critical_channels;
    assert!(path(&parallel) < 64 && path(&progressive) < 64, "slices side by side");
    assert_eq!(path(&rate), 64, "one after another");
    let clusters = PlanConfig::new(Preset::EntropyHead).with_grouping(Some(Grouping::CorrelationCluster));
    let clusters = plan(&checkpoint, &clusters).expect("a plan");
    assert!(inside(&clusters) > inside(&rate), "cluster keeps together what spread takes apart");
}

#[test]
fn models_of_slices_keep_their_own() {
    for (name, slices, last) in
        [("elic2022-official", vec![2, 2, 4, 8], vec![0, 1, 2]), ("ms2020", vec![2; 10], vec![0, 1, 2, 3, 4])]
    {
        let config = PlanConfig::new(Preset::EntropyHead).with_grouping(Some(Grouping::Model));
        let plan = plan(&small(name), &config).expect("a plan").plan;
        assert_whole(&plan);
        assert_eq!(plan.slices(), slices, "slices of {name}");
        assert_eq!(plan.dependencies().last(), Some(&last), "what the last slice of {name} sees");
    }
    for name in ARCHITECTURES {
        let plan = shuffled(&small(name), 3);
        assert_whole(&plan);
        assert_ne!(plan.order(), (0..plan.model().m).collect::<Vec<_>>(), "{name}: another order");
    }
}

#[test]
fn fingerprints_tell_what_decides_how_a_picture_is_coded() {
    let checkpoint = Checkpoint::default_model().expect("the model");
    let config = PlanConfig::new(Preset::EntropyHead);
    let of = |config: &PlanConfig| plan(&checkpoint, config).expect("a plan").plan.fingerprint();
    let one = of(&config);
    let named = config.clone().with_objective(Objective::Rate).with_grouping(Some(Grouping::Uneven));
    let parallel = named.clone().with_schedule(Some(Schedule::CoreParallel));
    assert_eq!(of(&parallel), one, "what it was made for changes nothing");
    assert_ne!(of(&named), one, "another schedule");
    assert_ne!(of(&config.clone().with_slicing(Slicing::Count(8))), one, "other slices");
    assert_ne!(of(&PlanConfig::new(Preset::Literal)), one, "another order");
}

/// A text in which the first line of a field is another.
fn with_field(text: &str, field: &str, value: &str) -> String {
    let replaced = |line: &str| {
        let is_field = line.trim_start().starts_with(&format!("\"{field}\":"));
        if is_field { format!("  \"{field}\": {value},") } else { line.to_owned() }
    };
    text.lines().map(replaced).collect::<Vec<_>>().join("\n").replace(",\n}", "\n}")
}

#[test]
fn files_that_are_no_plans_are_refused_by_field() {
    let folder = tempfile::tempdir().expect("a folder");
    let place = folder.path();
    let checkpoint = small("mbt2018-mean");
    let text = shuffled(&checkpoint, 5).to_json();
    let refuse = |changed: &str, words: &str| {
        assert_refused(Plan::from_json(Path::new("p.json"), changed), words);
        std::fs::write(place.join("p.json"), changed).expect("a file");
        answers(place, "reorder --plan p.json -o out.safetensors", 2, &format!("p.json: {words}"));
        assert!(!place.join("out.safetensors").exists(), "nothing is written");
    };
    let refuse_field =
        |field: &str, value: &str, words: &str| refuse(&with_field(&text, field, value), words);
    refuse(&text[..text.len() / 2], "`content`: expected a JSON object");
    refuse("[]", "`content`: expected a JSON object");
    refuse_field("format", "\"iscs\"", "`format`: expected \"iscs-plan\", found \"iscs\"");
    refuse_field("version", "2", "`version`: expected 1, found 2");
    refuse(&text.replacen('{', "{\"colour\": 3,", 1), "`colour`: expected a field of a plan");
    refuse_field("objective", "\"beauty\"", "`objective`: expected one of rate, progressive, parallelism");
    refuse_field("grouping", "\"none\"", "`grouping`: expected one of even, uneven, correlation-spread");
    refuse_field("preset", "7", "`preset`: expected a text");
    let identity: Vec<usize> = (0..16).collect();
    let list = |values: &[usize]| serde_json::to_string(values).expect("JSON");
    let mut twice = identity.clone();
    twice[3] = 2;
    refuse_field("order", &list(&twice), "`order[3]`: expected each channel once, found 2 again");
    refuse_field("order", &list(&identity[..15]), "`order`: expected 16 values, found 15 values");
    refuse_field("order", "[-1]", "`order[0]`: expected whole numbers from 0 to 15, found -1");
    refuse_field("order", "{}", "`order`: expected an array of whole numbers");
    let inverse = Plan::from_json(Path::new("p.json"), &text).expect("a plan").inverse().to_vec();
    let mut turned = inverse;
    turned.rotate_left(1);
    refuse_field("inverse", &list(&turned), "`inverse[0]`: expected");
    refuse_field("slices", "[1,1,2,3,3,3,2]", "`slices`: expected 16 channels in all, found 15");
    refuse_field("slices", "[16,0]", "`slices[1]`: expected whole numbers from 1 to 16, found 0");
    refuse_field("n_core", "3", "`n_core`: expected as many channels as whole slices hold, found 3");
    refuse_field("dependencies", "[[],[0]]", "`dependencies`: expected 7 values, found 2 values");
    refuse_field(
        "dependencies",
        "[[],[0],[0,1],[0,1,2],[0,1,2],[0,5],[0,1,2]]",
        "`dependencies[5]`: expected slices before this one, ascending, found [0,5]",
    );
    refuse_field("dependencies", "[[],[0],[1,0],[],[],[],[]]", "`dependencies[2]`: expected slices before");
    refuse_field("dependencies", "[[],[0],[0],[0],[0],[0],[0]]", "`fingerprint`: expected");
    refuse_field("scores", "[1e999]", "`content`: expected a JSON object");
    refuse_field("scores", "[1, null]", "`scores[1]`: expected finite numbers, found null");
    refuse_field(
        "model",
        "{\"architecture\":\"a\",\"channels\":0,\"fingerprint\":\"\"}",
        "`model.channels`: expected",
    );
    refuse_field(
        "model",
        "{\"architecture\":\"a\",\"channels\":16,\"fingerprint\":\"0\"}",
        "`model.fingerprint`: expected 32",
    );
    refuse_field("model", "3", "`model`: expected an object");
    refuse_field("fingerprint", "\"00000000000000ZZ\"", "`fingerprint`: expected 16 hexadecimal digits");
}

#[test]
fn no_damage_to_a_plan_is_more_than_an_error() {
    let text = shuffled(&small("mbt2018-mean"), 9).to_json();
    let plan = Plan::from_json(Path::new("p.json"), &text).expect("a plan");
    // Without its last line end it is a plan.
    for at in 0..text.trim_end().len() {
        let (before, rest) = text.split_at(at);
        assert!(Plan::from_json(Path::new("p.json"), before).is_err(), "cut at {at}");
        // Another letter or digit in its place; what is read all the same decodes alike.
        let changed = format!("{before}7{}", &rest[1..]);
        if let Ok(read) = Plan::from_json(Path::new("p.json"), &changed) {
            assert_eq!(read.fingerprint(), plan.fingerprint(), "changed at {at}");
            assert_eq!((read.order(), read.slices()), (plan.order(), plan.slices()), "changed at {at}");
        }
    }
}

#[test]
fn a_plan_for_another_model_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let place = folder.path();
    answers(place, "plan -o plan.json", 0, "plan.json: 64 channels of mbt2018-mean in 7 slices");
    let text = std::fs::read_to_string(place.join("plan.json")).expect("a plan");
    let foreign = shuffled(&small("mbt2018-mean"), 1).to_json();
    std::fs::write(place.join("other.json"), foreign).expect("a file");
    let words = "other.json: `model.channels`: expected 64, of the model that is given, found 16";
    answers(place, "reorder --plan other.json -o out.safetensors", 2, words);
    answers(place, "prune --plan other.json -o out.safetensors", 2, words);
    answers(
        place,
        "reorder --plan plan.json -o moved.safetensors",
        0,
        "channels of mbt2018-mean in other places",
    );
    let again = "reorder moved.safetensors --plan plan.json -o twice.safetensors";
    answers(place, again, 2, "plan.json: `model.fingerprint`: expected");
    let (status, said) = run(place, "plan --slices 8,8,16 -o x.json");
    assert_eq!(status, Some(2), "{said}");
    assert!(
        said.contains("--slices: expected widths of 64 channels in all, found 8,8,16, which are 32"),
        "{said}"
    );
    answers(place, "plan --n-slices 65 -o x.json", 2, "--n-slices: expected from 1 to 64, found 65");
    answers(place, "plan -o plan.json", 2, "exists already; --force replaces it");
    answers(place, "plan -o plan.txt", 2, "expected an output that ends in .json");
    answers(place, "reorder --plan absent.json -o x.safetensors", 2, "absent.json");
    assert_eq!(std::fs::read_to_string(place.join("plan.json")).expect("a plan"), text, "the plan stands");
}

#[test]
fn scores_from_a_file_make_a_plan() {
    let folder = tempfile::tempdir().expect("a folder");
    let place = folder.path();
    let values: Vec<f64> = (0..64).map(f64::from).collect();
    let write =
        |value: serde_json::Value| std::fs::write(place.join("s.json"), value.to_string()).expect("a file");
    write(serde_json::json!({"preset": "by-hand", "scores": values}));
    answers(place, "plan --scores s.json -o plan.json", 0, "by by-hand");
    let plan = Plan::read(&place.join("plan.json")).expect("a plan");
    assert_eq!((plan.preset(), &plan.order()[..3]), ("by-hand", &[63, 62, 61][..]), "the greatest first");
    write(serde_json::json!({"scores": values[1..]}));
    answers(
        place,
        "plan --scores s.json",
        2,
        "s.json: `scores`: expected 64 values, one a channel, found 63 values",
    );
    write(serde_json::json!({"scores": values, "fingerprint": "00"}));
    answers(place, "plan --scores s.json", 2, "s.json: `fingerprint`: expected");
    write(serde_json::json!({"scores": vec!["a"; 64]}));
    answers(place, "plan --scores s.json", 2, "`scores[0]`: expected a finite number, found \"a\"");
    answers(place, "plan --scores s.json --preset rank", 2, "cannot be used with");
}
