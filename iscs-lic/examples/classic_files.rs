//! Files of classic codecs beside what this crate takes them to show, for other decoders to compare: `classic_files PICTURE FOLDER`.
//!
//! `oracles/iscs-lic/classic.py` reads the folder.

use std::path::PathBuf;

use grouping_core::files::output::Existing;
use iscs_lic::measure::classic::Classic;
use iscs_lic::measure::evaluate::PictureCodec;
use iscs_lic::picture::{Picture, ReadOptions};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [picture, folder] = &arguments[..] else { return Err("expected a picture and a folder".into()) };
    let (picture, _) = Picture::read(picture, &ReadOptions::default())?;
    std::fs::create_dir_all(folder)?;
    for quality in [20, 50, 80, 95] {
        for (codec, extension) in
            [(Classic::Avif { quality, speed: 8 }, "avif"), (Classic::WebP { quality }, "webp")]
        {
            let name = format!("{quality}.{extension}");
            std::fs::write(folder.join(&name), codec.encode(&picture)?)?;
            let shown = codec.code(&picture)?.picture;
            shown.write_png(&folder.join(name + ".png"), Existing::Replace)?;
        }
    }
    Ok(())
}
