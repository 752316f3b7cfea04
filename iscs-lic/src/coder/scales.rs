//! The scales of Gaussian tables, and which table a scale takes (`GaussianConditional.build_indexes` of CompressAI).

/// The least scale that a Gaussian table is chosen for.
const BOUND: f32 = 0.11;

/// exp of 64 equidistant numbers from ln 0.11 to ln 256, as `get_scale_table` of CompressAI gives them.
///
/// Stored, since PyTorch itself gives two versions, one unit in the last place apart, on two instruction sets; these are those of the
/// vectorised ones.
#[rustfmt::skip]
pub const SCALES: [f32; 64] = [
    0.11, 0.124_404_095, 0.140_694_38, 0.159_117_8, 0.179_953_7, 0.203_517_97, 0.230_167_93, 0.260_307_6,
    0.294_393_93, 0.332_943_74, 0.376_541_55, 0.425_848_3, 0.481_611_6, 0.544_676_9, 0.616_000_4, 0.696_663_44,
    0.787_889, 0.891_060_23, 1.007_741_3, 1.139_701_5, 1.288_941_3, 1.457_723_5, 1.648_607_1, 1.864_486_2,
    2.108_634, 2.384_752, 2.697_026_7, 3.050_192_8, 3.449_604_3, 3.901_317_4, 4.412_181_4, 4.989_940_6,
    5.643_354, 6.382_331, 7.218_075, 8.163_255, 9.232_203_5, 10.441_129, 11.808_356, 13.354_617,
    15.103_355, 17.081_085, 19.317_795, 21.847_39, 24.708_223, 27.943_682, 31.602_804, 35.741_077,
    40.421_238, 45.714_252, 51.700_38, 58.470_337, 66.126_83, 74.785_91, 84.578_835, 95.654_144,
    108.179_73, 122.345_44, 138.366_17, 156.484_74, 176.975_8, 200.150_18, 226.359_05, 256.0,
];

/// The table of this scale: the first whose scale is not below it, the last where there is none.
///
/// As CompressAI counts: scales below 0.11 and −∞ take table 0, +∞ and NaN the last. NaN means that the arithmetic broke down; refuse it before.
///
/// ```
/// use iscs_lic::coder::{SCALES, scale_index};
///
/// let next = f32::from_bits(SCALES[1].to_bits() + 1);
/// assert_eq!([0.0, SCALES[1], next, 1e9].map(|scale| scale_index(&SCALES, scale)), [0, 1, 2, 63]);
/// ```
pub fn scale_index(table: &[f32], scale: f32) -> u16 {
    // Not `max`, which would drop a NaN.
    let scale = if scale < BOUND { BOUND } else { scale };
    let last = table.len().saturating_sub(1);
    // Counted rather than searched: a loop over a whole table needs no branch, and the table of a file may be in any order.
    let not_below = table[..last].iter().filter(|&&entry| scale <= entry).count();
    (last - not_below) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_take_the_first_and_the_last_table() {
        let found = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -1.0, 0.0, 256.0, 257.0]
            .map(|scale| scale_index(&SCALES, scale));
        assert_eq!(found, [63, 63, 0, 0, 0, 63, 63], "as CompressAI counts");
    }

    #[test]
    fn an_entry_takes_its_own_table_and_the_next_number_the_next() {
        for (i, &scale) in SCALES.iter().enumerate() {
            assert_eq!(usize::from(scale_index(&SCALES, scale)), i, "scale {scale}");
            let above = f32::from_bits(scale.to_bits() + 1);
            assert_eq!(usize::from(scale_index(&SCALES, above)), (i + 1).min(63), "just above {scale}");
        }
    }
}
