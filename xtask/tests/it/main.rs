//! The command `xtask` on small workspaces whose stages are real processes.

mod reports;
mod repro;
