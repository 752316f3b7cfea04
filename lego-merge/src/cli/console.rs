//! What goes to stderr: messages and a progress bar on a terminal; and the process's peak memory.

use std::fmt::Arguments;
use std::io::{Write, stderr};

use indicatif::{ProgressBar, ProgressStyle};

/// Writes one line to stderr; nobody is left to hear of a failure.
pub(super) fn say(line: Arguments<'_>) {
    let _ = writeln!(stderr(), "{line}");
}

/// A bar by module, drawn only on a terminal.
pub(super) fn modules_bar(n_modules: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} modules {elapsed} {msg}");
    let bar = ProgressBar::new(n_modules as u64);
    if let Ok(style) = style {
        bar.set_style(style);
    }
    bar
}

/// Peak resident memory in bytes, where the system tells (Linux).
pub(super) fn peak_memory_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib * 1024)
}
