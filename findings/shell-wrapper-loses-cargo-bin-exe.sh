#!/usr/bin/env bash
# A compiler wrapper in `sh` loses the variables by which Cargo tells integration tests where binaries with a hyphen are.
#
# Cargo 1.95 sets CARGO_BIN_EXE_<name> for each binary, hyphens kept: CARGO_BIN_EXE_two-words. That is no name of a shell variable,
# and Debian's dash 0.5.12-2 (its /bin/sh) does not hand such variables on to the programs that it runs. So a wrapper of two
# lines that only runs rustc (RUSTC_WORKSPACE_WRAPPER) makes `env!("CARGO_BIN_EXE_two-words")` a compile error, while the binary
# `plain` of the same package is found; in Bash 5.2 the same wrapper does no harm. Cargo's documents name wrappers and
# these variables, and neither warns of the other. Our own wrapper, `.ci/portable`, is therefore a script of Bash.
#
# Shown: a package of no dependencies, built without a wrapper, with one in Bash, and with one in dash.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

apt-get download -qq dash=0.5.12-2 2>/dev/null
[[ $(dpkg-deb -f dash_*.deb Version) == 0.5.12-2 ]] || { echo "expected dash 0.5.12-2"; exit 1; }
dpkg-deb -x dash_*.deb unpacked
dash=$(find "$folder/unpacked" -name dash -type f -perm -u+x | head -n 1)
rust=$(rustc --version | cut -d' ' -f2)
[ "$rust" = 1.95.0 ] || { echo "expected rustc 1.95.0, found $rust"; exit 1; }
echo "dash 0.5.12-2, $(cargo --version), $(bash --version | head -n 1)"

mkdir -p package/src/bin package/tests
cd package
printf '[package]\nname = "shown"\nversion = "0.0.0"\nedition = "2024"\n[workspace]\n' >Cargo.toml
echo 'fn main() {}' | tee src/bin/plain.rs >src/bin/two-words.rs
printf '#[test]\nfn found() {\n    assert!(!env!("CARGO_BIN_EXE_plain").is_empty() && !env!("CARGO_BIN_EXE_two-words").is_empty());\n}\n' >tests/it.rs

wrapper() { # interpreter, file
  printf '#!%s\nexec "$@"\n' "$1" >"$2"
  chmod +x "$2"
}
wrapper "$(command -v bash)" "$folder/in-bash"
wrapper "$dash" "$folder/in-dash"

tested() { # wrapper; prints what became of the test
  if RUSTC_WORKSPACE_WRAPPER=$1 CARGO_TARGET_DIR="$folder/target${1##*/}" cargo test -q --offline >"$folder/log" 2>&1; then
    echo passes
  else
    grep -m 1 -o 'environment variable `[^`]*` not defined at compile time' "$folder/log"
  fi
}
none=$(tested "")
in_bash=$(tested "$folder/in-bash")
in_dash=$(tested "$folder/in-dash")
printf 'without a wrapper: %s\nwrapper in Bash:   %s\nwrapper in dash:   %s\n' "$none" "$in_bash" "$in_dash"

[ "$none" = passes ] && [ "$in_bash" = passes ] || { echo "changed: expected the first two to pass"; exit 1; }
expected='environment variable `CARGO_BIN_EXE_two-words` not defined at compile time'
[ "$in_dash" = "$expected" ] || { echo "changed: expected \"$expected\""; exit 1; }
