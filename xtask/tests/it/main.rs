//! The command `xtask` on small workspaces whose stages are real processes.

mod bench;
mod reports;
mod repro;
