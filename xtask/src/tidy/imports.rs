//! Who imports whom inside a crate, by its `crate::`, `super::` and `self::` paths.
//!
//! A path stands for the file of the longest module in it; where that module re-exports the next name by `pub use`, for
//! the file that it comes from. Re-exports and `mod` lines themselves are no imports, and unit tests may import all.
//!
//! A circle is one between files of different folders, of which neither lies in the other: a folder may list what its own
//! folders hold. The crate's root counts as no folder around the others.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::Source;

/// What a paper's `checkpoint/` does without: models and methods.
const ABOVE_CHECKPOINTS: [&str; 10] = [
    "allocation",
    "attention",
    "calibrate",
    "convert",
    "decoder",
    "inference",
    "merge",
    "model",
    "pgqa",
    "vit",
];

/// The imports among the files of one crate.
struct Imports<'a> {
    /// The folder of the crate's root file.
    root: &'a str,
    /// Module path, such as `["merge", "plan"]`, → file.
    files: BTreeMap<Vec<&'a str>, &'a str>,
    /// Module path and exported name → path that it comes from, from the crate's root.
    exports: BTreeMap<(Vec<&'a str>, &'a str), Vec<&'a str>>,
    /// File → paths that it imports, from the crate's root.
    paths: BTreeMap<&'a str, Vec<Vec<&'a str>>>,
}

/// Circles of imports between folders, and imports of models and methods in `checkpoint/`.
pub(crate) fn check(sources: &[Source]) -> Vec<String> {
    let mut crates: BTreeMap<&str, Vec<&Source>> = BTreeMap::new();
    for source in sources.iter().filter(|source| source.has_extension(&["rs"])) {
        if let Some(root) = root_of(&source.path, sources) {
            crates.entry(root).or_default().push(source);
        }
    }
    let mut wrong = Vec::new();
    for (root, sources) in crates {
        let imports = Imports::new(root, &sources);
        wrong.extend(imports.circles());
        wrong.extend(imports.above_checkpoints());
    }
    wrong
}

/// The folder of the crate's root file: the deepest one above the file that holds a `lib.rs` or a `main.rs`.
fn root_of<'a>(path: &'a str, sources: &[Source]) -> Option<&'a str> {
    let mut folder = path.rsplit_once('/')?.0;
    while folder.contains("/src") {
        let has = |name: &str| sources.iter().any(|s| s.path.strip_prefix(folder) == Some(name));
        if has("/lib.rs") || has("/main.rs") {
            return Some(folder);
        }
        folder = folder.rsplit_once('/')?.0;
    }
    None
}

