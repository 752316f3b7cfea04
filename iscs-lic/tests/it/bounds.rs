//! Headers that announce more than any picture: commands refuse them at once, and hold nothing of what they announce.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use grouping_core::files::tensor_file::Dtype;
use iscs_lic::container::{Coded, CodedString, Mode, Pads, Role};

use crate::recipe::{Tensors, parameter, parameters, write};

const CAI: &[u8] = include_bytes!("../data/golden.cai");
/// Beyond what the process holds when it has nothing to do.
const MEMORY: u64 = 64 << 20;
/// Of an unoptimised build.
const SECS: f64 = 0.1;

/// Says that this process runs the test of a name alone, and in which folder.
const ALONE: &str = "ISCS_LIC_TEST_ALONE";

/// What a process took.
struct Usage {
    status: i32,
    cpu_secs: f64,
    peak_bytes: u64,
}

/// Runs a test again in a process of its own, which is told a folder. Linux counts what a process held before it began a program into the
/// program's peak, and this one may hold much for other tests.
fn again(test: &str, place: &Path) {
    let mut command = Command::new(std::env::current_exe().expect("the program that runs"));
    let output =
        command.args(["--exact", test, "--nocapture"]).env(ALONE, place).output().expect("it starts");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(output.status.success() && said.contains("1 passed"), "{test}: {said}");
}

/// Runs `iscs-lic`, and says what the system counted.
#[expect(clippy::zombie_processes, reason = "the system's call below waits for it, and counts")]
fn measured(place: &Path, arguments: &[&str]) -> Usage {
    let said = File::create(place.join("said.txt")).expect("a file");
    let child = Command::new(env!("CARGO_BIN_EXE_iscs-lic"))
        .args(arguments)
        .current_dir(place)
        .stdout(Stdio::null())
        .stderr(said)
        .spawn()
        .expect("it starts");
    let pid = i32::try_from(child.id()).expect("an identifier of the system");
    // SAFETY: `rusage` holds integers only, for which zeros are valid.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    let mut status = 0;
    // SAFETY: the process is a child that nobody else waits for, and both pointers are to values that live through the call.
    let found = unsafe { libc::wait4(pid, &raw mut status, 0, &raw mut usage) };
    assert_eq!(found, pid, "{arguments:?} ends");
    let secs = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    // Linux counts kibibytes, others bytes.
    let unit = if cfg!(target_os = "linux") { 1024 } else { 1 };
    Usage {
        status: if libc::WIFEXITED(status) { libc::WEXITSTATUS(status) } else { -1 },
        cpu_secs: secs(usage.ru_utime) + secs(usage.ru_stime),
        peak_bytes: u64::try_from(usage.ru_maxrss).expect("a size") * unit,
    }
}

/// Bytes of an `.iscs` whose header is changed under a checksum that fits.
fn iscs(edit: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let string = |role| CodedString { role, bytes: vec![0; 8], index_hash: 0 };
    let coded = Coded {
        width: 64,
        height: 64,
        pads: Pads::default(),
        mode: Mode::Float,
        model: [0; 16],
        plan: [0; 8],
        strings: vec![string(Role::Hyper), string(Role::Slice(0))],
    };
    let mut bytes = coded.to_iscs().expect("written");
    edit(&mut bytes);
    let header = 44 + 13 * usize::from(bytes[43]);
    bytes.resize(bytes.len().max(header + 4), 0);
    let crc = crc32c::crc32c(&bytes[..header]);
    bytes[header..header + 4].copy_from_slice(&crc.to_le_bytes());
    bytes
}

fn cai(at: usize, with: &[u8]) -> Vec<u8> {
    let mut bytes = CAI.to_vec();
    bytes[at..at + with.len()].copy_from_slice(with);
    bytes
}

