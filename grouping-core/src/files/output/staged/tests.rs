//! Every step of an output fails in turn, alone or with all that follow it as when the process is killed, and another output of the same
//! name begins before it, with and without the fault: the old content or the new stands whole.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;

use super::super::{write_file, write_folder};
use super::*;

/// What goes wrong on this thread.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    Nothing,
    /// The step of this number.
    One(usize),
    /// The step of this number and all after it: the process is killed.
    From(usize),
    /// None, but [`OTHER`] begins before the step of this number.
    Beside(usize),
}

thread_local! {
    static FAULT: Cell<Fault> = const { Cell::new(Fault::Nothing) };
    /// Place of another output, and whether it is a folder, that begins before the step of [`Fault::One`] or [`Fault::Beside`] and
    /// removes what was abandoned.
    static OTHER: RefCell<Option<(PathBuf, bool)>> = const { RefCell::new(None) };
    /// Whether the system lacks renaming with conditions and exchanging.
    static IS_PLAIN: Cell<bool> = const { Cell::new(false) };
    static TAKEN: RefCell<Vec<&'static str>> = const { RefCell::new(Vec::new()) };
    static FAILED: RefCell<BTreeSet<&'static str>> = const { RefCell::new(BTreeSet::new()) };
}

pub(super) fn before(action: &'static str) -> io::Result<()> {
    let number = TAKEN.with_borrow_mut(|taken| {
        taken.push(action);
        taken.len() - 1
    });
    let fault = FAULT.get();
    if fault == Fault::One(number) || fault == Fault::Beside(number) {
        begin_another();
    }
    let fails = match fault {
        Fault::Nothing | Fault::Beside(_) => false,
        Fault::One(failing) => number == failing,
        Fault::From(first) => number >= first,
    };
    if fails {
        FAILED.with_borrow_mut(|failed| failed.insert(action));
    }
    let is_lacking = IS_PLAIN.get() && action == "exchange";
    if fails || is_lacking { Err(io::Error::other("a fault")) } else { Ok(()) }
}

fn begin_another() {
    if let Some((place, is_folder)) = OTHER.take() {
        let (fault, taken) = (FAULT.replace(Fault::Nothing), TAKEN.take());
        drop(Staged::new(&place, Existing::Replace, is_folder).expect("another output begins"));
        FAULT.set(fault);
        TAKEN.set(taken);
    }
}

/// Runs `write` under `fault`; its result, and the steps that were taken.
fn under(fault: Fault, write: impl FnOnce() -> Result<()>) -> (Result<()>, Vec<&'static str>) {
    TAKEN.take();
    FAULT.set(fault);
    let result = write();
    FAULT.set(Fault::Nothing);
    (result, TAKEN.take())
}

const OLD: &str = "old content";
const NEW: &str = "new content, of another length";

/// Names of what a folder holds.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder");
    let mut names: Vec<String> =
        entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("text")).collect();
    names.sort();
    names
}

/// What a file holds, or both files of a folder where they agree.
fn content(place: &Path) -> Option<String> {
    let read = |path: &Path| fs::read_to_string(path).ok();
    if !place.is_dir() {
        return read(place);
    }
    let (a, b) = (read(&place.join("a"))?, read(&place.join("b"))?);
    assert_eq!(a, b, "both files of the folder are of one output");
    Some(a)
}

fn write(place: &Path, existing: Existing, is_folder: bool, text: &str) -> Result<()> {
    let fill = |path: &Path| step(path, "write", || fs::write(path, text));
    if is_folder {
        write_folder(place, existing, |folder| {
            fill(&folder.join("a"))?;
            fill(&folder.join("b"))
        })
    } else {
        write_file(place, existing, |mut file| {
            step(place, "write", || io::Write::write_all(&mut file, text.as_bytes()))
        })
    }
}

/// Whether the system does what `run` asks of it, with two files of which the second is there if `is_taken`.
fn does(run: fn(&Path, &Path) -> io::Result<()>, is_taken: bool) -> bool {
    let folder = tempfile::tempdir().expect("a folder");
    let [from, to] = ["from", "to"].map(|name| folder.path().join(name));
    fs::write(&from, NEW).expect("written");
    if is_taken {
        fs::write(&to, OLD).expect("written");
    }
    run(&from, &to).is_ok()
}

/// Whether nothing is exchanged, so that an old folder is moved aside first.
fn is_plain() -> bool {
    IS_PLAIN.get() || !does(platform::exchange, true)
}

/// How an output ends of which one step failed.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Outcome {
    /// An error; the old content, if any, is in its place, and nothing beside it.
    Undone,
    /// An error; the new one is in its place, and an old folder is beside it.
    Unsure,
    /// No error; the new one is in its place.
    Done,
}

