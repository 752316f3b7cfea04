//! Outputs are whole or absent: a process that is killed, and places that cannot be written.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use lego_merge::adapter::Adapter;

use crate::adapters::{random, updates};
use crate::command::{command, run, text};

const N_KILLS: u64 = 6;

fn write_sources(folder: &Path) {
    let names: Vec<String> = (0..64).map(|i| format!("layers.{i}.q")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    for (seed, name) in ["a", "b"].iter().enumerate() {
        random(seed as u64, 8, 8.0, &names, [512, 512]).write(folder.join(name), false).expect("writes");
    }
}

/// Starts a merge of `a` and `b` in `folder`.
fn start(folder: &Path, out: &str, more: &[&str]) -> Child {
    let mut merge = command([&["merge", "a", "b", "-o", out, "--method", "cat"], more].concat());
    // One thread: slow enough to be killed in the middle on a busy machine, too.
    merge.current_dir(folder).env("RAYON_NUM_THREADS", "1").stdout(Stdio::null()).stderr(Stdio::null());
    merge.spawn().expect("the binary runs")
}

/// Names in `folder` under which outputs are made, and old ones moved aside.
fn unfinished(folder: &Path) -> BTreeSet<OsString> {
    let names = fs::read_dir(folder).expect("a folder").filter_map(|entry| Some(entry.ok()?.file_name()));
    names.filter(|name| name.to_string_lossy().starts_with('.')).collect()
}

/// Waits until the merge writes, lets it go on for `more`, and kills it (SIGKILL on Unix).
fn kill_while_writing(mut merge: Child, folder: &Path, before: &BTreeSet<OsString>, more: Duration) {
    let start = Instant::now();
    while unfinished(folder).is_subset(before)
        && merge.try_wait().expect("a process").is_none()
        && start.elapsed() < Duration::from_secs(60)
    {
        std::thread::yield_now();
    }
    std::thread::sleep(more);
    // It may have ended by itself meanwhile.
    let _ = merge.kill();
    merge.wait().expect("it ends");
}

#[test]
fn a_killed_merge_leaves_a_whole_output_or_none() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    write_sources(folder);
    for out in ["out", "out.safetensors"] {
        let place = folder.join(out);
        let expected = {
            assert!(start(folder, out, &[]).wait().expect("it ends").success(), "{out}: a merge");
            updates(&Adapter::read(&place).expect("an adapter"))
        };
        let whole = |when: &str| {
            let found = Adapter::read(&place).unwrap_or_else(|e| panic!("{out}, {when}: {e}"));
            assert_eq!(updates(&found), expected, "{out}, {when}: every value");
        };
        for i in 0..N_KILLS {
            let before = unfinished(folder);
            let merge = start(folder, out, &["--force"]);
            kill_while_writing(merge, folder, &before, Duration::from_millis(2 * i));
            // Where the system cannot exchange two folders, the old one is moved aside first.
            let is_aside = cfg!(any(not(unix), grouping_portable)) && out == "out" && !place.exists();
            if !is_aside {
                whole("killed while it was replaced");
            }
        }
        let mut n_absent = 0;
        for i in 0..N_KILLS {
            let removed = if place.is_dir() { fs::remove_dir_all(&place) } else { fs::remove_file(&place) };
            assert!(removed.is_ok() || !place.exists(), "{out}: removed for the next try");
            let before = unfinished(folder);
            kill_while_writing(start(folder, out, &[]), folder, &before, Duration::from_millis(2 * i));
            if place.exists() {
                whole("killed while it was written");
            } else {
                n_absent += 1;
            }
        }
        assert!(n_absent > 0, "{out}: no kill came before the end");
        assert!(start(folder, out, &["--force"]).wait().expect("it ends").success(), "{out}: what is left");
        whole("merged beside what killed processes left");
        assert_eq!(unfinished(folder), BTreeSet::new(), "{out}: what killed processes left is removed");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_place_that_cannot_be_written_is_named() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().expect("a folder");
    write_sources(folder.path());
    let locked = folder.path().join("locked");
    fs::create_dir(&locked).expect("a folder");
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o555)).expect("a read-only folder");
    // Permissions do not bind root; nobody makes files in /proc.
    let binds = fs::write(locked.join("probe"), "").is_err();
    let places = if binds { vec![locked.clone(), "/proc".into()] } else { vec!["/proc".into()] };
    for place in places {
        for out in ["out", "out.safetensors"].map(|name| place.join(name)) {
            for words in [&["merge"][..], &["convert"], &["prune", "--rank", "1"]] {
                let mut args: Vec<OsString> = words.iter().map(Into::into).collect();
                args.extend([folder.path().join("a").into(), "-o".into(), out.clone().into()]);
                let output = run(args);
                let message = text(&output.stderr);
                assert_eq!(output.status.code(), Some(2), "{words:?} {}: {message}", out.display());
                let folder = format!("{}: cannot", place.display());
                assert!(message.contains(&folder), "{words:?}: the folder is not named: {message}");
                assert_eq!(message.matches("os error").count(), 1, "{words:?}: said once: {message}");
                assert!(!out.exists(), "{words:?}: nothing is written");
            }
        }
    }
}
