//! `lego-merge prune` as users run it.

use std::ffi::OsString;
use std::path::Path;

use lego_merge::adapter::Adapter;
use serde_json::Value;

use crate::adapters::{committed, updates, worst};
use crate::command::{run, text};

fn prune(source: &Path, out: &Path, more: &[&str]) -> std::process::Output {
    let mut args: Vec<OsString> = vec!["prune".into(), source.into(), "-o".into(), out.into()];
    args.extend(more.iter().map(OsString::from));
    run(args)
}

#[test]
fn each_method_and_rule_writes_smaller_ranks_and_reports_them() {
    let folder = tempfile::tempdir().expect("a folder");
    let source = committed("ranks", 1);
    let mut retained = vec![];
    for (i, more) in [
        ["--rank", "3", "--method", "svd"],
        ["--rank", "3", "--method", "lego"],
        ["--rank", "energy:0.9", "--seed", "1"],
    ]
    .iter()
    .enumerate()
    {
        let out = folder.path().join(i.to_string());
        let output = prune(&source, &out, &[&more[..], &["--json"]].concat());
        assert!(output.status.success(), "{more:?}: {}", text(&output.stderr));
        let report: Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
        assert_eq!(report["event"], "pruned", "{report}");
        let pruned = Adapter::read(&out).expect("an adapter");
        let modules = report["modules"].as_array().expect("modules");
        for (module, written) in modules.iter().zip(pruned.modules()) {
            let kept = module["retained_energy"].as_f64().expect("a share");
            let residual = module["residual"].as_f64().expect("a share");
            assert_eq!(module["rank"].as_u64(), Some(written.rank as u64), "{module}");
            assert_eq!(module["source_rank"].as_u64(), Some(6), "{module}");
            assert!(kept > 0.5 && kept < 1.0, "{module}");
            if report["method"] == "svd" {
                assert!(
                    (kept + residual * residual - 1.0).abs() < 1e-6,
                    "truncation is a projection: {module}"
                );
                assert!(module["clusters"].is_null(), "{module}");
            } else {
                assert!(module["clusters"]["sizes"].is_array(), "{module}");
            }
            if more[1].starts_with("energy") {
                assert!(kept >= 0.9, "the rule's share is kept: {module}");
            }
        }
        retained.push(report["retained_energy"].as_f64().expect("a share"));
    }
    assert!(retained[0] >= retained[1], "truncation keeps the most at a rank: {retained:?}");
    let out = folder.path().join("0");
    let output = prune(&source, &out, &["--rank", "2", "--force"]);
    let table = text(&output.stdout);
    for word in ["layers.0.q", "6 → 2", "retained energy", "residual", "8 of 24 ranks", "written"] {
        assert!(table.contains(word), "no `{word}` in\n{table}");
    }
}

#[test]
fn the_full_rank_changes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let source = committed("halves", 0);
    let expected = updates(&Adapter::read(&source).expect("an adapter"));
    for method in ["svd", "lego"] {
        let out = folder.path().join(method);
        let output = prune(&source, &out, &["--rank", "4", "--method", method]);
        assert!(output.status.success(), "{method}: {}", text(&output.stderr));
        let error = worst(&updates(&Adapter::read(&out).expect("an adapter")), &expected);
        assert!(error < 1e-5, "{method}: relative difference {error:.2e}");
    }
}

#[test]
fn wrong_use_is_refused_and_nothing_is_written() {
    let folder = tempfile::tempdir().expect("a folder");
    let (source, out) = (committed("plain", 0), folder.path().join("out"));
    for (more, words) in [
        (&[][..], &["--rank"][..]),
        (&["--rank", "0"], &["rank", "0"]),
        (&["--rank", "5"], &["rank", "4", "5"]),
        (&["--rank", "energy:2"], &["energy:2"]),
        (&["--rank", "2", "--method", "cat"], &["cat", "svd", "lego"]),
    ] {
        let output = prune(&source, &out, more);
        let message = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{more:?}: {message}");
        for word in words {
            assert!(message.contains(word), "{more:?}: no `{word}` in {message}");
        }
        assert!(!out.exists(), "{more:?}: nothing is written");
    }
    let output = prune(&source, folder.path(), &["--rank", "2"]);
    assert!(
        text(&output.stderr).contains("--force"),
        "an existing folder is refused: {}",
        text(&output.stderr)
    );
}
