//! Who may depend on whom, and what every crate has.

use std::path::Path;

use super::Source;
use crate::cargo::{Metadata, Package};

pub(crate) fn check(root: &Path, metadata: &Metadata, sources: &[Source]) -> Vec<String> {
    let mut wrong = Vec::new();
    for package in &metadata.packages {
        wrong.extend(dependencies(package, &metadata.packages));
        let folder = package.manifest_path.parent().and_then(|folder| folder.strip_prefix(root).ok());
        let folder = folder.unwrap_or(Path::new("")).to_string_lossy().replace('\\', "/");
        let name = &package.name;
        if *name != folder {
            wrong.push(format!("{folder}: the folder of `{name}` has another name"));
        }
        if !root.join(&folder).join("README.md").is_file() {
            wrong.push(format!("{folder}: there is no README.md"));
        }
        if package.license.as_deref() != Some("MIT OR Apache-2.0") {
            wrong.push(format!("{folder}/Cargo.toml: the license is not the workspace's"));
        }
        let manifest = sources.iter().find(|source| source.path == format!("{folder}/Cargo.toml"));
        wrong.extend(
            manifest
                .and_then(|source| inherits(&source.text))
                .map(|what| format!("{folder}/Cargo.toml: {what}")),
        );
    }
    wrong
}

/// Paper crates stand on `grouping-core` alone, and `grouping-core` and `xtask` on nothing of the workspace.
fn dependencies(package: &Package, all: &[Package]) -> Vec<String> {
    let name = package.name.as_str();
    let own = package.dependencies.iter().filter(|dependency| {
        dependency.path.is_some()
            && dependency.name != name
            && all.iter().any(|other| other.name == dependency.name)
    });
    let stands_alone = name == "grouping-core" || name == "xtask";
    let refused = own.filter(|dependency| stands_alone || dependency.name != "grouping-core");
    refused
        .map(|dependency| format!("{name}/Cargo.toml: `{name}` must not depend on `{}`", dependency.name))
        .collect()
}

fn inherits(manifest: &str) -> Option<&'static str> {
    let manifest: toml::Table = manifest.parse().ok()?;
    let workspace =
        |value: Option<&toml::Value>| value.and_then(|v| v.get("workspace")?.as_bool()) == Some(true);
    if !workspace(manifest.get("lints")) {
        return Some("the lints are not the workspace's");
    }
    let package = manifest.get("package");
    let license = package.and_then(|package| package.get("license"));
    (!workspace(license)).then_some("the license is not inherited from the workspace")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cargo::Dependency;

    fn package(name: &str, on: &[&str]) -> Package {
        let dependency = |name: &&str| Dependency { name: (*name).to_owned(), path: Some("p".into()) };
        let dependencies = on.iter().map(dependency).collect();
        Package { name: name.to_owned(), manifest_path: "m".into(), license: None, dependencies }
    }

    #[test]
    fn papers_stand_on_the_core_alone() {
        let all = [
            package("grouping-core", &["grouping-core"]),
            package("lego-merge", &["grouping-core", "lego-merge"]),
            package("kd-gqa", &["grouping-core", "lego-merge"]),
            package("xtask", &["grouping-core"]),
        ];
        let n_wrong = |i: usize| dependencies(&all[i], &all).len();
        assert_eq!(
            [n_wrong(0), n_wrong(1)],
            [0, 0],
            "the core, and a paper on the core, may name themselves too"
        );
        assert_eq!(
            [n_wrong(2), n_wrong(3)],
            [1, 1],
            "a paper on a paper, and xtask on the core, are refused"
        );
        let core = package("grouping-core", &["lego-merge"]);
        assert_eq!(dependencies(&core, &all).len(), 1, "the core knows no paper");
    }

    #[test]
    fn manifests_inherit() {
        let right = "[package]\nlicense.workspace = true\n[lints]\nworkspace = true\n";
        assert_eq!(inherits(right), None, "both are inherited");
        assert!(inherits("[package]\nlicense.workspace = true\n").is_some(), "no lints");
        assert!(
            inherits(&right.replace("license.workspace = true", "license = \"MIT\"")).is_some(),
            "its own license"
        );
    }
}
