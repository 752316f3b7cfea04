//! The header of a PLY: what elements the file holds, of which properties, and where their rows begin.
//!
//! Lines are parsed by `ply-rs`. Real files hold what it refuses, so a header is repaired before: lines may end in CR, CRLF or LF, blank ones
//! are passed over, keywords and types may be in upper case, and names may be any word. What would be lost is refused: a property or an
//! element of a name that is taken.

use std::path::Path;

use ply_rs::parser::Parser;
use ply_rs::ply::{DefaultElement, Encoding, PropertyType, ScalarType};

use super::super::source::START;
use crate::{Error, Result};

/// A number type of PLY.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scalar {
    I8,
    U8,
    I16,
    U16,
    I32,
    U32,
    F32,
    F64,
}

/// What a property holds in each row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    One(Scalar),
    /// A count of the first type, and so many values of the second.
    List(Scalar, Scalar),
}

/// One property of an element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Property {
    pub(crate) name: String,
    pub(crate) kind: Kind,
}

/// One element: a table of `count` rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Element {
    pub(crate) name: String,
    pub(crate) count: usize,
    pub(crate) properties: Vec<Property>,
}

/// A header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) encoding: Encoding,
    pub(crate) elements: Vec<Element>,
    pub(crate) comments: Vec<String>,
    /// Its length: where the first row begins.
    pub(crate) n_bytes: usize,
}

impl Scalar {
    pub(crate) fn size(self) -> usize {
        match self {
            Self::I8 | Self::U8 => 1,
            Self::I16 | Self::U16 => 2,
            Self::I32 | Self::U32 | Self::F32 => 4,
            Self::F64 => 8,
        }
    }

    /// As headers have it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::I8 => "char",
            Self::U8 => "uchar",
            Self::I16 => "short",
            Self::U16 => "ushort",
            Self::I32 => "int",
            Self::U32 => "uint",
            Self::F32 => "float",
            Self::F64 => "double",
        }
    }

    fn of(scalar: &ScalarType) -> Self {
        match scalar {
            ScalarType::Char => Self::I8,
            ScalarType::UChar => Self::U8,
            ScalarType::Short => Self::I16,
            ScalarType::UShort => Self::U16,
            ScalarType::Int => Self::I32,
            ScalarType::UInt => Self::U32,
            ScalarType::Float => Self::F32,
            ScalarType::Double => Self::F64,
        }
    }
}

impl Kind {
    fn of(kind: &PropertyType) -> Self {
        match kind {
            PropertyType::Scalar(scalar) => Self::One(Scalar::of(scalar)),
            PropertyType::List(count, item) => Self::List(Scalar::of(count), Scalar::of(item)),
        }
    }
}

impl Element {
    /// The length of each row; none where lists make rows of different lengths.
    pub(crate) fn row_bytes(&self) -> Option<usize> {
        self.properties.iter().try_fold(0usize, |sum, property| match property.kind {
            Kind::One(scalar) => sum.checked_add(scalar.size()),
            Kind::List(..) => None,
        })
    }

    /// The place of a property among the others.
    pub(crate) fn find(&self, name: &str) -> Option<usize> {
        self.properties.iter().position(|property| property.name == name)
    }
}

impl Header {
    /// The element of this name with its place among the others.
    pub(crate) fn find(&self, name: &str) -> Option<(usize, &Element)> {
        self.elements.iter().enumerate().find(|(_, element)| element.name == name)
    }

    /// Parses the header of a file that begins with `start`.
    pub(crate) fn parse(path: &Path, start: &[u8]) -> Result<Self> {
        let mut repaired = Repaired::default();
        let parser = Parser::<DefaultElement>::new();
        let mut lines = Lines::new(start);
        let mut number = 0;
        loop {
            let Some(line) = lines.next() else {
                let expected = format!("`end_header` in the first {START} bytes");
                return Err(Error::format(path, "header", expected, "none"));
            };
            number += 1;
            let place = || format!("header, line {number}");
            let Some(line) = repaired
                .line(&line)
                .map_err(|(expected, found)| Error::format(path, place(), expected, found))?
            else {
                continue;
            };
            if parser.read_header_line(&line).is_err() {
                return Err(Error::format(path, place(), "a line of a PLY header", format!("`{line}`")));
            }
            repaired.text += &line;
            repaired.text.push('\n');
            if line == "end_header" {
                break;
            }
        }
        let parsed = parser.read_header(&mut repaired.text.as_bytes()).map_err(|error| {
            let words = error.to_string();
            let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
            Error::format(path, "header", "the header of a PLY", words)
        })?;
        if (parsed.version.major, parsed.version.minor) != (1, 0) {
            return Err(Error::format(path, "format", "version 1.0", parsed.version));
        }
        let mut properties = repaired.properties.into_iter();
        let elements = parsed.elements.values().zip(repaired.elements).map(|(element, name)| {
            let kinds = element.properties.values().map(|property| Kind::of(&property.data_type));
            let properties =
                kinds.zip(&mut properties).map(|(kind, (_, name))| Property { name, kind }).collect();
            Element { name, count: element.count, properties }
        });
        let (encoding, elements, comments) = (parsed.encoding, elements.collect(), parsed.comments);
        Ok(Self { encoding, elements, comments, n_bytes: lines.at })
    }
}

