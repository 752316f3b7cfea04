//! Documents name only what is there, and every golden file has the script that made it.

use std::path::Path;

use super::Source;

/// Paths named by ARCHITECTURE.md and the READMEs: link targets, and code spans that look like paths.
pub(crate) fn check(root: &Path, sources: &[Source], experiments: &[String]) -> Vec<String> {
    let mut wrong = Vec::new();
    for source in sources.iter().filter(|source| ["README.md", "ARCHITECTURE.md"].contains(&source.name())) {
        let folder = source.path.rsplit_once('/').map_or("", |(folder, _)| folder);
        for named in named_paths(&source.text) {
            let is_experiment =
                experiments.iter().any(|id| id == named || id.split('/').next() == Some(named));
            let is_output = ["results", "target"].contains(&named.split('/').next().unwrap_or_default());
            let is_there = root.join(folder).join(named).exists() || root.join(named).exists();
            if !is_experiment && !is_output && !is_there && looks_like_path(root, folder, named) {
                wrong.push(format!("{}: names `{named}`, which is not there", source.path));
            }
        }
    }
    wrong
}

/// The targets of relative links and the content of code spans, without fenced blocks.
fn named_paths(text: &str) -> Vec<&str> {
    let mut named = Vec::new();
    let mut fenced = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
            continue;
        }
        if fenced {
            continue;
        }
        let links = line.split("](").skip(1).filter_map(|rest| rest.split([')', '#', ' ']).next());
        named.extend(links.filter(|link| !link.is_empty() && !link.contains(':')));
        named.extend(line.split('`').skip(1).step_by(2));
    }
    named
}

/// A link always is; a code span is when it has a source's extension or begins with a folder that is there.
fn looks_like_path(root: &Path, folder: &str, named: &str) -> bool {
    let plain = named.chars().all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c));
    let first = named.split('/').next().unwrap_or_default();
    let begins =
        !first.is_empty() && [root.join(first), root.join(folder).join(first)].iter().any(|p| p.is_dir());
    let extension = named.rsplit_once('.').map(|(_, extension)| extension);
    let is_source = extension.is_some_and(|e| ["rs", "md", "py", "svg"].contains(&e));
    plain && named.contains('/') && (begins || is_source)
}

/// Every file below `<crate>/tests/data/`, or a folder of it there, is named by a script in `oracles/<crate>/`.
pub(crate) fn golden_files(paths: &[String], sources: &[Source]) -> Vec<String> {
    let mut wrong = Vec::new();
    for path in paths {
        let Some((package, below)) = path.split_once("/tests/data/") else { continue };
        let scripts = sources.iter().filter(|source| source.path.starts_with(&format!("oracles/{package}/")));
        let scripts: Vec<&str> =
            scripts.filter(|s| s.has_extension(&["py", "sh"])).map(|s| s.text.as_str()).collect();
        let named = |part: &str| {
            let stem = part.split('.').next().unwrap_or(part);
            scripts
                .iter()
                .any(|text| text.contains(part) || (stem.len() > 3 && text.contains(&format!("\"{stem}"))))
        };
        if !below.split('/').any(named) {
            wrong.push(format!("{path}: no script in oracles/{package}/ names it"));
        }
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(path: &str, text: &str) -> Source {
        Source { path: path.to_owned(), text: text.to_owned() }
    }

    #[test]
    fn documents_name_what_is_there() {
        let root = tempfile::tempdir().expect("a folder");
        std::fs::create_dir_all(root.path().join("lego/src")).expect("made");
        std::fs::write(root.path().join("lego/src/msu.rs"), "").expect("written");
        let experiments = ["lego/bed".to_owned()];
        let wrong = |path: &str, text: &str| check(root.path(), &[source(path, text)], &experiments).len();
        assert_eq!(
            wrong("README.md", "`lego/src/msu.rs` [x](lego/src) `lego/bed` `a b/c.rs` `results/index.html`"),
            0,
            "all right"
        );
        assert_eq!(
            wrong("lego/README.md", "`src/msu.rs` and `lego/src/`, `crate/name`, [web](https://x.y/z.md)"),
            0,
            "from its folder or the root"
        );
        for text in ["`lego/src/gone.rs`", "[x](lego/gone.md)", "`gone/a.rs`", "`lego/gone/`"] {
            assert_eq!(wrong("ARCHITECTURE.md", text), 1, "{text} is not there");
            assert_eq!(wrong("CHANGELOG.md", text), 0, "{text} may stand in other documents");
        }
        assert_eq!(wrong("README.md", "```\n`lego/gone/`\n```"), 0, "blocks are commands and trees");
    }

    #[test]
    fn golden_files_have_a_script() {
        let script = source("oracles/lego/make.py", "save(\"cat.safetensors\"); write(folder / \"tiny\")");
        let paths = [
            "lego/tests/data/cat.safetensors",
            "lego/tests/data/tiny/a.json",
            "lego/tests/data/lost.json",
            "lego/src/x.rs",
        ];
        let wrong = golden_files(&paths.map(str::to_owned), &[script]);
        assert_eq!(wrong.len(), 1, "only the one that no script names: {wrong:?}");
        assert!(wrong[0].contains("lost.json"), "and it is named: {wrong:?}");
    }
}
