//! Comparison of the operator's policy in OpenBao with the rules that the operator needs.

use std::collections::BTreeMap;

use serde_json::json;
use steamer_openbao::{Error, Session};

use super::{Rules, covered::DENY};

/// Most lines that a condition names.
const NAMED: usize = 3;
/// Paths of one request. OpenBao refuses a body of more than 1000 strings.
const BATCH: usize = 250;

/// Capabilities by path, as OpenBao returns them.
type Held = BTreeMap<String, Vec<String>>;

/// Lines that the operator needs and that the policy in OpenBao does not contain: the first ones, and the number of the
/// others. The paths that OpenBao is asked about need not exist. The policy `default` allows the request
/// (`sys/capabilities-self`).
pub(crate) async fn missing(session: &Session, needed: &Rules) -> Result<Vec<String>, Error> {
    let paths: Vec<String> = needed.iter().map(|(path, capabilities)| example(path, capabilities)).collect();
    let mut held = Held::new();
    for batch in paths.chunks(BATCH) {
        held.extend(session.capabilities(batch).await?);
    }
    Ok(lines(needed, &held))
}

fn lines(needed: &Rules, held: &Held) -> Vec<String> {
    let lacks = |(path, capabilities): &(&String, &Vec<&str>)| {
        let held = held.get(&example(path, capabilities)).map(Vec::as_slice).unwrap_or_default();
        is_missing(capabilities, held)
    };
    let missing: Vec<_> = needed.iter().filter(lacks).collect();
    let line = |(path, capabilities): &(&String, &Vec<&str>)| {
        format!("`path {} {{ capabilities = {} }}`", json!(path), json!(capabilities))
    };
    let named = missing.iter().take(NAMED).map(line);
    let more = missing.len().saturating_sub(NAMED);
    named.chain((more > 0).then(|| format!("and {more} more lines"))).collect()
}

fn is_missing(needed: &[&str], held: &[String]) -> bool {
    let holds = |capability: &str| held.iter().any(|held| held == capability);
    if holds("root") {
        false
    } else if needed == DENY {
        !holds("deny")
    } else {
        !needed.iter().all(|capability| holds(capability))
    }
}

/// Path that a rule matches. That of a denied path is allowed by another rule.
pub(super) fn example(rule: &str, capabilities: &[&str]) -> String {
    let rest = if capabilities == DENY { "config" } else { "0" };
    rule.replace('+', "steamer-probe").replace('*', rest)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("+/sys/namespaces/group_*", &["read"], "steamer-probe/sys/namespaces/group_0")]
    #[case("+/data/*", &["deny"], "steamer-probe/data/config")]
    fn an_example_matches_its_rule(
        #[case] rule: &str,
        #[case] capabilities: &[&str],
        #[case] expected: &str,
    ) {
        assert_eq!(example(rule, capabilities), expected);
    }

    #[rstest]
    #[case(&["read", "update"], &["update", "read", "list"], false)]
    #[case(&["read", "update"], &["read"], true)]
    #[case(&["read"], &["deny"], true)]
    #[case(&["read"], &[], true)]
    #[case(&["read"], &["root"], false)]
    #[case(&["deny"], &["deny"], false)]
    #[case(&["deny"], &["read"], true)]
    #[case(&["deny"], &["root"], false)]
    fn capabilities_are_compared(#[case] needed: &[&str], #[case] held: &[&str], #[case] missing: bool) {
        let held: Vec<String> = held.iter().map(|&held| held.to_owned()).collect();
        assert_eq!(is_missing(needed, &held), missing);
    }

    #[test]
    fn the_first_missing_lines_are_named() {
        let rule = |path: &str| (path.to_owned(), vec!["read", "sudo"]);
        let needed: Rules = ["a*", "b", "c", "d", "e", "f"].map(rule).into();
        let held = Held::from([("b".to_owned(), vec!["sudo".to_owned(), "read".to_owned()])]);
        let lines = lines(&needed, &held);
        assert_eq!(lines.len(), 4);
        assert_eq!(lines[0], r#"`path "a*" { capabilities = ["read","sudo"] }`"#);
        assert_eq!(lines[3], "and 2 more lines");
    }
}
