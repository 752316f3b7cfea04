//! What every command line of this workspace does alike: exit codes, messages, progress bars, tables, plots, completions, and
//! what becomes of freed memory.
//!
//! A binary parses, makes one call of its library and prints. Its library names *settings* (`n_kv_heads`); [`run`] shows
//! them as the flags that the running command has (`--kv-heads`).

mod completions;
mod console;
mod flags;
mod memory;
mod output;
mod run;
pub mod svg;
mod table;

pub use completions::Completions;
pub use console::{bar, say};
pub use flags::Flags;
pub use indicatif::ProgressBar;
pub use memory::{FreedPages, freed_pages};
pub use output::{check_output, not_an_input};
pub use run::{answer, run};
pub use table::{CellAlignment, Table, table};
