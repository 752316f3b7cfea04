//! `kd-gqa completions`.

use std::io::{Write, stdout};

use clap::CommandFactory;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The shell to complete in
    shell: clap_complete::Shell,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let mut script = vec![];
    clap_complete::generate(args.shell, &mut super::Cli::command(), "kd-gqa", &mut script);
    Ok(stdout().write_all(&script)?)
}
