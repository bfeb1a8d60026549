//! Status of a project.

use std::collections::BTreeMap;

use jiff::Timestamp;
use steamer_api::{
    IssuerAccess, LifecycleStatus, ProjectPhase, Provisioned, ProvisionedIssuer, RunnerAccess,
    SecretsProjectStatus, VaultAccess,
};
use steamer_core::layout::{DATA_ROOT, PIPELINE_MOUNT, additional_mount};
use steamer_runtime::Reason;
use steamer_runtime::conditions::{Conditions, State, Verdict};

use super::desired::{Project, Unusable, name_digest};
use super::validate::{NEVER_WRITTEN, NOT_WRITTEN};
use crate::pipelines::{ROLE_ID_TOKENS, ROLE_PIPELINES};

/// Name that GitLab uses for a KV v2 engine.
const ENGINE_NAME: &str = "kv-v2";
/// Conditions of the access to a project.
const ACCESS: [&str; 2] = ["AuthReady", "PoliciesReady"];

/// The status before the first write to OpenBao: it records the namespace for a deletion, and a change of the issuer.
pub(super) fn announcement(project: &Project, last: &SecretsProjectStatus) -> Option<SecretsProjectStatus> {
    let recorded = last.provisioned.as_ref();
    if let Some(recorded) = recorded.filter(|it| it.openbao_namespace == project.namespace.as_str()) {
        let provisioned = between_issuers(project, recorded);
        return (provisioned != *recorded)
            .then(|| SecretsProjectStatus { provisioned: Some(provisioned), ..last.clone() });
    }
    let provisioned = Provisioned {
        issuer_key_removals: NEVER_WRITTEN,
        default_roles_written: false,
        additional_issuers: between_additional(project, &BTreeMap::new()),
        policies: Vec::new(),
        ..provisioned(project)
    };
    let openbao_namespace = Some(project.published().as_str().to_owned());
    Some(SecretsProjectStatus {
        phase: Some(ProjectPhase::Provisioning),
        lifecycle: LifecycleStatus { openbao_namespace, ..last.lifecycle.clone() },
        provisioned: Some(provisioned),
        ..last.clone()
    })
}

/// The record while the pipeline mount changes to another issuer. If the writes fail, the mount trusts either of the two.
/// The record then names none, so that no access outlives a deleted issuer.
fn between_issuers(project: &Project, recorded: &Provisioned) -> Provisioned {
    let additional_issuers = between_additional(project, &recorded.additional_issuers);
    let issuer_ref = recorded.issuer_ref.clone().filter(|issuer| *issuer == project.issuer);
    Provisioned { issuer_ref, additional_issuers, ..recorded.clone() }
}

/// The record of the additional issuers before the first write: new ones, and those whose mounts change to another issuer,
/// have no issuer.
fn between_additional(
    project: &Project,
    recorded: &BTreeMap<String, ProvisionedIssuer>,
) -> BTreeMap<String, ProvisionedIssuer> {
    let mut between = recorded.clone();
    for (name, next) in &project.additional_issuers {
        let is_same = recorded.get(name).is_some_and(|recorded| recorded.issuer_ref == next.issuer_ref);
        if !is_same {
            between.insert(name.clone(), NOT_WRITTEN);
        }
    }
    between
}

fn provisioned(project: &Project) -> Provisioned {
    Provisioned {
        cluster_ref: project.cluster.clone(),
        tenant_namespace: project.tenant_namespace.as_str().to_owned(),
        openbao_namespace: project.namespace.as_str().to_owned(),
        engine: project.engine.clone(),
        issuer_ref: Some(project.issuer.clone()),
        issuer_key_removals: project.key_removals.now,
        default_roles_written: project.defaults_written,
        additional_issuers: project.additional_issuers.clone(),
        policies: project
            .policies
            .keys()
            .chain(project.defaults.keys())
            .map(|name| name_digest(name))
            .collect(),
    }
}

/// Facts of an applied project.
pub(super) fn facts(status: &mut SecretsProjectStatus, project: &Project) {
    let phase = if project.enabled { ProjectPhase::Active } else { ProjectPhase::Disabled };
    status.phase = Some(phase);
    status.provisioned = Some(provisioned(project));
    status.runner = runner(project);
    status.vault = vault(project);
    status.issuers = issuers(project);
    status.policies = i64::try_from(project.policies.len()).unwrap_or(i64::MAX);
}

/// Generation and time of a set of conditions.
pub(super) struct Time {
    pub(super) generation: Option<i64>,
    pub(super) now: Timestamp,
}

impl Time {
    fn conditions<'a>(&self, status: &'a mut SecretsProjectStatus) -> Conditions<'a> {
        Conditions::new(&mut status.common.conditions, self.generation.unwrap_or(0), self.now)
    }
}

