//! Containers: equal to CompressAI's, whole again after reading, and with every damage noticed.

use std::time::{Duration, Instant};

use grouping_core::testing::assert_refused;
use iscs_lic::container::{
    CaiHeader, CaiModel, Coded, CodedString, Format, Integrity, Limits, Metric, Mode, Pads, Role,
};
use proptest::prelude::*;

const Y: &[u8] = include_bytes!("../data/y.bin");
const Z: &[u8] = include_bytes!("../data/z.bin");
const CAI: &[u8] = include_bytes!("../data/golden.cai");
const MEAN_SCALE: CaiHeader = CaiHeader { model: CaiModel::MeanScale, metric: Metric::Mse, quality: 4 };

fn string(role: Role, bytes: &[u8]) -> CodedString {
    CodedString { role, bytes: bytes.to_vec(), index_hash: 0 }
}

/// The golden picture: 256 × 128 needs no pads.
fn golden() -> Coded {
    Coded {
        width: 256,
        height: 128,
        pads: Pads::default(),
        mode: Mode::Float,
        model: [0; 16],
        plan: [0; 8],
        strings: vec![string(Role::Hyper, Z), string(Role::Slice(0), Y)],
    }
}

/// A small file of each kind of string.
fn small() -> Coded {
    let roles = [Role::Hyper, Role::Anchors(0), Role::NonAnchors(0), Role::Slice(1)];
    let strings = roles.iter().zip([8, 12, 0, 20]).map(|(&role, n)| {
        let bytes = (0..n).map(|i| (i * 37 + n) as u8).collect();
        CodedString { role, bytes, index_hash: 77 }
    });
    Coded {
        width: 5,
        height: 7,
        pads: Pads { left: 1, right: 2, top: 3, bottom: 4 },
        mode: Mode::Float,
        model: *b"0123456789abcdef",
        plan: *b"01234567",
        strings: strings.collect(),
    }
}

fn read(bytes: &[u8]) -> iscs_lic::Result<iscs_lic::container::Read> {
    Coded::read(bytes, &Limits::default())
}

#[test]
fn files_are_those_of_codec_py() {
    assert!(golden().write_cai(&MEAN_SCALE).expect("written") == CAI, "the same bytes");
    let found = read(CAI).expect("a file of CompressAI");
    assert_eq!(found.format(), Format::Cai(MEAN_SCALE), "its header");
    assert!(found.strict().expect("whole") == golden(), "the same picture");
}

#[test]
fn other_sizes_and_models_come_back() {
    for (width, height) in [(1, 1), (64, 64), (65, 97), (500, 333), (128, 1)] {
        for model in CaiModel::ALL {
            let header = CaiHeader { model, metric: Metric::MsSsim, quality: 16 };
            let mut coded = Coded { width, height, pads: Pads::centred(width, height), ..golden() };
            if model.name().contains("factorized") {
                coded.strings.remove(0);
            }
            let file = coded.write_cai(&header).expect("written");
            assert_eq!(
                file.len(),
                23 + coded.strings.iter().map(|s| 4 + s.bytes.len()).sum::<usize>(),
                "no more"
            );
            let found = read(&file).expect("read");
            assert_eq!(found.format(), Format::Cai(header), "{model:?}");
            assert!(found.strict().expect("whole") == coded, "{width} × {height}, {model:?}");
        }
    }
}

#[test]
fn what_a_cai_cannot_hold_is_refused_with_a_reason() {
    let with = |change: &dyn Fn(&mut Coded)| {
        let mut coded = golden();
        change(&mut coded);
        coded.write_cai(&MEAN_SCALE)
    };
    assert_refused(with(&|coded| coded.pads.left = 1), "as CompressAI pads");
    assert_refused(with(&|coded| coded.mode = Mode::Symbols), "float arithmetic");
    assert_refused(with(&|coded| coded.plan[0] = 1), "no plan");
    assert_refused(with(&|coded| coded.strings[0].bytes.clear()), "length of hyper-latent");
    assert_refused(with(&|coded| drop(coded.strings.remove(0))), "1: slice 0");
    assert_refused(golden().write_cai(&CaiHeader { quality: 17, ..MEAN_SCALE }), "from 1 to 16");
    assert_refused(
        golden().write_cai(&CaiHeader { model: CaiModel::Factorized, ..MEAN_SCALE }),
        "`bmshj2018-factorized`",
    );
    let elic = with(&|coded| {
        let pair = |n| [string(Role::Anchors(n), Y), string(Role::NonAnchors(n), Y)];
        coded.strings.truncate(1);
        coded.strings.extend((0..5).flat_map(pair));
    });
    assert_refused(elic, "an .iscs file for other models, found 11: hyper-latent, anchors of slice 0");
}