impl Outcome {
    /// By the steps that were taken, of which the one of this number failed.
    fn of(taken: &[&str], number: usize, replaces: bool) -> Self {
        let (before, failed) = taken.split_at(number.min(taken.len()));
        let is_placed = ["rename to", "link", "exchange"].iter().any(|action| before.contains(action));
        match failed.first() {
            // Nothing failed, there is another way, or the next output removes it.
            None | Some(&("exchange" | "link" | "remove")) => Self::Done,
            Some(&"rename to") if !replaces && !before.contains(&"link") => Self::Done,
            Some(&"sync") if is_placed => Self::Unsure,
            Some(_) => Self::Undone,
        }
    }
}

/// One output under all faults; the steps that failed.
fn under_all_faults(is_folder: bool, replaces: bool) {
    let old = replaces.then_some(OLD);
    let existing = Existing::replaced_if(replaces);
    for fault in [Fault::One as fn(usize) -> Fault, Fault::Beside, Fault::From] {
        for number in 0.. {
            let fault = fault(number);
            let case = format!("folder {is_folder}, replaces {replaces}, {fault:?}");
            let folder = tempfile::tempdir().expect("a folder");
            let place = folder.path().join("out");
            if replaces {
                write(&place, Existing::Refuse, is_folder, OLD).expect("the old output is written");
            }
            OTHER.set(Some((place.clone(), is_folder)));
            let (result, taken) = under(fault, || write(&place, existing, is_folder, NEW));
            let found = content(&place);
            let hidden = names(folder.path()).into_iter().filter(|name| name != "out");
            let beside: Vec<_> = hidden.map(|name| content(&folder.path().join(name))).collect();
            if matches!(fault, Fault::From(_)) {
                let is_whole = found.as_deref() == old || found.as_deref() == Some(NEW);
                // Killed between two renames: the old output lies beside its place.
                let is_aside = found.is_none() && beside.contains(&Some(OLD.into()));
                assert!(
                    is_whole || is_aside && replaces && is_folder && is_plain(),
                    "{case}: {found:?}, {beside:?}"
                );
            } else {
                let outcome = match fault {
                    Fault::Beside(_) => Outcome::Done,
                    _ => Outcome::of(&taken, number, replaces),
                };
                let case = format!("{case}, {taken:?}, {outcome:?}");
                assert_eq!(result.is_ok(), outcome == Outcome::Done, "{case}: {result:?}");
                assert_eq!(
                    found.as_deref(),
                    if outcome == Outcome::Undone { old } else { Some(NEW) },
                    "{case}: in its place"
                );
                let is_removed = !matches!(fault, Fault::One(_)) || taken.get(number) != Some(&"remove");
                let expected = match outcome {
                    Outcome::Unsure if is_folder => old,
                    Outcome::Done if !is_removed && is_folder => old,
                    // The first name of a file that got a second.
                    Outcome::Done if !is_removed && taken.contains(&"link") => Some(NEW),
                    _ => None,
                };
                let expected: Vec<_> = expected.map(|text| Some(text.to_owned())).into_iter().collect();
                assert_eq!(beside, expected, "{case}: beside its place");
            }
            write(&place, Existing::Replace, is_folder, "again").unwrap_or_else(|e| panic!("{case}: {e}"));
            assert_eq!(content(&place).as_deref(), Some("again"), "{case}: the next output");
            assert_eq!(names(folder.path()), ["out"], "{case}: it removes what is left of this one");
            if taken.len() <= number {
                assert!(result.is_ok(), "{case}: no step failed, and yet {result:?}");
                break;
            }
        }
    }
}

#[test]
fn whatever_step_fails_the_old_output_or_the_new_is_there_whole() {
    for is_plain in [false, true] {
        IS_PLAIN.set(is_plain);
        FAILED.take();
        for (is_folder, replaces) in [(false, false), (false, true), (true, false), (true, true)] {
            under_all_faults(is_folder, replaces);
        }
        let failed = FAILED.take();
        for action in ["create", "write in", "write", "sync", "rename to", "exchange", "remove"] {
            assert!(failed.contains(action), "no `{action}` failed among {failed:?}");
        }
        let by_two_renames = ["move aside", "move back"].iter().all(|action| failed.contains(action));
        assert!(by_two_renames || !is_plain, "without exchange the old is moved aside: {failed:?}");
    }
    IS_PLAIN.set(false);
}

#[test]
fn what_was_abandoned_stays_until_the_disk_has_what_took_its_place() {
    let folder = tempfile::tempdir().expect("a folder");
    let place = folder.path().join("out");
    let staged = Staged::folder(&place, Existing::Refuse).expect("started");
    let left = |end: &str| format!("{}1-1.{end}", staged.prefix);
    let leave = || {
        for name in ["new", "old"].map(left) {
            fs::write(folder.path().join(name), OLD).expect("written");
        }
    };
    let look = |fault| {
        let removal = || {
            remove_abandoned(folder.path(), &staged.prefix, &place);
            Ok(())
        };
        under(fault, removal).1
    };
    let staging = staged.path().file_name().expect("a name").to_str().expect("text");
    leave();
    assert_eq!(look(Fault::One(0)), ["sync"], "nothing is removed without a sync");
    assert_eq!(look(Fault::Nothing), ["sync", "remove"], "one of them is removed");
    let mut expected = [staging.to_owned(), left("old")];
    expected.sort();
    assert_eq!(names(folder.path()), expected, "what was moved aside is all there is of an old output");
    leave();
    write(&place, Existing::Refuse, true, NEW).expect("another output");
    assert_eq!(names(folder.path()), [staging, "out"], "not needed any more");
}

