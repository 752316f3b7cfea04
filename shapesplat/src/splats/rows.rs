//! Rows of all columns at once: chosen, and joined.

use super::{Splats, Values};

/// Calls `$do` with the vector of whatever type the values have.
macro_rules! each_type {
    ($values:expr, $vector:ident => $do:expr) => {
        match $values {
            Values::I8($vector) => $do,
            Values::U8($vector) => $do,
            Values::I16($vector) => $do,
            Values::U16($vector) => $do,
            Values::I32($vector) => $do,
            Values::U32($vector) => $do,
            Values::F32($vector) => $do,
            Values::F64($vector) => $do,
        }
    };
}

impl Splats {
    /// The columns of f32 that every scene has: positions, scales, rotations, opacities, dc, and those of higher degrees.
    pub(crate) fn columns_mut(&mut self) -> impl Iterator<Item = &mut Vec<f32>> {
        let fixed = self.positions.iter_mut().chain(&mut self.scales).chain(&mut self.rotations);
        fixed.chain(std::iter::once(&mut self.opacities)).chain(&mut self.dc).chain(&mut self.rest)
    }

    /// Keeps the rows for which `is_kept` holds true, in their order; elements that may refer to rows go where any row goes.
    ///
    /// # Panics
    /// When there are fewer answers than rows.
    pub fn retain_rows(&mut self, is_kept: &[bool]) {
        assert!(is_kept.len() >= self.len(), "{} answers for {} rows", is_kept.len(), self.len());
        if is_kept[..self.len()].iter().all(|&kept| kept) {
            return;
        }
        let n = self.len();
        self.elements.retain(|element| !element.names_rows() && !element.is_parallel(n));
        self.columns_mut().for_each(|column| retain(column, is_kept));
        for extra in &mut self.extras {
            each_type!(&mut extra.values, column => retain(column, is_kept));
        }
    }
}

fn retain<T>(column: &mut Vec<T>, is_kept: &[bool]) {
    let mut answers = is_kept.iter();
    column.retain(|_| answers.next().is_some_and(|&kept| kept));
}

impl Values {
    /// The number of values.
    pub fn len(&self) -> usize {
        each_type!(self, column => column.len())
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// One of them as f64, which holds each type's values.
    ///
    /// # Panics
    /// When there is no such row.
    #[allow(clippy::useless_conversion, reason = "of f64 alone")]
    pub fn at(&self, row: usize) -> f64 {
        each_type!(self, column => f64::from(column[row]))
    }

    /// Zeros behind the last value, up to `n`.
    pub(crate) fn pad(&mut self, n: usize) {
        each_type!(self, column => column.resize(n, Default::default()));
    }

    /// Moves `other`'s values behind these; whether both are of one type.
    pub(crate) fn append(&mut self, other: Self) -> bool {
        match (self, other) {
            (Self::I8(a), Self::I8(mut b)) => a.append(&mut b),
            (Self::U8(a), Self::U8(mut b)) => a.append(&mut b),
            (Self::I16(a), Self::I16(mut b)) => a.append(&mut b),
            (Self::U16(a), Self::U16(mut b)) => a.append(&mut b),
            (Self::I32(a), Self::I32(mut b)) => a.append(&mut b),
            (Self::U32(a), Self::U32(mut b)) => a.append(&mut b),
            (Self::F32(a), Self::F32(mut b)) => a.append(&mut b),
            (Self::F64(a), Self::F64(mut b)) => a.append(&mut b),
            _ => return false,
        }
        true
    }

    /// No values of the same type.
    pub(crate) fn none_alike(&self) -> Self {
        match self {
            Self::I8(_) => Self::I8(vec![]),
            Self::U8(_) => Self::U8(vec![]),
            Self::I16(_) => Self::I16(vec![]),
            Self::U16(_) => Self::U16(vec![]),
            Self::I32(_) => Self::I32(vec![]),
            Self::U32(_) => Self::U32(vec![]),
            Self::F32(_) => Self::F32(vec![]),
            Self::F64(_) => Self::F64(vec![]),
        }
    }

    /// The type's name in a PLY.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::I8(_) => "char",
            Self::U8(_) => "uchar",
            Self::I16(_) => "short",
            Self::U16(_) => "ushort",
            Self::I32(_) => "int",
            Self::U32(_) => "uint",
            Self::F32(_) => "float",
            Self::F64(_) => "double",
        }
    }
}
