//! An output under construction, the steps by which it takes its place, and what killed processes left of theirs.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use super::Existing;
use crate::platform;
use crate::seed::derive_seed;
use crate::{Error, Result};

/// A file or folder that is made under a hidden name beside its destination. [`Staged::commit`] puts it there; dropped before, it is
/// removed.
///
/// Its name begins with the destination's and ends with `.new`. Until it stands in its place it is locked, and so is a folder that it
/// replaces, where the file system has locks: by them the next output of this name knows what a killed process left, and removes it.
#[derive(Debug)]
pub struct Staged {
    destination: PathBuf,
    existing: Existing,
    /// What is made; the old content once the new one is in its place.
    staging: PathBuf,
    is_folder: bool,
    /// Names that a replaced folder may hold beside those of the new one.
    known: BTreeSet<OsString>,
    /// The folder around the output and those around it that had to be made.
    parents: Vec<PathBuf>,
    /// What the names of outputs of this destination under construction begin with.
    prefix: String,
    /// Locks on what is made, and on a folder to replace.
    locks: Vec<File>,
    /// Whether the staging is the old content, while the new one is not sure to stay.
    is_kept: bool,
}

impl Staged {
    /// Starts a file; it is open for writing.
    ///
    /// # Errors
    /// [`Error::Exists`] for a destination that is taken and not to be replaced, [`Error::File`] for one without a name or with something
    /// else than a file to replace, [`Error::Io`] when the file or the folder around it cannot be made.
    pub fn file(destination: &Path, existing: Existing) -> Result<(Self, File)> {
        let staged = Self::new(destination, existing, false)?;
        let opened = || staged.locks.first().expect("a file is open from its making on").try_clone();
        let file = step(&staged.staging, "open", opened)?;
        Ok((staged, file))
    }

    /// Starts an empty folder.
    ///
    /// # Errors
    /// As [`Staged::file`].
    pub fn folder(destination: &Path, existing: Existing) -> Result<Self> {
        Self::new(destination, existing, true)
    }

    fn new(destination: &Path, existing: Existing, is_folder: bool) -> Result<Self> {
        let kind = if is_folder { "folder" } else { "file" };
        let refuse = |reason: String| Err(Error::File { path: destination.to_path_buf(), reason });
        let Some(name) = destination.file_name() else {
            return refuse(format!("expected the path of a {kind}"));
        };
        existing.check(destination)?;
        let fits = |found: fs::Metadata| if is_folder { found.is_dir() } else { found.is_file() };
        if destination.metadata().is_ok_and(|found| !fits(found)) {
            return refuse(format!("expected a {kind} to replace, found something else"));
        }
        let around = destination.ancestors().skip(1).map(or_here);
        let n_missing = around.clone().take_while(|folder| !folder.exists()).count();
        let parents: Vec<PathBuf> = around.take(n_missing + 1).map(Path::to_path_buf).collect();
        let parent = &parents[0];
        step(parent, "create", || fs::create_dir_all(parent))?;
        // Names of files are at most 255 bytes long; letters of one have at most 4. What is cut off is in the hash.
        let shown: String = name.to_string_lossy().chars().take(40).collect();
        let hash = name.as_encoded_bytes().iter().fold(0, |hash, &byte| derive_seed(hash, byte.into()));
        let prefix = format!(".{shown}.{hash:016x}.");
        remove_abandoned(parent, &prefix, destination);
        let (staging, lock) = step(parent, "write in", || make(parent, &prefix, is_folder))?;
        let (destination, known, locks) =
            (destination.to_path_buf(), BTreeSet::new(), lock.into_iter().collect());
        Ok(Self { destination, existing, staging, is_folder, known, parents, prefix, locks, is_kept: false })
    }

    /// Lets a folder be replaced that holds files of these names too, whether or not the new one does.
    ///
    /// # Errors
    /// [`Error::File`] for a folder that holds others, [`Error::Io`] for one that cannot be listed.
    pub fn replacing(mut self, names: &[&str]) -> Result<Self> {
        self.known.extend(names.iter().map(OsString::from));
        self.check_content()?;
        Ok(self)
    }

    /// Where the output is made.
    pub fn path(&self) -> &Path {
        &self.staging
    }

    /// Writes the output to the disk and puts it in its place. What it replaces is removed when the new one is sure to stay, by the next
    /// output of this name where it cannot be now.
    ///
    /// # Errors
    /// [`Error::Exists`] when the destination was taken meanwhile and is not to be replaced, [`Error::File`] when it is a folder that holds
    /// other things than the new one; then it is untouched. [`Error::Io`] when a step fails: the old output is in its place, or the new one
    /// is, which may not outlast a loss of power, and an old folder lies under a hidden name. [`Error::File`] with that name when both
    /// renaming and undoing it fail, and neither is in its place.
    pub fn commit(mut self) -> Result<()> {
        sync_all(&self.staging)?;
        self.place()?;
        for parent in &self.parents {
            step(parent, "sync", || platform::sync(parent))?;
        }
        self.is_kept = false;
        remove_abandoned(&self.parents[0], &self.prefix, &self.destination);
        Ok(())
    }

    fn place(&mut self) -> Result<()> {
        let (from, to) = (&self.staging, &self.destination);
        if self.existing == Existing::Refuse {
            return rename_new(from, to);
        }
        if !self.is_folder || to.symlink_metadata().is_err() {
            return step(to, "rename to", || fs::rename(from, to));
        }
        self.check_content()?;
        // Under a hidden name, another output would take it for abandoned.
        self.locks.extend(File::open(to).ok().filter(|old| old.try_lock().is_ok()));
        if attempt("exchange", || platform::exchange(from, to)).is_ok() {
            self.is_kept = true;
            return Ok(());
        }
        let old = from.with_extension(ASIDE);
        step(to, "move aside", || fs::rename(to, &old))?;
        if let Err(error) = step(to, "rename to", || fs::rename(from, to)) {
            if step(to, "move back", || fs::rename(&old, to)).is_err() {
                let reason =
                    format!("the new output cannot be renamed to it; the old one is {}", old.display());
                return Err(Error::File { path: to.clone(), reason });
            }
            return Err(error);
        }
        self.staging = old;
        self.is_kept = true;
        Ok(())
    }