#[test]
fn names_under_construction_are_of_one_destination_and_drawn_beside_what_was_moved_aside() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let long = "n".repeat(200);
    let prefixes = ["a", "b"].map(|end| {
        let place = folder.join(format!("{long}{end}"));
        Staged::file(&place, Existing::Refuse).expect("started").0.prefix.clone()
    });
    assert_ne!(prefixes[0], prefixes[1], "the prefix tells long names apart");
    let n_taken = 4000;
    for number in 0..n_taken {
        fs::write(folder.join(format!(".x.{}-{number}.old", std::process::id())), OLD).expect("written");
    }
    let (path, _lock) = make(folder, ".x.", true).expect("made");
    let number = path.file_stem().and_then(|stem| stem.to_str()?.rsplit_once('-')?.1.parse().ok());
    assert!(number.is_some_and(|number: usize| number >= n_taken), "drawn as {}", path.display());
}

#[test]
fn an_output_is_on_the_disk_before_it_is_renamed_and_its_folder_before_the_old_is_removed() {
    let folder = tempfile::tempdir().expect("a folder");
    let place = folder.path().join("one/two/out");
    TAKEN.take();
    write(&place, Existing::Refuse, true, OLD).expect("written");
    let renamed: &[_] =
        if does(platform::rename_new, false) { &["rename to"] } else { &["rename to", "link", "rename to"] };
    let mut expected = vec!["create", "write in", "write", "write", "list", "sync", "sync", "sync"];
    expected.extend(renamed);
    // The folder, and the three whose entries are new.
    expected.extend(["sync", "sync", "sync", "remove"]);
    assert_eq!(TAKEN.take(), expected, "a new folder");
    write(&place, Existing::Replace, true, NEW).expect("replaced");
    let taken = TAKEN.take();
    let at = |action: &str| taken.iter().rposition(|&a| a == action).unwrap_or_else(|| panic!("no {action}"));
    assert!(at("exchange") < at("sync") && at("sync") < at("remove"), "a replaced folder: {taken:?}");
    write(&folder.path().join("file"), Existing::Replace, false, NEW).expect("written");
    let expected = ["create", "write in", "open", "write", "sync", "rename to", "sync", "remove"];
    assert_eq!(TAKEN.take(), expected, "a file");
}

#[test]
fn what_another_output_holds_is_never_removed() {
    let folder = tempfile::tempdir().expect("a folder");
    let place = folder.path().join("out");
    for is_folder in [false, true] {
        let first = Staged::new(&place, Existing::Replace, is_folder).expect("started");
        write(&place, Existing::Replace, is_folder, NEW).expect("another of the same name");
        assert!(first.path().exists(), "folder {is_folder}: the first is still there");
        drop(first);
        assert_eq!(names(folder.path()), ["out"], "folder {is_folder}: and is removed when it is given up");
        remove(&place).expect("removed");
    }
}

#[test]
fn only_outputs_are_replaced() {
    let folder = tempfile::tempdir().expect("a folder");
    let place = folder.path().join("out");
    let refused = |result: Result<()>, words: &str| {
        let error = result.expect_err(words).to_string();
        assert!(error.contains(words), "no `{words}` in `{error}`");
    };
    fs::create_dir(&place).expect("a folder");
    refused(write(&place, Existing::Replace, false, NEW), "expected a file to replace");
    refused(write(&place, Existing::Refuse, true, NEW), "the output exists already");
    fs::write(place.join("thesis"), "years of work").expect("written");
    refused(write(&place, Existing::Replace, true, NEW), "\"thesis\"");
    let known =
        |names: &[&str]| Staged::folder(&place, Existing::Replace).and_then(|staged| staged.replacing(names));
    refused(known(&["a"]).map(drop), "\"thesis\"");
    known(&["thesis"]).and_then(Staged::commit).expect("a known name may be replaced");
    assert_eq!(names(&place), [""; 0], "the new folder is empty");
    fs::remove_dir(&place).expect("removed");
    fs::write(&place, OLD).expect("written");
    refused(write(&place, Existing::Replace, true, NEW), "expected a folder to replace");
    refused(write(Path::new(".."), Existing::Replace, true, NEW), "expected the path of a folder");
    // Taken while the output was made.
    let late = folder.path().join("late");
    for is_folder in [false, true] {
        let staged = Staged::new(&late, Existing::Refuse, is_folder).expect("started");
        fs::write(&late, OLD).expect("written");
        let error = staged.commit().expect_err("it is taken");
        assert!(matches!(error, Error::Exists { .. }), "folder {is_folder}: {error}");
        assert_eq!(content(&late).as_deref(), Some(OLD), "folder {is_folder}: it is untouched");
        fs::remove_file(&late).expect("removed");
    }
}
