//! What happens to one layer: which heads become which group, how each is turned before it is pooled, and how often the result is written.
//!
//! With key/value heads j of the source, query heads h that read head `κ(h)`, and rotations `R_j`, `S_j` (orthogonal, `[hd, hd]`):
//! - `W_Q,h → R_κ(h)·W_Q,h` and `W_K,j → R_j·W_K,j`, which leaves every score `q·k` as it was;
//! - `W_V,j → S_j·W_V,j` and the columns of head h in `W_O → W_O,h·S_κ(h)ᵀ`, which leaves every output as it was;
//! - then the heads of a group are pooled, and query heads (rows of `W_Q`, columns of `W_O`) take the order of their groups.
//!
//! Without calibration data nothing is turned.

use std::sync::Arc;

use grouping_core::matrix::Matrix;

use super::calibrated::Calibrated;
use super::config::{ConvertConfig, Form, Grouping};
use super::pool::LayerPool;
use super::search::{Distances, GroupSizes, similar_groups};
use crate::allocation::AllocationState;
use crate::{Error, Groups, Result};

/// What happens to one layer.
#[derive(Debug, Clone)]
pub(crate) struct LayerPlan {
    /// Key/value heads of the source in each pooled head.
    pub(crate) members: Vec<Vec<usize>>,
    /// Query heads of the source in their new order.
    pub(crate) query_order: Vec<usize>,
    /// The key/value head that each query head of the source reads.
    pub(crate) kv_head_of_query: Vec<usize>,
    /// Query heads of each pooled head.
    pub(crate) groups: Groups,
    /// Pooling of keys and of values.
    pub(crate) pool: [LayerPool; 2],
    /// Rotations `R_j` of keys and `S_j` of values, by key/value head of the source.
    pub(crate) rotations: [Option<Arc<Vec<Matrix>>>; 2],
    /// The pooled head that each written key/value head is.
    pub(crate) copies: Vec<usize>,
    /// Query heads of each written key/value head.
    pub(crate) written: Groups,
}

impl LayerPlan {
    /// Plans a layer whose source has these groups; `distances` of its key/value heads are asked for where they are needed.
    ///
    /// # Errors
    /// [`Error::Setting`](grouping_core::Error::Setting) for a number of heads that cannot be, and those of pooling and distances.
    pub(crate) fn new(
        config: &ConvertConfig,
        source: &Groups,
        layer: usize,
        n_layers: usize,
        calibrated: Option<&Calibrated<'_>>,
        distances: impl FnOnce() -> Result<Distances>,
    ) -> Result<Self> {
        check(config, source)?;
        let (n, n_groups) = (source.n_kv_heads(), config.n_kv_heads);
        let members: Vec<Vec<usize>> = if n_groups == n {
            (0..n).map(|head| vec![head]).collect()
        } else {
            match config.grouping {
                Grouping::Neighbour => {
                    Groups::balanced(n, n_groups)?.heads().map(|heads| heads.collect()).collect()
                }
                Grouping::Similarity => {
                    let distances = calibrated.map_or_else(distances, Calibrated::distances)?;
                    similar_groups(&distances, n_groups, config.sizes, config.seed)
                }
            }
        };
        let heads: Vec<Vec<usize>> = source.heads().map(|heads| heads.collect()).collect();
        let query_order: Vec<usize> =
            members.iter().flatten().flat_map(|&j| heads[j].iter().copied()).collect();
        let mut kv_head_of_query = vec![0; query_order.len()];
        heads.iter().enumerate().for_each(|(j, heads)| heads.iter().for_each(|&h| kv_head_of_query[h] = j));
        let sizes = members.iter().map(|group| group.iter().map(|&j| heads[j].len()).sum()).collect();
        let groups = Groups::new(sizes, query_order.len())?;
        let pool = config.pool.of_layer(layer, n_layers, &members, calibrated)?;
        let rotations = calibrated.map_or(Ok([None, None]), |calibrated| calibrated.rotations(&members))?;
        let (copies, written) = ((0..n_groups).collect(), groups.clone());
        Ok(Self { members, query_order, kv_head_of_query, groups, pool, rotations, copies, written })
    }

    /// Whether the key/value heads are those of the source, in their order.
    fn keeps_heads(&self) -> bool {
        self.members.iter().enumerate().all(|(i, heads)| *heads == [i])
    }

    /// Writes every pooled head several times, so that each copy is read by `size` query heads; heads that nobody reads are left out.
    ///
    /// # Panics
    /// When `size` does not divide the size of a group.
    fn repeat(&mut self, size: usize) -> Result<()> {
        let sizes = self.groups.sizes();
        assert!(sizes.iter().all(|s| s.is_multiple_of(size)), "groups {sizes:?} in parts of {size}");
        self.copies = sizes.iter().enumerate().flat_map(|(g, s)| std::iter::repeat_n(g, s / size)).collect();
        self.written = Groups::new(vec![size; self.copies.len()], self.groups.n_heads())?;
        Ok(())
    }
}

