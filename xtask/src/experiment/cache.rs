//! Outputs by the hash of what made them: `results/cache/<key>/{out, stdout.jsonl, stderr.log, stage.json}`.
//!
//! The key is blake3 over the program's bytes, its arguments (`{out}` as a mark, other stages' outputs as their
//! keys) and the keys of everything needed; seeds and matrix count through the arguments alone, so experiments that
//! run the same command share it. `stage.json` is written last, by a rename: a folder without it is unfinished.
//!
//! A program writes its output beside `out` and renames it as its last act, after its last metric. So an `out`
//! without `stage.json` is whole: the run ended between the two, and the output is adopted rather than made again.

use std::collections::HashMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::plan::{Piece, Plan, Program};

/// Changes when the meaning of cached folders does.
const FORMAT: &str = "xtask stage 1";

/// What `stage.json` records of a finished stage.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StageRecord {
    pub(crate) command: Vec<String>,
    /// Of the last process; `resumed` says that earlier ones did part of the work.
    pub(crate) usage: Usage,
    pub(crate) resumed: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Usage {
    pub(crate) wall_secs: f64,
    pub(crate) cpu_secs: f64,
    pub(crate) peak_memory_bytes: u64,
}

#[derive(Clone, Debug)]
pub(crate) struct Cache {
    root: PathBuf,
}

impl Cache {
    pub(crate) fn new(root: PathBuf) -> Cache {
        Cache { root }
    }

    pub(crate) fn slot(&self, key: &str) -> Slot {
        Slot { folder: self.root.join(key) }
    }
}

/// The folder of one key.
#[derive(Clone, Debug)]
pub(crate) struct Slot {
    pub(crate) folder: PathBuf,
}

impl Slot {
    pub(crate) fn out(&self) -> PathBuf {
        self.folder.join("out")
    }

    pub(crate) fn stdout(&self) -> PathBuf {
        self.folder.join("stdout.jsonl")
    }

    pub(crate) fn stderr(&self) -> PathBuf {
        self.folder.join("stderr.log")
    }

    pub(crate) fn lock(&self) -> PathBuf {
        self.folder.join("lock")
    }

    /// The record of a finished stage; none when it is not finished or its output is gone.
    pub(crate) fn finished(&self, writes_output: bool) -> Option<StageRecord> {
        let text = fs::read(self.folder.join("stage.json")).ok()?;
        let whole = self.stdout().exists() && (!writes_output || self.out().exists());
        whole.then(|| serde_json::from_slice(&text).ok()).flatten()
    }

    pub(crate) fn finish(&self, record: &StageRecord) -> Result<()> {
        write_atomic(&self.folder.join("stage.json"), &serde_json::to_vec_pretty(record)?)
    }
}

