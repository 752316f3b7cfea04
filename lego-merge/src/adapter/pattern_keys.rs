//! `rank_pattern` and `alpha_pattern` that say of each module, by its full name, what it is.
//!
//! PEFT takes the first key, in the file's order, that matches the whole name of a module or its end after a dot, as a
//! regular expression. So a key also stands for longer names (`q` for `layers.q`, and `a.q` for `axq`): those are listed
//! too, before it. A name is written as it is, dots and all, unless another character in it has a meaning in patterns.

use std::cmp::Reverse;

use indexmap::IndexMap;

use super::LoraModule;

/// The keys for all modules whose value is not `default`.
pub(super) fn by_full_name<T: PartialEq + Copy>(
    modules: &[LoraModule],
    default: T,
    value: impl Fn(&LoraModule) -> T,
) -> IndexMap<String, T> {
    let others: Vec<&str> = modules.iter().filter(|m| value(m) != default).map(|m| m.name.as_str()).collect();
    let is_taken = |name: &str| others.iter().any(|key| *key != name && stands_for(key, name));
    let (mut listed, mut ambiguous) = (vec![], false);
    for module in modules {
        let is_taken = is_taken(&module.name);
        ambiguous |= is_taken;
        if is_taken || value(module) != default {
            listed.push(module);
        }
    }
    if ambiguous {
        listed.sort_by_key(|m| (Reverse(m.name.len()), m.name.matches('.').count()));
    }
    listed.into_iter().map(|m| (pattern(&m.name), value(m))).collect()
}

/// Whether a name, as a pattern in which a dot is any character, matches another from a dot on, or as a whole.
fn stands_for(key: &str, name: &str) -> bool {
    let (key, name) = (key.as_bytes(), name.as_bytes());
    let Some(start) = name.len().checked_sub(key.len()) else { return false };
    (start == 0 || name[start - 1] == b'.')
        && key.iter().zip(&name[start..]).all(|(k, n)| k == n || *k == b'.')
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
        assert_eq!(keys(&[("l.q", 1), ("lxq", 2), ("q", 2)]), ["lxq", "l.q"], "a dot is any character");
        assert_eq!(keys(&[("lq", 2), ("q", 1)]), ["q"], "an end after a dot only");
    }

    #[test]
    fn names_with_meaning_in_patterns_are_escaped() {
        assert_eq!(keys(&[("l.q(x", 1), ("l+.0", 2), ("l.p", 3)]), [r"l\.q\(x", r"l\+\.0"], "escaped");
    }
}
