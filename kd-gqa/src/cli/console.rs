//! What goes to stderr: messages, and a progress bar on a terminal.

use std::fmt::Arguments;
use std::io::{Write, stderr};

use indicatif::{ProgressBar, ProgressStyle};

/// Writes one line to stderr; nobody is left to hear of a failure.
pub(super) fn say(line: Arguments<'_>) {
    let _ = writeln!(stderr(), "{line}");
}

/// A bar of `unit`s, drawn only on a terminal; its length is set with the first event.
pub(super) fn bar(unit: &str) -> ProgressBar {
    let style = ProgressStyle::with_template(&format!("{{bar:40}} {{pos}}/{{len}} {unit} {{elapsed}}"));
    let bar = ProgressBar::new(0);
    if let Ok(style) = style {
        bar.set_style(style);
    }
    bar
}