/// Whether a layer of these groups can be converted so.
///
/// # Errors
/// [`Error::Setting`](grouping_core::Error::Setting) for a number of heads that cannot be.
pub(super) fn check(config: &ConvertConfig, source: &Groups) -> Result<()> {
    let (n, n_groups) = (source.n_kv_heads(), config.n_kv_heads);
    if n_groups == 0 || n_groups > n {
        let expected = format!("from 1 to the {n} key/value heads that there are");
        return Err(Error::setting("n_kv_heads", expected, n_groups));
    }
    if n_groups < n && config.sizes == GroupSizes::Equal {
        if !n.is_multiple_of(n_groups) {
            let expected = format!("a divisor of the {n} heads, or unequal groups (`sizes`)");
            return Err(Error::setting("n_kv_heads", expected, n_groups));
        }
        if source.uniform_size().is_none() {
            let found = format!("a source of groups {:?}", source.sizes());
            return Err(Error::setting("sizes", "any sizes, for unequal groups", found));
        }
    }
    Ok(())
}

/// Gives the layers the groups of an allocation over their pooled heads.
///
/// # Errors
/// [`Error::Setting`](grouping_core::Error::Setting) for an allocation of other heads.
pub(super) fn allocate(plans: &mut [LayerPlan], state: &AllocationState) -> Result<()> {
    let n_heads = plans.first().map_or(0, |plan| plan.groups.n_heads());
    let n_kv_heads: Vec<usize> = plans.iter().map(|plan| plan.groups.n_kv_heads()).collect();
    state.check_heads(n_heads, &n_kv_heads)?;
    plans.iter_mut().zip(state.all_groups()).for_each(|(plan, groups)| plan.written = groups);
    Ok(())
}

/// Whether the source's heads and the groups of its saved allocation are written as they were.
pub(super) fn is_kept(plans: &[LayerPlan], state: &AllocationState) -> bool {
    let groups = state.all_groups();
    plans.iter().map(|plan| &plan.written).eq(&groups) && plans.iter().all(LayerPlan::keeps_heads)
}

/// Gives all layers the wanted form.
pub(super) fn shape(plans: &mut [LayerPlan], form: Form) -> Result<()> {
    let size = match form {
        Form::Grouped => return Ok(()),
        Form::Expanded => 1,
        // One number of heads for all layers, for formats that have one number.
        Form::Uniform => {
            plans.iter().flat_map(|plan| plan.groups.sizes()).fold(0, |a, &b| common_divisor(a, b))
        }
    };
    plans.iter_mut().try_for_each(|plan| plan.repeat(size))
}

fn common_divisor(a: usize, b: usize) -> usize {
    if b == 0 { a } else { common_divisor(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use grouping_core::testing::assert_refused;

    fn plan(config: &ConvertConfig, source: &Groups) -> Result<LayerPlan> {
        LayerPlan::new(config, source, 0, 1, None, || {
            Ok(Distances::from_fn(4, |i, j| if i + j == 3 { 0.0 } else { 1.0 }))
        })
    }

    #[test]
    fn query_heads_follow_their_keys() {
        // Key/value head 1 is read by the query heads 2 and 3, and so on.
        let source = Groups::uniform(8, 4).expect("groups of two");
        let config = ConvertConfig::new(2).with_grouping(Grouping::Similarity);
        let made = plan(&config, &source).expect("a plan");
        assert_eq!(made.members, [[0, 3], [1, 2]], "the like heads");
        assert_eq!(made.query_order, [0, 1, 6, 7, 2, 3, 4, 5], "their query heads");
        assert_eq!(made.groups.sizes(), [4, 4], "query heads of each");
        assert_eq!(
            made.kv_head_of_query,
            [0, 0, 1, 1, 2, 2, 3, 3],
            "the key/value head that each reads in the source"
        );
    }

    #[test]
    fn forms_repeat_heads() {
        let source = Groups::uniform(6, 6).expect("heads");
        let config = ConvertConfig::new(4).with_sizes(GroupSizes::Any);
        let mut plans = [plan(&config, &source).expect("a plan")];
        assert_eq!(plans[0].groups.sizes(), [2, 2, 1, 1], "balanced runs");
        shape(&mut plans, Form::Uniform).expect("a form");
        assert_eq!(plans[0].copies, [0, 0, 1, 1, 2, 3], "each as often as it takes");
        let config = ConvertConfig::new(2).with_sizes(GroupSizes::Any);
        let ragged = Groups::new(vec![2, 0, 4], 6).expect("groups");
        let mut plans = [plan(&config, &ragged).expect("a plan")];
        assert_eq!(plans[0].groups.sizes(), [2, 4], "unions of the source's groups");
        shape(&mut plans, Form::Uniform).expect("a form");
        assert_eq!(
            (&plans[0].copies[..], plans[0].written.sizes()),
            (&[0, 1, 1][..], &[2, 2, 2][..]),
            "parts of two"
        );
        assert_refused(
            plan(&ConvertConfig::new(1), &ragged),
            "sizes: expected any sizes, for unequal groups",
        );
        assert_refused(
            plan(&ConvertConfig::new(4), &source),
            "n_kv_heads: expected a divisor of the 6 heads",
        );
        assert_refused(plan(&ConvertConfig::new(7), &source), "from 1 to the 6 key/value heads");
    }
}
