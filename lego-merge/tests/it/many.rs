//! Many adapters, and large ones: results and memory.

use std::ffi::OsString;

use lego_merge::adapter::Adapter;
use lego_merge::merge::{Cat, Lego, Linear, MergeConfig, Svd, merge};
use serde_json::Value;

use crate::adapters::{random, updates, weighted_sum, worst};
use crate::command::{command, run, text};
use crate::properties::without_reweighting;

#[test]
fn a_hundred_adapters_merge_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let modules = ["layers.0.q", "layers.1.q"];
    let adapters: Vec<Adapter> = (0..100).map(|seed| random(seed, 2, 1.0, &modules, [9, 7])).collect();
    let places: Vec<_> = (0..100).map(|i| folder.path().join(i.to_string())).collect();
    adapters.iter().zip(&places).for_each(|(adapter, place)| adapter.write(place, false).expect("writes"));
    for (method, rank) in [("cat", 200), ("svd", 2), ("lego", 2), ("ties", 2), ("tsv", 200)] {
        let out = folder.path().join(method);
        let mut args = vec![OsString::from("merge")];
        args.extend(places.iter().map(OsString::from));
        args.extend(["-o", "--method", method].map(OsString::from));
        args.insert(102, out.clone().into());
        if method == "ties" {
            args.extend(["--density", "0.5"].map(OsString::from));
        }
        let output = run(args);
        assert!(output.status.success(), "{method}: {}", text(&output.stderr));
        let merged = Adapter::read(&out).expect("an adapter");
        assert!(merged.modules().iter().all(|m| m.rank == rank), "{method}: rank {rank}");
        if method == "cat" {
            let error = worst(&updates(&merged), &weighted_sum(&adapters, &[1.0; 100]));
            assert!(error < 1e-5, "the sum of a hundred updates: {error:.1e}");
        }
    }
}

#[test]
fn ranks_from_one_to_beyond_the_dimensions_merge() {
    let adapters = [1, 7, 20].map(|rank| random(rank as u64, rank, 2.0, &["q"], [9, 7]));
    let sum = weighted_sum(&adapters, &[1.0; 3]);
    for (name, config) in [
        ("cat", MergeConfig::new(Cat)),
        ("svd of all directions", MergeConfig::new(Svd).with_rank(7)),
        ("svd beyond them", MergeConfig::new(Svd).with_rank(28)),
        ("a cluster a unit", MergeConfig::new(without_reweighting()).with_rank(28)),
    ] {
        let (merged, _) = merge(&adapters, &config, |_| ()).expect("a merge");
        let error = worst(&updates(&merged), &sum);
        assert!(error < 1e-5, "{name}: {error:.1e}");
    }
    for config in [MergeConfig::new(Linear), MergeConfig::new(Lego::default()).with_rank(1)] {
        let (merged, report) = merge(&adapters, &config, |_| ()).expect("a merge");
        let finite = updates(&merged).values().flatten().all(|v| v.is_finite());
        assert!(finite, "{}: every value is a number", report.method);
    }
}

/// Peak memory of a merge of two adapters with this many layers of 256 KiB each, and the size of their files together.
fn peak(method: &str, n_layers: usize) -> Option<(u64, u64)> {
    let folder = tempfile::tempdir().expect("a folder");
    let names: Vec<String> = (0..n_layers).map(|i| format!("layers.{i}.q")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut size = 0;
    for (seed, name) in ["a", "b"].iter().enumerate() {
        let place = folder.path().join(name);
        random(seed as u64, 16, 16.0, &names, [2048, 2048]).write(&place, false).expect("writes");
        size += std::fs::metadata(place.join("adapter_model.safetensors")).expect("a file").len();
    }
    let output = command(["merge", "a", "b", "-o", "out", "--method", method, "--json"])
        .current_dir(folder.path())
        .env("RAYON_NUM_THREADS", "2")
        // What the allocator keeps for later is not what a merge needs.
        .env("MIMALLOC_PURGE_DELAY", "0")
        .output()
        .expect("runs");
    assert!(output.status.success(), "{method}: {}", text(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
    // Known on Linux only.
    Some((report["peak_memory_bytes"].as_u64()?, size))
}

#[test]
fn memory_does_not_grow_with_the_number_of_layers() {
    for method in ["cat", "lego"] {
        let (Some((few, small)), Some((many, large))) = (peak(method, 24), peak(method, 144)) else { return };
        let (files, growth) = (large - small, many.saturating_sub(few));
        // Half of what is read more is far above what allocators and page tables add, and far below holding it all.
        assert!(
            growth < files / 2,
            "{method}: {files} bytes more of files took {growth} bytes more of memory, {many} in all"
        );
    }
}
