//! Runs the stages of a plan: in parallel up to a number of cores, each once, with progress and resume.
//!
//! One thread starts, polls and reads all processes. What is finished is taken from the cache; what was begun is
//! started again on the same output path, where the program goes on from its own checkpoint (`OUT.partial`).

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use indexmap::IndexMap;
use indicatif::ProgressBar;

use super::cache::{Cache, Slot, StageRecord, Usage};
use super::metrics::{Line, parse_line};
use super::plan::{Node, Piece, Plan, Program};
use super::process::{Process, Streams, lock};
use crate::console::Console;

/// Set by Ctrl-C, `SIGTERM` and `SIGHUP`.
pub(crate) static INTERRUPTED: AtomicBool = AtomicBool::new(false);

const POLL: Duration = Duration::from_millis(20);

/// A plan with all that is needed to run it.
pub(crate) struct Run<'a> {
    pub(crate) plan: &'a Plan,
    /// The cache key of each node.
    pub(crate) keys: &'a [String],
    pub(crate) cache: &'a Cache,
    /// The path of each binary.
    pub(crate) binaries: &'a HashMap<Program, PathBuf>,
    /// Cores to keep busy.
    pub(crate) jobs: usize,
    pub(crate) console: &'a Console,
}

/// How a node came to its output.
#[derive(Clone, Debug)]
pub(crate) struct Finished {
    pub(crate) record: StageRecord,
    pub(crate) cached: bool,
}

struct Running {
    node: usize,
    process: Process,
    command: Vec<String>,
    resumed: bool,
    printed: Tail,
    bar: ProgressBar,
    said: Instant,
    /// Held beyond the process, until its record is written.
    _lock: File,
}

