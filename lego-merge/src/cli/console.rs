//! Adapters opened with their warnings, and small outputs beside the result.

use std::io::{ErrorKind, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
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

/// Writes a text beside its place and renames it; a file that is there is replaced only by `force`.
pub(super) fn write_new(path: &Path, text: &str, force: bool) -> anyhow::Result<()> {
    let failed = || format!("{}: cannot write", path.display());
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).with_context(failed)?;
    let mut file = tempfile::Builder::new()
        .permissions(std::fs::Permissions::from_mode(0o644))
        .tempfile_in(folder)
        .with_context(failed)?;
    file.write_all(text.as_bytes()).with_context(failed)?;
    if force {
        file.persist(path).with_context(failed)?;
        return Ok(());
    }
    match file.persist_noclobber(path) {
        Ok(_) => Ok(()),
        Err(e) if e.error.kind() == ErrorKind::AlreadyExists => {
            bail!("{}: exists already; --force replaces it", path.display())
        }
        Err(e) => Err(e.error).with_context(failed),
    }
}
