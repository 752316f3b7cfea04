//! What commands answer to inputs and flags that they cannot use, and what they note.

use std::path::Path;
use std::process::{Command, Output};

use grouping_core::testing::words;
use image::{ImageBuffer, Rgb};
use serde_json::Value;

fn run_program(program: &str, place: &Path, line: &str) -> Output {
    Command::new(program).args(words(line)).current_dir(place).output().expect("it starts")
}

/// Exit status and all that is said, of `iscs-lic` in a folder.
pub(crate) fn run(place: &Path, line: &str) -> (Option<i32>, String) {
    said(run_program(env!("CARGO_BIN_EXE_iscs-lic"), place, line))
}

fn said(output: Output) -> (Option<i32>, String) {
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&text).into_owned())
}

/// Runs a command that is to end with this status and to say these words.
pub(crate) fn answers(place: &Path, line: &str, status: i32, words: &str) -> String {
    let (found, said) = run(place, line);
    assert_eq!(found, Some(status), "{line}: {said}");
    assert!(said.contains(words), "{line}: no `{words}` in {said}");
    said
}

/// A picture of 40×24 with its coded file, in a folder.
fn coded() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let sample = |x: u32, y: u32| Rgb([(5 * x + y) as u8, (9 * y) as u8, (3 * x + 40) as u8]);
    ImageBuffer::from_fn(40, 24, sample).save(folder.path().join("a.png")).expect("a file");
    answers(folder.path(), "encode a.png -o a.iscs", 0, "a.iscs");
    folder
}

/// The bytes of `a.iscs`, changed.
fn edited(folder: &Path, to: &str, edit: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = std::fs::read(folder.join("a.iscs")).expect("a coded picture");
    edit(&mut bytes);
    std::fs::write(folder.join(to), bytes).expect("a file");
}

#[test]
fn a_damaged_file_is_a_negative_answer_and_an_unreadable_one_a_failure() {
    let folder = coded();
    let place = folder.path();
    answers(place, "verify a.iscs", 0, "whole");
    edited(place, "bit.iscs", |bytes| *bytes.last_mut().expect("bytes") ^= 4);
    answers(place, "verify bit.iscs", 1, "bit.iscs: damaged: ");
    answers(place, "verify bit.iscs", 1, "slice 0 (damaged)");
    edited(place, "cut.iscs", |bytes| bytes.truncate(bytes.len() - 3));
    answers(place, "verify cut.iscs", 1, "slice 0 (truncated)");
    let said = answers(place, "verify cut.iscs --json", 1, "damage");
    let value: Value = serde_json::from_str(&said).expect("one JSON object");
    assert_eq!((&value["whole"], value["damage"].is_string()), (&Value::Bool(false), true), "{value}");
    edited(place, "header.iscs", |bytes| bytes[9] ^= 1);
    answers(place, "verify header.iscs", 2, "header.iscs");
    std::fs::write(place.join("text.iscs"), "no picture").expect("a file");
    answers(place, "verify text.iscs", 2, "found neither");
    answers(place, "verify absent.iscs", 2, "absent.iscs");
    // A stream of a .cai that ends too early for its symbols: the format has no checksum, the decoder notices.
    answers(place, "encode a.png -o a.cai", 0, "a.cai");
    let mut cai = std::fs::read(place.join("a.cai")).expect("a coded picture");
    cai.truncate(cai.len() - 4);
    std::fs::write(place.join("cut.cai"), cai).expect("a file");
    answers(place, "verify cut.cai", 1, "damaged");
    answers(place, "verify --help", 0, "1 damaged or a sample differs");
}

#[test]
fn a_file_of_another_machines_tables_gives_no_picture() {
    let folder = coded();
    let place = folder.path();
    edited(place, "other.iscs", |bytes| {
        // The hash of the rows of the second string, under a checksum that fits.
        let header = 44 + 2 * 13;
        bytes[header - 4] ^= 1;
        let crc = crc32c::crc32c(&bytes[..header]);
        bytes[header..header + 4].copy_from_slice(&crc.to_le_bytes());
    });
    answers(place, "decode other.iscs -o other.png", 2, "this machine computes other tables");
    assert!(!place.join("other.png").exists(), "no picture");
    answers(place, "verify other.iscs", 2, "this machine computes other tables");
}

#[test]
fn flags_that_would_do_nothing_are_refused_by_name() {
    let folder = coded();
    let place = folder.path();
    answers(place, "encode a.png -o b.iscs --quality 3", 2, "--quality: expected an output .cai");
    answers(place, "encode a.png -o b.iscs --metric mse", 2, "--metric: expected an output .cai");
    assert!(!place.join("b.iscs").exists(), "nothing is written");
    answers(place, "encode a.png -o b.cai --quality 3 --metric ms-ssim", 0, "b.cai");
    answers(place, "info b.cai", 0, "mbt2018-mean of CompressAI, for ms-ssim, quality 3");
    answers(place, "info .", 2, ".: expected a coded picture or a checkpoint, found a folder");
    let (status, text) =
        said(run_program(env!("CARGO_BIN_EXE_lic-lab"), place, "perturb --data . --trials 0"));
    assert!(status == Some(2) && text.contains("--trials"), "{status:?}: {text}");
    let (status, text) =
        said(run_program(env!("CARGO_BIN_EXE_lic-lab"), place, "classic jpeg --data . --out o --speed 3"));
    assert!(status == Some(2) && text.contains("--speed"), "{status:?}: {text}");
}

#[test]
fn notes_on_profiles_are_shown_wherever_pictures_are_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let place = folder.path();
    std::fs::create_dir(place.join("in")).expect("a folder");
    let profile = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/pictures/profile.png");
    std::fs::copy(profile, place.join("in/profile.png")).expect("a copy");
    let note = "profile.png: its colour profile (ICC) is left out of account";
    answers(place, "encode in/profile.png -o p.iscs", 0, note);
    answers(place, "eval in", 0, note);
    answers(place, "verify p.iscs --source in/profile.png", 0, note);
    answers(place, "verify p.iscs --decoded in/profile.png", 1, note);
}

#[test]
fn what_the_selftest_computes_can_be_checked_by_other_programs() {
    let folder = tempfile::tempdir().expect("a folder");
    let place = folder.path();
    answers(place, "selftest --output sums", 0, "the same symbols and pictures");
    let sums = std::fs::read_to_string(place.join("sums/SHA256SUMS")).expect("digests");
    assert_eq!(sums.lines().count(), 20, "symbols and pixels of ten pictures");
    let length = |name: &str| std::fs::metadata(place.join("sums").join(name)).map(|file| file.len()).ok();
    assert_eq!(length("161x113.rgb"), Some(161 * 113 * 3), "bytes of a picture");
    // z of 32 channels at 3×2, y of 64 at 12×8.
    assert_eq!(length("161x113.symbols"), Some(4 * (32 * 6 + 64 * 96)), "32 bits a symbol");
    let mut check = Command::new("sha256sum");
    match check.args(["--check", "--strict", "SHA256SUMS"]).current_dir(place.join("sums")).output() {
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success() && text.matches(": OK").count() == 20, "{text}");
        }
        Err(e) => {
            let line = format!("skipped: the check by sha256sum: {e}\n");
            let _ = std::io::Write::write_all(&mut std::io::stderr(), line.as_bytes());
        }
    }
    answers(place, "selftest --output sums", 2, "exists already");
    answers(place, "selftest --output sums --force", 0, "the same symbols and pictures");
}
