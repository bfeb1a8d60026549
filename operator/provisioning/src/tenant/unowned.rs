//! Access to projects that no longer exist: the finalizer of the project was removed, or its status was changed. Nothing
//! lists these resources, so the tenant finds them in OpenBao by their marks. Values stay, because the `deletionPolicy` of
//! the project is not known. A project in a namespace that the cache does not contain cannot remove its own access, so the
//! tenant removes the access that it does not grant.

use steamer_api::{KindId, SecretsProject, SecretsTenant};
use steamer_core::error::Error;
use steamer_core::layout;
use steamer_core::ownership::removal::{owns_namespace, remove_access};
use steamer_core::ownership::{Mark, Owner};
use steamer_openbao::{Error as OpenBao, NamespacePath, Session};
use steamer_runtime::{ObjectName, Presence, Reason};

use super::claims;
use crate::engine::Removal;

/// Time after the start of the operator before anything is collected, in drift intervals: a restore of Kubernetes creates
/// projects after their tenants.
const GRACE: u32 = 2;

/// Reason to remove access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    /// The project does not exist, or has another namespace.
    Deleted,
    /// The project may exist, and the tenant does not grant its access.
    NotGranted,
}

pub(super) async fn collect(object: &SecretsTenant, removal: &Removal<'_>) -> Result<(), Error> {
    let context = removal.context();
    if context.started.elapsed() < context.drift_interval * GRACE {
        return Ok(());
    }
    let session = removal.session().await?;
    for (path, mark) in projects(&session, removal).await? {
        let Some(cause) = cause(object, removal, (&path, &mark)) else { continue };
        let inside = session.within(path.as_str());
        if remove_access(&inside, &mark).await? {
            let note = cause.note(&mark, inside.namespace());
            context.runtime.events.warn(object, cause.reason(), &note).await;
        }
    }
    Ok(())
}

/// Removes the access of projects in namespaces that the cache does not contain. The deletion of the tenant does not wait
/// for them.
pub(super) async fn revoke_unknown(session: &Session, removal: &Removal<'_>) -> Result<(), Error> {
    for (path, mark) in projects(session, removal).await? {
        if removal.context().presence(&mark) == Presence::Unknown {
            remove_access(&session.within(path.as_str()), &mark).await?;
        }
    }
    Ok(())
}

/// The projects of this installation in the namespace of the tenant: their namespaces and marks.
async fn projects(session: &Session, removal: &Removal<'_>) -> Result<Vec<(NamespacePath, Mark)>, Error> {
    let tenant = removal.namespace();
    // The namespace can belong to another SecretsTenant, which grants other access.
    if !owns_namespace(session, tenant, removal.owned().mark).await? {
        return Ok(Vec::new());
    }
    let children = match session.within(tenant.as_str()).child_namespaces().await {
        // The policy of an older version lacks this right. OpenBaoCluster reports it.
        Err(OpenBao::Denied { .. }) => return Ok(Vec::new()),
        children => children?,
    };
    let mut found = Vec::new();
    for (name, child) in &children {
        let mark = Mark::of_metadata(&child.custom_metadata).filter(|_| !child.tainted);
        let is_project = |mark: &Mark| mark.owner == Owner::Object(KindId::SecretsProject);
        let mark = mark.filter(|mark| is_project(mark) && removal.is_of_installation(mark));
        found.extend(mark.map(|mark| (tenant.join(name), mark)));
    }
    Ok(found)
}

/// The reason to remove the access to a namespace with a mark.
fn cause(
    object: &SecretsTenant,
    removal: &Removal<'_>,
    (path, mark): (&NamespacePath, &Mark),
) -> Option<Cause> {
    let lookup = removal.lookup();
    if let Some(project) = lookup.cached::<SecretsProject>(&mark.name) {
        return (!is_at(&project, path)).then_some(Cause::Deleted);
    }
    match removal.context().presence(mark) {
        // An object that cannot be parsed.
        Presence::Present => None,
        Presence::Absent => Some(Cause::Deleted),
        Presence::Unknown => {
            // The tenant itself can be unknown by now.
            let tenant = ObjectName::of(object);
            let is_allowed = lookup.allows::<SecretsTenant>(&tenant, &mark.name.namespace).ok()?;
            (!is_allowed || !grants(object, mark, path)).then_some(Cause::NotGranted)
        }
    }
}

/// Returns true if the spec of the tenant grants access to a project of that mark and OpenBao namespace.
fn grants(tenant: &SecretsTenant, mark: &Mark, path: &NamespacePath) -> bool {
    let name = path.split().map(|(_, name)| name).unwrap_or_default();
    tenant.spec.gives_access() && claims::admits(tenant, &mark.name.namespace, name)
}

