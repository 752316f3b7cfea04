//! How an adapter is written, beside where.

use std::path::Path;

use grouping_core::files::output::Existing;
use lego_merge::adapter::{Format, Output, OutputType};

#[derive(Debug, clap::Args)]
pub(super) struct OutputArgs {
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
    pub(super) fn output(&self, out: &Path) -> Output {
        let existing = Existing::replaced_if(self.force);
        Output::new(out).with_format(self.to).with_type(self.dtype).with_existing(existing)
    }
}
