//! What the allocator of a binary does with pages that are free again.
//!
//! mimalloc, which is every binary's allocator, gives freed pages back to the system after a delay. A network that runs layer after layer asks
//! for them again at once, and the system clears each anew: of the CPU time of a large codec that was
//! a tenth with a delay of 1,000 ms and a quarter with 10 ms (`MIMALLOC_PURGE_DELAY` before `codec_cpu/elic2022-official` of the benches of `iscs-lic`). A conversion that makes one large
//! buffer after another needs less memory at its peak where they go back at once.

use std::ffi::{c_int, c_long};

// Its symbols are linked with the crate.
use mimalloc as _;

/// The option `mi_option_purge_delay` of mimalloc's C interface, in its versions 2 and 3.
const PURGE_DELAY: c_int = 15;

unsafe extern "C" {
    fn mi_option_set(option: c_int, value: c_long);
}

/// What is done with freed pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FreedPages {
    /// They are kept for the next buffers: less time.
    Kept,
    /// They are given back at once: less memory.
    Returned,
}

/// Sets what mimalloc does with freed pages from now on; without effect where another allocator is used. What the user says by the environment variable
/// `MIMALLOC_PURGE_DELAY` stays.
pub fn freed_pages(what: FreedPages) {
    if std::env::var_os("MIMALLOC_PURGE_DELAY").is_some() {
        return;
    }
    let delay = match what {
        FreedPages::Kept => -1,
        FreedPages::Returned => 0,
    };
    // SAFETY: the function takes any number of an option, and writes that option alone.
    unsafe { mi_option_set(PURGE_DELAY, delay) };
}

#[cfg(test)]
mod tests {
    use super::*;

    unsafe extern "C" {
        fn mi_option_get(option: c_int) -> c_long;
    }

    #[test]
    fn the_option_is_the_one_that_the_environment_variable_sets() {
        // SAFETY: reads one option.
        let delay = || unsafe { mi_option_get(PURGE_DELAY) };
        if std::env::var("MIMALLOC_PURGE_DELAY").is_ok_and(|value| value == "777") {
            assert_eq!(delay(), 777, "the variable is read into this option");
            freed_pages(FreedPages::Kept);
            assert_eq!(delay(), 777, "what the user says stays");
            return;
        }
        let test = "command::memory::tests::the_option_is_the_one_that_the_environment_variable_sets";
        let child = std::process::Command::new(std::env::current_exe().expect("this test"))
            .args([test, "--exact"])
            .env("MIMALLOC_PURGE_DELAY", "777")
            .output()
            .expect("runs");
        let said = String::from_utf8_lossy(&child.stdout);
        assert!(child.status.success() && said.contains("1 passed"), "in a process of its own: {said}");
        if std::env::var_os("MIMALLOC_PURGE_DELAY").is_none() {
            for (what, want) in [(FreedPages::Kept, -1), (FreedPages::Returned, 0)] {
                freed_pages(what);
                assert_eq!(delay(), want, "{what:?}");
            }
        }
    }
}
