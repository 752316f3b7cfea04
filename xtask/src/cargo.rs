//! The workspace as Cargo sees it: where it is, its packages, and its binaries built in release mode.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

/// The Cargo that runs this, or the one in the path.
pub(crate) fn cargo() -> OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// The workspace of the manifest that `cargo xtask` runs, or the nearest one above the current folder.
pub(crate) fn root() -> Result<PathBuf> {
    let start = match std::env::var_os("CARGO_MANIFEST_DIR") {
        Some(folder) => PathBuf::from(folder),
        None => std::env::current_dir().context("there is no current folder")?,
    };
    let found = start.ancestors().find(|folder| folder.join("xtask/experiments").is_dir());
    found
        .map(Path::to_owned)
        .with_context(|| format!("no workspace with xtask/experiments above {}", start.display()))
}

/// `cargo metadata` without dependencies' own dependencies: what tidy and bench need of it.
#[derive(Debug, Deserialize)]
pub(crate) struct Metadata {
    pub(crate) packages: Vec<Package>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) manifest_path: PathBuf,
    pub(crate) license: Option<String>,
    pub(crate) dependencies: Vec<Dependency>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    /// Where a dependency by path is; none for one from a registry.
    pub(crate) path: Option<PathBuf>,
}

pub(crate) fn metadata(root: &Path) -> Result<Metadata> {
    let mut command = Command::new(cargo());
    command.args(["metadata", "--no-deps", "--format-version", "1"]).current_dir(root);
    let output = command.stderr(Stdio::inherit()).output().context("cannot run cargo metadata")?;
    ensure!(output.status.success(), "cargo metadata failed in {}", root.display());
    serde_json::from_slice(&output.stdout).context("cargo metadata printed what cannot be read")
}

#[derive(Deserialize)]
struct Message {
    reason: String,
    package_id: Option<String>,
    executable: Option<PathBuf>,
    target: Option<Target>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
}

/// What kind of target an executable is built from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Kind {
    Bin,
    Bench,
    Example,
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Kind::Bin => "bin",
            Kind::Bench => "bench",
            Kind::Example => "example",
        }
    }
}

/// An executable of the workspace.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Executable {
    pub(crate) package: String,
    pub(crate) kind: Kind,
    pub(crate) name: String,
}

/// Features by the package that has them.
pub(crate) type Features = BTreeMap<String, BTreeSet<String>>;

/// Builds these executables in release mode, in one call of Cargo, so that their dependencies are compiled once, with the
/// union of what all of them need; where each is. Cargo's own progress goes to stderr.
pub(crate) fn build(
    root: &Path,
    wanted: &BTreeSet<Executable>,
    features: &Features,
) -> Result<HashMap<Executable, PathBuf>> {
    if wanted.is_empty() {
        return Ok(HashMap::new());
    }
    let mut command = Command::new(cargo());
    command.args(["build", "--release", "--message-format=json-render-diagnostics"]);
    let packages: BTreeSet<&str> = wanted.iter().map(|executable| executable.package.as_str()).collect();
    for package in &packages {
        command.args(["--package", package]);
    }
    // Without the package's name: of a package that is a dev-dependency of itself, Cargo gives a named feature to that dependency alone.
    for feature in features.values().flatten().collect::<BTreeSet<_>>() {
        command.arg("--features").arg(feature);
    }
    for Executable { kind, name, .. } in wanted {
        command.arg(format!("--{}", kind.as_str())).arg(name);
    }
    let output =
        command.current_dir(root).stderr(Stdio::inherit()).output().context("cannot run cargo build")?;
    let packages: Vec<&str> = packages.into_iter().collect();
    ensure!(output.status.success(), "cargo build failed for {}", packages.join(", "));
    let built: HashMap<Executable, PathBuf> = artifacts(&output.stdout).collect();
    for executable in wanted {
        let Executable { package, kind, name } = executable;
        let said = built.contains_key(executable);
        ensure!(said, "cargo built `{package}`, but said no path of its {} `{name}`", kind.as_str());
    }
    Ok(built)
}

