//! Adapters opened with their warnings.

use std::path::PathBuf;

use grouping_core::command::say;

use lego_merge::adapter::{Adapter, aligned};

/// Opens adapters and says what is odd about them.
pub(super) fn open(paths: &[PathBuf]) -> anyhow::Result<Vec<Adapter>> {
    let adapters = paths.iter().map(Adapter::read).collect::<Result<Vec<_>, _>>()?;
    for adapter in &adapters {
        for warning in adapter.warnings() {
            say(format_args!("warning: {}: {warning}", adapter.path().display()));
        }
    }
    Ok(aligned(&adapters).into_owned())
}
