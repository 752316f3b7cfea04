//! Elements of a PLY beside its Gaussians, kept as they are: faces, cameras, what a program noted of its own.

use super::Splats;

/// A table of a PLY other than `vertex`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Element {
    name: String,
    count: usize,
    properties: Vec<String>,
    rows: Vec<u8>,
}

/// Elements whose rows are lists of rows of `vertex`.
const OF_ROWS: [&str; 3] = ["face", "edge", "tristrips"];

impl Element {
    pub(crate) fn new(name: String, count: usize, properties: Vec<String>, rows: Vec<u8>) -> Self {
        Self { name, count, properties, rows }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The number of its rows.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether it has no row.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Its properties as a header declares them: `list uchar int vertex_indices`.
    pub fn properties(&self) -> &[String] {
        &self.properties
    }

    /// The rows one after another: each number in little-endian order, each list behind its length.
    pub fn rows(&self) -> &[u8] {
        &self.rows
    }

    /// Its name and the number of its rows, in words.
    pub(crate) fn words(&self) -> String {
        format!("element {} ({} rows)", self.name, self.count)
    }

    /// Whether it has a row for each of `n` Gaussians.
    pub(crate) fn is_parallel(&self, n: usize) -> bool {
        self.count == n
    }

    /// Whether it may name Gaussians by their rows.
    pub(crate) fn names_rows(&self) -> bool {
        let names = self.properties.iter().filter_map(|property| property.split(' ').next_back());
        OF_ROWS.contains(&&*self.name)
            || names.map(str::to_ascii_lowercase).any(|name| name.contains("vertex"))
    }
}

impl Splats {
    /// What elements there are, in words.
    pub(crate) fn element_words(&self) -> Vec<String> {
        self.elements.iter().map(Element::words).collect()
    }

    /// Those of `before` that are no longer there.
    pub(crate) fn lost_elements(&self, before: Vec<String>) -> impl Iterator<Item = String> {
        let now = self.element_words();
        before.into_iter().filter(move |words| !now.contains(words))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_named_by_faces_and_by_properties_of_vertices() {
        let element =
            |name: &str, property: &str| Element::new(name.into(), 2, vec![property.into()], vec![0; 8]);
        for (name, property, names) in [
            ("face", "list uchar int corners", true),
            ("polygon", "list uchar int vertex_indices", true),
            ("edge", "int a", true),
            ("hair", "uint Vertex1", true),
            ("camera", "float focal", false),
            ("vertexes", "float x", false),
        ] {
            assert_eq!(element(name, property).names_rows(), names, "{name}: {property}");
        }
        let camera = element("camera", "float focal");
        assert!(camera.is_parallel(2) && !camera.is_parallel(3), "a row a Gaussian");
        assert_eq!(camera.words(), "element camera (2 rows)");
    }
}
