//! Files of CompressAI's `codec.py`, what is read of them written again: `cargo fuzz run cai`.
#![no_main]

use iscs_lic::container::{Coded, Format, Limits};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok(read) = Coded::read(bytes, &Limits::default()) else { return };
    let _ = read.summary().to_string();
    if let Format::Cai(header) = read.format()
        && let Ok(coded) = read.strict()
        // A string of no byte can be read, and not written.
        && let Ok(written) = coded.write_cai(&header)
    {
        assert_eq!(written, bytes, "what was read is written");
    }
});