/// The lines of a header, without their ends.
struct Lines<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Whether lines end in a carriage return alone, as the first one does.
    ends_in_cr: bool,
}

impl<'a> Lines<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        let first = bytes.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
        let ends_in_cr = first.is_some_and(|at| bytes[at] == b'\r' && bytes.get(at + 1) != Some(&b'\n'));
        Self { bytes, at: 0, ends_in_cr }
    }
}

impl Iterator for Lines<'_> {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        let rest = &self.bytes[self.at..];
        let end = if self.ends_in_cr { b'\r' } else { b'\n' };
        let n_bytes = rest.iter().position(|&byte| byte == end)?;
        self.at += n_bytes + 1;
        Some(String::from_utf8_lossy(&rest[..n_bytes]).trim().to_owned())
    }
}

/// A header as `ply-rs` takes it: names of elements and properties are numbers in it.
#[derive(Debug, Default)]
struct Repaired {
    text: String,
    elements: Vec<String>,
    /// Each with the number of its element.
    properties: Vec<(usize, String)>,
}

/// What was expected, and what was found.
type Misfit = (&'static str, String);

impl Repaired {
    /// A line as `ply-rs` takes it; none where it says nothing.
    fn line(&mut self, line: &str) -> std::result::Result<Option<String>, Misfit> {
        let mut words = line.split_whitespace();
        let Some(keyword) = words.next() else { return Ok(None) };
        let keyword = keyword.to_ascii_lowercase();
        let words: Vec<&str> = words.collect();
        let lower = |words: &[&str]| words.join(" ").to_ascii_lowercase();
        let repaired = match keyword.as_str() {
            "comment" | "obj_info" => {
                let said = line[keyword.len()..].trim();
                if said.is_empty() { "comment".to_owned() } else { format!("comment {said}") }
            }
            "format" => {
                let [encoding, version] = words[..] else {
                    return Err(("format ENCODING VERSION", format!("`{line}`")));
                };
                // Numbers that do not fit are not refused by the parser.
                if version.len() > 4 {
                    return Err(("version 1.0", format!("`{version}`")));
                }
                format!("format {} {version}", encoding.to_ascii_lowercase())
            }
            "element" => {
                let [name, count] = words[..] else {
                    return Err(("element NAME COUNT", format!("`{line}`")));
                };
                // More digits than a file can have rows.
                let is_count =
                    !count.is_empty() && count.len() <= 18 && count.bytes().all(|b| b.is_ascii_digit());
                if !is_count {
                    return Err(("a count of rows", format!("`{count}`")));
                }
                if self.elements.iter().any(|taken| taken == name) {
                    return Err(("each element once", format!("another `{name}`")));
                }
                self.elements.push(name.to_owned());
                format!("element e{} {count}", self.elements.len())
            }
            "property" => {
                let Some((&name, kind)) = words.split_last() else {
                    return Err(("property TYPE NAME", format!("`{line}`")));
                };
                let Some(element) = self.elements.last() else {
                    return Err(("an element before its properties", format!("`{line}`")));
                };
                let within = self.elements.len();
                if self.properties.iter().any(|(other, taken)| *other == within && taken == name) {
                    return Err((
                        "each property of an element once",
                        format!("another `{name}` of `{element}`"),
                    ));
                }
                self.properties.push((within, name.to_owned()));
                format!("property {} p{}", lower(kind), self.properties.len())
            }
            _ => lower(&line.split_whitespace().collect::<Vec<_>>()),
        };
        Ok(Some(repaired))
    }
}

#[cfg(test)]
mod tests {
    use grouping_core::testing::assert_refused;

    use super::*;

    const PATH: &str = "x.ply";

    fn parse(text: &str) -> Result<Header> {
        Header::parse(Path::new(PATH), text.as_bytes())
    }

    #[test]
    fn what_real_files_hold_is_one_header() {
        let lf = "ply\nformat ascii 1.0\ncomment a  b\nelement vertex 3\nproperty float x\nproperty list uchar int i\nend_header\n";
        let wanted = parse(lf).expect("a header");
        assert_eq!(wanted.n_bytes, lf.len(), "it ends behind its last line");
        assert_eq!(wanted.comments, ["a  b"], "a comment as it stands");
        let (_, vertex) = wanted.find("vertex").expect("an element");
        assert_eq!((vertex.count, vertex.row_bytes()), (3, None), "a list has no fixed length");
        let same = [
            lf.replace('\n', "\r\n"),
            lf.replace('\n', "\r"),
            lf.replace('\n', "\n\n"),
            lf.replace('\n', " \t\n"),
            lf.replace("element", "ELEMENT").replace("float x", "FLOAT32 x").replace("ply\n", "PLY\n"),
            lf.replace("format ascii 1.0\n", "")
                .replace("comment a  b\n", "comment a  b\nformat ascii 1.0\n"),
            lf.replace("comment", "obj_info"),
        ];
        for text in same {
            let found = parse(&text).unwrap_or_else(|error| panic!("{text:?}: {error}"));
            // A blank line may stand behind the last one.
            let n_bytes = found.n_bytes;
            assert!(text[n_bytes..].trim().is_empty(), "{text:?}: the header ends at {n_bytes}");
            assert_eq!(Header { n_bytes: lf.len(), ..found }, wanted, "{text:?}");
        }
        let odd = parse("ply\nformat ascii 1.0\nelement a.b 1\nproperty double f(x)[0]\nend_header\n")
            .expect("odd names");
        assert_eq!(
            (&*odd.elements[0].name, &*odd.elements[0].properties[0].name),
            ("a.b", "f(x)[0]"),
            "names"
        );
    }

    #[test]
    fn binary_data_behind_a_bare_carriage_return_begin_at_once() {
        let text =
            b"ply\rformat binary_little_endian 1.0\relement vertex 1\rproperty uchar x\rend_header\r\n";
        let header = Header::parse(Path::new(PATH), text).expect("a header");
        assert_eq!(header.n_bytes, text.len() - 1, "the line feed is the first value");
    }

    #[test]
    fn damaged_headers_are_refused_by_their_line() {
        let head = "ply\nformat ascii 1.0\nelement vertex 3\n";
        let cases = [
            (
                format!("{head}property float x\nproperty float x\nend_header\n"),
                "line 5`: expected each property of an element once",
            ),
            (format!("{head}element vertex 3\nend_header\n"), "line 4`: expected each element once"),
            (
                format!("{head}property real x\nend_header\n"),
                "line 4`: expected a line of a PLY header, found `property real",
            ),
            (format!("{head}property float\nend_header\n"), "line 4`: expected a line of a PLY header"),
            (format!("{head}property\nend_header\n"), "line 4`: expected property TYPE NAME"),
            (format!("{head}property float x y\nend_header\n"), "line 4`"),
            (format!("{head}what is this\nend_header\n"), "line 4`: expected a line of a PLY header"),
            (format!("{head}property float x\n"), "expected `end_header`"),
            (
                "ply\nformat ascii 1.0\nproperty float x\nend_header\n".to_owned(),
                "expected an element before",
            ),
            (
                "ply\nformat ascii 1.0\nelement vertex -3\nend_header\n".to_owned(),
                "expected a count of rows, found `-3`",
            ),
            (
                "ply\nformat ascii 1.0\nelement vertex 99999999999999999999999\nend_header\n".to_owned(),
                "expected a count",
            ),
            (
                "ply\nformat ascii 18446744073709551616.0\nend_header\n".to_owned(),
                "line 2`: expected version 1.0",
            ),
            ("ply\nformat ascii 65537.0\nend_header\n".to_owned(), "line 2`: expected version 1.0"),
            ("ply\nformat ascii\nend_header\n".to_owned(), "line 2`: expected format ENCODING"),
            ("ply\nformat ascii 2.0\nend_header\n".to_owned(), "expected version 1.0, found 2.0"),
            (
                "ply\nformat ascii 1.0\nformat binary_big_endian 1.0\nend_header\n".to_owned(),
                "the header of a PLY",
            ),
            ("ply\nelement vertex 1\nproperty float x\nend_header\n".to_owned(), "No format line"),
            ("ply\nply\nformat ascii 1.0\nend_header\n".to_owned(), "Unexpected 'ply'"),
        ];
        for (text, words) in cases {
            assert_refused(parse(&text), words);
        }
    }
}
