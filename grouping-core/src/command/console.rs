//! Messages and progress bars on stderr.

use std::fmt::Arguments;
use std::io::{Write, stderr};

use indicatif::{ProgressBar, ProgressStyle};

/// Writes one line to stderr; nobody is left to hear of a failure.
pub fn say(line: Arguments<'_>) {
    let _ = writeln!(stderr(), "{line}");
}

/// A progress bar of `n` units, drawn only on a terminal.
pub fn bar(n: usize, unit: &str) -> ProgressBar {
    let style = ProgressStyle::with_template(&format!("{{bar:40}} {{pos}}/{{len}} {unit} {{elapsed}}"));
    let bar = ProgressBar::new(n as u64);
    if let Ok(style) = style {
        bar.set_style(style);
    }
    bar
}
