//! Binaries and bench targets, each built once a call and before anything is measured.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::cargo;

/// What is built of a package in release mode.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Build {
    Binary(String),
    Bench { target: String, features: Vec<String> },
}

/// The executables of one package.
#[derive(Debug)]
pub(super) struct Built<'a> {
    root: &'a Path,
    package: &'a str,
    paths: HashMap<Build, PathBuf>,
}

impl<'a> Built<'a> {
    pub(super) fn new(root: &'a Path, package: &'a str) -> Self {
        Self { root, package, paths: HashMap::new() }
    }

    /// Where it is, built now if it has not been.
    pub(super) fn path(&mut self, build: &Build) -> Result<&Path> {
        if !self.paths.contains_key(build) {
            let path = match build {
                Build::Binary(name) => cargo::release_binary(self.root, self.package, name)?,
                Build::Bench { target, features } => {
                    cargo::bench_target(self.root, self.package, target, features)?
                }
            };
            self.paths.insert(build.clone(), path);
        }
        Ok(&self.paths[build])
    }
}
