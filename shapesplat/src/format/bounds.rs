//! How many Gaussians a file can hold, and that it holds any.

use std::path::Path;

use crate::{Error, Result, Splats};

/// Gaussians that any compressed file may hold.
const ALWAYS: u64 = 1 << 18;
/// Gaussians a byte that a longer compressed one may hold. Real files spend 10 to 40 bytes on one.
pub(super) const COMPRESSED: u64 = 64;
/// Gaussians a byte that a longer one of plain numbers may hold, where several may share their numbers.
pub(super) const PLAIN: u64 = 1;

/// Refuses a number of Gaussians that no file of this length holds, before memory is taken for them; and none at all.
pub(super) fn plausible(path: &Path, field: &str, n: u64, file_len: usize, a_byte: u64) -> Result<()> {
    let most = ALWAYS.saturating_add(a_byte.saturating_mul(file_len as u64));
    if n == 0 {
        return Err(Error::format(path, field, "at least one Gaussian", n));
    }
    if n > most {
        let expected = format!("at most {most} Gaussians, since the file has {file_len} bytes");
        return Err(Error::format(path, field, expected, n));
    }
    Ok(())
}

/// Refuses to write a file without a Gaussian where readers refuse it.
pub(super) fn refuse_none(splats: &Splats, format: &str) -> Result<()> {
    if splats.is_empty() {
        return Err(Error::setting(
            "splats",
            format!("at least one Gaussian, since {format} holds no fewer"),
            0,
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use grouping_core::testing::assert_refused;

    use super::*;

    #[test]
    fn the_length_of_the_file_is_the_bound() {
        let of = |n, length| plausible(Path::new("a.spz"), "count", n, length, COMPRESSED);
        of(1 << 18, 0).expect("few of them may be in any file");
        of((1 << 18) + 6400, 100).expect("64 a byte");
        assert_refused(of((1 << 18) + 6401, 100), "a.spz: `count`: expected at most 268544 Gaussians");
        assert_refused(of(u64::MAX, 1 << 40), "at most");
        assert_refused(of(0, 100), "at least one Gaussian, found 0");
    }
}
