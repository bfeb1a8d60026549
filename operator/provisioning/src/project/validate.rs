//! Desired state of a project, from its spec and everything that it depends on.

use std::collections::{BTreeMap, BTreeSet};

use steamer_api::{
    Engine, Entitlement, Kind, OpenBaoCluster, Provisioned, ProvisionedIssuer, Reference, SecretsProject,
};
use steamer_core::error::Error;
use steamer_core::layout;
use steamer_openbao::KvConfig;
use steamer_runtime::ObjectName;

use super::contributions::{Merged, merged};
use super::desired::{KeyRemovals, Project, Unusable};
use super::fetch::{Additional, Found, References};
use super::pipelines::{Jobs, PolicyNames, policy_texts};
use super::terms::Terms;
use super::{pipelines, users, workloads};
use crate::engine::Setting;
use crate::grants::in_force::Contributions;
use crate::pipelines::Grants;
use crate::users::{Login, UserAccess};

/// Value of `issuerKeyRemovals` before the first write of a mount.
pub(crate) const NEVER_WRITTEN: i64 = -1;
/// Record of an additional issuer before the first write of its mount.
pub(crate) const NOT_WRITTEN: ProvisionedIssuer =
    ProvisionedIssuer { issuer_ref: None, key_removals: NEVER_WRITTEN };

pub(crate) fn validate(
    project: &SecretsProject,
    found: &Found,
    setting: &Setting<'_>,
) -> Result<Project, Error> {
    let terms = Terms::of(project, &found.references, setting.now);
    let merged = merged(found.sources(), &terms);
    let mut valid = Project { contributions: merged.contributions.clone(), ..without_access(project, found) };
    if !valid.enabled {
        return Ok(valid);
    }
    let owner = setting.mark.description();
    let names = PolicyNames { owner: &owner, engine: &valid.engine.clone() };
    valid.next_expiration = merged.next_expiry();
    grant_jobs(&mut valid, (project, found), (&merged, &names))?;
    let users = merged.users.texts(names.owner, names.engine);
    valid.auth.extend(users::auth(project, found, &terms, (&users, valid.key_removals))?);
    valid.policies.extend(users);
    let is_active = matches!(terms.entitlement, Entitlement::Active | Entitlement::Grace);
    let has_logins = terms.permits(Login::User) || terms.permits(Login::Api);
    if !valid.defaults_written && is_active && has_logins {
        let roles = UserAccess::of_default_roles(&project.spec.default_roles, terms.entitlement);
        valid.defaults = roles.texts(names.owner, names.engine);
        valid.defaults_written = true;
    }
    if let Some(api_issuer) = &found.api_issuer {
        let target = workloads::Target { api_issuer, cluster: &found.references.cluster, names: &names };
        valid.grant(workloads::access(&project.spec.workloads, target, setting)?);
    }
    Ok(valid)
}

