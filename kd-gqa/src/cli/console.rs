//! What goes to stderr: messages, and a progress bar on a terminal.

use std::fmt::Arguments;
use std::io::{Write, stderr};
use std::path::Path;

use grouping_core::files::output::{Existing, write_file};
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

/// Writes a text beside its place and renames it; a file that is there is replaced only by `force`.
pub(super) fn write_new(path: &Path, text: &str, force: bool) -> anyhow::Result<()> {
    let existing = if force { Existing::Replace } else { Existing::Refuse };
    Ok(write_file(path, existing, |mut file| {
        let failed =
            |e: std::io::Error| grouping_core::Error::File { path: path.to_owned(), reason: e.to_string() };
        file.write_all(text.as_bytes()).map_err(failed)
    })?)
}