#[test]
fn headers_of_cai_are_checked() {
    let with = |at: usize, bytes: &[u8]| {
        let mut file = CAI.to_vec();
        file[at..at + bytes.len()].copy_from_slice(bytes);
        read(&file)
    };
    assert_refused(with(0, &[9]), "mbt2018-vbr in CompressAI 1.2.8, mlicplus in 1.2.9");
    assert_refused(with(0, &[13]), "ssf2020 in CompressAI 1.2.8");
    assert_refused(with(0, &[0]), "shape of the last latent");
    assert_refused(with(1, &[0x23]), "metric");
    assert_refused(with(2, &[0; 4]), "pixels");
    assert_refused(with(10, &[10]), "bit depth");
    assert_refused(with(11, &[0, 0, 0, 3]), "[2, 4], as `mbt2018-mean` has for 256 × 128");
    assert_refused(with(19, &[0, 0, 0, 3]), "number of strings");
    assert_refused(read(&CAI[..22]), "at least 23 bytes");
    assert_refused(read(&[]), "at least 23 bytes");
    assert_refused(read(&[CAI, &[0]].concat()), "no byte after the last string");
}

#[test]
fn a_truncated_cai_has_the_strings_that_are_whole() {
    for n in 23..CAI.len() {
        let found = read(&CAI[..n]).expect("a header");
        let y = if n >= 23 + 4 + Y.len() { Integrity::Whole } else { Integrity::Truncated };
        assert_eq!(
            found.states(),
            [Integrity::Truncated, y],
            "{n} bytes: the latent stands first in the file"
        );
        assert_eq!(found.coded().strings[1].bytes.is_empty(), y == Integrity::Truncated, "{n} bytes");
        assert_refused(found.strict(), "hyper-latent (truncated)");
    }
}

#[test]
fn a_file_has_48_bytes_and_13_a_string() {
    let file = small().to_iscs().expect("written");
    assert_eq!(file.len(), 48 + 4 * 13 + 8 + 12 + 20, "no more");
    assert_eq!(file[..12], [0x8a, b'I', b'S', b'C', 1, 0, 0, 5, 0, 0, 0, 7], "as docs/formats/iscs.md says");
    assert!(read(&file).expect("read").strict().expect("whole") == small(), "the same picture");
}

#[test]
fn a_truncated_file_has_the_strings_that_are_whole() {
    let file = small().to_iscs().expect("written");
    let header = 48 + 4 * 13;
    for n in 0..header {
        assert!(read(&file[..n]).is_err(), "{n} bytes are no header");
    }
    // Where each string ends.
    let ends = [8, 20, 20, 40].map(|end| header + end);
    for n in header..=file.len() {
        let found = read(&file[..n]).expect("a header");
        let expected: Vec<Integrity> =
            ends.iter().map(|&end| if n >= end { Integrity::Whole } else { Integrity::Truncated }).collect();
        // The empty string is whole where it stands, unless an earlier one is cut.
        assert_eq!(found.states(), expected, "{n} of {} bytes", file.len());
        for (string, (full, state)) in found.coded().strings.iter().zip(small().strings.iter().zip(&expected))
        {
            let bytes = if *state == Integrity::Whole { &full.bytes[..] } else { &[] };
            assert_eq!(string.bytes, bytes, "{n} bytes, {}", string.role);
        }
    }
}

#[test]
fn every_flipped_bit_is_refused_or_damages_one_string() {
    let file = small().to_iscs().expect("written");
    let header = 48 + 4 * 13;
    for bit in 0..8 * file.len() {
        let mut damaged = file.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        let found = read(&damaged);
        if bit / 8 < header {
            assert!(found.is_err(), "bit {bit} of the header");
            continue;
        }
        let found = found.expect("the header is whole");
        let expected = match bit / 8 - header {
            0..8 => Role::Hyper,
            8..20 => Role::Anchors(0),
            _ => Role::Slice(1),
        };
        let missing: Vec<_> = found.missing().collect();
        assert_eq!(missing, [(expected, Integrity::Damaged)], "bit {bit}");
        for (string, full) in found.coded().strings.iter().zip(small().strings) {
            let bytes = if string.role == expected { Vec::new() } else { full.bytes };
            assert_eq!(string.bytes, bytes, "bit {bit}: {}", string.role);
        }
        assert_refused(found.strict(), &format!("{expected} (damaged)"));
    }
}

