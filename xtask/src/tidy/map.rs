//! The map in ARCHITECTURE.md names every place of the code, and no build output is a part of it.

use std::collections::BTreeSet;

use super::Source;

/// Paths below a folder `target`, wherever that stands.
pub(crate) fn build_outputs(paths: &[String]) -> Vec<String> {
    let is_output = |path: &&String| path.rsplit('/').skip(1).any(|folder| folder == "target");
    let wrong = paths.iter().filter(is_output);
    wrong.map(|path| format!("{path}: a build output is no part of the repository")).collect()
}

/// Every folder directly below a crate's `src/`, and every module that stands alone at the top of the core, is named by
/// ARCHITECTURE.md, itself or a place in it.
pub(crate) fn places(sources: &[Source]) -> Vec<String> {
    let Some(map) = sources.iter().find(|source| source.path == "ARCHITECTURE.md") else { return Vec::new() };
    let places: BTreeSet<&str> = sources.iter().filter_map(|source| place(&source.path)).collect();
    let named = |place: &&str| {
        let stem = place.trim_end_matches(".rs");
        map.text.match_indices(stem).any(|(at, _)| {
            let after = &map.text[at + stem.len()..];
            after.starts_with(if stem == *place { "/" } else { ".rs`" })
        })
    };
    let wrong = places.iter().filter(|place| !named(place));
    wrong.map(|place| format!("ARCHITECTURE.md: the map does not name `{place}`")).collect()
}

/// The place that a file of Rust belongs to: `crate/src/folder`, or `grouping-core/src/module.rs`.
fn place(path: &str) -> Option<&str> {
    let below = path.split_once("/src/").filter(|(package, _)| !package.contains('/'))?.1;
    let start = path.len() - below.len();
    match below.split_once('/') {
        _ if !path.ends_with(".rs") => None,
        Some(("bin", _)) => None,
        Some((folder, _)) => Some(&path[..start + folder.len()]),
        None => {
            (path.starts_with("grouping-core/") && !["lib.rs", "error.rs"].contains(&below)).then_some(path)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn build_outputs_are_found_at_any_depth() {
        let paths = ["a/target/x.json", "target/debug/y", "a/src/target.rs", "a/targets/z"];
        let wrong = build_outputs(&paths.map(str::to_owned));
        assert_eq!(wrong.len(), 2, "those below a folder of this name alone: {wrong:?}");
    }

    #[test]
    fn the_map_names_every_place() {
        let text = "`grouping-core/src/seed.rs` `grouping-core/src/files/text.rs`, `lego/src/merge/`";
        let source = |path: &str| Source { path: path.to_owned(), text: text.to_owned() };
        let wrong = |path: &str| places(&[source("ARCHITECTURE.md"), source(path)]);
        for path in [
            "grouping-core/src/seed.rs",
            "grouping-core/src/files/json.rs",
            "grouping-core/src/lib.rs",
            "lego/src/merge/dense/mod.rs",
            "lego/src/msu.rs",
            "lego/src/bin/lab/main.rs",
            "lego/tests/it/main.rs",
        ] {
            assert_eq!(wrong(path), Vec::<String>::new(), "{path} is on the map, or need not be");
        }
        for (path, place) in [
            ("grouping-core/src/seeds.rs", "`grouping-core/src/seeds.rs`"),
            ("grouping-core/src/file/mod.rs", "`grouping-core/src/file`"),
            ("lego/src/mer/x.rs", "`lego/src/mer`"),
        ] {
            let wrong = wrong(path);
            assert!(wrong.len() == 1 && wrong[0].contains(place), "{place} is not on the map: {wrong:?}");
        }
    }
}
