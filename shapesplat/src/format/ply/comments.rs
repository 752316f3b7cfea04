//! Comments of a PLY that state how its Gaussians are drawn, apart from those that only tell.
//!
//! Brush and splat-transform write `SplatRenderMode: default` or `mip`, Postshot `antialiased 0` or `1`. Brush's `SH degree: n` repeats what
//! the properties say.

use crate::splats::Splats;

/// Takes the comments of a file apart: whether it was trained with antialiasing, and those that are kept as they are.
pub(crate) fn split(comments: Vec<String>) -> (Option<bool>, Vec<String>) {
    let mut antialiased = None;
    let mut kept = comments;
    kept.retain(|comment| {
        let lower = comment.to_ascii_lowercase();
        let mut words = lower.split([' ', '\t', ':']).filter(|word| !word.is_empty());
        let found = match (words.next(), words.next(), words.next(), words.next()) {
            (Some("splatrendermode"), Some("mip"), None, None)
            | (Some("antialiased"), Some("1"), None, None) => Some(true),
            (Some("splatrendermode"), Some("default"), None, None)
            | (Some("antialiased"), Some("0"), None, None) => Some(false),
            (Some("sh"), Some("degree"), Some(_), None) => return false,
            _ => return true,
        };
        antialiased = found;
        false
    });
    (antialiased, kept)
}

/// The comments that say of splats what was read from comments: one line each.
pub(crate) fn lines(splats: &Splats) -> Vec<String> {
    let mode =
        splats.antialiased.map(|is| format!("SplatRenderMode: {}", if is { "mip" } else { "default" }));
    let kept = splats.comments.iter().flat_map(|comment| comment.split(['\n', '\r']));
    let kept = kept.map(|line| line.trim().to_owned()).filter(|line| !line.is_empty());
    mode.into_iter().chain(kept).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mode_of_drawing_is_taken_from_comments_and_said_again() {
        let split = |comments: &[&str]| split(comments.iter().map(|&comment| comment.to_owned()).collect());
        assert_eq!(
            split(&["SplatRenderMode: mip", "Exported from Brush"]),
            (Some(true), vec!["Exported from Brush".into()])
        );
        assert_eq!(
            split(&["antialiased 0", "SH degree: 3"]),
            (Some(false), vec![]),
            "Postshot's, and a degree"
        );
        let other = ["SplatRenderMode: 2dgs", "antialiased maybe", "antialiased"];
        assert_eq!(split(&other), (None, other.map(str::to_owned).to_vec()), "others only tell");
        let splats = Splats {
            antialiased: Some(true),
            comments: vec!["a\nb".into(), " ".into()],
            ..Splats::default()
        };
        assert_eq!(
            lines(&splats),
            ["SplatRenderMode: mip", "a", "b"],
            "one line each, so that none ends the header"
        );
    }
}
