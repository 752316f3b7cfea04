//! The command `xtask` on small workspaces whose stages are real processes.

// A shell script stands where Python would.
#[cfg(unix)]
mod bench;
mod reports;
mod repro;
