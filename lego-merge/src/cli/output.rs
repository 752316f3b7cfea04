//! Options of the commands that write an adapter.

use std::path::PathBuf;

use crate::adapter::{Existing, Format, Output, OutputType};

#[derive(Debug, clap::Args)]
pub(super) struct OutputArgs {
    /// Folder to write (PEFT), or a file that ends with .safetensors
    #[arg(short, long, value_name = "PATH")]
    pub(super) out: PathBuf,
    /// Format of a file [default: the first adapter's]
    #[arg(long, value_enum, value_name = "FORMAT")]
    to: Option<Format>,
    /// Type of the tensors
    #[arg(long, value_enum, default_value = "f32")]
    dtype: OutputType,
    /// Replace an adapter that is there already
    #[arg(long)]
    force: bool,
}

impl OutputArgs {
    pub(super) fn output(&self) -> Output {
        let existing = if self.force { Existing::Replace } else { Existing::Refuse };
        Output::new(&self.out).with_format(self.to).with_type(self.dtype).with_existing(existing)
    }
}
