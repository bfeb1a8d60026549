//! Desired state of a project, from its spec and everything that it depends on.

use std::collections::BTreeMap;

use steamer_api::{Engine, Kind, OpenBaoCluster, Provisioned, Reference, SecretsProject};
use steamer_core::error::Error;
use steamer_core::layout;
use steamer_openbao::KvConfig;
use steamer_runtime::ObjectName;

use super::contributions::{Merged, merged};
use super::desired::{KeyRemovals, Project};
use super::fetch::{Found, References};
use super::pipelines::PolicyNames;
use super::{pipelines, workloads};
use crate::engine::Setting;
use crate::pipeline_policy::in_force::Contributions;

/// Value of `issuerKeyRemovals` before the first write of a mount.
pub(crate) const NEVER_WRITTEN: i64 = -1;

pub(crate) fn validate(
    project: &SecretsProject,
    found: &Found,
    setting: &Setting<'_>,
) -> Result<Project, Error> {
    let Merged { grants, contributions, .. } = merged(&found.policies, setting.now);
    let mut valid = Project { contributions, ..without_access(project, found) };
    if !valid.enabled {
        return Ok(valid);
    }
    let owner = setting.mark.description();
    let names = PolicyNames { owner: &owner, engine: &valid.engine.clone() };
    valid.next_expiration = grants.next_expiry();
    valid.grant(pipelines::access(project, found, &grants, &names)?);
    if let Some(api_issuer) = &found.api_issuer {
        let target = workloads::Target { api_issuer, cluster: &found.references.cluster, names: &names };
        valid.grant(workloads::access(&project.spec.workloads, target, setting)?);
    }
    Ok(valid)
}

/// A project without any login.
fn without_access(project: &SecretsProject, found: &Found) -> Project {
    let (spec, references) = (&project.spec, &found.references);
    let engine = spec.engines.first().cloned().unwrap_or_default();
    let tenant_namespace = layout::tenant(&references.tenant);
    let written = project.status.as_ref().and_then(|status| status.provisioned.as_ref());
    Project {
        cluster: reference_to(&*references.cluster),
        issuer: reference_to(&*references.issuer),
        server_url: server_url(&references.cluster),
        root: layout::root(&references.cluster),
        namespace: tenant_namespace.join(&layout::project(spec.scope, spec.id)),
        tenant_namespace,
        engine: layout::engine(&engine.name),
        kv: kv(&engine),
        enabled: spec.enabled && references.tenant.spec.enabled,
        auth: BTreeMap::new(),
        policies: BTreeMap::new(),
        policies_written: written.map(|written| written.policies.clone()).unwrap_or_default(),
        key_removals: key_removals(references, written),
        next_expiration: None,
        contributions: Contributions::default(),
    }
}

pub(super) fn reference_to<K: Kind>(object: &K) -> Reference {
    let ObjectName { namespace, name } = ObjectName::of(object);
    Reference { name, namespace: Some(namespace) }
}

fn server_url(cluster: &OpenBaoCluster) -> String {
    cluster.spec.external_url.clone().unwrap_or_else(|| cluster.address())
}

fn kv(engine: &Engine) -> KvConfig {
    KvConfig {
        max_versions: engine.max_versions,
        cas_required: engine.cas_required,
        delete_version_after: format!("{}s", engine.delete_version_after.get().as_secs()),
    }
}