/// Adds the access of the jobs of all issuers.
fn grant_jobs(
    valid: &mut Project,
    (project, found): (&SecretsProject, &Found),
    (merged, names): (&Merged, &PolicyNames<'_>),
) -> Result<(), Error> {
    let (written, none) = (written(project), Grants::default());
    let grants = merged.grants.get(&None).unwrap_or(&none);
    let own = Jobs::own(project, found, key_removals(&found.references, written));
    valid.grant(pipelines::access(project, found, &own, (grants, names))?);
    for (additional, ca) in found.references.additional.iter().zip(&found.additional_cas) {
        let name = &additional.spec.name;
        let grants = merged.grants.get(&Some(name.clone())).unwrap_or(&none);
        let access = ca.as_ref().map(|ca| {
            let removals = additional_removals(additional, written);
            let jobs = Jobs::additional(project.spec.scope, additional, ca, removals);
            pipelines::access(project, found, &jobs, (grants, names))
        });
        match access {
            Some(Ok(access)) => valid.grant(access),
            failed => {
                let error = failed.and_then(Result::err);
                valid.unusable.extend(error.map(|error| Unusable::new(name, &error, true)));
                valid.policies.extend(policy_texts(grants, &layout::additional_policies(name), names));
                valid.additional_issuers.insert(name.clone(), recorded(name, written));
            }
        }
    }
    Ok(())
}

/// The record of an additional issuer whose mount is not written.
fn recorded(name: &str, written: Option<&Provisioned>) -> ProvisionedIssuer {
    let recorded = written.and_then(|written| written.additional_issuers.get(name));
    recorded.cloned().unwrap_or(NOT_WRITTEN)
}

fn written(project: &SecretsProject) -> Option<&Provisioned> {
    project.status.as_ref().and_then(|status| status.provisioned.as_ref())
}

/// A project without any login.
fn without_access(project: &SecretsProject, found: &Found) -> Project {
    let (spec, references) = (&project.spec, &found.references);
    let engine = spec.engines.first().cloned().unwrap_or_default();
    let tenant_namespace = layout::tenant(&references.tenant);
    let written = written(project);
    let additional = references.additional.iter();
    let recorded = written.into_iter().flat_map(|written| written.additional_issuers.keys());
    let stated = spec.additional_issuers.iter().map(|it| &it.name);
    let known_issuers: BTreeSet<String> = stated.chain(recorded).cloned().collect();
    Project {
        cluster: reference_to(&*references.cluster),
        issuer: reference_to(&*references.issuer),
        server_url: server_url(&references.cluster),
        root: layout::root(&references.cluster),
        namespace: tenant_namespace.join(&layout::project(spec.scope, spec.id)),
        tenant_namespace,
        engine: layout::engine(&engine.name),
        kv: kv(&engine),
        enabled: spec.enabled && references.tenant.spec.gives_access(),
        read_only: references.tenant.spec.entitlement == Entitlement::ReadOnly,
        auth: BTreeMap::new(),
        policies: BTreeMap::new(),
        defaults: BTreeMap::new(),
        defaults_written: written.is_some_and(|written| written.default_roles_written),
        policies_written: written.map(|written| written.policies.clone()).unwrap_or_default(),
        key_removals: key_removals(references, written),
        additional_issuers: additional.map(|it| (it.spec.name.clone(), record_of(it))).collect(),
        known_issuers,
        unusable: references.unusable.clone(),
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

/// The record of an additional issuer whose mount is written now.
fn record_of(additional: &Additional) -> ProvisionedIssuer {
    let issuer = &additional.issuer;
    ProvisionedIssuer {
        issuer_ref: Some(reference_to(&**issuer)),
        key_removals: issuer.status.as_ref().map_or(0, |status| status.key_removals),
    }
}

/// Key removals of an additional issuer. A mount that trusts another issuer counts as never written.
pub(super) fn additional_removals(additional: &Additional, written: Option<&Provisioned>) -> KeyRemovals {
    let now = record_of(additional);
    let recorded = written.and_then(|written| written.additional_issuers.get(&additional.spec.name));
    let recorded = recorded.filter(|recorded| recorded.issuer_ref == now.issuer_ref);
    KeyRemovals {
        now: now.key_removals,
        written: recorded.map_or(NEVER_WRITTEN, |recorded| recorded.key_removals),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::super::samples::{found, gitea, policy, project, user_policy, validated};
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
    fn users_can_log_in_while_they_have_access() {
        let mounts = |project: &SecretsProject, users: Vec<_>| {
            let valid = validated(project, &Found { users, ..found() }).unwrap();
            let mounts = valid.auth.into_iter().map(|(mount, auth)| {
                let roles: Vec<String> = auth.cel_roles.into_keys().collect();
                format!("{mount}[{}]", roles.join(" "))
            });
            mounts
                .filter(|mount| !mount.starts_with("pipeline") && !mount.starts_with("workload"))
                .collect::<Vec<_>>()
        };
        let policy = |verbs: Value| vec![user_policy("dev", json!({"grants": {"all": verbs}}))];
        let plain = project(json!({}));
        assert!(mounts(&plain, Vec::new()).is_empty());
        assert_eq!(mounts(&plain, policy(json!(["Write"]))), ["user_jwt[all_users]"]);
        assert_eq!(
            mounts(&plain, policy(json!(["Write", "ReadValue"]))),
            ["api_jwt[all_api]", "user_jwt[all_users]"]
        );
        let disabled = project(json!({"spec": {"apiAuth": {"enabled": false}}}));
        assert!(mounts(&disabled, policy(json!(["ReadValue"]))).is_empty());
        let roles = json!([{"accessLevel": "Owner", "verbs": ["ReadValue"]}]);
        assert_eq!(
            mounts(&project(json!({"spec": {"defaultRoles": roles}})), Vec::new()),
            ["api_jwt[all_api]"]
        );
    }

    #[rstest]
    #[case::own_by_subject("Kubernetes", json!({}), "contain no IDs of projects")]
    #[case::own_group("Generic", json!({"scope": "Group"}), "contain no IDs of groups")]
    fn the_issuer_of_a_project_must_identify_its_jobs(
        #[case] profile: &str,
        #[case] spec: Value,
        #[case] expected: &str,
    ) {
        let mut found = found();
        let mut issuer = (*found.references.issuer).clone();
        issuer.spec.profile = serde_json::from_value(json!(profile)).unwrap();
        found.references.issuer = issuer.into();
        let error = validated(&project(json!({"spec": spec})), &found).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }

    #[test]
    fn an_additional_issuer_has_its_own_mount_and_policies() {
        let mut found = found();
        found.references.additional.push(gitea());
        found.additional_cas.push(Some(String::new()));
        found.policies.push(policy("gitea", json!({"issuer": "gitea", "branches": ["main"]})));
        let valid = validated(&project(json!({})), &found).unwrap();
        let policies: Vec<&str> = valid.policies.keys().map(String::as_str).collect();
        assert_eq!(policies, ["pipelines/global", "pipelines_gitea/branch/6d61696e"]);
        let roles = &valid.auth["pipeline_jwt_gitea"].cel_roles;
        assert_eq!(roles.keys().collect::<Vec<_>>(), ["all_pipelines"]);
        assert!(roles["all_pipelines"].cel_program.expression.contains(r#"project_id != "7""#));
        let record = record_of(&gitea());
        assert_eq!(record.issuer_ref.as_ref().map(|it| it.name.as_str()), Some("gitea"));
        assert_eq!(valid.additional_issuers, BTreeMap::from([("gitea".to_owned(), record)]));
    }

    #[rstest]
    #[case::no_ca(None, false)]
    #[case::no_projects(Some("Kubernetes"), true)]
    fn an_additional_issuer_with_a_mistake_does_not_affect_the_others(
        #[case] profile: Option<&str>,
        #[case] reported: bool,
    ) {
        let mut found = found();
        let mut additional = gitea();
        if let Some(profile) = profile {
            let mut issuer = (*additional.issuer).clone();
            issuer.spec.profile = serde_json::from_value(json!(profile)).unwrap();
            additional.issuer = issuer.into();
        }
        found.references.additional.push(additional);
        found.additional_cas.push(profile.map(|_| String::new()));
        found.policies.push(policy("gitea", json!({"issuer": "gitea"})));
        let valid = validated(&project(json!({})), &found).unwrap();
        assert!(valid.auth.contains_key("pipeline_jwt") && !valid.auth.contains_key("pipeline_jwt_gitea"));
        assert!(valid.policies.contains_key("pipelines_gitea/global"));
        assert_eq!(valid.additional_issuers["gitea"], NOT_WRITTEN);
        assert_eq!(valid.keeps_mount("pipeline_jwt_gitea"), reported);
    }

    #[rstest]
    #[case::same("gitea", 3)]
    #[case::other("forgejo", NEVER_WRITTEN)]
    fn another_issuer_of_a_mount_counts_as_never_written(#[case] trusted: &str, #[case] expected: i64) {
        let provisioned = json!({
            "clusterRef": {"name": "main"}, "tenantNamespace": "t", "openbaoNamespace": "t/p", "engine": "secrets/kv",
            "additionalIssuers": {"gitea": {"issuerRef": {"name": trusted, "namespace": "ns"}, "keyRemovals": 3}},
        });
        let written: Provisioned = serde_json::from_value(provisioned).unwrap();
        assert_eq!(additional_removals(&gitea(), Some(&written)).written, expected);
    }

    #[test]
    fn default_roles_wait_until_they_have_an_effect() {
        let roles =
            project(json!({"spec": {"defaultRoles": [{"accessLevel": "Owner", "verbs": ["Write"]}]}}));
        let written = |entitlement: &str| {
            let mut found = found();
            let mut tenant = (*found.references.tenant).clone();
            tenant.spec.entitlement = serde_json::from_value(json!(entitlement)).unwrap();
            found.references.tenant = tenant.into();
            validated(&roles, &found).unwrap().defaults_written
        };
        assert!(written("Active") && written("Grace") && !written("ReadOnly"));
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
        assert_eq!(valid.auth.into_keys().collect::<Vec<_>>(), [layout::PIPELINE_MOUNT]);
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
