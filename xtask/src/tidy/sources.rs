//! What no source file may be called, be as long as, or say.

use super::Source;

const MAX_LINES: usize = 800;
const EMPTY_NAMES: [&str; 5] = ["utils", "helpers", "common", "base", "types"];

/// Refused anywhere, with the reason. Spelt in halves, so that this file passes its own check.
const REFUSED: [(&str, &str, &str); 14] = [
    ("/ho", "me/", "a path of one machine"),
    ("/Us", "ers/", "a path of one machine"),
    ("/ro", "ot/", "a path of one machine"),
    ("/wo", "rk/", "a path of one machine"),
    ("/tm", "p/", "a path of one machine"),
    ("C:\\", "Users", "a path of one machine"),
    ("../", "shared", "a path outside the repository"),
    ("index.", "crates.io", "the host of a registry"),
    ("static.", "crates.io", "the host of a registry"),
    ("py", "pi.org", "the host of a registry"),
    ("files.", "pythonhosted.org", "the host of a registry"),
    ("extra-", "index-url", "the host of a registry"),
    ("--index", "-url", "the host of a registry"),
    ("conda.", "anaconda.org", "the host of a registry"),
];

/// Refused in Rust code.
const REFUSED_CODE: [(&str, &str, &str); 5] = [
    ("to", "do!", "unfinished code"),
    ("unimpl", "emented!", "unfinished code"),
    ("#[ig", "nore", "a test that does not run"),
    ("should", "_panic", "a test that takes any panic for the right one"),
    ("db", "g!(", "a trace of debugging"),
];

pub(crate) fn check(source: &Source) -> Vec<String> {
    let mut wrong = Vec::new();
    let path = &source.path;
    let stem = source.name().split('.').next().unwrap_or_default();
    if source.has_extension(&["rs", "py", "sh"]) {
        if EMPTY_NAMES.contains(&stem) {
            wrong.push(format!("{path}: the name `{stem}` says nothing of the content"));
        }
        let n_lines = source.text.lines().count();
        if n_lines > MAX_LINES {
            wrong.push(format!("{path}: {n_lines} lines, more than {MAX_LINES}, are two ideas"));
        }
    }
    if source.has_extension(&["rs"]) {
        if !source.text.starts_with("//!") && !source.text.starts_with("#!") {
            wrong.push(format!("{path}: the file does not open with `//!`"));
        }
        refuse(source, &REFUSED_CODE, &mut wrong);
    }
    // Continuous integration finds data beside a checkout; lock files name registries by their nature.
    if source.has_extension(&["rs", "py", "md", "toml", "txt", "json", "yml", "yaml", "sh", "svg"]) {
        refuse(source, &REFUSED, &mut wrong);
    }
    wrong
}

fn refuse(source: &Source, words: &[(&str, &str, &str)], wrong: &mut Vec<String>) {
    for (i, line) in source.text.lines().enumerate() {
        for (head, tail, why) in words {
            let word = format!("{head}{tail}");
            let begins = |at: usize| {
                let before = line[..at].chars().next_back();
                !word.starts_with(|c: char| c.is_alphanumeric() || c == '/')
                    || !before.is_some_and(char::is_alphanumeric)
            };
            if line.match_indices(&word).any(|(at, _)| begins(at)) {
                wrong.push(format!("{}:{}: `{word}` is {why}", source.path, i + 1));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn n_wrong(path: &str, text: &str) -> usize {
        check(&Source { path: path.to_owned(), text: text.to_owned() }).len()
    }

    #[test]
    fn names_sizes_and_words() {
        assert_eq!(n_wrong("a/src/msu.rs", "//! Fine.\n"), 0, "a file as it should be");
        assert_eq!(n_wrong("a/src/utils.rs", "//! Fine.\n"), 1, "a name without content");
        assert_eq!(n_wrong("a/base.toml", "x = 1"), 0, "data may be called so");
        assert_eq!(n_wrong("a/b.rs", "fn f() {}\n"), 1, "no opening sentence");
        assert_eq!(n_wrong("a/b.rs", &format!("//! x\n{}", "\n".repeat(800))), 1, "two ideas");
        let data = |head: &str, tail: &str| format!("see {head}{tail}x\n");
        for (head, tail, _) in REFUSED {
            assert_eq!(n_wrong("a.md", &data(head, tail)), 1, "{head}{tail} is refused");
        }
        for (head, tail, _) in REFUSED_CODE {
            assert_eq!(n_wrong("a.md", &data(head, tail)), 0, "{head}{tail} may be spoken of");
            assert_eq!(
                n_wrong("a.rs", &format!("//! x\n{}", data(head, tail))),
                1,
                "{head}{tail} is refused in code"
            );
        }
        assert_eq!(n_wrong("a.md", "frame/home/x https://docs.rs/wo"), 0, "part of another word is none");
    }
}