impl Run<'_> {
    /// Runs to the end; the result has one entry a node, in the plan's order.
    pub(crate) fn run(&self) -> Result<Vec<Finished>> {
        let nodes = &self.plan.nodes;
        let mut unique: IndexMap<&str, usize> = IndexMap::new();
        for (i, key) in self.keys.iter().enumerate() {
            unique.entry(key).or_insert(i);
        }
        let total = self.console.total(unique.len());
        let mut finished: HashMap<&str, Finished> = HashMap::new();
        let mut waiting: Vec<usize> = Vec::new();
        for &i in unique.values() {
            match self.slot(i).finished(nodes[i].writes_output()) {
                Some(record) => drop(finished.insert(&self.keys[i], Finished { record, cached: true })),
                None => waiting.push(i),
            }
        }
        if !finished.is_empty() {
            self.console.note(&format!("{} of {} stages are in the cache", finished.len(), unique.len()));
        }
        total.set_position(finished.len() as u64);
        let mut running: Vec<Running> = Vec::new();
        let mut held: Vec<usize> = Vec::new();
        while !waiting.is_empty() || !running.is_empty() {
            if INTERRUPTED.load(Ordering::Relaxed) {
                drop(running);
                bail!("interrupted; the same command goes on from here");
            }
            let mut position = 0;
            while position < waiting.len() {
                let i = waiting[position];
                let ready =
                    nodes[i].needs.iter().all(|&need| finished.contains_key(self.keys[need].as_str()));
                let busy: usize = running.iter().map(|other| self.cores(other.node)).sum();
                if !ready || busy + self.cores(i) > self.jobs {
                    position += 1;
                    continue;
                }
                match self.start(i)? {
                    Start::Running(process) => {
                        running.push(*process);
                        waiting.remove(position);
                    }
                    Start::Finished(record) => {
                        finished.insert(&self.keys[i], Finished { record, cached: true });
                        total.inc(1);
                        waiting.remove(position);
                    }
                    Start::Held => {
                        if !held.contains(&i) {
                            held.push(i);
                            self.console
                                .note(&format!("{}: waits for a process of another run", nodes[i].title()));
                        }
                        position += 1;
                    }
                }
            }
            let mut still = Vec::with_capacity(running.len());
            for mut stage in running {
                self.show(&mut stage)?;
                match stage.process.poll().context("cannot wait for a process")? {
                    None => still.push(stage),
                    Some((status, usage)) => {
                        self.show(&mut stage)?;
                        stage.bar.finish_and_clear();
                        if !status.success() {
                            bail!(self.failure(&stage, &status.to_string()));
                        }
                        let record = self.finish(&stage, usage)?;
                        finished.insert(&self.keys[stage.node], Finished { record, cached: false });
                        total.inc(1);
                        let (n, of, title) = (finished.len(), unique.len(), nodes[stage.node].title());
                        self.console.note(&format!("[{n:>3}/{of}] {title}  {:.1} s", usage.wall_secs));
                    }
                }
            }
            running = still;
            std::thread::sleep(POLL);
        }
        total.finish_and_clear();
        self.keys
            .iter()
            .map(|key| finished.get(key.as_str()).cloned().context("a stage was left out"))
            .collect()
    }

    fn slot(&self, node: usize) -> Slot {
        self.cache.slot(&self.keys[node])
    }

    fn cores(&self, node: usize) -> usize {
        self.plan.nodes[node].threads.min(self.jobs)
    }

    /// The program and its arguments as run by hand.
    fn command(&self, node: &Node, slot: &Slot) -> Result<Vec<String>> {
        let mut command = match &node.program {
            Program::Command(command) => command.clone(),
            binary @ Program::Binary(_) => {
                let path = self.binaries.get(binary).with_context(|| format!("{binary:?} was not built"))?;
                vec![utf8(path.clone())?]
            }
        };
        for arg in &node.args {
            let mut text = String::new();
            for piece in arg {
                match piece {
                    Piece::Text(part) => text += part,
                    Piece::Out => text += &utf8(slot.out())?,
                    Piece::Output(i) => text += &utf8(self.slot(*i).out())?,
                }
            }
            command.push(text);
        }
        Ok(command)
    }

    fn start(&self, i: usize) -> Result<Start> {
        let (node, slot) = (&self.plan.nodes[i], self.slot(i));
        fs::create_dir_all(&slot.folder).with_context(|| format!("cannot make {}", slot.folder.display()))?;
        let open = |path: PathBuf| {
            let file = File::options().create(true).append(true).read(true).open(&path);
            file.with_context(|| format!("cannot write {}", path.display()))
        };
        let Some(lock) =
            lock(&slot.lock()).with_context(|| format!("cannot lock {}", slot.lock().display()))?
        else {
            return Ok(Start::Held);
        };
        if let Some(record) = slot.finished(node.writes_output()) {
            return Ok(Start::Finished(record));
        }
        let command = self.command(node, &slot)?;
        let mut stdout = open(slot.stdout())?;
        if node.writes_output() && slot.out().exists() {
            let record = StageRecord { command, usage: Usage::default(), resumed: true };
            slot.finish(&record)?;
            return Ok(Start::Finished(record));
        }
        let resumed = if node.writes_output() {
            drop_half_line(&mut stdout)?
        } else {
            stdout.set_len(0)?;
            false
        };
        let printed = Tail::new(slot.stdout())?;
        let held = lock.try_clone().context("cannot share a lock")?;
        let streams = Streams { lock, stdout, stderr: open(slot.stderr())? };
        let mut child = Command::new(&command[0]);
        child.args(&command[1..]);
        let process = Process::start(child, streams)
            .with_context(|| format!("{}: cannot start `{}`", node.title(), shell(&command)))?;
        let bar = self.console.stage(&node.title());
        let stage =
            Running { node: i, process, command, resumed, printed, bar, said: Instant::now(), _lock: held };
        Ok(Start::Running(Box::new(stage)))
    }

    /// Reads what a stage has printed since, and shows its progress.
    fn show(&self, stage: &mut Running) -> Result<()> {
        let title = || self.plan.nodes[stage.node].title();
        for line in stage.printed.lines()? {
            if let Line::Progress(progress) = parse_line(&line).with_context(title)? {
                stage.bar.set_length(progress.total);
                stage.bar.set_position(progress.done);
                stage.bar.set_message(format!("{} {}", progress.unit, title()));
                if stage.bar.is_hidden() && stage.said.elapsed() > Duration::from_secs(15) {
                    stage.said = Instant::now();
                    let (done, total, unit) = (progress.done, progress.total, progress.unit);
                    self.console.note(&format!("          {}  {done}/{total} {unit}", title()));
                }
            }
        }
        Ok(())
    }

    fn finish(&self, stage: &Running, usage: Usage) -> Result<StageRecord> {
        let (node, slot) = (&self.plan.nodes[stage.node], self.slot(stage.node));
        if node.writes_output() && !slot.out().exists() {
            bail!(self.failure(stage, &format!("succeeded without writing {}", slot.out().display())));
        }
        let record = StageRecord { command: stage.command.clone(), usage, resumed: stage.resumed };
        slot.finish(&record)?;
        Ok(record)
    }

    /// What went wrong, the last lines of stderr, and the command to run by hand.
    fn failure(&self, stage: &Running, what: &str) -> String {
        let slot = self.slot(stage.node);
        let log = fs::read(slot.stderr()).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        let tail = lines[lines.len().saturating_sub(20)..].join("\n  ");
        let title = self.plan.nodes[stage.node].title();
        format!(
            "{title}: {what}\n  {tail}\nall it said: {}\nrun it by hand:\n  {}",
            slot.stderr().display(),
            shell(&stage.command)
        )
    }
}

