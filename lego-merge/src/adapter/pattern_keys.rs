//! `rank_pattern` and `alpha_pattern` that say of each module, by its full name, what it is.
//!
//! PEFT takes the first key, in the file's order, that matches the whole name of a module or its end after a dot, as a
//! regular expression. So a key also stands for longer names (`q` for `layers.q`): those are listed too, before it. A name
//! is written as it is unless a character in it means something else in a pattern; a dot stands for itself well enough.

use std::cmp::Reverse;
use std::collections::HashSet;

use indexmap::IndexMap;

use super::LoraModule;

/// The keys for all modules whose value is not `default`.
pub(super) fn by_full_name<T: PartialEq + Copy>(
    modules: &[LoraModule],
    default: T,
    value: impl Fn(&LoraModule) -> T,
) -> IndexMap<String, T> {
    let others: HashSet<&str> =
        modules.iter().filter(|m| value(m) != default).map(|m| m.name.as_str()).collect();
    let is_longer = |name: &str| name.match_indices('.').any(|(i, _)| others.contains(&name[i + 1..]));
    let (mut listed, mut nested) = (vec![], false);
    for module in modules {
        let is_longer = is_longer(&module.name);
        nested |= is_longer;
        if is_longer || others.contains(module.name.as_str()) {
            listed.push(module);
        }
    }
    if nested {
        listed.sort_by_key(|m| Reverse(m.name.matches('.').count()));
    }
    listed.into_iter().map(|m| (pattern(&m.name), value(m))).collect()
}

/// The pattern of one name.
fn pattern(name: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-');
    if name.chars().all(is_plain) { name.into() } else { regex::escape(name) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapter::{AdapterConfig, ModuleKind};

    fn module(name: &str, rank: usize) -> LoraModule {
        LoraModule::of_scale_one(name.into(), ModuleKind::Linear, rank, [9, 9], false)
    }

    /// The keys, after a check that each module finds its own rank and scale by them.
    fn keys(ranks: &[(&str, usize)]) -> Vec<String> {
        let modules: Vec<_> = ranks.iter().map(|(name, rank)| module(name, *rank)).collect();
        let mut config = AdapterConfig::new(1);
        config.set_modules(&modules);
        let patterns = config.patterns(std::path::Path::new("x")).expect("patterns");
        for (name, rank) in ranks {
            assert_eq!(patterns.rank(name), *rank, "{name} by {:?}", config.rank_pattern);
            assert_eq!(patterns.scale(name), 1.0, "{name} by {:?}", config.alpha_pattern);
        }
        config.rank_pattern.into_keys().collect()
    }

    #[test]
    fn names_that_end_others_do_not_stand_for_them() {
        assert_eq!(keys(&[("a.q", 2), ("b.q", 3)]), ["a.q"], "one of another rank");
        assert_eq!(
            keys(&[("l.q", 2), ("m.l.q", 3), ("q", 1)]),
            ["m.l.q", "l.q", "q"],
            "all, the longest first"
        );
        assert_eq!(
            keys(&[("l.q", 3), ("m.l.q", 3), ("q", 1)]),
            ["m.l.q", "l.q", "q"],
            "also at the usual rank"
        );
        let between = [("k.m.l.q", 4), ("l.q", 4), ("m.l.q", 2), ("q", 1)];
        assert_eq!(keys(&between), ["k.m.l.q", "m.l.q", "l.q", "q"], "one of the usual rank between");
        assert_eq!(keys(&[("l.q", 1), ("lxq", 2), ("q", 2)]), ["l.q"], "an end after a dot only");
    }

    #[test]
    fn names_with_meaning_in_patterns_are_escaped() {
        assert_eq!(keys(&[("l.q(x", 1), ("l+.0", 2), ("l.p", 3)]), [r"l\.q\(x", r"l\+\.0"], "escaped");
    }
}
