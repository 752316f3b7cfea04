//! What operating systems do differently: one file a system, the same functions in each.
//!
//! `unix.rs` serves Linux, macOS and other Unixes. `portable.rs` needs the standard library alone and serves every other system,
//! Windows among them; `RUSTFLAGS="--cfg grouping_portable"` chooses it on a Unix too, so that it can be tested there.

#[cfg(any(not(unix), grouping_portable))]
mod portable;
#[cfg(all(unix, not(grouping_portable)))]
mod unix;

#[cfg(all(feature = "nn", any(not(unix), grouping_portable)))]
pub(crate) use portable::prefer_large_pages;
#[cfg(any(not(unix), grouping_portable))]
pub(crate) use portable::{Positioned, exchange, release, rename_new, sync};
#[cfg(all(feature = "nn", unix, not(grouping_portable)))]
pub(crate) use unix::prefer_large_pages;
#[cfg(all(unix, not(grouping_portable)))]
pub(crate) use unix::{Positioned, exchange, release, rename_new, sync};

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use super::*;

    #[test]
    fn pieces_written_from_several_threads_lie_at_their_places() {
        let place = tempfile::NamedTempFile::new().expect("a file");
        let file = Positioned::new(place.reopen().expect("a handle"));
        std::thread::scope(|threads| {
            for i in (0..16u8).rev() {
                let file = &file;
                threads.spawn(move || file.write_all_at(&[i; 1000], u64::from(i) * 1000).expect("writes"));
            }
        });
        let expected: Vec<u8> = (0..16u8).flat_map(|i| [i; 1000]).collect();
        assert_eq!(std::fs::read(place.path()).expect("a file"), expected, "each piece at its place");
    }

    #[cfg(feature = "nn")]
    #[test]
    fn advice_on_pages_changes_no_value() {
        for n in [0, 1, 5000, 3_000_000] {
            let mut buffer: Vec<f32> = (0..n).map(|i| i as f32).collect();
            prefer_large_pages(&mut buffer);
            assert!(buffer.iter().enumerate().all(|(i, &value)| value == i as f32), "{n} values");
        }
    }

    #[test]
    fn what_is_taken_is_not_renamed_over() {
        let folder = tempfile::tempdir().expect("a folder");
        let [from, to] = ["from", "to"].map(|name| folder.path().join(name));
        std::fs::write(&from, "new").expect("writes");
        std::fs::write(&to, "old").expect("writes");
        let refused = rename_new(&from, &to).expect_err("a file of that name is there").kind();
        // The system cannot, or the file system.
        let is_lacking = matches!(refused, ErrorKind::Unsupported | ErrorKind::InvalidInput);
        assert!(refused == ErrorKind::AlreadyExists || is_lacking, "found {refused}");
        assert_eq!(std::fs::read_to_string(&to).expect("a file"), "old", "it is untouched");
        if exchange(&from, &to).is_ok() {
            let [from, to] = [&from, &to].map(|path| std::fs::read_to_string(path).expect("a file"));
            assert_eq!((from.as_str(), to.as_str()), ("old", "new"), "both files, exchanged");
        }
        for path in [to.as_path(), folder.path()] {
            sync(path).expect("files and folders can be synced");
        }
    }
}