enum Start {
    Running(Box<Running>),
    /// Another run finished it, or ended just before it could say so.
    Finished(StageRecord),
    /// A process of another run works on it.
    Held,
}

fn utf8(path: PathBuf) -> Result<String> {
    path.into_os_string().into_string().map_err(|path| anyhow::anyhow!("{} is not UTF-8", path.display()))
}

/// A command line to paste into a shell.
pub(crate) fn shell(command: &[String]) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=,:+@%".contains(c);
    let quote = |part: &String| {
        if !part.is_empty() && part.chars().all(plain) {
            part.clone()
        } else {
            format!("'{}'", part.replace('\'', r"'\''"))
        }
    };
    command.iter().map(quote).collect::<Vec<_>>().join(" ")
}

/// Cuts a file after its last whole line; whether anything is left.
fn drop_half_line(file: &mut File) -> Result<bool> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.read_to_end(&mut bytes)?;
    let whole = bytes.iter().rposition(|&b| b == b'\n').map_or(0, |end| end + 1);
    file.set_len(whole as u64)?;
    file.flush()?;
    Ok(whole > 0)
}

/// Reads the whole lines that another process adds to a file.
struct Tail {
    file: File,
    half: Vec<u8>,
}

impl Tail {
    fn new(path: PathBuf) -> Result<Tail> {
        let mut file = File::open(&path).with_context(|| format!("cannot read {}", path.display()))?;
        file.seek(SeekFrom::End(0))?;
        Ok(Tail { file, half: Vec::new() })
    }

    fn lines(&mut self) -> Result<Vec<String>> {
        self.file.read_to_end(&mut self.half)?;
        let Some(end) = self.half.iter().rposition(|&b| b == b'\n') else { return Ok(Vec::new()) };
        let rest = self.half.split_off(end + 1);
        let whole = std::mem::replace(&mut self.half, rest);
        Ok(String::from_utf8_lossy(&whole).lines().map(str::to_owned).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_line_is_dropped() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("printed");
        for (before, after, left) in
            [("", "", false), ("a\nb", "a\n", true), ("ab", "", false), ("a\n", "a\n", true)]
        {
            fs::write(&path, before).expect("written");
            let mut file = File::options().append(true).read(true).open(&path).expect("opened");
            assert_eq!(drop_half_line(&mut file).expect("cut"), left, "`{before}` leaves something or not");
            write!(file, "x").expect("written");
            assert_eq!(fs::read_to_string(&path).expect("read"), format!("{after}x"), "`{before}` is cut");
        }
    }

    #[test]
    fn a_tail_gives_whole_lines_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("printed");
        fs::write(&path, "old\n").expect("written");
        let mut tail = Tail::new(path.clone()).expect("opened");
        let mut file = File::options().append(true).open(&path).expect("opened");
        let mut seen = Vec::new();
        for part in ["a", "b\nc\n", "", "d"] {
            write!(file, "{part}").expect("written");
            seen.push(tail.lines().expect("read"));
        }
        assert_eq!(
            seen,
            [vec![], vec!["ab".to_owned(), "c".to_owned()], vec![], vec![]],
            "only whole new lines"
        );
    }

    #[test]
    fn commands_can_be_pasted() {
        let command = ["a/b", "--x=1", "two words", "it's", ""].map(str::to_owned);
        assert_eq!(shell(&command), r"a/b --x=1 'two words' 'it'\''s' ''", "quoted where needed");
    }
}