impl Cause {
    fn reason(self) -> Reason {
        match self {
            Self::Deleted => Reason::Deleting,
            Self::NotGranted => Reason::ReferenceDenied,
        }
    }

    /// Text of the Event about removed access. The `deletionPolicy` was in the spec of the deleted project only, so the
    /// safe one applies.
    fn note(self, mark: &Mark, namespace: &NamespacePath) -> String {
        let Mark { owner, name, .. } = mark;
        match self {
            Self::Deleted => format!(
                "removed the access to {namespace} of {owner} {name}, which was deleted without its finalizer: its \
                 deletionPolicy is not known, so its values are kept; to delete them, recreate it with \
                 deletionPolicy: Delete, wait until it is Ready, and delete it"
            ),
            Self::NotGranted => format!(
                "removed the access to {namespace} of {owner} {name}, which the SecretsTenant does not grant: \
                 Steamer does not watch Kubernetes namespace {}, or is not allowed to list it; values are kept",
                name.namespace
            ),
        }
    }
}

/// Returns true if the namespace is the one of the project.
fn is_at(project: &SecretsProject, path: &NamespacePath) -> bool {
    let provisioned = project.status.as_ref().and_then(|status| status.provisioned.as_ref());
    let name = layout::project(project.spec.scope, project.spec.id);
    provisioned.is_some_and(|provisioned| provisioned.openbao_namespace == path.as_str())
        || path.split().is_some_and(|(_, last)| last == name)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[test]
    fn the_event_about_removed_access_states_that_values_are_kept() {
        let mark = Mark::parse("i/SecretsProject/ns/web").unwrap();
        let namespace = NamespacePath::new("teams/a/org_1/project_42");
        let note = Cause::Deleted.note(&mark, &namespace);
        let expected = "removed the access to teams/a/org_1/project_42 of SecretsProject ns/web, which was deleted without";
        assert!(note.starts_with(expected) && note.contains("its values are kept"), "{note}");
        let note = Cause::NotGranted.note(&mark, &namespace);
        assert!(note.contains("Kubernetes namespace ns,") && note.contains("values are kept"), "{note}");
    }

    #[rstest]
    #[case::listed(true, "ns", "org_1/group_7/project_42", true)]
    #[case::disabled_tenant(false, "ns", "org_1/group_7/project_42", false)]
    #[case::another_namespace(true, "other", "org_1/group_7/project_42", false)]
    #[case::another_id(true, "ns", "org_1/group_7/project_43", false)]
    #[case::group(true, "ns", "org_1/group_7/group_8", true)]
    #[case::another_scope(true, "ns", "org_1/group_7/group_42", false)]
    fn a_tenant_grants_access_only_to_listed_claims(
        #[case] enabled: bool,
        #[case] namespace: &str,
        #[case] path: &str,
        #[case] expected: bool,
    ) {
        let spec = json!({
            "clusterRef": {"name": "main"}, "organizationId": 1, "groupId": 7, "issuerRef": {"name": "gitlab"},
            "enabled": enabled,
            "projects": [{"name": "web", "namespaces": ["ns"], "ids": [42], "groupIds": [8]}],
        });
        let tenant = SecretsTenant::new("acme", serde_json::from_value(spec).unwrap());
        let mark = Mark::parse(&format!("i/SecretsProject/{namespace}/web")).unwrap();
        assert_eq!(grants(&tenant, &mark, &NamespacePath::new(path)), expected);
    }

    #[rstest]
    #[case::own("org_1/group_7/project_42", None, true)]
    #[case::another("org_1/group_7/project_43", None, false)]
    #[case::group("org_1/group_7/group_42", None, false)]
    #[case::recorded("org_1/group_7/project_43", Some("org_1/group_7/project_43"), true)]
    fn a_recreated_project_owns_only_its_own_namespace(
        #[case] path: &str,
        #[case] recorded: Option<&str>,
        #[case] expected: bool,
    ) {
        let provisioned = recorded.map(|namespace| {
            json!({"clusterRef": {"name": "main"}, "tenantNamespace": "org_1/group_7",
                   "openbaoNamespace": namespace, "engine": "secrets/kv"})
        });
        let project = json!({
            "apiVersion": "steamer.dev/v1alpha1", "kind": "SecretsProject", "metadata": {"name": "web"},
            "spec": {"tenantRef": {"name": "acme"}, "id": 42}, "status": {"provisioned": provisioned},
        });
        let project: SecretsProject = serde_json::from_value(project).unwrap();
        assert_eq!(is_at(&project, &NamespacePath::new(path)), expected);
    }
}