    /// Whether all that the folder at the destination holds is known or will be replaced.
    fn check_content(&self) -> Result<()> {
        // Nothing, or a link to nothing.
        if !self.destination.exists() {
            return Ok(());
        }
        let new = entries(&self.staging)?;
        match entries(&self.destination)?
            .into_iter()
            .find(|name| !new.contains(name) && !self.known.contains(name))
        {
            None => Ok(()),
            Some(other) => {
                let reason = format!("expected an output to replace, found a folder that holds {other:?}");
                Err(Error::File { path: self.destination.clone(), reason })
            }
        }
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        // What cannot be removed now is removed with the next output of this name.
        if !self.is_kept {
            let _ = attempt("remove", || remove(&self.staging));
        }
    }
}

/// How the name of a folder ends that was moved aside.
const ASIDE: &str = "old";

/// Makes an empty file or folder of a name that nothing else has, nor what a killed process moved aside, and locks it.
fn make(parent: &Path, prefix: &str, is_folder: bool) -> io::Result<(PathBuf, Option<File>)> {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    loop {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = parent.join(format!("{prefix}{}-{number}.new", std::process::id()));
        // Numbers of processes come again.
        if path.with_extension(ASIDE).symlink_metadata().is_ok() {
            continue;
        }
        let made = if is_folder {
            // Not every system opens folders.
            fs::create_dir(&path).map(|()| File::open(&path).ok())
        } else {
            File::options().read(true).write(true).create_new(true).open(&path).map(Some)
        };
        let lock = match made {
            // Another machine's, on a shared disk.
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => continue,
            made => made?,
        };
        // Where the file system has no locks, nothing is ever taken for abandoned.
        let is_held =
            lock.as_ref().is_some_and(|file| matches!(file.try_lock(), Err(fs::TryLockError::WouldBlock)));
        // Another process may have taken it for abandoned before it was locked.
        if !is_held && path.exists() {
            return Ok((path, lock));
        }
    }
}

/// Removes what killed processes left of outputs of this destination: what nobody holds a lock on, where there are locks. An old folder
/// that was moved aside stays until there is another, and everything until the disk has what took its place.
fn remove_abandoned(parent: &Path, prefix: &str, destination: &Path) {
    let is_left = |name: &str| {
        let Some((number, end)) = name.strip_prefix(prefix).and_then(|rest| rest.split_once('.')) else {
            return false;
        };
        let is_unneeded = end == "new" || end == ASIDE && destination.symlink_metadata().is_ok();
        number.bytes().all(|b| b.is_ascii_digit() || b == b'-') && is_unneeded
    };
    // Nothing here can fail the output: what is left is in nobody's way.
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let path = entry.path();
        if entry.file_name().to_str().is_some_and(is_left)
            && let Ok(file) = File::open(&path)
            && file.try_lock().is_ok()
            && attempt("sync", || platform::sync(parent)).is_ok()
        {
            let _ = attempt("remove", || remove(&path));
        }
    }
}

/// Renames to a name that nothing has. Where the system cannot check and rename in one step, a second name is given to a file, and the
/// first is removed later; where that cannot be either, the name is checked first.
fn rename_new(from: &Path, to: &Path) -> Result<()> {
    let is_taken = |e: &io::Error| e.kind() == io::ErrorKind::AlreadyExists;
    let mut placed = attempt("rename to", || platform::rename_new(from, to));
    if placed.as_ref().is_err_and(|e| !is_taken(e)) {
        placed = attempt("link", || fs::hard_link(from, to));
    }
    if placed.as_ref().is_err_and(|e| !is_taken(e)) {
        Existing::Refuse.check(to)?;
        placed = attempt("rename to", || fs::rename(from, to));
    }
    match placed {
        Err(e) if is_taken(&e) => Err(Error::Exists { path: to.to_path_buf() }),
        placed => placed.map_err(Error::file(to, "rename to")),
    }
}

/// Writes a file, or all that a folder holds, to the disk.
fn sync_all(path: &Path) -> Result<()> {
    if path.is_dir() {
        for name in entries(path)? {
            let entry = path.join(name);
            if !entry.is_symlink() {
                sync_all(&entry)?;
            }
        }
    }
    step(path, "sync", || platform::sync(path))
}

fn entries(folder: &Path) -> Result<BTreeSet<OsString>> {
    let list = || fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name())).collect();
    step(folder, "list", list)
}

/// Removes a file or folder; what is not there is no error.
fn remove(path: &Path) -> io::Result<()> {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    removed.or_else(|e| if e.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(e) })
}

/// The folder of a path without one.
fn or_here(folder: &Path) -> &Path {
    if folder.as_os_str().is_empty() { Path::new(".") } else { folder }
}

/// Runs one step on the file system.
fn attempt<T>(action: &'static str, run: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    before(action)?;
    run()
}

/// Where tests make a step fail.
#[cfg(not(test))]
fn before(_action: &'static str) -> io::Result<()> {
    Ok(())
}

fn step<T>(path: &Path, action: &'static str, run: impl FnOnce() -> io::Result<T>) -> Result<T> {
    attempt(action, run).map_err(Error::file(path, action))
}

#[cfg(test)]
use tests::before;

#[cfg(test)]
mod tests;