/// Conditions of an applied project.
pub(super) fn conditions(status: &mut SecretsProjectStatus, project: &Project, time: &Time) {
    let mut conditions = time.conditions(status);
    for kind in ["NamespaceReady", "EngineReady"] {
        conditions.set(kind, State::True, Reason::Applied, "");
    }
    let reason = if project.enabled { Reason::Applied } else { Reason::Disabled };
    for kind in ACCESS {
        conditions.set(kind, State::from(project.enabled), reason, "");
    }
}

/// The status after all access was removed although the desired state was not written.
pub(super) fn without_access(status: &mut SecretsProjectStatus, phase: ProjectPhase, time: &Time) {
    status.phase = Some(phase);
    status.policies = 0;
    (status.runner, status.vault, status.issuers) = (None, None, Vec::new());
    let reason = match phase {
        ProjectPhase::Disabled => Reason::Disabled,
        _ => Reason::ReferenceDenied,
    };
    let mut conditions = time.conditions(status);
    for kind in ACCESS {
        conditions.set(kind, State::False, reason, "");
    }
}

pub(super) fn verdict(project: &Project) -> Verdict {
    let namespace = project.published();
    if project.enabled {
        let read_only = if project.read_only { "; read-only by the entitlement of the tenant" } else { "" };
        let message = format!("policies in force in {namespace}: {}{read_only}", project.policies.len());
        return match project.unusable.first() {
            None => Verdict::Ready(Reason::Applied, message),
            Some(unusable) => without_issuer(unusable, &message),
        };
    }
    Verdict::Ready(Reason::Disabled, format!("access to {namespace} is disabled; values are kept"))
}

/// The project is in force except for the jobs of an additional issuer.
fn without_issuer(unusable: &Unusable, others: &str) -> Verdict {
    let Unusable { name, reason, message, keeps_mount } = unusable;
    let message = if *keeps_mount {
        format!("the auth mount of the additional issuer {name} stays as it is: {message}; {others}")
    } else {
        format!("jobs of the additional issuer {name} cannot log in: {message}; {others}")
    };
    match reason {
        Reason::ReferenceNotFound | Reason::Waiting => Verdict::Progressing(*reason, message),
        _ => Verdict::Stalled(*reason, message),
    }
}

/// The logins of the jobs of additional issuers.
fn issuers(project: &Project) -> Vec<IssuerAccess> {
    let names = project.additional_issuers.keys();
    let exists = |mount: &str| project.auth.contains_key(mount) || project.keeps_mount(mount);
    let access = names.filter(|name| exists(&additional_mount(name))).map(|name| {
        let auth_path = format!("{}/cel", additional_mount(name));
        let vault = VaultAccess {
            server_url: project.server_url.clone(),
            namespace: project.published().as_str().to_owned(),
            auth_path,
            role: ROLE_PIPELINES.to_owned(),
        };
        IssuerAccess { name: name.clone(), vault }
    });
    access.collect()
}

fn runner(project: &Project) -> Option<RunnerAccess> {
    project.auth.get(PIPELINE_MOUNT).map(|_| RunnerAccess {
        server_url: project.server_url.clone(),
        inline_auth_path: project.published().path(&format!("auth/{PIPELINE_MOUNT}/cel/login")),
        role: ROLE_PIPELINES.to_owned(),
        engine_path: project.published().path(&project.engine),
        engine_name: ENGINE_NAME.to_owned(),
        data_root: DATA_ROOT.to_owned(),
    })
}