impl<'a> Imports<'a> {
    fn new(root: &'a str, sources: &[&'a Source]) -> Self {
        let (mut files, mut exports, mut paths) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        for source in sources {
            let below = source.path[root.len() + 1..].trim_end_matches(".rs");
            let mut module: Vec<&str> = below.split('/').collect();
            if ["mod", "lib", "main"].contains(module.last().unwrap_or(&"")) {
                module.pop();
            }
            let code = source.text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
            let mut imported = Vec::new();
            let mut own = code;
            while let Some((before, statement)) = own.split_once("pub use ") {
                imported.extend(paths_in(before, &module));
                let (statement, rest) = statement.split_once(';').unwrap_or((statement, ""));
                let mut trees = Vec::new();
                tree(statement, &[], &mut trees);
                for path in trees {
                    let Some(&name) = path.last() else { continue };
                    let from = from_root(&path, &module).unwrap_or_else(|| [&module[..], &path[..]].concat());
                    exports.insert((module.clone(), name), from);
                }
                own = rest;
            }
            imported.extend(paths_in(own, &module));
            files.entry(module).or_insert(source.path.as_str());
            paths.insert(source.path.as_str(), imported);
        }
        Self { root, files, exports, paths }
    }

    /// The file that a path from the root stands for.
    fn file(&self, path: &[&'a str], depth: usize) -> Option<&'a str> {
        let length = (0..=path.len()).rev().find(|&n| self.files.contains_key(&path[..n]))?;
        let module = path[..length].to_vec();
        let next = path.get(length).and_then(|name| self.exports.get(&(module.clone(), *name)));
        match next {
            Some(from) if depth < 8 => self.file(from, depth + 1),
            _ => self.files.get(&module).copied(),
        }
    }

    fn edges(&self) -> BTreeMap<&'a str, BTreeSet<&'a str>> {
        let of = |(&file, paths): (&&'a str, &Vec<Vec<&'a str>>)| {
            let files = paths.iter().filter_map(|path| self.file(path, 0));
            (file, files.filter(|other| *other != file).collect())
        };
        self.paths.iter().map(of).collect()
    }

    /// Whether the files' folders are apart: neither is the other, nor lies in it.
    fn are_apart(&self, a: &str, b: &str) -> bool {
        let folder = |file: &str| file.rsplit_once('/').map_or("", |(folder, _)| folder).to_owned() + "/";
        let (a, b, root) = (folder(a), folder(b), format!("{}/", self.root));
        a != b && (a == root || b == root || !a.starts_with(&b) && !b.starts_with(&a))
    }

    /// One circle for each set of files in one.
    fn circles(&self) -> Vec<String> {
        let edges = self.edges();
        let mut found: BTreeMap<BTreeSet<&str>, String> = BTreeMap::new();
        for (&from, others) in &edges {
            for &to in others.iter().filter(|to| self.are_apart(from, to)) {
                if let Some(way) = shortest(&edges, to, from) {
                    let set = way.iter().copied().collect();
                    found.entry(set).or_insert_with(|| {
                        format!("{from}: imports in a circle: {from} → {}", way.join(" → "))
                    });
                }
            }
        }
        found.into_values().collect()
    }

    fn above_checkpoints(&self) -> Vec<String> {
        let prefix = format!("{}/checkpoint/", self.root);
        let mut wrong = Vec::new();
        for (file, paths) in self.paths.iter().filter(|(file, _)| file.starts_with(&prefix)) {
            let first: BTreeSet<&str> = paths.iter().filter_map(|path| path.first().copied()).collect();
            for name in first.into_iter().filter(|name| ABOVE_CHECKPOINTS.contains(name)) {
                wrong
                    .push(format!("{file}: imports `{name}`, and a checkpoint knows no model and no method"));
            }
        }
        wrong
    }
}

/// The shortest way along imports, both ends in it.
fn shortest<'a>(
    edges: &BTreeMap<&'a str, BTreeSet<&'a str>>,
    from: &'a str,
    to: &str,
) -> Option<Vec<&'a str>> {
    let mut before: BTreeMap<&str, &str> = BTreeMap::from([(from, from)]);
    let mut queue = VecDeque::from([from]);
    while let Some(file) = queue.pop_front() {
        if file == to {
            let mut way = vec![file];
            while let Some(&last) = way.last().filter(|&&last| last != from) {
                way.push(before[last]);
            }
            way.reverse();
            return Some(way);
        }
        for &next in edges.get(file).into_iter().flatten() {
            if !before.contains_key(next) {
                before.insert(next, file);
                queue.push_back(next);
            }
        }
    }
    None
}

/// The paths of this crate that code names, from the crate's root.
fn paths_in<'a>(code: &'a str, module: &[&'a str]) -> Vec<Vec<&'a str>> {
    let mut paths = Vec::new();
    for line_start in starts(code) {
        let mut trees = Vec::new();
        tree(&code[line_start..], &[], &mut trees);
        paths.extend(trees.iter().filter_map(|path| from_root(path, module)));
    }
    paths
}

/// Where paths begin that start with `crate`, `super` or `self`, outside comments.
fn starts(code: &str) -> Vec<usize> {
    let mut found = Vec::new();
    let mut at = 0;
    for line in code.split_inclusive('\n') {
        let live = line.split("//").next().unwrap_or_default();
        for word in ["crate::", "super::", "self::"] {
            let begins = |&(i, _): &(usize, &str)| {
                !live[..i].ends_with(|c: char| c.is_alphanumeric() || "_$:".contains(c))
            };
            found.extend(live.match_indices(word).filter(begins).map(|(i, _)| at + i));
        }
        at += line.len();
    }
    found
}

/// The paths of the use tree at the start of `text`, each after `prefix`; what follows the tree. A path in an expression is
/// a tree without branches.
fn tree<'a>(text: &'a str, prefix: &[&'a str], paths: &mut Vec<Vec<&'a str>>) -> &'a str {
    let mut path = prefix.to_vec();
    let mut rest = text.trim_start();
    loop {
        if let Some(branches) = rest.strip_prefix('{') {
            rest = branches.trim_start();
            while !rest.is_empty() && !rest.starts_with('}') {
                let before = rest.len();
                rest = tree(rest, &path, paths).trim_start();
                rest = rest.strip_prefix(',').unwrap_or(rest).trim_start();
                if rest.len() == before {
                    return rest;
                }
            }
            return rest.strip_prefix('}').unwrap_or(rest);
        }
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        if !name.is_empty() && name != "self" || path.is_empty() && !name.is_empty() {
            path.push(name);
        }
        match after.strip_prefix("::") {
            Some(next) if !name.is_empty() => rest = next,
            _ => {
                paths.push(path);
                let after = after.strip_prefix(" as ").map_or(after, |alias| {
                    alias.trim_start_matches(|c: char| c.is_alphanumeric() || c == '_')
                });
                return after.strip_prefix('*').unwrap_or(after);
            }
        }
    }
}

