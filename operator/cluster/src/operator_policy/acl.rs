//! Evaluation of a policy as OpenBao does it: which rule applies to a path. The end-to-end test `operator_rights` makes the
//! same requests to a server.

#[cfg(test)]
use super::covered::DENY;
use super::rule::Rules;

/// Position of the first wildcard, whether the rule has no `*`, fewest `+` as a negative number, length. The greatest applies.
type Priority = (usize, bool, isize, usize);

/// The rule that applies to a path.
pub(super) fn applicable<'a>(rules: &'a Rules, path: &str) -> Option<(&'a str, &'a [&'static str])> {
    if let Some((rule, capabilities)) = rules.get_key_value(path) {
        return Some((rule, capabilities));
    }
    let matching = rules.iter().filter_map(|(rule, capabilities)| {
        priority(rule, path).map(|priority| (priority, rule.as_str(), capabilities.as_slice()))
    });
    matching.max().map(|(_, rule, capabilities)| (rule, capabilities))
}

/// Returns whether the policy permits anything at a path.
#[cfg(test)]
pub(super) fn permits(rules: &Rules, path: &str) -> bool {
    applicable(rules, path).is_some_and(|(_, capabilities)| capabilities != DENY)
}

/// Returns whether the policy has a capability at a path.
#[cfg(test)]
pub(super) fn has(rules: &Rules, capability: &str, path: &str) -> bool {
    applicable(rules, path).is_some_and(|(_, capabilities)| capabilities.contains(&capability))
}

fn priority(rule: &str, path: &str) -> Option<Priority> {
    let prefix = rule.strip_suffix('*');
    let pattern = prefix.unwrap_or(rule);
    if !is_match(pattern, prefix.is_some(), path) {
        return None;
    }
    let wildcards = pattern.split('/').filter(|segment| *segment == "+").count();
    if wildcards == 0 {
        return Some((pattern.len(), false, 0, pattern.len()));
    }
    let first = rule.find('+').unwrap_or_default();
    Some((first, prefix.is_none(), -wildcards.cast_signed(), pattern.len()))
}

fn is_match(pattern: &str, is_prefix: bool, path: &str) -> bool {
    match (pattern.split_once('/'), path.split_once('/')) {
        (Some((segment, pattern)), Some((found, path))) => {
            (segment == "+" || segment == found) && is_match(pattern, is_prefix, path)
        }
        (Some(_), None) => false,
        (None, Some((found, _))) => is_prefix && (pattern == "+" || found.starts_with(pattern)),
        (None, None) => pattern == "+" || pattern == path || (is_prefix && path.starts_with(pattern)),
    }
}

#[test]
fn the_rule_with_the_latest_wildcard_applies() {
    let rule = |path: &str| (path.to_owned(), vec!["read"]);
    let rules: Rules = ["a/b", "a/*", "a/+/c", "+/b/c", "+/+/c*", "+/d/*", "+/+/e", "a/bc*"].map(rule).into();
    let applies = |path: &str| applicable(&rules, path).map(|(rule, _)| rule);
    assert_eq!(applies("a/b"), Some("a/b"));
    assert_eq!(applies("a/b/c"), Some("a/+/c"));
    assert_eq!(applies("a/x"), Some("a/*"));
    assert_eq!(applies("a/bcd"), Some("a/bc*"));
    assert_eq!(applies("x/b/c"), Some("+/b/c"));
    assert_eq!(applies("x/d/cc"), Some("+/d/*"));
    assert_eq!(applies("x/d/e"), Some("+/+/e"));
    assert_eq!(applies("x/y/cc/d"), Some("+/+/c*"));
    assert_eq!(applies("x/y/z"), None);
}