/// Writes beside the path, to the disk, and renames, so that the name never stands for half a file. The crates' writer of outputs does more;
/// this program depends on none of them, so that it compiles in seconds, and writes short files of its own that are always replaced.
pub(crate) fn write_atomic(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}.partial", std::process::id()));
    let write = || -> io::Result<()> {
        let folder = path.parent();
        folder.map_or(Ok(()), fs::create_dir_all)?;
        let mut file = fs::File::create(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&beside, path)?;
        // The name is on the disk when its folder is; where folders cannot be synced, the system does it in its time.
        let _ = folder.and_then(|folder| fs::File::open(folder).ok()).map(|folder| folder.sync_all());
        Ok(())
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

/// The blake3 hash of a file's bytes, in hexadecimal.
pub(crate) fn hash_file(path: &Path) -> Result<String> {
    let mut hasher = blake3::Hasher::new();
    let file = fs::File::open(path).and_then(|file| hasher.update_reader(file).map(|_| ()));
    file.with_context(|| format!("cannot read {}", path.display()))?;
    Ok(hasher.finalize().to_hex().to_string())
}

/// The key of each node of a plan, given the hash of each program.
pub(crate) fn keys(plan: &Plan, programs: &HashMap<Program, String>) -> Vec<String> {
    let mut keys: Vec<String> = Vec::with_capacity(plan.nodes.len());
    for node in &plan.nodes {
        let mut hasher = blake3::Hasher::new();
        let mut add = |tag: &str, text: &str| {
            hasher.update(tag.as_bytes());
            hasher.update(&(text.len() as u64).to_le_bytes());
            hasher.update(text.as_bytes());
        };
        add("format", FORMAT);
        if let Program::Command(command) = &node.program {
            command.iter().for_each(|part| add("command", part));
        }
        add("program", programs.get(&node.program).map_or("", String::as_str));
        for arg in &node.args {
            add("argument", "");
            for piece in arg {
                match piece {
                    Piece::Text(text) => add("text", text),
                    Piece::Out => add("out", ""),
                    Piece::Output(i) => add("output", &keys[*i]),
                }
            }
        }
        node.needs.iter().for_each(|&need| add("need", &keys[need]));
        keys.push(hasher.finalize().to_hex()[..32].to_owned());
    }
    keys
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::plan::Library;
    use super::super::spec::{Experiment, Scale};
    use super::*;

    fn keys_of(text: &str, id: &str, program: &str) -> Vec<String> {
        let experiment = Experiment::parse(text).expect("the file is right");
        let library = Library { experiments: [(id.to_owned(), experiment)].into_iter().collect() };
        let plan = Plan::new(&library, &[id.to_owned()], Scale::Smoke).expect("the plan stands");
        let programs = plan.nodes.iter().map(|node| (node.program.clone(), program.to_owned())).collect();
        keys(&plan, &programs)
    }

    fn chain(first: &str, second: &str) -> String {
        format!(
            "title='t'\nclaim='c'\nsource='s'\nscales={{smoke={{seeds=[0]}}}}\n\
             [[stage]]\nname='a'\ncommand=['true']\nargs=[{first:?}, '{{out}}']\n\
             [[stage]]\nname='b'\ncommand=['true']\nneeds=['a']\nargs=['{{stage.a}}', {second:?}]\n"
        )
    }

    #[test]
    fn a_key_covers_program_arguments_and_inputs_and_nothing_else() {
        let keys = keys_of(&chain("1", "2"), "c/e", "program");
        assert_eq!(
            keys,
            keys_of(&chain("1", "2").replace("'t'", "'u'"), "c/f", "program"),
            "words do not count"
        );
        let other = keys_of(&chain("1", "3"), "c/e", "program");
        assert_eq!(keys[0], other[0], "a change below leaves what is above");
        assert_ne!(keys[1], other[1], "its own arguments count");
        assert_ne!(keys[1], keys_of(&chain("9", "2"), "c/e", "program")[1], "what is needed counts");
        assert_ne!(keys[0], keys_of(&chain("1", "2"), "c/e", "rebuilt")[0], "the program counts");
    }

    proptest! {
        #[test]
        fn different_arguments_have_different_keys(a in "[a-z{}]{0,6}", b in "[a-z{}]{0,6}") {
            let escape = |text: &str| text.replace('{', "{{").replace('}', "}}");
            let key = |text: &str| keys_of(&chain(&escape(text), "x"), "c/e", "p")[0].clone();
            prop_assert_eq!(key(&a) == key(&b), a == b, "keys are equal exactly when arguments are");
        }
    }

    #[test]
    fn a_slot_is_finished_only_with_record_and_output() {
        let folder = tempfile::tempdir().expect("a folder");
        let slot = Cache::new(folder.path().to_owned()).slot("k");
        let record = StageRecord { command: vec![], usage: Usage::default(), resumed: false };
        slot.finish(&record).expect("the record is written");
        assert!(slot.finished(false).is_none(), "no printed lines, not finished");
        fs::write(slot.stdout(), "").expect("written");
        assert!(slot.finished(false).is_some(), "a stage without output is finished");
        assert!(slot.finished(true).is_none(), "one with output is not");
        fs::create_dir(slot.out()).expect("made");
        assert!(slot.finished(true).is_some(), "now it is");
    }
}
