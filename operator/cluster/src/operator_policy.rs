//! Policy of the operator in OpenBao, with the least privileges that the operator needs. With `operatorScope: Namespaces`
//! and `Root`, it also contains the rules of `general`.
//!
//! The policy is in the root namespace and refers to tenants by path. `+` matches one whole segment, so a rule cannot
//! distinguish an organization from another namespace in the root by its name. Paths below it are exact. No rule grants
//! access to a policy or role of the root namespace, or this policy, or reads a secret value, except for values whose
//! paths have the form of a path of a project (`docs/security.md` lists them). No rule creates, reads or lists a token. A token
//! is renewed or revoked by its accessor, in the root namespace and in those of projects: only the login and the token itself
//! return the accessor, so that these are tokens that the operator logged in for. Values of projects can be written, for
//! ManagedSecrets. In a managed cluster, the policy with the mark for standbys is an exception: it has no holders.

mod acl;
mod checks;
mod covered;
mod general;
mod missing;
mod rule;
mod scope;

use serde_json::json;
use steamer_api::{OpenBaoCluster, OpenBaoClusterSpec};
use steamer_core::layout::{
    ADDITIONAL_MOUNTS, ADDITIONAL_POLICIES, AUTH_MOUNTS, GROUP, ORGANIZATION, POLICY_PREFIXES, PROJECT, USER,
    engine,
};
use steamer_core::policy_lines::Held;

pub(crate) use checks::{PolicyChecks, Subject};
use covered::TOKENS;
use rule::Rule;
pub use rule::Rules;
pub use scope::PolicyScope;

use crate::paths::{RECOVERY_BACKUP, RECOVERY_INIT, RECOVERY_VERIFY, STANDBY_MARK, STEP_DOWN};

const ALL: &[&str] = &["create", "read", "update", "delete"];
const ROOTED: &[&str] = &["create", "read", "update", "delete", "sudo"];
const NAMESPACES: &[&str] = &["create", "read", "update", "patch", "delete"];

/// Patterns of a project's namespace: below an organization, or below a group or user of it.
const PROJECTS: [&str; 2] = ["+/+", "+/+/+"];