/// A small `.cai` whose strings are decoded too: what its bits can do.
#[test]
fn every_flipped_bit_of_a_cai_is_refused_or_documented() {
    let mut file = golden();
    (file.width, file.height) = (50, 40);
    file.pads = Pads::centred(50, 40);
    let bytes = file.write_cai(&MEAN_SCALE).expect("written");
    for bit in 0..8 * 23 {
        let mut damaged = bytes.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        let Ok(found) = read(&damaged) else { continue };
        let same_padded = |c: &Coded| [c.width.div_ceil(64), c.height.div_ceil(64)] == [1, 1];
        let Format::Cai(header) = found.format() else { panic!("bit {bit}: another format") };
        let undetectable = header != MEAN_SCALE || (found.coded().width, found.coded().height) != (50, 40);
        assert!(
            undetectable && same_padded(found.coded()),
            "bit {bit} of the header changes nothing that is seen"
        );
        assert_eq!(found.states(), [Integrity::Whole; 2], "bit {bit}");
    }
}

#[test]
fn absurd_headers_are_refused_at_once() {
    let start = Instant::now();
    let huge =
        |width: u32, height: u32| Coded { width, height, pads: Pads::centred(width, height), ..small() };
    assert_refused(read(&huge(1 << 31, 1 << 31).to_iscs().expect("written")), "2147483648 × 2147483648");
    assert_refused(read(&huge(u32::MAX, 1).to_iscs().expect("written")), "pixels");
    let mut cai = CAI.to_vec();
    cai[2..10].copy_from_slice(&[0x80, 0, 0, 0, 0x80, 0, 0, 0]);
    assert_refused(read(&cai), "2147483648 × 2147483648");
    let mut cai = CAI.to_vec();
    cai[19..23].fill(255);
    assert_refused(read(&cai), "found 4294967295");
    let mut cai = CAI.to_vec();
    cai[23..27].fill(255);
    assert_refused(read(&cai), "length of all strings");
    let mut iscs = small().to_iscs().expect("written");
    // The length of the last string, under a header checksum that fits.
    let header = 44 + 4 * 13;
    iscs[header - 12..header - 8].fill(255);
    let crc = crc32c::crc32c(&iscs[..header]);
    iscs[header..header + 4].copy_from_slice(&crc.to_le_bytes());
    assert_refused(read(&iscs), "length of all strings");
    assert_refused(
        Coded::read(&small().to_iscs().expect("written"), &Limits::default().with_strings(3)),
        "from 1 to 3",
    );
    assert_refused(
        Coded::read(&small().to_iscs().expect("written"), &Limits::default().with_bytes(39)),
        "39 bytes",
    );
    assert_refused(
        Coded::read(&small().to_iscs().expect("written"), &Limits::default().with_pixels(34)),
        "34 pixels",
    );
    assert!(start.elapsed() < Duration::from_millis(100), "at once, and not in {:?}", start.elapsed());
}

#[test]
fn what_an_iscs_cannot_hold_is_refused() {
    let with = |change: &dyn Fn(&mut Coded)| {
        let mut coded = small();
        change(&mut coded);
        coded.to_iscs()
    };
    assert_refused(with(&|coded| coded.width = 0), "at least 1 × 1");
    assert_refused(with(&|coded| coded.strings.clear()), "from 1 to 255");
    assert_refused(with(&|coded| coded.strings.reverse()), "the hyper-latent first");
    assert_refused(with(&|coded| coded.strings[3].role = Role::Anchors(0)), "no role twice");
    assert_refused(with(&|coded| coded.strings[3].role = Role::Slice(64)), "from 0 to 63");
}

