//! Gaussians whose values follow from their row and column, the same as in `oracles/shapesplat/recipe.py`; and PLY files of any dialect.

use shapesplat::Splats;

/// The columns in the order in which the recipe counts them.
fn names() -> Vec<String> {
    let rest = (0..45).map(|i| format!("f_rest_{i}"));
    let before = ["x", "y", "z", "f_dc_0", "f_dc_1", "f_dc_2"].into_iter().map(str::to_owned);
    let behind = ["opacity", "scale_0", "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3"];
    before.chain(rest).chain(behind.map(str::to_owned)).collect()
}

/// A value of a column: sixteenths between −4 and 4.
pub(crate) fn value(name: &str, row: usize) -> f32 {
    let column = names().iter().position(|other| other == name).expect("a column of the recipe");
    ((row * row * 3 + row * 37 + column * 11) % 127) as f32 / 16.0 - 63.0 / 16.0
}

/// `n` Gaussians with so many columns of higher degrees.
pub(crate) fn splats(n: usize, n_rest: usize) -> Splats {
    let column = |name: &str| (0..n).map(|row| value(name, row)).collect::<Vec<f32>>();
    let numbered = |name: &str, i: usize| column(&format!("{name}_{i}"));
    Splats {
        positions: ["x", "y", "z"].map(column),
        scales: [0, 1, 2].map(|i| numbered("scale", i)),
        rotations: [0, 1, 2, 3].map(|i| numbered("rot", i)),
        opacities: column("opacity"),
        dc: [0, 1, 2].map(|i| numbered("f_dc", i)),
        rest: (0..n_rest).map(|i| numbered("f_rest", i)).collect(),
        ..Splats::default()
    }
}

/// A property of a PLY: its name, its type, and the bytes of each value in little-endian order.
#[derive(Clone, Debug)]
pub(crate) struct Property {
    pub(crate) name: String,
    pub(crate) kind: &'static str,
    pub(crate) values: Vec<f64>,
}

/// How a PLY is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Little,
    Big,
    Ascii,
}

/// The rows of an element without lists.
pub(crate) fn body(properties: &[Property], encoding: Encoding) -> Vec<u8> {
    let n = properties.first().map_or(0, |property| property.values.len());
    let mut bytes = Vec::new();
    for row in 0..n {
        for property in properties {
            let value = property.values[row];
            let mut stored = match property.kind {
                "char" => (value as i8).to_le_bytes().to_vec(),
                "uchar" => (value as u8).to_le_bytes().to_vec(),
                "short" => (value as i16).to_le_bytes().to_vec(),
                "ushort" => (value as u16).to_le_bytes().to_vec(),
                "int" => (value as i32).to_le_bytes().to_vec(),
                "uint" => (value as u32).to_le_bytes().to_vec(),
                "float" => (value as f32).to_le_bytes().to_vec(),
                _ => value.to_le_bytes().to_vec(),
            };
            match encoding {
                Encoding::Little => bytes.append(&mut stored),
                Encoding::Big => bytes.extend(stored.iter().rev()),
                Encoding::Ascii => bytes.extend(format!("{value} ").into_bytes()),
            }
        }
        if encoding == Encoding::Ascii {
            bytes.push(b'\n');
        }
    }
    bytes
}

/// A PLY of one element.
pub(crate) fn ply(properties: &[Property], encoding: Encoding) -> Vec<u8> {
    let n = properties.first().map_or(0, |property| property.values.len());
    [header(encoding, &[("vertex", n, properties)]).into_bytes(), body(properties, encoding)].concat()
}

/// A header.
pub(crate) fn header(encoding: Encoding, elements: &[(&str, usize, &[Property])]) -> String {
    let encoding = match encoding {
        Encoding::Little => "binary_little_endian",
        Encoding::Big => "binary_big_endian",
        Encoding::Ascii => "ascii",
    };
    let mut text = format!("ply\nformat {encoding} 1.0\n");
    for (name, n, properties) in elements {
        text += &format!("element {name} {n}\n");
        for property in *properties {
            text += &format!("property {} {}\n", property.kind, property.name);
        }
    }
    text + "end_header\n"
}

/// The properties of splats as floats, in graphdeco's order without normals.
pub(crate) fn properties(splats: &Splats) -> Vec<Property> {
    let columns = splats.columns().into_iter();
    let wide = |values: &[f32]| values.iter().map(|&value| f64::from(value)).collect();
    columns.map(|(name, values)| Property { name, kind: "float", values: wide(values) }).collect()
}
