//! What goes to stderr: messages.

use std::fmt::Arguments;
use std::io::{Write, stderr};

/// Writes one line to stderr; nobody is left to hear of a failure.
pub(super) fn say(line: Arguments<'_>) {
    let _ = writeln!(stderr(), "{line}");
}
