//! Policy of the operator in OpenBao (`operatorScope: Tenants`), with the least privileges that the operator needs.
//!
//! The policy is in the root namespace and refers to tenants by path. `+` matches one whole segment, so a rule cannot
//! distinguish an organization from another namespace in the root by its name. Paths below it are exact. No rule grants
//! access to a secret value, a token, a policy or role of the root namespace, or this policy. In a managed cluster, the
//! policy with the mark for standbys is an exception: it has no holders.

use std::collections::BTreeMap;

use serde_json::{Map, json};
use steamer_api::OpenBaoCluster;
use steamer_core::layout::{AUTH_MOUNTS, GROUP, ORGANIZATION, POLICY_PREFIXES, PROJECT, USER, engine};
use steamer_openbao::{Error, Session};

use crate::paths::{RECOVERY_BACKUP, RECOVERY_INIT, RECOVERY_VERIFY, STANDBY_MARK, STEP_DOWN};

/// Capabilities by path.
pub type Rules = BTreeMap<String, Vec<&'static str>>;

type Rule = (String, &'static [&'static str]);

const ALL: &[&str] = &["create", "read", "update", "delete"];
const ROOTED: &[&str] = &["create", "read", "update", "delete", "sudo"];
const NAMESPACES: &[&str] = &["create", "read", "update", "patch", "delete"];

/// Patterns of a project's namespace: below an organization, or below a group or user of it.
const PROJECTS: [&str; 2] = ["+/+", "+/+/+"];

/// The rules.
#[must_use]
pub fn rules() -> Rules {
    let projects = PROJECTS.iter().flat_map(|project| project_rules(project));
    let rules = namespace_rules().into_iter().chain(projects);
    rules.map(|(path, capabilities)| (path, capabilities.to_vec())).collect()
}

/// Namespaces of organizations, groups, users and projects.
fn namespace_rules() -> Vec<Rule> {
    let mut rules = vec![(format!("sys/namespaces/{ORGANIZATION}*"), NAMESPACES)];
    for parent in ["+", "+/+"] {
        for child in [GROUP, USER, PROJECT] {
            rules.push((format!("{parent}/sys/namespaces/{child}*"), NAMESPACES));
        }
        // Finds marked namespaces of projects that no longer exist.
        rules.push((format!("{parent}/sys/namespaces"), &["list"]));
        rules.push((format!("{parent}/sys/namespaces/"), &["list"]));
    }
    rules
}

/// Engines, auth mounts and policies of a project.
fn project_rules(project: &str) -> Vec<Rule> {
    let engine = engine("+");
    let mut rules: Vec<Rule> = vec![
        (format!("{project}/sys/mounts"), &["read"]),
        (format!("{project}/sys/auth"), &["read"]),
        (format!("{project}/sys/mounts/{engine}"), ALL),
        (format!("{project}/sys/mounts/{engine}/tune"), &["read", "update"]),
        (format!("{project}/{engine}/config"), &["create", "read", "update"]),
    ];
    rules.extend(AUTH_MOUNTS.iter().flat_map(|mount| auth_rules(project, mount)));
    for prefix in POLICY_PREFIXES {
        rules.push((format!("{project}/sys/policies/acl/{prefix}/*"), ALL));
        rules.push((format!("{project}/sys/policies/detailed/acl/{prefix}"), &["list"]));
        rules.push((format!("{project}/sys/policies/detailed/acl/{prefix}/"), &["list"]));
    }
    rules
}

/// An auth mount of a project and its roles.
fn auth_rules(project: &str, mount: &str) -> Vec<Rule> {
    let mut rules: Vec<Rule> = vec![
        (format!("{project}/sys/auth/{mount}"), ROOTED),
        (format!("{project}/sys/auth/{mount}/tune"), &["read", "update", "sudo"]),
        (format!("{project}/auth/{mount}/config"), &["create", "read", "update"]),
    ];
    for kind in ["role", "cel/role"] {
        rules.push((format!("{project}/auth/{mount}/{kind}"), &["list"]));
        rules.push((format!("{project}/auth/{mount}/{kind}/"), &["list"]));
        rules.push((format!("{project}/auth/{mount}/{kind}/+"), ALL));
    }
    rules
}

/// Rules in a cluster that Steamer runs. They also allow moving the leader, generating the recovery keys once, and
/// marking what standbys have received.
#[must_use]
pub fn managed_rules() -> Rules {
    let mut rules = required_rules();
    rules.insert(STANDBY_MARK.to_owned(), vec!["create", "read", "update"]);
    rules
}

/// Rules that the operator needs in a cluster without `standbyReads`.
fn required_rules() -> Rules {
    let mut rules = rules();
    rules.insert(STEP_DOWN.to_owned(), vec!["update", "sudo"]);
    rules.insert(RECOVERY_INIT.to_owned(), vec!["create", "update", "delete", "sudo"]);
    rules.insert(RECOVERY_BACKUP.to_owned(), vec!["read", "delete", "sudo"]);
    rules.insert(RECOVERY_VERIFY.to_owned(), vec!["create", "update", "sudo"]);
    rules
}

/// Rules that the operator needs in the cluster of an object.
pub(crate) fn needed_rules(object: &OpenBaoCluster) -> Rules {
    match &object.spec.managed {
        Some(managed) if managed.standby_reads => managed_rules(),
        Some(_) => required_rules(),
        None => rules(),
    }
}

/// The policy as JSON, which OpenBao accepts as HCL.
#[must_use]
pub fn text() -> String {
    policy(rules())
}

/// The policy in a cluster that Steamer runs.
#[must_use]
pub fn managed_text() -> String {
    policy(managed_rules())
}

fn policy(rules: Rules) -> String {
    let paths: Map<_, _> =
        rules.into_iter().map(|(path, capabilities)| (path, json!({"capabilities": capabilities}))).collect();
    let mut text = format!("{:#}", json!({"path": paths}));
    text.push('\n');
    text
}

/// Capabilities that the operator needs and that the policy in OpenBao does not grant, at most three. The paths are
/// those of a tenant that need not exist. The policy `default` allows the request (`sys/capabilities-self`).
pub(crate) async fn missing(session: &Session, needed: &Rules) -> Result<Vec<String>, Error> {
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

/// Path that a rule matches.
fn example(rule: &str) -> String {
    rule.replace('+', "steamer-probe").replace('*', "0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_rule_reaches_values_tokens_or_the_root() {
        let organizations = format!("sys/namespaces/{ORGANIZATION}");
        for path in rules().keys() {
            assert!(!path.contains("/data") && !path.contains("/metadata"), "{path}");
            assert!(!path.contains("token"), "{path}");
            assert!(path.starts_with('+') || path.starts_with(&organizations), "{path}");
        }
    }

    #[test]
    fn only_standby_reads_need_the_mark() {
        let mut object = crate::tests::object();
        assert!(!needed_rules(&object).contains_key(STANDBY_MARK));
        object.spec.managed.as_mut().unwrap().standby_reads = true;
        assert!(needed_rules(&object).contains_key(STANDBY_MARK));
        object.spec.managed = None;
        assert_eq!(needed_rules(&object), rules());
    }

    #[test]
    fn the_policy_reads_like_this() {
        insta::assert_snapshot!("tenants", text());
        insta::assert_snapshot!("managed", managed_text());
    }

    #[test]
    fn an_example_matches_its_rule() {
        assert_eq!(example("+/sys/namespaces/group_*"), "steamer-probe/sys/namespaces/group_0");
    }
}