#[test]
fn headers_of_iscs_are_checked() {
    // Each with a checksum that fits.
    let with = |at: usize, byte: u8| {
        let mut file = small().to_iscs().expect("written");
        file[at] = byte;
        let header = 44 + 4 * 13;
        let crc = crc32c::crc32c(&file[..header]);
        file[header..header + 4].copy_from_slice(&crc.to_le_bytes());
        read(&file)
    };
    assert_refused(with(1, b'X'), "magic");
    assert_refused(with(4, 2), "version");
    assert_refused(with(5, 3), "mode");
    assert_refused(with(6, 1), "flags");
    assert_refused(with(44, 1), "a hyper-latent without number");
    assert_refused(with(44 + 13, 0), "no role twice");
    assert_refused(read(&[0x8a, b'I', b'S', b'C']), "header");
    assert_refused(
        read(&[&small().to_iscs().expect("written")[..], &[0]].concat()),
        "no byte after the last string",
    );
}

#[test]
fn summaries_say_what_is_in_a_file() {
    let mut file = small().to_iscs().expect("written");
    let last = file.len() - 1;
    file[last] ^= 1;
    let summary = read(&file).expect("a header").summary();
    let json = serde_json::to_value(&summary).expect("JSON");
    assert_eq!(json["format"], "iscs", "{json}");
    assert_eq!(json["model"], "30313233343536373839616263646566", "{json}");
    assert_eq!(json["strings"][3]["state"], "damaged", "{json}");
    assert_eq!(json["strings"][1]["role"], "anchors of slice 0", "{json}");
    assert_eq!(json["strings"][1]["bytes"], 12, "{json}");
    assert_eq!(json["mode"], "float", "{json}");
    let text = summary.to_string();
    for part in
        ["picture     5 × 7", "slice 1, 0 bytes, damaged", "hyper-latent, 8 bytes\n", "plan        3031"]
    {
        assert!(text.contains(part), "`{part}` is said:\n{text}");
    }
    let summary = read(CAI).expect("a file of CompressAI").summary();
    let json = serde_json::to_value(&summary).expect("JSON");
    assert_eq!(json["zoo"]["model"], "mbt2018-mean", "{json}");
    assert_eq!(
        (&json["model"], &json["file_bytes"]),
        (&serde_json::Value::Null, &CAI.len().into()),
        "{json}"
    );
    assert!(summary.to_string().contains("mbt2018-mean of CompressAI, for mse, quality 4"), "{summary}");
}

fn any_role(i: usize) -> BoxedStrategy<Role> {
    let n = i as u8 / 3;
    if i == 0 {
        Just(Role::Hyper).boxed()
    } else {
        prop_oneof![Just(Role::Slice(n)), Just(Role::Anchors(n)), Just(Role::NonAnchors(n))].boxed()
    }
}

prop_compose! {
    fn any_coded()(n in 1usize..20, hyper in any::<bool>())(
        roles in (0..n).map(|i| any_role(if hyper { i } else { i + 1 })).collect::<Vec<_>>(),
        strings in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..50), any::<u32>()), n),
        size in (1u32..10_000, 1u32..10_000),
        pads in any::<[u8; 4]>(),
        mode in prop_oneof![Just(Mode::Float), Just(Mode::Symbols), Just(Mode::Pixels)],
        model in any::<[u8; 16]>(),
        plan in any::<[u8; 8]>(),
    ) -> Coded {
        let [left, right, top, bottom] = pads;
        // One string a role.
        let mut seen = std::collections::BTreeSet::new();
        let strings = roles.into_iter().zip(strings).filter(|(role, _)| seen.insert(*role));
        let strings = strings.map(|(role, (bytes, index_hash))| CodedString { role, bytes, index_hash }).collect();
        Coded { width: size.0, height: size.1, pads: Pads { left, right, top, bottom }, mode, model, plan, strings }
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read(coded in any_coded()) {
        let file = coded.to_iscs().expect("written");
        prop_assert!(file.len() <= 48 + 13 * coded.strings.len() + coded.strings.iter().map(|s| s.bytes.len()).sum::<usize>());
        let found = read(&file).expect("read");
        prop_assert_eq!(found.strict().expect("whole"), coded);
    }

    #[test]
    fn bytes_of_any_kind_never_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..200), kind in 0u8..3) {
        match kind {
            0 => {}
            1 if bytes.len() > 23 => bytes[..19].copy_from_slice(&CAI[..19]),
            _ if bytes.len() > 48 => bytes[..5].copy_from_slice(&[0x8a, b'I', b'S', b'C', 1]),
            _ => {}
        }
        let _ = read(&bytes).map(|found| found.summary().to_string());
    }
}
