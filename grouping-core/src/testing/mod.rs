//! What the tests of several crates need: assertions on refusals, commands of READMEs, snapshots of commands, CPU time for benches.

mod commands;
mod cpu_time;
mod refusal;

pub use commands::{assert_snapshots, sh_lines, words};
pub use cpu_time::CpuTime;
pub use refusal::assert_refused;
