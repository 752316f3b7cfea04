//! A scene as one HTML page that shows it: WebGL 2, no network, nothing but this file.
//!
//! The page holds the Gaussians in a compact form (`pack.rs`), packed by gzip and written in base64. It sorts them by depth in a
//! worker, draws ellipses back to front as 3D Gaussian splatting does, evaluates spherical harmonics up to degree 3, and lets the
//! scene be turned, zoomed and moved by mouse, touch and keys.

mod pack;

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use base64::engine::general_purpose::STANDARD;
use base64::write::EncoderWriter;
use flate2::Compression;
use flate2::write::GzEncoder;
use grouping_core::files::output::{Existing, write_file};

use crate::splats::frame::Frame;
use crate::{Error, Result, Splats};

const PAGE: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// How a page shows a scene.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ViewOptions {
    /// What the page calls the scene.
    pub name: String,
    /// The scene's frame, whose up is up on the page.
    pub frame: Frame,
}

impl ViewOptions {
    /// A scene of this name in PLY's frame, RDF.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), frame: Frame::RDF }
    }

    /// In another frame.
    pub fn with_frame(mut self, frame: Frame) -> Self {
        self.frame = frame;
        self
    }
}

/// Writes a page that shows `splats`.
///
/// ```
/// use shapesplat::view::{ViewOptions, write_page};
/// let splats = shapesplat::Splats {
///     scales: [(); 3].map(|()| vec![-2.]),
///     positions: [(); 3].map(|()| vec![0.]),
///     rotations: [vec![1.], vec![0.], vec![0.], vec![0.]],
///     opacities: vec![4.],
///     dc: [(); 3].map(|()| vec![1.]),
///     ..Default::default()
/// };
/// let mut page = vec![];
/// write_page(&splats, &ViewOptions::new("one <Gaussian>"), &mut page)?;
/// assert!(String::from_utf8_lossy(&page).contains("<title>one &lt;Gaussian&gt;</title>"));
/// # Ok::<(), shapesplat::Error>(())
/// ```
///
/// # Errors
/// [`Error::Core`]: a scene without Gaussians, or an output that takes no more.
pub fn write_page(splats: &Splats, options: &ViewOptions, out: &mut dyn Write) -> Result<()> {
    write(splats, options, out, Path::new("page"))
}

/// Writes the page to a file, which is whole or absent.
///
/// # Errors
/// As [`write_page`]; an output that exists and is not to be replaced.
pub fn save_page(splats: &Splats, options: &ViewOptions, path: &Path, existing: Existing) -> Result<()> {
    write_file(path, existing, |mut file| write(splats, options, &mut file, path))
}

fn write(splats: &Splats, options: &ViewOptions, out: &mut dyn Write, path: &Path) -> Result<()> {
    if splats.is_empty() {
        return Err(Error::setting("scene", "at least one Gaussian", 0));
    }
    let scene = pack::scene(splats, options);
    fill(splats, &options.name, &scene, out).map_err(|e| grouping_core::Error::file(path, "write")(e).into())
}

/// The page with its marks replaced, one after another.
fn fill(splats: &Splats, name: &str, scene: &str, out: &mut dyn Write) -> io::Result<()> {
    let mut rest = PAGE;
    while let Some((before, after)) = rest.split_once("{{") {
        out.write_all(before.as_bytes())?;
        let (mark, after) = after.split_once("}}").unwrap_or((after, ""));
        match mark {
            "TITLE" => out.write_all(escaped(name).as_bytes())?,
            "STYLE" => out.write_all(STYLE.as_bytes())?,
            "SCENE" => out.write_all(scene.as_bytes())?,
            "SCRIPT" => out.write_all(SCRIPT.as_bytes())?,
            _ => {
                let base64 = EncoderWriter::new(&mut *out, &STANDARD);
                let mut gzip = GzEncoder::new(base64, Compression::new(6));
                pack::write(splats, &mut gzip)?;
                gzip.finish()?.finish()?;
            }
        }
        rest = after;
    }
    out.write_all(rest.as_bytes())?;
    out.flush()
}

/// Text that is text in HTML.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// A place for the page of `file` among temporary files, one for each process.
pub fn temporary_place(file: &Path) -> PathBuf {
    let stem = file.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    std::env::temp_dir().join(format!("shapesplat-{stem}-{}.html", std::process::id()))
}
