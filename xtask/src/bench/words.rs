//! Words of a bench file: `{work}` and `{out}` stand for folders, `@name` for a list of words.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use indexmap::IndexMap;

#[derive(Debug)]
pub(super) struct Words {
    work: PathBuf,
    lists: IndexMap<String, Vec<String>>,
}

impl Words {
    pub(super) fn new(work: PathBuf, lists: &IndexMap<String, Vec<String>>) -> Self {
        Self { work, lists: lists.clone() }
    }

    /// The folder that the processes of this file work in.
    pub(super) fn work(&self) -> &Path {
        &self.work
    }

    /// Arguments with their folders and lists in place.
    pub(super) fn fill(&self, args: &[String]) -> Result<Vec<String>> {
        let mut filled = Vec::new();
        for arg in args {
            match arg.strip_prefix('@') {
                None => filled.push(self.place(arg)),
                Some(name) => match self.lists.get(name) {
                    Some(list) => filled.extend(list.iter().map(|word| self.place(word))),
                    None => bail!("there is no list named `{name}`"),
                },
            }
        }
        Ok(filled)
    }

    fn place(&self, word: &str) -> String {
        let work = self.work.to_string_lossy();
        word.replace("{out}", "{work}/out").replace("{work}", &work)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::assert_refused;

    #[test]
    fn folders_and_lists_are_filled_in() {
        let lists = IndexMap::from([("two".to_owned(), vec!["{work}/a".to_owned(), "b".to_owned()])]);
        let words = Words::new("w".into(), &lists);
        let args = ["merge", "@two", "-o", "{out}"].map(str::to_owned);
        let filled = words.fill(&args).expect("known words");
        assert_eq!(filled, ["merge", "w/a", "b", "-o", "w/out"], "every word in its place");
        assert_refused(words.fill(&["@three".to_owned()]), "no list named `three`");
    }
}
