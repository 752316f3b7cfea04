//! What the tests of several crates need: assertions on refusals, commands of READMEs, snapshots of commands.

mod commands;
mod refusal;

pub use commands::{assert_snapshots, sh_lines, words};
pub use refusal::assert_refused;