fn vault(project: &Project) -> Option<VaultAccess> {
    let mount = project.auth.get(PIPELINE_MOUNT)?;
    mount.cel_roles.contains_key(ROLE_ID_TOKENS).then(|| VaultAccess {
        server_url: project.server_url.clone(),
        namespace: project.published().as_str().to_owned(),
        auth_path: format!("{PIPELINE_MOUNT}/cel"),
        role: ROLE_ID_TOKENS.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use steamer_api::SecretsProject;

    use super::super::samples::{found, gitea, project, validated};
    use super::*;
    use crate::engine::Provision;

    fn applied(project: &Project) -> SecretsProjectStatus {
        let mut status = SecretsProjectStatus::default();
        facts(&mut status, project);
        conditions(&mut status, project, &Time { generation: Some(1), now: Timestamp::UNIX_EPOCH });
        status
    }

    #[test]
    fn the_first_status_records_the_namespace_for_a_deletion() {
        let project = validated(&project(json!({})), &found()).unwrap();
        let status = announcement(&project, &SecretsProjectStatus::default()).unwrap();
        insta::assert_yaml_snapshot!(status);
        assert!(announcement(&project, &status).is_none());
        assert!(announcement(&project, &applied(&project)).is_none());
    }

    #[test]
    fn no_issuer_is_recorded_while_the_mount_changes_to_another_one() {
        let project = validated(&project(json!({})), &found()).unwrap();
        let mut before = applied(&project);
        let recorded = before.provisioned.as_mut().unwrap();
        recorded.issuer_ref.as_mut().unwrap().name = "other".to_owned();
        let status = announcement(&project, &before).unwrap();
        let expected = Provisioned { issuer_ref: None, ..before.provisioned.clone().unwrap() };
        assert_eq!(status.provisioned, Some(expected));
        assert_eq!(status.phase, before.phase);
        assert!(announcement(&project, &status).is_none());
    }

    #[test]
    fn an_additional_issuer_is_recorded_before_its_policies_are_written() {
        let mut found = found();
        found.references.additional.push(gitea());
        found.additional_cas.push(Some(String::new()));
        let project = validated(&project(json!({})), &found).unwrap();
        let mut last = applied(&project);
        assert!(announcement(&project, &last).is_none());
        last.provisioned.as_mut().unwrap().additional_issuers.clear();
        let first = announcement(&project, &last).unwrap();
        assert_eq!(first.provisioned.as_ref().unwrap().additional_issuers["gitea"], NOT_WRITTEN);
        assert!(announcement(&project, &first).is_none());
    }

    #[test]
    fn every_published_path_contains_the_namespace_of_an_external_cluster() {
        let mut found = found();
        let mut cluster = (*found.references.cluster).clone();
        cluster.spec.external.as_mut().unwrap().namespace = Some("teams/a".to_owned());
        found.references.cluster = cluster.into();
        let object = project(json!({}));
        let project = validated(&object, &found).unwrap();
        let status = applied(&project);
        let (runner, vault) = (status.runner.unwrap(), status.vault.unwrap());
        let first = announcement(&project, &SecretsProjectStatus::default()).unwrap();
        let published = SecretsProject::published(&project).as_str().to_owned();
        let namespaces = [first.lifecycle.openbao_namespace.unwrap(), published];
        for path in [runner.inline_auth_path, runner.engine_path, vault.namespace].iter().chain(&namespaces) {
            assert!(path.starts_with("teams/a/org_1/group_7/project_42"), "{path}");
        }
        for enabled in [true, false] {
            let message =
                format!("{:?}", verdict(&Project { enabled, ..validated(&object, &found).unwrap() }));
            assert!(message.contains(" teams/a/org_1/group_7/project_42"), "{message}");
        }
        assert_eq!(status.provisioned.unwrap().openbao_namespace, "org_1/group_7/project_42");
    }

    #[test]
    fn an_applied_project_reports_how_to_log_in() {
        let project = validated(&project(json!({})), &found()).unwrap();
        insta::assert_yaml_snapshot!(applied(&project));
        let message = "policies in force in org_1/group_7/project_42: 1".to_owned();
        assert_eq!(verdict(&project), Verdict::Ready(Reason::Applied, message));
    }

    #[rstest::rstest]
    #[case::revoked(ProjectPhase::Failed, "ReferenceDenied")]
    #[case::disabled_tenant(ProjectPhase::Disabled, "Disabled")]
    fn a_project_whose_access_was_removed_reports_no_login(
        #[case] phase: ProjectPhase,
        #[case] reason: &str,
    ) {
        let project = validated(&project(json!({})), &found()).unwrap();
        let mut status = applied(&project);
        without_access(&mut status, phase, &Time { generation: Some(2), now: Timestamp::UNIX_EPOCH });
        assert_eq!((status.phase, status.policies), (Some(phase), 0));
        assert!(status.runner.is_none() && status.vault.is_none() && status.provisioned.is_some());
        let conditions = status.common.conditions.iter();
        let found: Vec<_> =
            conditions.map(|it| format!("{}={}/{}", it.type_, it.status, it.reason)).collect();
        let access = ["AuthReady", "PoliciesReady"].map(|kind| format!("{kind}=False/{reason}"));
        assert_eq!(
            found,
            [["NamespaceReady=True/Applied".to_owned(), "EngineReady=True/Applied".to_owned()], access]
                .concat()
        );
    }

    #[test]
    fn a_disabled_project_reports_no_login() {
        let project = validated(&project(json!({"spec": {"enabled": false}})), &found()).unwrap();
        let status = applied(&project);
        assert_eq!((status.phase, status.policies), (Some(ProjectPhase::Disabled), 0));
        assert!(status.runner.is_none() && status.vault.is_none());
        let message = "access to org_1/group_7/project_42 is disabled; values are kept".to_owned();
        assert_eq!(verdict(&project), Verdict::Ready(Reason::Disabled, message));
    }
}
