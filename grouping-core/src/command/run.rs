//! From the process's arguments to its exit code.

use std::error::Error as StdError;
use std::io::{self, ErrorKind};
use std::process::{ExitCode, Termination};
use std::sync::Arc;

use clap::Parser;

use super::flags::{Flags, Shown};
use super::say;

/// Parses the process's arguments, runs `work` with them, and tells a failure on stderr.
///
/// Exit code: that of what `work` returns (0 for `()`; a command with a negative answer returns 1), 0 when the reader of the
/// output went away, 2 for wrong usage or a failure.
pub fn run<C: Parser, T: Termination>(flags: Flags, work: impl FnOnce(C) -> anyhow::Result<T>) -> ExitCode {
    let mut command = C::command();
    let mut matches = command.get_matches_mut();
    let shown = Shown::new(flags, &command, &matches);
    let arguments = C::from_arg_matches_mut(&mut matches).unwrap_or_else(|e| e.format(&mut command).exit());
    match work(arguments) {
        Ok(done) => done.report(),
        Err(error) if error.chain().any(is_broken_pipe) => ExitCode::SUCCESS,
        Err(error) => {
            say(format_args!("error: {}", shown.line(&error)));
            ExitCode::from(2)
        }
    }
}

/// The exit code of an answer that was printed: 1 for a negative one, also where its reader went away before the end.
///
/// # Errors
/// What `printed` holds otherwise.
pub fn answer(printed: anyhow::Result<()>, is_negative: bool) -> anyhow::Result<ExitCode> {
    match printed {
        Err(error) if is_negative && error.chain().any(is_broken_pipe) => Ok(ExitCode::from(1)),
        printed => printed.map(|()| ExitCode::from(u8::from(is_negative))),
    }
}

/// Whether the reader of an output went away.
fn is_broken_pipe(cause: &(dyn StdError + 'static)) -> bool {
    let shared = || cause.downcast_ref::<Arc<io::Error>>().map(|e| &**e);
    cause.downcast_ref().or_else(shared).is_some_and(|e: &io::Error| e.kind() == ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    #[test]
    fn a_broken_pipe_is_found_below_contexts_and_typed_errors() {
        let broken = || io::Error::from(ErrorKind::BrokenPipe);
        let typed = crate::Error::file("out".as_ref(), "write")(broken());
        let errors = [broken().into(), anyhow::Error::from(typed).context("a report")];
        for error in errors {
            assert!(error.chain().any(is_broken_pipe), "{error:#}");
        }
        let code = |printed, is_negative| format!("{:?}", answer(printed, is_negative).expect("an answer"));
        assert_eq!(
            code(Err(broken().into()), true),
            format!("{:?}", ExitCode::from(1)),
            "a negative answer stays one"
        );
        assert_eq!(code(Ok(()), true), format!("{:?}", ExitCode::from(1)), "a negative answer");
        assert_eq!(code(Ok(()), false), format!("{:?}", ExitCode::SUCCESS), "a positive answer");
        assert!(answer(Err(broken().into()), false).is_err(), "left to `run`, which ends in silence");
        let other = Err::<(), _>(io::Error::from(ErrorKind::NotFound)).context("a report");
        assert!(!other.expect_err("refused").chain().any(is_broken_pipe), "another failure of the system");
    }
}
