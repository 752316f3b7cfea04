//! The search for NaN and infinity.

/// Values that are looked at before any is singled out.
const BLOCK: usize = 1024;

/// Index of the first value that is NaN or infinite.
///
/// A search that may stop at every value is not vectorised; this one stops once a block, and by bits: adding one to the exponent of a
/// value carries into the sign if and only if all bits of the exponent are set.
pub(crate) fn first_not_finite(values: &[f32]) -> Option<usize> {
    values.chunks(BLOCK).enumerate().find_map(|(i, block)| {
        let carried =
            block.iter().fold(0, |any, v| any | (v.to_bits() & 0x7fff_ffff).wrapping_add(0x0080_0000));
        let at = || block.iter().position(|v| !v.is_finite()).map(|at| i * BLOCK + at);
        if carried >> 31 == 0 { None } else { at() }
    })
}

#[cfg(test)]
mod tests {
    use super::first_not_finite;

    #[test]
    fn the_first_of_them_is_found() {
        let mut values: Vec<f32> = (0..3000).map(|i| f32::from_bits(i * 715_827)).collect();
        values.extend([f32::MAX, f32::MIN, f32::MIN_POSITIVE, -0.0, 1e-45]);
        let finite: Vec<f32> = values.into_iter().filter(|v| v.is_finite()).collect();
        assert_eq!(first_not_finite(&finite), None, "none");
        assert_eq!(first_not_finite(&[]), None, "nothing");
        for bad in [f32::NAN, -f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            for at in [0, 1023, 1024, finite.len() - 1] {
                let mut values = finite.clone();
                values[at] = bad;
                *values.last_mut().expect("there are some") = bad;
                assert_eq!(first_not_finite(&values), Some(at), "{bad} at {at}");
            }
        }
    }
}
