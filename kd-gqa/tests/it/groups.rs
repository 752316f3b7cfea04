//! Sizes of groups.

use kd_gqa::{Error, Groups};
use proptest::prelude::*;

proptest! {
    #[test]
    fn heads_follow_each_other(sizes in prop::collection::vec(0usize..5, 1..9)) {
        let n_heads = sizes.iter().sum();
        match Groups::new(sizes.clone(), n_heads) {
            Ok(groups) => {
                let heads: Vec<usize> = groups.heads().flatten().collect();
                prop_assert_eq!(heads, (0..n_heads).collect::<Vec<_>>(), "every head is in one group");
                prop_assert_eq!(groups.sizes(), &sizes[..], "sizes are kept");
            }
            Err(error) => prop_assert!(n_heads == 0, "refused: {}", error),
        }
    }
}

#[test]
fn sums_are_checked() {
    let error = Groups::new(vec![2, 1], 4).expect_err("one head is missing");
    assert_eq!(
        error.to_string(),
        "groups [2, 1]: expected sizes that sum to 4 heads, found 3",
        "the message"
    );
    assert!(matches!(Groups::uniform(6, 4), Err(Error::Indivisible { n_heads: 6, n_kv_heads: 4 })), "6 by 4");
    assert_eq!(Groups::balanced(6, 4).expect("four groups").sizes(), [2, 2, 1, 1], "the larger first");
}
