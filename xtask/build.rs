//! Nothing is done here: a build script lets the manifest name features of a dependency of build time.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
}
