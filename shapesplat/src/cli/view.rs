//! `view`: a scene as a page in the browser.

use std::io::{Write, stdout};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use grouping_core::command::{not_an_input, say};
use grouping_core::files::output::Existing;
use shapesplat::splats::frame::Frame;
use shapesplat::view::{ViewOptions, save_page, temporary_place};

/// See a scene: one HTML page with everything in it, opened in the browser
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A splat file
    file: PathBuf,
    /// Write the page here and open nothing
    #[arg(long, value_name = "F.html")]
    out: Option<PathBuf>,
    /// Which way x, y and z of the file point, such as RDF (right, down, forward) or RUB; its up is up on the page
    #[arg(long, value_name = "FRAME", default_value = "RDF")]
    frame: Frame,
    /// Replace an existing output
    #[arg(long, requires = "out")]
    force: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let existing = Existing::replaced_if(args.force || args.out.is_none());
    let place = args.out.clone().unwrap_or_else(|| temporary_place(&args.file));
    existing.check(&place)?;
    not_an_input(&place, &[&args.file])?;
    let splats = shapesplat::format::read(&args.file)?;
    let name = args.file.file_name().unwrap_or_default().to_string_lossy();
    save_page(&splats, &ViewOptions::new(name).with_frame(args.frame), &place, existing)?;
    writeln!(stdout(), "{}", place.display())?;
    if args.out.is_none() && !open(&place) {
        say(format_args!("no browser was opened: open this file in one"));
    }
    Ok(())
}

/// Asks the desktop to open a page, where there is one.
fn open(page: &Path) -> bool {
    let has_desktop = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let program = if cfg!(target_os = "macos") {
        "open"
    } else if cfg!(windows) {
        "explorer"
    } else if has_desktop("DISPLAY") || has_desktop("WAYLAND_DISPLAY") {
        "xdg-open"
    } else {
        return false;
    };
    let quiet = Command::new(program)
        .arg(page)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    quiet.is_ok_and(|status| status.success() || cfg!(windows))
}