#[test]
fn absurd_headers_cost_neither_time_nor_memory() {
    if std::env::var_os(ALONE).is_none() {
        let folder = tempfile::tempdir().expect("a folder");
        return again("bounds::absurd_headers_cost_neither_time_nor_memory", folder.path());
    }
    let place = std::env::var_os(ALONE).map(PathBuf::from).expect("a folder");
    let place = place.as_path();
    let sides = [&(1u32 << 31).to_le_bytes()[..], &(1u32 << 31).to_le_bytes()].concat();
    let files: [(&str, Vec<u8>); 7] = [
        ("sides.iscs", iscs(|bytes| bytes[7..15].copy_from_slice(&sides))),
        ("row.iscs", iscs(|bytes| bytes[7..11].fill(255))),
        ("length.iscs", iscs(|bytes| bytes[44 + 1..44 + 5].fill(255))),
        ("strings.iscs", iscs(|bytes| bytes[43] = 255)),
        ("sides.cai", cai(2, &[0x80, 0, 0, 0, 0x80, 0, 0, 0])),
        ("strings.cai", cai(19, &[255; 4])),
        ("length.cai", cai(23, &[255; 4])),
    ];
    // Longer than any coded picture, and of no bytes on the disk.
    File::create(place.join("long.iscs")).and_then(|file| file.set_len(1 << 40)).expect("a sparse file");
    for (name, bytes) in &files {
        std::fs::write(place.join(name), bytes).expect("a file");
    }
    let start = measured(place, &["--version"]);
    assert_eq!(start.status, 0, "the program starts");
    let names = files.iter().map(|(name, _)| *name).chain(["long.iscs"]);
    for name in names {
        for arguments in [&["info", name][..], &["verify", name], &["decode", name, "-o", "out.png"]] {
            let Usage { status, cpu_secs, peak_bytes } = measured(place, arguments);
            let said = std::fs::read_to_string(place.join("said.txt")).expect("what was said");
            assert_eq!(status, 2, "{arguments:?}: {said}");
            assert!(said.contains(name) && said.contains("expected"), "{arguments:?}: {said}");
            assert!(cpu_secs <= SECS, "{arguments:?} took {cpu_secs} s");
            let more = peak_bytes.saturating_sub(start.peak_bytes);
            assert!(more <= MEMORY, "{arguments:?} held {} MiB more", more >> 20);
            assert!(!place.join("out.png").exists(), "{arguments:?} writes nothing");
        }
    }
}

/// The parameters of `mbt2018-mean` of N = 192 and M = 320, the largest of CompressAI's.
fn largest() -> Tensors {
    let widths = [(8, 192), (16, 320), (24, 480), (32, 640)];
    let wide =
        |length: usize| widths.iter().find(|(small, _)| *small == length).map_or(length, |(_, wide)| *wide);
    let tensor = |(name, (shape, _)): (String, (Vec<usize>, Vec<f32>))| {
        let shape: Vec<usize> = shape.into_iter().map(wide).collect();
        let values = parameter(&name, &shape, 1.5);
        (name, (shape, values))
    };
    parameters("mbt2018-mean").into_iter().map(tensor).collect()
}

#[test]
fn analysing_the_largest_model_takes_seconds_and_little_memory() {
    /// Of the whole process; the checkpoint has 70.
    const MOST: u64 = 300_000_000;
    /// Of an unoptimised build; an optimised one takes a fraction of one.
    const MOST_SECS: f64 = 10.0;

    let Some(place) = std::env::var_os(ALONE).map(PathBuf::from) else {
        let folder = tempfile::tempdir().expect("a folder");
        write(&folder.path().join("large.safetensors"), &largest(), Dtype::F32);
        return again("bounds::analysing_the_largest_model_takes_seconds_and_little_memory", folder.path());
    };
    let arguments = ["analyze", "large.safetensors", "--json", "--plot", "large.svg"];
    let Usage { status, cpu_secs, peak_bytes } = measured(&place, &arguments);
    let said = std::fs::read_to_string(place.join("said.txt")).expect("what was said");
    assert_eq!(status, 0, "{said}");
    assert!(peak_bytes <= MOST, "it held {} MB", peak_bytes / 1_000_000);
    assert!(cpu_secs <= MOST_SECS, "it took {cpu_secs} s");
    let length = std::fs::metadata(place.join("large.svg")).expect("a plot").len();
    assert!(length < 4_000_000, "a plot of {length} bytes");
}
