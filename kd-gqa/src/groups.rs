//! How many query heads share each key/value head: the unit of grouped-query attention (Ainslie et al. 2023, §2.2), with any sizes.
//!
//! Group g of sizes `s₀ … s_{G−1}` holds the query heads `Σ_{i<g} sᵢ … Σ_{i≤g} sᵢ − 1`: consecutive runs in the order of the heads. A size may be 0: nobody
//! reads that key/value head. `G = H` with all sizes 1 is multi-head attention, `G = 1` multi-query attention.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// The number of query heads of each key/value head.
///
/// ```
/// use kd_gqa::Groups;
///
/// let groups = Groups::new(vec![3, 0, 1], 4)?;
/// assert_eq!(groups.n_kv_heads(), 3);
/// assert_eq!(groups.heads().collect::<Vec<_>>(), [0..3, 3..3, 3..4]);
/// let error = Groups::new(vec![3, 1], 6).unwrap_err().to_string();
/// assert!(error.contains("sum to 6 heads, found 4"), "two heads have no group");
/// # Ok::<(), kd_gqa::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Groups(Vec<usize>);

impl Groups {
    /// Groups of these sizes over `n_heads` query heads.
    ///
    /// # Errors
    /// [`Error::Groups`] where the sizes do not sum to `n_heads`, or there are none.
    pub fn new(sizes: Vec<usize>, n_heads: usize) -> Result<Self> {
        let sum = sizes.iter().try_fold(0usize, |sum, &size| sum.checked_add(size));
        if sizes.is_empty() || n_heads == 0 || sum != Some(n_heads) {
            return Err(Error::Groups { sizes, n_heads });
        }
        Ok(Self(sizes))
    }

    /// `n_kv_heads` groups of one size.
    ///
    /// # Errors
    /// [`Error::Indivisible`] where that leaves a rest.
    pub fn uniform(n_heads: usize, n_kv_heads: usize) -> Result<Self> {
        if n_kv_heads == 0 || n_heads == 0 || !n_heads.is_multiple_of(n_kv_heads) {
            return Err(Error::Indivisible { n_heads, n_kv_heads });
        }
        Ok(Self(vec![n_heads / n_kv_heads; n_kv_heads]))
    }

    /// `n_kv_heads` groups whose sizes differ by at most one, the larger first.
    ///
    /// # Errors
    /// [`Error::Indivisible`] where there are more key/value heads than heads, or none.
    pub fn balanced(n_heads: usize, n_kv_heads: usize) -> Result<Self> {
        if n_kv_heads == 0 || n_kv_heads > n_heads {
            return Err(Error::Indivisible { n_heads, n_kv_heads });
        }
        let (size, rest) = (n_heads / n_kv_heads, n_heads % n_kv_heads);
        Ok(Self((0..n_kv_heads).map(|group| size + usize::from(group < rest)).collect()))
    }

    /// The number of query heads H.
    pub fn n_heads(&self) -> usize {
        self.0.iter().sum()
    }

    /// The number of key/value heads G.
    pub fn n_kv_heads(&self) -> usize {
        self.0.len()
    }

    /// The size of each group.
    pub fn sizes(&self) -> &[usize] {
        &self.0
    }

    /// The query heads of each group.
    pub fn heads(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        self.0.iter().scan(0, |start, &size| {
            let heads = *start..*start + size;
            *start = heads.end;
            Some(heads)
        })
    }

    /// The one size of all groups, where they have one.
    pub fn uniform_size(&self) -> Option<usize> {
        let first = self.0[0];
        self.0.iter().all(|&size| size == first).then_some(first)
    }
}