pub(super) fn key_removals(references: &References, written: Option<&Provisioned>) -> KeyRemovals {
    KeyRemovals {
        now: references.issuer.status.as_ref().map_or(0, |status| status.key_removals),
        written: written.map_or(NEVER_WRITTEN, |written| written.issuer_key_removals),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::super::samples::{found, policy, project, validated};
    use super::*;

    fn workload(audience: &str) -> Value {
        json!({"name": "app", "serviceAccount": "app", "namespace": "web", "audience": audience, "secrets": ["A"]})
    }

    #[test]
    fn a_project_has_these_resources() {
        let spec = json!({"spec": {"workloads": [workload("openbao")]}});
        let mut valid = validated(&project(spec), &found()).unwrap();
        // The program has a snapshot of its own.
        for role in valid.auth.values_mut().flat_map(|auth| auth.cel_roles.values_mut()) {
            role.cel_program = Default::default();
        }
        insta::assert_debug_snapshot!(valid);
    }

    #[rstest]
    #[case::defaults(json!({}), "all_pipelines[https://bao.example.com] id_tokens[https://bao.example.com/id-tokens]")]
    #[case::no_id_tokens(json!({"idTokens": {"enabled": false}}), "all_pipelines[https://bao.example.com]")]
    #[case::own_audience(json!({"idTokens": {"audiences": ["a", "b"]}}), "all_pipelines[https://bao.example.com] id_tokens[a b]")]
    #[case::shared_audience(json!({"idTokens": {"audiences": ["https://bao.example.com"]}}), "audience `https://bao.example.com` belongs to pipeline tokens, and any user can request an ID token with it: set another audience in pipelineAuth.idTokens.audiences")]
    #[case::shared_but_disabled(json!({"idTokens": {"enabled": false, "audiences": ["https://bao.example.com"]}}), "all_pipelines[https://bao.example.com]")]
    fn each_role_has_its_own_audiences(#[case] pipeline_auth: Value, #[case] expected: &str) {
        let spec = json!({"spec": {"pipelineAuth": pipeline_auth}});
        let roles = match validated(&project(spec), &found()) {
            Ok(valid) => {
                let roles = valid.auth[layout::PIPELINE_MOUNT].cel_roles.iter();
                let roles = roles.map(|(name, role)| format!("{name}[{}]", role.bound_audiences.join(" ")));
                roles.collect::<Vec<_>>().join(" ")
            }
            Err(error) => error.to_string(),
        };
        assert_eq!(roles, expected);
    }

    #[rstest]
    #[case(json!({"spec": {"enabled": false}}), true)]
    #[case(json!({}), false)]
    fn a_project_is_disabled_by_its_spec_or_by_its_tenant(
        #[case] changes: Value,
        #[case] tenant_enabled: bool,
    ) {
        let mut found = found();
        let mut tenant = (*found.references.tenant).clone();
        tenant.spec.enabled = tenant_enabled;
        found.references.tenant = tenant.into();
        let valid = validated(&project(changes), &found).unwrap();
        assert!(!valid.enabled && valid.auth.is_empty() && valid.policies.is_empty());
        assert_eq!(valid.contributions.0.len(), 1);
    }

    #[test]
    fn the_token_of_a_workload_is_useless_at_the_api_server() {
        let spec = json!({"spec": {"workloads": [workload("openbao"), workload("kubernetes")]}});
        let error = validated(&project(spec), &found()).unwrap_err();
        assert_eq!(error.to_string(), "an audience of the API server");
    }

    #[test]
    fn a_project_without_workloads_has_no_login_for_them() {
        let valid = validated(&project(json!({})), &Found { api_issuer: None, ..found() }).unwrap();
        assert_eq!(valid.auth.keys().copied().collect::<Vec<_>>(), [layout::PIPELINE_MOUNT]);
    }

    #[test]
    fn the_next_expiration_is_that_of_the_policies_in_force() {
        let at =
            |second: &str| json!({"expiresAt": format!("1970-01-01T00:00:{second}Z"), "branches": [second]});
        let policies = vec![policy("b", at("30")), policy("a", at("20")), policy("expired", at("00"))];
        let valid = validated(&project(json!({})), &Found { policies, ..found() }).unwrap();
        assert_eq!(valid.next_expiration.map(jiff::Timestamp::as_second), Some(20));
    }

    #[test]
    fn the_last_status_states_what_was_written() {
        let provisioned = json!({
            "clusterRef": {"name": "main"}, "tenantNamespace": "org_1/group_7", "openbaoNamespace": "org_1/group_7/project_42",
            "engine": "secrets/kv", "issuerKeyRemovals": 4, "policies": ["0011223344556677"],
        });
        let valid = validated(&project(json!({"status": {"provisioned": provisioned}})), &found()).unwrap();
        assert_eq!((valid.key_removals.now, valid.key_removals.written), (0, 4));
        assert_eq!(valid.policies_written, ["0011223344556677"]);
        let new = validated(&project(json!({})), &found()).unwrap();
        assert_eq!(new.key_removals.written, NEVER_WRITTEN);
    }
}
