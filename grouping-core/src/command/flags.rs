//! A library's settings as the flags of the command that runs, and advice that only a command can give.

use std::error::Error as StdError;

use clap::{ArgMatches, Command};

use crate::Error;

/// How a binary shows the errors of its library.
///
/// A setting such as `n_kv_heads` is the flag `--n-kv-heads` or, without its `n_`, `--kv-heads`, whichever the running command has;
/// a setting whose flag has another name is listed. In the words of an error of settings, other settings stand in backticks.
#[derive(Debug, Clone, Copy)]
pub struct Flags {
    /// Settings whose flags have other names: (`learning_rate`, `lr`).
    pub renamed: &'static [(&'static str, &'static str)],
    /// The error of this crate that an error of the library wraps without words of its own.
    pub wrapped: for<'a> fn(&'a (dyn StdError + 'static)) -> Option<&'a Error>,
    /// Whether an error is one of the library's own that speaks of settings.
    pub is_of_settings: fn(&(dyn StdError + 'static)) -> bool,
}

/// The flags of the command that runs.
#[derive(Debug)]
pub(super) struct Shown {
    flags: Flags,
    longs: Vec<String>,
}

impl Shown {
    /// Those of `command` and of the subcommands in `matches`.
    pub(super) fn new(flags: Flags, command: &Command, matches: &ArgMatches) -> Self {
        let (mut command, mut matches, mut longs) = (command, matches, vec![]);
        loop {
            longs.extend(command.get_arguments().filter_map(|arg| arg.get_long()).map(str::to_owned));
            let Some((name, below)) = matches.subcommand() else { break };
            let Some(subcommand) = command.find_subcommand(name) else { break };
            (command, matches) = (subcommand, below);
        }
        Self { flags, longs }
    }

    /// The flag of a setting, where the command has one.
    fn flag(&self, setting: &str) -> Option<String> {
        let kebab = setting.replace('_', "-");
        let renamed = self.flags.renamed.iter().find(|(name, _)| *name == setting).map(|(_, flag)| *flag);
        let names = [renamed, Some(&*kebab), kebab.strip_prefix("n-")];
        let name = names.into_iter().flatten().find(|name| self.longs.iter().any(|long| long == name))?;
        Some(format!("--{name}"))
    }

    /// A text in which settings in backticks are shown as flags; a backtick that opens none, as one of a path, stays.
    fn words(&self, mut text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        while let Some((before, after)) = text.split_once('`') {
            let named = after.split_once('`').and_then(|(name, rest)| Some((self.flag(name)?, rest)));
            out += before;
            text = if let Some((flag, rest)) = named {
                out += &flag;
                rest
            } else {
                out.push('`');
                after
            };
        }
        out + text
    }

    /// The error and its causes in one line.
    pub(super) fn line(&self, error: &anyhow::Error) -> String {
        error.chain().map(|cause| self.cause(cause)).collect::<Vec<_>>().join(": ")
    }

    fn cause(&self, cause: &(dyn StdError + 'static)) -> String {
        let core = cause.downcast_ref::<Error>().or_else(|| (self.flags.wrapped)(cause));
        let advice = |does: &str| {
            self.flag("force").map_or_else(|| cause.to_string(), |force| format!("{cause}; {force} {does}"))
        };
        match core {
            Some(Error::Setting { name, expected, found }) => {
                let name = self.flag(name).unwrap_or_else(|| name.clone());
                format!("{name}: expected {}, found {}", self.words(expected), self.words(found))
            }
            Some(Error::Unsupported { reason, .. }) => {
                let whole = cause.to_string();
                let of_the_file = whole.strip_suffix(reason).unwrap_or_default();
                format!("{of_the_file}{}", self.words(reason))
            }
            Some(Error::Exists { .. }) => advice("replaces it"),
            #[cfg(feature = "train")]
            Some(Error::OtherRun { .. }) => advice("discards them"),
            None if (self.flags.is_of_settings)(cause) => self.words(&cause.to_string()),
            _ => cause.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::{Arg, ArgAction};

    use super::*;

    /// An error of a library.
    #[derive(Debug, thiserror::Error)]
    #[error("a`b: {0}")]
    struct Own(&'static str);

    fn shown(command: &str) -> Shown {
        let flag = |name: &'static str| Arg::new(name).long(name).action(ArgAction::SetTrue);
        let one = Command::new("one").args(["kv-heads", "density", "lr", "force"].map(flag));
        let mut all = Command::new("all").subcommands([one, Command::new("other").arg(flag("heads"))]);
        let matches = all.try_get_matches_from_mut(["all", command]).expect("a command");
        let is_of_settings = |cause: &(dyn StdError + 'static)| cause.is::<Own>();
        let flags = Flags { renamed: &[("learning_rate", "lr")], wrapped: |_| None, is_of_settings };
        Shown::new(flags, &all, &matches)
    }

    fn setting(name: &str, expected: &str) -> anyhow::Error {
        let (name, expected, found) = (name.into(), expected.into(), "0".into());
        Error::Setting { name, expected, found }.into()
    }

    #[test]
    fn settings_are_the_flags_of_the_running_command() {
        let error = setting("n_kv_heads", "at least 1 with `density` and `other`");
        let line = shown("one").line(&error);
        assert_eq!(line, "--kv-heads: expected at least 1 with --density and `other`, found 0", "its flags");
        let line = shown("other").line(&error);
        let bare = "n_kv_heads: expected at least 1 with `density` and `other`, found 0";
        assert_eq!(line, bare, "another command has no such flags");
        let line = shown("one").line(&setting("learning_rate", "above 0").context("a bed"));
        assert_eq!(line, "a bed: --lr: expected above 0, found 0", "a listed flag, below its context");
    }

    #[test]
    fn only_errors_of_settings_speak_of_flags() {
        let line = |error: anyhow::Error| shown("one").line(&error);
        let own = line(Own("`density` and `other` do not go with `lr`").into());
        assert_eq!(own, "a`b: --density and `other` do not go with --lr", "one of the library, with a path");
        let field = Error::file_field("x.json".as_ref(), "density", "more than `lr`", "`lr`");
        assert_eq!(line(field.clone().into()), field.to_string(), "the field of a file");
        let path = "`density`".into();
        assert_eq!(
            line(Error::Exists { path }.into()),
            "`density`: the output exists already; --force replaces it"
        );
        let (path, reason, found) = ("x".into(), "no `lr`", "`lr`".into());
        let unsupported = Error::Unsupported { path, field: "`lr`".into(), found, reason };
        let shown = "x: `lr` = `lr` is not supported: no --lr";
        assert_eq!(line(unsupported.into()), shown, "the reason is the library's, the rest the file's");
        assert_eq!(line(anyhow::anyhow!("unknown field `lr`")), "unknown field `lr`", "of another crate");
    }

    #[test]
    fn an_output_that_exists_can_be_forced_where_there_is_a_flag() {
        let error = || anyhow::Error::from(Error::Exists { path: "out".into() });
        assert!(shown("one").line(&error()).ends_with("exists already; --force replaces it"), "the way out");
        assert!(shown("other").line(&error()).ends_with("exists already"), "no flag, no advice");
    }
}
