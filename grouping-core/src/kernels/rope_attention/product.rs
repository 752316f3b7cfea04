//! Small matrix products on strided slices, in register blocks of 4 rows by 16 columns.

use crate::simd::{LANES, Lanes};

/// Rows of a register block.
const BLOCK_ROWS: usize = 4;

/// A matrix whose entry (i, j) is `values[i·row + j·column]`.
#[derive(Clone, Copy)]
pub(super) struct Strided<'a> {
    pub(super) values: &'a [f32],
    pub(super) row: usize,
    pub(super) column: usize,
}

/// Rows that lie `stride` apart.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a> {
    pub(super) values: &'a [f32],
    pub(super) stride: usize,
}

/// Rows to write that lie `stride` apart.
pub(super) struct RowsMut<'a> {
    pub(super) values: &'a mut [f32],
    pub(super) stride: usize,
}

/// Rows, inner length and columns of a product.
#[derive(Clone, Copy)]
pub(super) struct Extent {
    pub(super) rows: usize,
    pub(super) inner: usize,
    pub(super) columns: usize,
}

/// `c = a·b`, or `c += a·b` where `ADD`.
#[inline(always)]
pub(super) fn product<L: Lanes, const ADD: bool>(
    a: Strided<'_>,
    b: Rows<'_>,
    c: RowsMut<'_>,
    extent: Extent,
) {
    let Extent { rows, inner, columns } = extent;
    if rows == 0 || columns == 0 {
        return;
    }
    if inner > 0 {
        assert!(
            (rows - 1) * a.row + (inner - 1) * a.column < a.values.len(),
            "product: the left matrix is too short"
        );
        assert!((inner - 1) * b.stride + columns <= b.values.len(), "product: the right matrix is too short");
    }
    assert!((rows - 1) * c.stride + columns <= c.values.len(), "product: the result is too short");
    let strides = Strides { a_row: a.row, a_column: a.column, b: b.stride, c: c.stride };
    let (a, b, c) = (a.values.as_ptr(), b.values.as_ptr(), c.values.as_mut_ptr());
    let mut column = 0;
    macro_rules! strips {
        ($width:expr) => {
            #[allow(clippy::int_plus_one, reason = "the last strip is one column wide")]
            while column + $width <= columns {
                let mut row = 0;
                // SAFETY: rows below `rows` and columns below `columns` of each matrix lie inside its slice, as
                // asserted above, and `c` is borrowed mutably, so it overlaps neither `a` nor `b`.
                unsafe {
                    while row + BLOCK_ROWS <= rows {
                        let (a, c) = (a.add(row * strides.a_row), c.add(row * strides.c + column));
                        block::<L, ADD, BLOCK_ROWS, $width>(a, b.add(column), c, inner, strides);
                        row += BLOCK_ROWS;
                    }
                    while row < rows {
                        let (a, c) = (a.add(row * strides.a_row), c.add(row * strides.c + column));
                        block::<L, ADD, 1, $width>(a, b.add(column), c, inner, strides);
                        row += 1;
                    }
                }
                column += $width;
            }
        };
    }
    strips!(LANES);
    strips!(8);
    strips!(2);
    strips!(1);
}

#[derive(Clone, Copy)]
struct Strides {
    a_row: usize,
    a_column: usize,
    b: usize,
    c: usize,
}

/// One register block of `R` rows and `W` columns.
///
/// # Safety
/// Entries (r, i) of `a`, (i, w) of `b` and (r, w) of `c` for r < `R`, i < `inner`, w < `W` must be valid, and `c` must
/// overlap neither `a` nor `b`.
#[inline(always)]
unsafe fn block<L: Lanes, const ADD: bool, const R: usize, const W: usize>(
    a: *const f32,
    b: *const f32,
    c: *mut f32,
    inner: usize,
    strides: Strides,
) {
    let mut sums = [[0.0f32; W]; R];
    for i in 0..inner {
        // SAFETY: i < inner, so the W entries of row i of `b` are valid; f32 arrays have the alignment of f32.
        let b = unsafe { *b.add(i * strides.b).cast::<[f32; W]>() };
        for (r, sums) in sums.iter_mut().enumerate() {
            // SAFETY: r < R and i < inner.
            let a = unsafe { *a.add(r * strides.a_row + i * strides.a_column) };
            for (sum, b) in sums.iter_mut().zip(b) {
                *sum = L::mul_add(a, b, *sum);
            }
        }
    }
    for (r, sums) in sums.iter().enumerate() {
        // SAFETY: r < R, and nothing else refers to `c`.
        let c = unsafe { &mut *c.add(r * strides.c).cast::<[f32; W]>() };
        for (c, sum) in c.iter_mut().zip(sums) {
            *c = if ADD { *c + sum } else { *sum };
        }
    }
}