/// A path from the crate's root, where it begins with `crate`, `super` or `self`.
fn from_root<'a>(path: &[&'a str], module: &[&'a str]) -> Option<Vec<&'a str>> {
    let n_up = path.iter().take_while(|&&name| name == "super").count();
    match *path.first()? {
        "crate" => Some(path[1..].to_vec()),
        "super" => Some([&module[..module.len().checked_sub(n_up)?], &path[n_up..]].concat()),
        "self" => Some([module, &path[1..]].concat()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(path: &str, text: &str) -> Source {
        Source { path: path.to_owned(), text: text.to_owned() }
    }

    fn wrong(files: &[(&str, &str)]) -> Vec<String> {
        check(&files.iter().map(|(path, text)| source(&format!("a/src/{path}"), text)).collect::<Vec<_>>())
    }

    #[test]
    fn trees_are_read_to_their_leaves() {
        let mut paths = Vec::new();
        let rest = tree("crate::{a::{self, B as C}, d::*, E}; next", &[], &mut paths);
        let want = [vec!["crate", "a"], vec!["crate", "a", "B"], vec!["crate", "d"], vec!["crate", "E"]];
        assert_eq!((paths, rest), (want.to_vec(), "; next"), "every leaf, and what follows");
        assert_eq!(paths_in("x(super::b::f(1))", &["m", "n"]), [["m", "b", "f"]], "a call");
        assert_eq!(paths_in("// crate::a\n$crate::b", &[]), Vec::<Vec<&str>>::new(), "comments and macros");
    }

    #[test]
    fn circles_between_folders_are_found() {
        let files = [
            ("lib.rs", "pub mod one;\npub mod two;\n"),
            ("one/mod.rs", "mod x;\nmod y;\npub use x::X;\npub use y::Y;\n"),
            ("one/x.rs", "use crate::two::Z;\n"),
            ("one/y.rs", "use super::X;\n"),
            ("two.rs", "use crate::one::Y;\n"),
        ];
        let found = wrong(&files);
        assert_eq!(found.len(), 1, "x → two → y → x, told once: {found:?}");
        assert!(found[0].contains("a/src/one/x.rs → a/src/two.rs → a/src/one/y.rs"), "the way: {found:?}");
        let mut open = files;
        open[3].1 = "#[cfg(test)]\nmod tests { use super::super::X; }\n";
        assert_eq!(wrong(&open), Vec::<String>::new(), "re-exports make no circle, nor do tests");
        let inside = [files[0], files[1], ("one/x.rs", "use super::Y;\n"), ("one/y.rs", "use super::X;\n")];
        assert_eq!(wrong(&inside), Vec::<String>::new(), "within a folder");
        let below = [
            files[0],
            ("one/mod.rs", "use self::deep::D;\n"),
            ("one/deep/mod.rs", "use super::super::one;\n"),
        ];
        assert_eq!(wrong(&below), Vec::<String>::new(), "a folder and one below it");
    }

    #[test]
    fn checkpoints_know_no_model_and_no_method() {
        let file = |text| {
            [("lib.rs", ""), ("checkpoint/read.rs", text), ("vit/mod.rs", "use crate::checkpoint::C;\n")]
        };
        assert_eq!(
            wrong(&file("use crate::{Error, groups::Groups};\nuse super::Names;\n")),
            Vec::<String>::new(),
            "fine"
        );
        for text in [
            "use crate::vit::Vit;\n",
            "use crate::{Error, allocation::State};\n",
            "use super::super::convert;\n",
        ] {
            assert!(wrong(&file(text)).iter().any(|line| line.contains("knows no model")), "refused: {text}");
        }
    }
}
