//! Scripts that complete a command in a shell.

use std::io::{Write, stdout};

use clap::CommandFactory;

/// The arguments of a command `completions`.
#[derive(Debug, clap::Args)]
pub struct Completions {
    /// The shell to complete in
    shell: clap_complete::Shell,
}

impl Completions {
    /// Prints the script for the command line `C`.
    ///
    /// # Errors
    /// When stdout cannot be written.
    pub fn print<C: CommandFactory>(&self) -> anyhow::Result<()> {
        let (mut script, mut command) = (vec![], C::command());
        let name = command.get_name().to_owned();
        clap_complete::generate(self.shell, &mut command, name, &mut script);
        Ok(stdout().write_all(&script)?)
    }
}
