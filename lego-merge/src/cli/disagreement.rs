//! Options for adapters that disagree with each other and are merged all the same.

use lego_merge::merge::SavedModules;

#[derive(Debug, clap::Args)]
pub(super) struct DisagreementArgs {
    /// What to do with modules that several adapters save whole and differ in [default: an error]
    #[arg(long, value_enum, value_name = "RULE")]
    pub(super) modules_to_save: Option<SavedModules>,
    /// Merge adapters that name different base models
    #[arg(long)]
    pub(super) allow_base_mismatch: bool,
}
