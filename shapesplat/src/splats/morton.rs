//! The order of a Z-curve: neighbours in space become neighbours in the file, which chunks and compressors are made for.
//!
//! As splat-transform sorts: ten bits an axis between the least and the greatest coordinate, and buckets of more than 256 points of one code
//! sorted again within their own bounds. Points of one code stay in their order.

/// Points of one code that are not sorted again.
const BUCKET: usize = 256;

/// The rows in Morton order, without which the order is that of the rows.
pub(crate) fn morton_order(positions: &[Vec<f32>; 3]) -> Vec<u32> {
    let n = positions[0].len();
    let mut order: Vec<u32> = (0..n as u32).collect();
    let mut scratch = Scratch::default();
    sort(positions, &mut order, &mut scratch);
    order
}

/// Buffers that are used again for every bucket.
#[derive(Default)]
struct Scratch {
    entries: Vec<(u32, u32)>,
    sorted: Vec<(u32, u32)>,
}

fn sort(positions: &[Vec<f32>; 3], order: &mut [u32], scratch: &mut Scratch) {
    let bounds = positions.each_ref().map(|axis| bounds(axis, order));
    let lengths = bounds.map(|(min, max)| max - min);
    if lengths.iter().any(|length| !length.is_finite()) || lengths.iter().all(|&length| length == 0.0) {
        return;
    }
    let factors = lengths.map(|length| if length == 0.0 { 0.0 } else { 1024.0 / length });
    let cell = |axis: usize, row: u32| {
        let at = (f64::from(positions[axis][row as usize]) - bounds[axis].0) * factors[axis];
        spread(at.min(1023.0) as u32)
    };
    scratch.entries.clear();
    scratch
        .entries
        .extend(order.iter().map(|&row| (cell(2, row) << 2 | cell(1, row) << 1 | cell(0, row), row)));
    scratch.sort();
    let mut buckets = Vec::new();
    let mut first = 0;
    for bucket in scratch.entries.chunk_by(|a, b| a.0 == b.0) {
        if bucket.len() > BUCKET {
            buckets.push(first..first + bucket.len());
        }
        first += bucket.len();
    }
    order.iter_mut().zip(&scratch.entries).for_each(|(row, entry)| *row = entry.1);
    for bucket in buckets {
        sort(positions, &mut order[bucket], scratch);
    }
}

/// The least and the greatest coordinate of these rows.
fn bounds(axis: &[f32], rows: &[u32]) -> (f64, f64) {
    let (mut min, mut max) = (f32::INFINITY, f32::NEG_INFINITY);
    for &row in rows {
        let value = axis[row as usize];
        min = if value < min { value } else { min };
        max = if value > max { value } else { max };
    }
    (min.into(), max.into())
}

/// Ten bits with two zeros between each.
fn spread(bits: u32) -> u32 {
    let bits = (bits ^ (bits << 16)) & 0xff00_00ff;
    let bits = (bits ^ (bits << 8)) & 0x0300_f00f;
    let bits = (bits ^ (bits << 4)) & 0x030c_30c3;
    (bits ^ (bits << 2)) & 0x0924_9249
}

impl Scratch {
    /// Sorts by code, three passes of ten bits; entries of one code stay in their order.
    fn sort(&mut self) {
        if self.entries.len() < 2048 {
            self.entries.sort_by_key(|entry| entry.0);
            return;
        }
        self.sorted.clear();
        self.sorted.resize(self.entries.len(), (0, 0));
        for shift in [0, 10, 20] {
            let digit = |entry: &(u32, u32)| (entry.0 >> shift & 1023) as usize;
            let mut places = [0u32; 1024];
            self.entries.iter().for_each(|entry| places[digit(entry)] += 1);
            let mut sum = 0;
            for place in &mut places {
                sum += std::mem::replace(place, sum);
            }
            for entry in &self.entries {
                let place = &mut places[digit(entry)];
                self.sorted[*place as usize] = *entry;
                *place += 1;
            }
            std::mem::swap(&mut self.entries, &mut self.sorted);
        }
    }
}

#[cfg(test)]
mod tests {
    use grouping_core::seed::sequence;

    use super::*;

    fn random(n: usize, seed: u64) -> [Vec<f32>; 3] {
        std::array::from_fn(|axis| {
            (0..n as u64).map(|i| (sequence(seed + axis as u64, i) >> 40) as f32 / (1 << 24) as f32).collect()
        })
    }

    #[test]
    fn corners_of_a_cube_are_visited_x_first() {
        let corner = |axis: usize| (0..8).map(|i| f32::from(u8::from(i >> axis & 1 == 1))).collect();
        let mut cube: [Vec<f32>; 3] = std::array::from_fn(corner);
        cube.iter_mut().for_each(|axis: &mut Vec<f32>| axis.reverse());
        assert_eq!(morton_order(&cube), [7, 6, 5, 4, 3, 2, 1, 0], "the reverse of the reverse");
    }

    #[test]
    fn every_row_stands_in_the_order_once_and_neighbours_are_near() {
        for n in [0, 1, 5, 300, 5000] {
            let mut order = morton_order(&random(n, 7));
            order.sort_unstable();
            assert!(order.iter().copied().eq(0..n as u32), "{n} rows");
        }
        let points = random(5000, 7);
        let order = morton_order(&points);
        let step = |order: &[u32]| -> f32 {
            let apart = |a: u32, b: u32| {
                points.iter().map(|axis| (axis[a as usize] - axis[b as usize]).powi(2)).sum::<f32>().sqrt()
            };
            order.windows(2).map(|pair| apart(pair[0], pair[1])).sum()
        };
        let unsorted: Vec<u32> = (0..5000).collect();
        assert!(
            step(&order) < 0.2 * step(&unsorted),
            "steps of {} against {}",
            step(&order),
            step(&unsorted)
        );
    }

    #[test]
    fn crowded_cells_are_sorted_within() {
        // A floater far away leaves one cell for all others.
        let mut points = random(3000, 1);
        points.iter_mut().for_each(|axis| axis.push(1e6));
        let order = morton_order(&points);
        let without: Vec<u32> = order.into_iter().filter(|&row| row != 3000).collect();
        points.iter_mut().for_each(|axis| axis.truncate(3000));
        assert_eq!(without, morton_order(&points), "as without the floater");
        let same = [vec![1.0; 600], vec![2.0; 600], vec![3.0; 600]];
        assert!(morton_order(&same).into_iter().eq(0..600), "points in one place stay in their order");
    }
}
