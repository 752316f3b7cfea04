//! Files of `docs/formats/iscs.md`, under checksums that fit, what is read of them written again: `cargo fuzz run iscs`.
#![no_main]

use iscs_lic::container::{Coded, Limits};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    // Behind the magic and the version; the checksums of header and strings are made to fit, or nothing else would be tried.
    let mut file = [&[0x8a, b'I', b'S', b'C', 1], bytes].concat();
    let _ = Coded::read(&file, &Limits::default());
    let n = file.get(43).map_or(0, |&n| usize::from(n));
    let header = 44 + 13 * n;
    if file.len() < header + 4 {
        return;
    }
    let mut at = header + 4;
    for i in 0..n {
        let entry = 44 + 13 * i;
        let word = [file[entry + 1], file[entry + 2], file[entry + 3], file[entry + 4]];
        let end = at.saturating_add(u32::from_le_bytes(word) as usize);
        let Some(string) = file.get(at..end) else { break };
        let crc = crc32c::crc32c(string);
        // One string in eight stays damaged.
        if crc % 8 != 0 {
            file[entry + 5..entry + 9].copy_from_slice(&crc.to_le_bytes());
        }
        at = end;
    }
    let crc = crc32c::crc32c(&file[..header]);
    file[header..header + 4].copy_from_slice(&crc.to_le_bytes());
    if let Ok(read) = Coded::read(&file, &Limits::default()) {
        let _ = read.summary().to_string();
        if let Ok(coded) = read.strict() {
            assert_eq!(coded.to_iscs().expect("what was read"), file, "what was read is written");
        }
    }
});
