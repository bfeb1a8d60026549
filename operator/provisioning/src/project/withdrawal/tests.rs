use std::sync::Arc;

use rstest::rstest;
use serde_json::json;
use steamer_api::{Adopt, Mode, Operation, PipelinePolicy};
use steamer_openbao::NamespacePath;

use super::*;
use crate::engine::Rights;
use crate::project::fetch::Found;
use crate::project::plan;
use crate::project::samples::{found, mark, policy, project, settled, user_policy, validated};

const OWN: &str = "pipelines/branch/6d61696e";
const GUEST: &str = "pipelines/branch/646576";

fn own() -> Arc<PipelinePolicy> {
    policy("own", json!({"branches": ["main"]}))
}

fn guest(changes: serde_json::Value) -> Arc<PipelinePolicy> {
    let mut spec = json!({"branches": ["dev"], "secrets": [{"name": "A"}, {"name": "B"}]});
    for (key, value) in changes.as_object().into_iter().flatten() {
        spec[key] = value.clone();
    }
    policy("guest", spec)
}

fn granted() -> Found {
    Found { policies: vec![own(), guest(json!({}))], ..found() }
}

fn with(policies: Vec<Arc<PipelinePolicy>>) -> Found {
    Found { policies, ..found() }
}

fn disabled_tenant() -> Found {
    let mut found = granted();
    let mut tenant = (*found.references.tenant).clone();
    tenant.spec.enabled = false;
    found.references.tenant = tenant.into();
    found
}

/// The writes that a reconcile of each mode makes in OpenBao after a change of the granting objects.
fn removals(found: &Found, mode: Option<Mode>) -> Vec<String> {
    let before = validated(&project(json!({})), &granted()).unwrap();
    let observed = settled(&before);
    let writes = if mode == Some(Mode::Enforce) {
        let desired = validated(&project(json!({})), found).unwrap();
        let rights =
            Rights { mark: &mark(), root: &NamespacePath::root(), adopt: Adopt::Never, exists: &|_| true };
        plan::writes(&desired, &observed, &rights).unwrap()
    } else if is_disabled(&found.references) {
        return vec!["all".to_owned()];
    } else {
        let terms = Terms::of(&project(json!({})), &found.references, Timestamp::UNIX_EPOCH);
        let merged = merged(found.sources(), &terms);
        let texts = texts(&merged, &mark(), "secrets/kv");
        let granted = Granted { texts: &texts, mark: &mark(), policies_written: &[], keeps_defaults: true };
        granted.writes(&before.namespace, &observed.policies)
    };
    let described = writes.iter().map(|write| write.described(&NamespacePath::root()));
    let access = described.filter(|change| {
        let reduced = change.operation == Operation::Update && change.path.contains("/acl/");
        reduced || change.operation == Operation::Delete
    });
    access
        .map(|it| format!("{:?} {}", it.operation, it.path.rsplit("acl/").next().unwrap_or_default()))
        .collect()
}

#[rstest]
#[case::nothing(granted(), vec![])]
#[case::revoked_or_deleted(with(vec![own()]), vec![format!("Delete {GUEST}")])]
#[case::cancelled(with(vec![own(), guest(json!({"cancelled": true}))]), vec![format!("Delete {GUEST}")])]
#[case::expired(with(vec![own(), guest(json!({"expiresAt": "1970-01-01T00:00:00Z"}))]), vec![format!("Delete {GUEST}")])]
#[case::fewer_secrets(with(vec![own(), guest(json!({"secrets": [{"name": "A"}]}))]), vec![format!("Update {GUEST}")])]
#[case::expires_soon(with(vec![own(), guest(json!({"expiresAt": "2070-01-01T00:00:00Z"}))]), vec![format!("Update {GUEST}")])]
#[case::other_jobs(with(vec![own(), guest(json!({"branches": ["other"]}))]), vec![format!("Delete {GUEST}")])]
#[case::all(with(vec![]), vec![format!("Delete {GUEST}"), format!("Delete {OWN}")])]
fn a_withdrawn_policy_loses_its_access_in_every_mode(
    #[case] found: Found,
    #[case] expected: Vec<String>,
    #[values(Some(Mode::Enforce), Some(Mode::Observe), None)] mode: Option<Mode>,
) {
    assert_eq!(removals(&found, mode), expected);
}

#[test]
fn a_withdrawn_user_policy_loses_its_access() {
    let user = |verbs: serde_json::Value| user_policy("dev", json!({"grants": {"all": verbs}}));
    let before =
        Found { users: vec![user(json!(["ReadMetadata", "Write", "ReadValue"]))], ..with(vec![own()]) };
    let observed = settled(&validated(&project(json!({})), &before).unwrap());
    let after = |users| {
        let found = Found { users, ..with(vec![own()]) };
        let terms = Terms::of(&project(json!({})), &found.references, Timestamp::UNIX_EPOCH);
        let texts = texts(&merged(found.sources(), &terms), &mark(), "secrets/kv");
        let granted = Granted { texts: &texts, mark: &mark(), policies_written: &[], keeps_defaults: true };
        let writes = granted.writes(&NamespacePath::root(), &observed.policies);
        let lines = writes.iter().map(|it| format!("{:?} {}", it.operation, it.path()));
        lines.collect::<Vec<_>>().join(", ")
    };
    let (metadata, values) =
        ("sys/policies/acl/users/direct/user_5", "sys/policies/acl/api/users/direct/user_5");
    assert_eq!(after(vec![]), format!("Delete {values}, Delete {metadata}"));
    assert_eq!(after(vec![user(json!(["ReadMetadata"]))]), format!("Delete {values}, Update {metadata}"));
    assert_eq!(after(before.users.clone()), "");
}

#[rstest]
fn a_disabled_tenant_has_no_access_in_any_mode(
    #[values(Some(Mode::Enforce), Some(Mode::Observe), None)] mode: Option<Mode>,
) {
    assert!(!removals(&disabled_tenant(), mode).is_empty());
}

#[rstest]
#[case::same(Some("gitlab"), true)]
#[case::unknown(None, true)]
#[case::other(Some("other"), false)]
fn only_the_issuer_that_the_mount_trusts_withdraws_keys(
    #[case] trusted: Option<&str>,
    #[case] expected: bool,
) {
    let references = found().references;
    let issuer_ref = trusted.map(|name| json!({"name": name, "namespace": "ns"}));
    let written = json!({"clusterRef": {"name": "main"}, "tenantNamespace": "t", "openbaoNamespace": "t/p",
                         "engine": "secrets/kv", "issuerRef": issuer_ref});
    let written: Provisioned = serde_json::from_value(written).unwrap();
    assert_eq!(trusted_removals(&references, Some(&written)).is_some(), expected);
}