/// The rules.
#[must_use]
pub fn rules() -> Rules {
    let projects = PROJECTS.iter().flat_map(|project| project_rules(project));
    let tokens = TOKENS.map(|(path, capabilities)| (path.to_owned(), capabilities));
    let rules = namespace_rules().into_iter().chain(tokens).chain(projects);
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
    let of_projects = covered::SECRETS.into_iter().chain(TOKENS);
    rules.extend(of_projects.map(|(path, capabilities)| (format!("{project}/{path}"), capabilities)));
    rules.extend(AUTH_MOUNTS.iter().flat_map(|mount| auth_rules(project, mount)));
    rules.extend(additional_rules(project));
    rules.extend(covered::LONG_POLICIES.map(|name| (format!("{project}/sys/policies/acl/{name}"), ALL)));
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

/// The auth mounts of additional issuers, whose names the spec of a project states. A wildcard can only be the end of a
/// rule, so these rules cover all paths of such a mount.
fn additional_rules(project: &str) -> Vec<Rule> {
    let mut rules: Vec<Rule> = vec![
        (format!("{project}/sys/auth/{ADDITIONAL_MOUNTS}*"), ROOTED),
        (format!("{project}/auth/{ADDITIONAL_MOUNTS}*"), &["create", "read", "update", "delete", "list"]),
        (format!("{project}/sys/policies/acl/{ADDITIONAL_POLICIES}*"), ALL),
    ];
    rules.push((format!("{project}/sys/policies/detailed/acl/{ADDITIONAL_POLICIES}*"), &["list"]));
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

/// Rules that show whether the operator's policy is complete in the cluster of an object.
pub(crate) fn needed_rules(object: &OpenBaoCluster) -> Rules {
    let needed = match &object.spec.managed {
        Some(managed) if managed.standby_reads => managed_rules(),
        Some(_) => required_rules(),
        None => rules(),
    };
    with(needed, general::samples(&PolicyScope::from(&object.spec)))
}

/// Capabilities of the generated policy of a cluster at paths of its root namespace.
pub(crate) fn held(spec: &OpenBaoClusterSpec, paths: &[String]) -> Held {
    let own = if spec.managed.is_some() { managed_rules() } else { rules() };
    let rules = with(own, general::rules(&PolicyScope::from(spec)));
    let of = |path: &String| {
        let (_, capabilities) = acl::applicable(&rules, path).unwrap_or_default();
        (path.clone(), capabilities.iter().map(|&capability| capability.to_owned()).collect())
    };
    paths.iter().map(of).collect()
}

/// Adds rules. A path that both contain has the capabilities of both.
fn with(mut rules: Rules, added: Vec<Rule>) -> Rules {
    for (path, capabilities) in added {
        let held = rules.entry(path).or_default();
        held.extend(capabilities.iter().filter(|capability| !held.contains(capability)).collect::<Vec<_>>());
    }
    rules
}

/// The policy as JSON, which OpenBao accepts as HCL.
#[must_use]
pub fn text(scope: &PolicyScope) -> String {
    policy(&with(rules(), general::rules(scope)))
}

/// The policy in a cluster that Steamer runs.
#[must_use]
pub fn managed_text(scope: &PolicyScope) -> String {
    policy(&with(managed_rules(), general::rules(scope)))
}

/// One line for each rule, because a wide scope has hundreds.
fn policy(rules: &Rules) -> String {
    let line = |(path, capabilities): (&String, &Vec<&str>)| {
        format!("    {}: {}", json!(path), json!({"capabilities": capabilities}))
    };
    let lines: Vec<String> = rules.iter().map(line).collect();
    format!("{{\n  \"path\": {{\n{}\n  }}\n}}\n", lines.join(",\n"))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use steamer_api::OperatorScope;

    use super::*;

    #[test]
    fn no_rule_reads_values_or_tokens_or_reaches_the_root() {
        let organizations = format!("sys/namespaces/{ORGANIZATION}");
        let is_token = |path: &str| TOKENS.iter().any(|(token, _)| path.ends_with(*token));
        for (path, capabilities) in rules() {
            let is_written =
                path.ends_with("/secrets/+/data/explicit/+") && capabilities == ["create", "update"];
            assert!(!path.contains("/data") || is_written, "{path}: {capabilities:?}");
            assert!(!path.contains("token") || (is_token(&path) && capabilities == ["update"]), "{path}");
            let is_below = path.starts_with('+') || path.starts_with(&organizations);
            assert!(is_below || TOKENS.iter().any(|(token, _)| path == *token), "{path}");
        }
    }

    #[rstest]
    #[case(OperatorScope::Root, &["create", "read", "update", "patch", "delete", "list"])]
    #[case(OperatorScope::Tenants, &[])]
    fn the_generated_policy_has_the_rights_of_its_scope(
        #[case] scope: OperatorScope,
        #[case] expected: &[&str],
    ) {
        let spec = json!({"external": {
            "address": "https://bao:8200", "managementAuth": {"jwt": {"audience": "https://bao:8200"}},
        }});
        let mut spec: OpenBaoClusterSpec = serde_json::from_value(spec).unwrap();
        spec.operator_scope = scope;
        let path = "sys/policies/acl/web".to_owned();
        assert_eq!(held(&spec, std::slice::from_ref(&path))[&path], expected);
    }

    #[rstest]
    #[case("data/explicit/A", "create update")]
    #[case("data/explicit/A/B", "")]
    #[case("data/other/A", "")]
    #[case("metadata/explicit/A", "create read update delete")]
    #[case("metadata/explicit", "")]
    #[case("metadata/other/A", "")]
    #[case("detailed-metadata/explicit/", "list")]
    #[case("detailed-metadata/explicit", "list")]
    #[case("detailed-metadata/explicit/A", "")]
    #[case("subkeys/explicit/A", "")]
    #[case("delete/explicit/A", "update")]
    #[case("undelete/explicit/A", "update")]
    #[case("destroy/explicit/A", "update")]
    fn secrets_of_projects_are_written_and_never_read(#[case] path: &str, #[case] expected: &str) {
        let scopes = [PolicyScope::Tenants, PolicyScope::Root].into_iter();
        let listed = ["org_1", "org_1/group_7", "org_1/group_7/project_42"];
        let listed = listed.map(|root| PolicyScope::Namespaces(vec![root.to_owned()]));
        for scope in scopes.chain(listed) {
            let rules = with(rules(), general::rules(&scope));
            for namespace in ["org_1/group_7/project_42", "org_1/group_7"] {
                let path = format!("{namespace}/secrets/kv/{path}");
                let all = ["create", "read", "update", "patch", "delete", "list", "scan", "sudo"];
                let held = all.into_iter().filter(|capability| acl::has(&rules, capability, &path));
                let held = held.collect::<Vec<_>>().join(" ");
                assert_eq!(held, expected, "{scope:?} {path}: {:?}", acl::applicable(&rules, &path));
            }
        }
    }

    #[test]
    fn the_mark_is_a_reserved_policy() {
        let name = STANDBY_MARK.trim_start_matches("sys/policies/acl/");
        assert!(steamer_core::layout::reserved_policies().contains(&name));
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
        insta::assert_snapshot!("tenants", text(&PolicyScope::Tenants));
        insta::assert_snapshot!("managed", managed_text(&PolicyScope::Tenants));
        insta::assert_snapshot!("namespaces", text(&PolicyScope::Namespaces(vec!["team-a/apps".to_owned()])));
        insta::assert_snapshot!("root", text(&PolicyScope::Root));
    }

    #[test]
    fn a_wider_scope_needs_more_rules() {
        let mut object = crate::tests::object();
        let tenants = needed_rules(&object);
        object.spec.operator_scope = OperatorScope::Root;
        let root = needed_rules(&object);
        assert!(tenants.keys().all(|path| root.contains_key(path)));
        assert!(root.contains_key("sys/policies/acl*"));
        object.spec.operator_scope = OperatorScope::Namespaces;
        object.spec.operator_namespaces = vec!["team-a".to_owned(), "team-b".to_owned()];
        let listed = needed_rules(&object);
        for path in ["team-a/sys/policies/acl*", "team-a/sys/mounts*", "team-b/sys/mounts*"] {
            assert!(listed.contains_key(path), "{path}");
        }
        assert!(!listed.contains_key("sys/policies/acl*"));
    }

    #[test]
    fn a_path_of_two_rules_has_the_capabilities_of_both() {
        let rules = Rules::from([("a".to_owned(), vec!["read", "list"])]);
        let both = with(rules, vec![("a".to_owned(), &["list", "update"]), ("b".to_owned(), &["read"])]);
        assert_eq!(both["a"], ["read", "list", "update"]);
        assert_eq!(both["b"], ["read"]);
    }
}
