//! What a format has no place for is said once, in words.

use crate::Splats;
use crate::splats::Values;

/// Says which columns, elements, comments and flags a format cannot hold, and which degrees above `degree`.
pub(super) fn dropped(splats: &Splats, format: &str, degree: usize, keeps_antialiased: bool) -> Vec<String> {
    let mut said = Vec::new();
    if splats.degree() > degree {
        said.push(match degree {
            0 => format!("degree {} of the spherical harmonics: {format} holds none", splats.degree()),
            _ => format!("degree {} of the spherical harmonics: {format} holds {degree}", splats.degree()),
        });
    }
    for extra in &splats.extras {
        said.push(format!("column `{}` ({}): {format} holds no others", extra.name, kind(&extra.values)));
    }
    said.extend(splats.element_words().into_iter().map(|words| format!("{words}: {format} holds none")));
    if !splats.comments.is_empty() {
        said.push(format!("{} comments: {format} holds none", splats.comments.len()));
    }
    if splats.antialiased == Some(true) && !keeps_antialiased {
        said.push(format!("the mark of antialiased training: {format} has none"));
    }
    said
}

/// Says how many values were changed, if any.
pub(super) fn counted(count: usize, what: &str) -> Option<String> {
    (count > 0).then(|| format!("{count} {what}"))
}

fn kind(values: &Values) -> &'static str {
    match values {
        Values::I8(_) => "char",
        Values::U8(_) => "uchar",
        Values::I16(_) => "short",
        Values::U16(_) => "ushort",
        Values::I32(_) => "int",
        Values::U32(_) => "uint",
        Values::F32(_) => "float",
        Values::F64(_) => "double",
    }
}