/// The executables among Cargo's messages.
fn artifacts(messages: &[u8]) -> impl Iterator<Item = (Executable, PathBuf)> {
    let messages = messages.split(|&byte| byte == b'\n');
    messages.filter_map(|line| {
        let message: Message = serde_json::from_slice(line).ok()?;
        let (id, target, path) = (message.package_id?, message.target?, message.executable?);
        let is_of = |kind: &Kind| target.kind.iter().any(|of| of == kind.as_str());
        let kind = [Kind::Bin, Kind::Bench, Kind::Example].into_iter().find(is_of)?;
        let executable = Executable { package: package_of(&id)?.to_owned(), kind, name: target.name };
        (message.reason == "compiler-artifact").then_some((executable, path))
    })
}

/// The package of an identifier such as `path+file:///a/package#0.1.0` or `path+file:///a/folder#package@0.1.0`.
fn package_of(id: &str) -> Option<&str> {
    let (place, version) = id.rsplit_once('#')?;
    version.split_once('@').map(|(package, _)| package).or_else(|| place.rsplit('/').next())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binaries_that_require_a_feature_are_built_together() {
        let root = tempfile::tempdir().expect("a temporary folder");
        let write = |path: String, text: String| {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("the folder can be made");
            std::fs::write(path, text).expect("the file can be written");
        };
        write("Cargo.toml".into(), "[workspace]\nmembers = [\"one\", \"two\"]\nresolver = \"3\"\n".into());
        for (name, feature) in [("one", "lab"), ("two", "rig")] {
            let manifest = format!(
                "[package]\nname = \"{name}\"\nedition = \"2024\"\n[features]\n{feature} = []\n\
                 [[bin]]\nname = \"{name}-{feature}\"\npath = \"main.rs\"\nrequired-features = [\"{feature}\"]\n\
                 [dev-dependencies]\n{name} = {{ path = \".\", features = [\"{feature}\"] }}\n[lib]\npath = \"lib.rs\"\n"
            );
            write(format!("{name}/lib.rs"), String::new());
            write(format!("{name}/Cargo.toml"), manifest);
            write(format!("{name}/main.rs"), "fn main() {}\n".into());
        }
        let executable = |package: &str, name: &str| Executable {
            package: package.into(),
            kind: Kind::Bin,
            name: name.into(),
        };
        let wanted = BTreeSet::from([executable("one", "one-lab"), executable("two", "two-rig")]);
        let features = ["one/lab", "two/rig"].map(|both| {
            let (package, feature) = both.split_once('/').expect("package/feature");
            (package.to_owned(), BTreeSet::from([feature.to_owned()]))
        });
        let built = build(root.path(), &wanted, &Features::from(features)).expect("both are built");
        for executable in &wanted {
            assert!(built[executable].exists(), "{executable:?} stands where Cargo said");
        }
    }

    #[test]
    fn messages_name_executables() {
        let message = |id: &str, kind: &str, path: &str| {
            format!(
                r#"{{"reason":"compiler-artifact","package_id":"{id}","target":{{"name":"x","kind":["{kind}"]}},"executable":{path}}}"#
            )
        };
        let messages = [
            message("path+file:///a/one#0.1.0", "bench", "\"b\""),
            message("path+file:///a/folder#two@0.1.0", "bin", "\"c\""),
            message("path+file:///a/one#0.1.0", "lib", "null"),
            r#"{"reason":"build-finished","success":true}"#.to_owned(),
            "no JSON".to_owned(),
        ];
        let found: Vec<_> = artifacts(messages.join("\n").as_bytes()).collect();
        let executable =
            |package: &str, kind| Executable { package: package.to_owned(), kind, name: "x".to_owned() };
        let want = [(executable("one", Kind::Bench), "b".into()), (executable("two", Kind::Bin), "c".into())];
        assert_eq!(found, want, "what has a path, by its package and kind");
    }
}
