//! Coded pictures in files, and their decoding whole or in part: what several commands share.

use std::path::Path;

use grouping_core::command::say;
use grouping_core::files::text::read_bytes;
use iscs_lic::codec::Codec;
use iscs_lic::container::{Coded, Format, Integrity, Limits, MAGIC, Read};
use iscs_lic::picture::Picture;

/// What headers take at most beside the strings.
const HEADERS: u64 = 1 << 16;

/// Reads an `.iscs` or `.cai` file of a bounded size.
pub(super) fn read(path: &Path) -> anyhow::Result<Read> {
    let limits = Limits::default();
    anyhow::ensure!(!path.is_dir(), "{}: expected a coded picture, found a folder", path.display());
    // Before a byte of it is read.
    let (longest, found) = (limits.bytes + HEADERS, std::fs::metadata(path).map_or(0, |file| file.len()));
    anyhow::ensure!(found <= longest, "{}: expected at most {longest} bytes, found {found}", path.display());
    let bytes = read_bytes(path, longest)?;
    let is_cai = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("cai"));
    // A .cai has no magic bytes: its name says what it is.
    anyhow::ensure!(
        is_cai || bytes.starts_with(&MAGIC),
        "{}: expected an .iscs file, or a .cai that is named so, found neither",
        path.display()
    );
    Coded::read(&bytes, &limits).map_err(|e| anyhow::Error::from(e).context(path.display().to_string()))
}

/// Refuses a `.cai` that names another architecture than the loaded one.
pub(super) fn check_model(path: &Path, codec: &Codec, read: &Read) -> anyhow::Result<()> {
    if let Format::Cai(header) = read.format() {
        let (expected, found) = (codec.architecture().name(), header.model.name());
        anyhow::ensure!(
            expected == found,
            "{}: model: expected {expected}, which is loaded, found {found}",
            path.display()
        );
    }
    Ok(())
}

/// The picture, and the strings that are missing or depend on missing ones; these are told on stderr, or refused if `is_strict`.
pub(super) fn decode(
    path: &Path,
    codec: &Codec,
    read: &Read,
    is_strict: bool,
) -> anyhow::Result<(Picture, Vec<String>)> {
    check_model(path, codec, read)?;
    let named = |e: iscs_lic::Error| anyhow::Error::from(e).context(path.display().to_string());
    if is_strict || read.missing().next().is_none() {
        let coded = read.clone().strict().map_err(named)?;
        return Ok((codec.decode(&coded).map_err(named)?, Vec::new()));
    }
    let whole: Vec<bool> = read.states().iter().map(|state| *state == Integrity::Whole).collect();
    let partial = codec.decode_partial(read.coded(), &whole).map_err(named)?;
    for (role, state) in read.missing() {
        let state = if state == Integrity::Damaged { "damaged" } else { "cut off" };
        say(format_args!("warning: {}: {role} is {state}", path.display()));
    }
    let lost: Vec<String> = partial.lost.iter().map(ToString::to_string).collect();
    say(format_args!("warning: {}: decoded without {}", path.display(), lost.join(", ")));
    Ok((partial.picture, lost))
}
