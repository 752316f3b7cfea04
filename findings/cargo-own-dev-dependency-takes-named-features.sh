#!/usr/bin/env bash
# `--features PACKAGE/FEATURE` does not switch on a feature of a package that is a dev-dependency of itself, and says nothing.
#
# Cargo's book (Features, "Command-line feature options") gives `package-name/feature-name` as the way to enable features of specific
# workspace members. A dev-dependency of a package on itself, `shown = { path = ".", features = ["lab"] }`, is the usual way to test with
# a feature on. With both, Cargo 1.95.0 gives the feature to the dependency of that name, which `cargo build` does not build: the
# library is built without it and without a word, and a binary that requires it is refused with the advice to enable `lab`.
# Without the dev-dependency the same commands build both with the feature, and with it `--features lab` does. Our `cargo xtask repro` therefore passes features without their packages.
#
# Shown: a package whose library does not compile without a feature, built in three ways, without and with the dev-dependency.
set -euo pipefail
[ "$(cargo --version | cut -d' ' -f2)" = 1.95.0 ] || { echo "expected cargo 1.95.0, found $(cargo --version)"; exit 1; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
unset CARGO_TARGET_DIR

mkdir shown
printf '[workspace]\nmembers = ["shown"]\nresolver = "3"\n' >Cargo.toml
cat >shown/Cargo.toml <<'TOML'
[package]
name = "shown"
version = "0.0.0"
edition = "2024"
[features]
lab = []
[lib]
path = "lib.rs"
[[bin]]
name = "tool"
path = "tool.rs"
required-features = ["lab"]
TOML
printf '#[cfg(not(feature = "lab"))]\ncompile_error!("the feature is off");\n' >shown/lib.rs
echo 'fn main() {}' >shown/tool.rs

built() { # arguments; prints what became of the binary
  rm -rf target
  if cargo build --quiet --offline "$@" 2>log; then
    echo built
  else
    grep -m 1 -o -e 'requires the features: `[^`]*`' -e 'error: the feature is off' log || { cat log; exit 1; }
  fi
}
shown() {
  printf '  --features shown/lab --bin tool:  %s\n' "$(built --package shown --features shown/lab --bin tool)"
  printf '  --features shown/lab --lib:       %s\n' "$(built --package shown --features shown/lab --lib)"
  printf '  --features lab --bin tool:        %s\n' "$(built --package shown --features lab --bin tool)"
}
cargo --version
{
  echo "without a dev-dependency on itself"
  shown
  printf '[dev-dependencies]\nshown = { path = ".", features = ["lab"] }\n' >>shown/Cargo.toml
  echo "with it"
  shown
} | tee found
cat >expected <<'TEXT'
without a dev-dependency on itself
  --features shown/lab --bin tool:  built
  --features shown/lab --lib:       built
  --features lab --bin tool:        built
with it
  --features shown/lab --bin tool:  requires the features: `lab`
  --features shown/lab --lib:       error: the feature is off
  --features lab --bin tool:        built
TEXT
diff expected found || { echo "changed"; exit 1; }
