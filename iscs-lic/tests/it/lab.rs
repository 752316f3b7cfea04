//! `lic-lab`: procedural pictures, classic codecs on them, and how far one lies above another.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// The metrics of a command, `(name, value)`.
pub(crate) fn metrics(place: &Path, arguments: &[&str]) -> Vec<(String, f64)> {
    let output = Command::new(env!("CARGO_BIN_EXE_lic-lab")).args(arguments).current_dir(place).output();
    let output = output.expect("it starts");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("lines of JSON");
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("a JSON object"));
    let of = |line: Value| Some((line["name"].as_str()?.to_owned(), line["value"].as_f64()?));
    lines.filter(|line| line["event"] == "metric").filter_map(of).collect()
}

#[test]
fn classic_codecs_are_measured_on_procedural_pictures() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = |arguments: &str| metrics(folder.path(), &arguments.split(' ').collect::<Vec<_>>());
    run("pictures procedural --out pictures --n 2 --side 176");
    let by_name = |metrics: &[(String, f64)], name: &str| -> Vec<f64> {
        metrics.iter().filter(|(n, _)| n == name).map(|(_, value)| *value).collect()
    };
    for codec in ["jpeg", "jpeg444", "webp"] {
        let told =
            run(&format!("classic {codec} --data pictures --out {codec}.json --qualities 20,40,60,80"));
        for name in ["bpp", "psnr", "ms_ssim"] {
            let values = by_name(&told, name);
            assert!(
                values.len() == 4 && values.is_sorted(),
                "{codec}: {name} rises with quality: {values:?}"
            );
        }
    }
    #[cfg(feature = "avif")]
    {
        let told = run("classic avif --data pictures --out avif.json --qualities 20,50,80,90 --speed 10");
        let psnr = by_name(&told, "psnr");
        assert!(psnr.len() == 4 && psnr.is_sorted(), "AVIF: PSNR rises with quality: {psnr:?}");
        assert!(by_name(&told, "decode_secs").is_empty(), "no time of a decoder that does not run");
        let results = std::fs::read_to_string(folder.path().join("avif.json")).expect("results");
        let results: Value = serde_json::from_str(&results).expect("strict JSON");
        assert_eq!(
            results["name"], "AVIF (rav1e 0.8.1, speed 10, tuned for PSNR, 4:4:4, 10 bits)",
            "the legend"
        );
        assert!(results["results"]["decoding_time"][0].is_null(), "nor in the results: {results}");
    }
    #[cfg(feature = "jpeg2000")]
    {
        let told = run("classic jpeg2000 --data pictures --out jpeg2000.json --qualities 24,30,36,42");
        let psnr = by_name(&told, "psnr");
        let is_met =
            psnr.iter().zip([24.0, 30.0, 36.0, 42.0]).all(|(found, wanted)| (found - wanted).abs() < 1.5);
        assert!(psnr.len() == 4 && is_met, "JPEG 2000: its qualities are dB: {psnr:?}");
    }
    let above = by_name(&run("above webp.json jpeg.json"), "db_above");
    assert!(!above.is_empty() && above.iter().all(|db| db.abs() < 10.0), "WebP over JPEG: {above:?} dB");
}
