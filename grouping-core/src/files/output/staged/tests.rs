//! Every step of an output fails in turn, alone or with all that follow it as when the process is killed: the old content or the new
//! stands whole.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;

use super::super::{write_file, write_folder};
use super::*;

/// What goes wrong on this thread.
#[derive(Clone, Copy, PartialEq)]
enum Fault {
    Nothing,
    /// The step of this number.
    One(usize),
    /// The step of this number and all after it: the process is killed.
    From(usize),
}

thread_local! {
    static FAULT: Cell<Fault> = const { Cell::new(Fault::Nothing) };
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
    let fails = match FAULT.get() {
        Fault::Nothing => false,
        Fault::One(failing) => number == failing,
        Fault::From(first) => number >= first,
    };
    if fails {
        FAILED.with_borrow_mut(|failed| failed.insert(action));
    }
    let is_lacking = IS_PLAIN.get() && action == "exchange";
    if fails || is_lacking { Err(io::Error::other("a fault")) } else { Ok(()) }
}

/// Runs `write` under `fault`; its result and whether the step that was to fail was reached.
fn under(fault: Fault, write: impl FnOnce() -> Result<()>) -> (Result<()>, bool) {
    TAKEN.take();
    FAULT.set(fault);
    let result = write();
    FAULT.set(Fault::Nothing);
    let reached = match fault {
        Fault::Nothing => false,
        Fault::One(number) | Fault::From(number) => TAKEN.with_borrow(|taken| taken.len() > number),
    };
    (result, reached)
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

/// Whether nothing is exchanged, so that an old folder is moved aside first.
fn is_plain() -> bool {
    IS_PLAIN.get() || cfg!(any(not(unix), grouping_portable))
}

/// One output under all faults; the steps that failed.
fn under_all_faults(is_folder: bool, replaces: bool) {
    let old = replaces.then_some(OLD);
    let existing = Existing::replaced_if(replaces);
    for is_killed in [false, true] {
        for number in 0.. {
            let case = format!("folder {is_folder}, replaces {replaces}, killed {is_killed}, step {number}");
            let folder = tempfile::tempdir().expect("a folder");
            let place = folder.path().join("out");
            if replaces {
                write(&place, Existing::Refuse, is_folder, OLD).expect("the old output is written");
            }
            let fault = if is_killed { Fault::From(number) } else { Fault::One(number) };
            let (result, reached) = under(fault, || write(&place, existing, is_folder, NEW));
            let found = content(&place);
            match &result {
                Ok(()) => assert_eq!(found.as_deref(), Some(NEW), "{case}: done, so it is there"),
                Err(_) if found.as_deref() == old || found.as_deref() == Some(NEW) => {}
                // Killed between two renames: the old output lies beside its place.
                Err(e) => {
                    assert!(is_killed && replaces && is_folder && is_plain(), "{case}: {found:?}, {e}");
                    let aside = names(folder.path()).into_iter().find(|name| name.ends_with(".old"));
                    let aside = aside.unwrap_or_else(|| panic!("{case}: no old output"));
                    assert_eq!(
                        content(&folder.path().join(aside)).as_deref(),
                        old,
                        "{case}: the old one, whole"
                    );
                    assert_eq!(found, None, "{case}: nothing under its name");
                }
            }
            if !is_killed {
                let left = if found.is_some() { vec!["out"] } else { vec![] };
                assert_eq!(names(folder.path()), left, "{case}: nothing else is left");
            }
            write(&place, Existing::Replace, is_folder, "again").unwrap_or_else(|e| panic!("{case}: {e}"));
            let left: Vec<_> =
                names(folder.path()).into_iter().filter(|name| !name.ends_with(".old")).collect();
            assert_eq!(left, ["out"], "{case}: the next output removes what is left of this one");
            if !reached {
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
fn an_output_is_on_the_disk_before_it_is_renamed_and_its_folder_before_the_old_is_removed() {
    let folder = tempfile::tempdir().expect("a folder");
    let place = folder.path().join("one/two/out");
    TAKEN.take();
    write(&place, Existing::Refuse, true, OLD).expect("written");
    let renamed: &[_] = if cfg!(any(not(unix), grouping_portable)) {
        &["rename to", "link", "rename to"]
    } else {
        &["rename to"]
    };
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
