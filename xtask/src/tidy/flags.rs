//! Libraries speak of settings; only commands name flags.

use super::Source;

/// Flags in string literals of a crate's library: of `lib.rs` and the modules that it declares. The core's `command` maps
/// settings to flags, and may name them.
pub(crate) fn check(sources: &[Source]) -> Vec<String> {
    let mut wrong = Vec::new();
    for root in sources.iter().filter(|source| source.path.ends_with("/src/lib.rs")) {
        let folder = root.path.trim_end_matches("lib.rs");
        for source in sources.iter().filter(|source| source.has_extension(&["rs"])) {
            let Some(below) = source.path.strip_prefix(folder) else { continue };
            let module = below.split('/').next().unwrap_or(below).trim_end_matches(".rs");
            if module == "lib" || module != "command" && declares(&root.text, module) {
                wrong.extend(flags(source));
            }
        }
    }
    wrong
}

fn declares(root: &str, module: &str) -> bool {
    root.lines()
        .any(|line| line.strip_suffix(';').is_some_and(|line| line.ends_with(&format!("mod {module}"))))
}

/// Each flag in a string literal, outside comments and unit tests.
fn flags(source: &Source) -> Vec<String> {
    let code = source.text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    let mut wrong = Vec::new();
    for (i, line) in code.lines().enumerate() {
        let literals = line.split("//").next().unwrap_or_default().split('"').skip(1).step_by(2);
        for literal in literals {
            let flags = literal.match_indices("--").filter_map(|(at, _)| {
                let begins = !literal[..at].ends_with(|c: char| c.is_alphanumeric() || c == '-');
                let name = literal[at + 2..].split(|c: char| !c.is_ascii_lowercase() && c != '-').next()?;
                (begins && name.starts_with(|c: char| c.is_ascii_lowercase())).then_some(name)
            });
            let path = &source.path;
            wrong.extend(flags.map(|name| {
                format!("{path}:{}: a library names the setting, not the flag `--{name}`", i + 1)
            }));
        }
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_for_commands() {
        let wrong = |path: &str, text: &str| {
            let source = |path: &str, text: &str| Source { path: path.to_owned(), text: text.to_owned() };
            check(&[source("a/src/lib.rs", "pub mod plan;\nmod command;\n"), source(path, text)])
        };
        let said = "#[error(\"exists already; --force replaces it\")]\n";
        assert_eq!(wrong("a/src/plan.rs", said).len(), 1, "in a module of the library");
        assert!(
            wrong("a/src/plan/mod.rs", said)[0].contains("plan/mod.rs:1"),
            "in a folder of it, with its line"
        );
        for path in ["a/src/main.rs", "a/src/cli/plan.rs", "a/src/command/mod.rs", "a/tests/it/plan.rs"] {
            assert_eq!(wrong(path, said), Vec::<String>::new(), "{path} may");
        }
        for fine in [
            "// \"--force\"\n",
            "let a = \"a -- b\";\n",
            "#[cfg(test)]\nmod tests { f(\"--x\") }\n",
            "x - -y\n",
        ] {
            assert_eq!(wrong("a/src/plan.rs", fine), Vec::<String>::new(), "{fine} names no flag");
        }
    }
}
