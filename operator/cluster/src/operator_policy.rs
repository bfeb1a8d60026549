//! The operator's own policy in OpenBao (`operatorScope: Tenants`): the least that works.
//!
//! It stands in the root namespace and reaches tenants by path. `+` is one whole segment, so an organization cannot be
//! told from another namespace of the root by its name; what is below is named exactly. No rule gives a value, a token,
//! a policy or a role of the root namespace, or the policy itself.

use std::collections::BTreeMap;

use serde_json::{Map, json};
use steamer_openbao::{Error, Session};

const ALL: &[&str] = &["create", "read", "update", "delete"];
const ROOTED: &[&str] = &["create", "read", "update", "delete", "sudo"];
const NAMESPACES: &[&str] = &["create", "read", "update", "patch", "delete"];

/// How deep a project's namespace lies: below an organization, or below a group or user of it.
const DEPTHS: [&str; 2] = ["+/+", "+/+/+"];

/// The rules, by path.
#[must_use]
pub fn rules() -> BTreeMap<String, Vec<&'static str>> {
    let mut rules = BTreeMap::new();
    let mut rule =
        |path: String, capabilities: &[&'static str]| drop(rules.insert(path, capabilities.to_vec()));
    rule("sys/namespaces/org_*".to_owned(), NAMESPACES);
    for parent in ["+", "+/+"] {
        for child in ["group", "user", "project"] {
            rule(format!("{parent}/sys/namespaces/{child}_*"), NAMESPACES);
        }
    }
    for project in DEPTHS {
        rule(format!("{project}/sys/mounts"), &["read"]);
        rule(format!("{project}/sys/auth"), &["read"]);
        rule(format!("{project}/sys/mounts/secrets/+"), ALL);
        rule(format!("{project}/sys/mounts/secrets/+/tune"), &["read", "update"]);
        rule(format!("{project}/secrets/+/config"), &["create", "read", "update"]);
        for mount in ["pipeline_jwt", "workload_jwt"] {
            rule(format!("{project}/sys/auth/{mount}"), ROOTED);
            rule(format!("{project}/sys/auth/{mount}/tune"), &["read", "update", "sudo"]);
            rule(format!("{project}/auth/{mount}/config"), &["create", "read", "update"]);
            for kind in ["role", "cel/role"] {
                rule(format!("{project}/auth/{mount}/{kind}"), &["list"]);
                rule(format!("{project}/auth/{mount}/{kind}/"), &["list"]);
                rule(format!("{project}/auth/{mount}/{kind}/+"), ALL);
            }
        }
        for prefix in ["pipelines", "workloads"] {
            rule(format!("{project}/sys/policies/acl/{prefix}/*"), ALL);
            rule(format!("{project}/sys/policies/detailed/acl/{prefix}"), &["list"]);
            rule(format!("{project}/sys/policies/detailed/acl/{prefix}/"), &["list"]);
        }
    }
    rules
}

/// The rules in a cluster that Steamer runs: also to move the leader, and to make recovery keys once.
#[must_use]
pub fn managed_rules() -> BTreeMap<String, Vec<&'static str>> {
    let mut rules = rules();
    rules.insert("sys/step-down".to_owned(), vec!["update", "sudo"]);
    rules.insert("sys/rotate/recovery/init".to_owned(), vec!["create", "update", "delete", "sudo"]);
    rules.insert("sys/rotate/recovery/backup".to_owned(), vec!["read", "delete", "sudo"]);
    rules.insert("sys/rotate/recovery/verify".to_owned(), vec!["create", "update", "sudo"]);
    rules
}

/// The policy as JSON, which OpenBao takes like HCL.
#[must_use]
pub fn text() -> String {
    of(rules())
}

/// The policy in a cluster that Steamer runs.
#[must_use]
pub fn managed_text() -> String {
    of(managed_rules())
}

fn of(rules: BTreeMap<String, Vec<&'static str>>) -> String {
    let paths: Map<_, _> =
        rules.into_iter().map(|(path, capabilities)| (path, json!({"capabilities": capabilities}))).collect();
    let mut text = format!("{:#}", json!({"path": paths}));
    text.push('\n');
    text
}

/// What the policy in force does not allow of what the operator needs, by asking for paths of a tenant that need not
/// exist. Needs no right of its own: `default` allows `sys/capabilities-self`.
pub(crate) async fn missing(
    session: &Session,
    needed: &BTreeMap<String, Vec<&'static str>>,
) -> Result<Vec<String>, Error> {
    let probes: BTreeMap<String, &Vec<&str>> =
        needed.iter().map(|(path, capabilities)| (example(path), capabilities)).collect();
    let paths: Vec<String> = probes.keys().cloned().collect();
    let held = session.capabilities(&paths).await?;
    let lacks = |path: &String, needed: &[&str]| {
        let held = held.get(path).map(Vec::as_slice).unwrap_or_default();
        let root = held.iter().any(|capability| capability == "root");
        !root && needed.iter().any(|capability| !held.iter().any(|held| held == capability))
    };
    let missing = probes.iter().filter(|(path, needed)| lacks(path, needed));
    Ok(missing.map(|(path, needed)| format!("{needed:?} on {path}")).take(3).collect())
}

/// A path that a rule is for.
fn example(rule: &str) -> String {
    rule.replace('+', "steamer-probe").replace('*', "0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_rule_reaches_values_tokens_or_the_root() {
        for path in rules().keys() {
            assert!(!path.contains("/data") && !path.contains("/metadata"), "{path}");
            assert!(!path.contains("token"), "{path}");
            assert!(path.starts_with('+') || path.starts_with("sys/namespaces/org_"), "{path}");
        }
    }
}
