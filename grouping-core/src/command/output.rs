//! Outputs that a command refuses before it does any work: of another kind than it writes, and its own inputs.

use std::path::{Path, PathBuf};

/// Refuses an output of another kind than its extension says, and one that is an input of the command.
///
/// # Errors
/// In words, with the output.
pub fn check_output(output: &Path, extension: &str, inputs: &[&PathBuf]) -> anyhow::Result<()> {
    let found = output.extension().map(|extension| extension.to_string_lossy().to_lowercase());
    anyhow::ensure!(
        found.as_deref() == Some(extension),
        "{}: expected an output that ends in .{extension}",
        output.display()
    );
    not_an_input(output, inputs)
}

/// Refuses an output that is an input of the command, by whatever path.
///
/// # Errors
/// In words, with the output.
pub fn not_an_input(output: &Path, inputs: &[&PathBuf]) -> anyhow::Result<()> {
    // What does not exist is no input.
    let Ok(place) = output.canonicalize() else { return Ok(()) };
    let is_same = |input: &&PathBuf| input.canonicalize().is_ok_and(|input| input == place);
    anyhow::ensure!(
        !inputs.iter().any(is_same),
        "{}: expected another output than the input",
        output.display()
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::assert_refused;

    #[test]
    fn an_input_is_no_output_by_any_of_its_paths() {
        let folder = tempfile::tempdir().expect("a folder");
        let input = folder.path().join("a.png");
        std::fs::write(&input, "a picture").expect("a file");
        let around = folder.path().join(".").join("a.png");
        assert_refused(not_an_input(&around, &[&input]), "expected another output than the input");
        not_an_input(&folder.path().join("b.png"), &[&input]).expect("another file");
        assert_refused(check_output(&input, "png", &[&input]), "expected another output");
        assert_refused(check_output(&input, "svg", &[]), "expected an output that ends in .svg");
        check_output(&folder.path().join("b.PNG"), "png", &[&input]).expect("in any case");
    }
}
