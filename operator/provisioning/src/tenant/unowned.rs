//! Access to projects that no longer exist: the finalizer of the project was removed, or its status was changed. Nothing
//! lists these resources, so the tenant finds them in OpenBao by their marks. Values stay, because the `deletionPolicy` of
//! the project is not known.

use steamer_api::{KindId, SecretsProject, SecretsTenant};
use steamer_core::error::Error;
use steamer_core::layout;
use steamer_core::ownership::removal::remove_access;
use steamer_core::ownership::{Mark, Owner};
use steamer_openbao::{Error as OpenBao, Namespace, NamespacePath};
use steamer_runtime::Reason;

use crate::engine::Removal;

/// Time after the start of the operator before anything is collected, in drift intervals: a restore of Kubernetes creates
/// projects after their tenants.
const GRACE: u32 = 2;

pub(super) async fn collect(object: &SecretsTenant, removal: &Removal<'_>) -> Result<(), Error> {
    let context = removal.context();
    if context.started.elapsed() < context.drift_interval * GRACE {
        return Ok(());
    }
    let session = removal.session().await?;
    let tenant = removal.namespace();
    let children = match session.within(tenant.as_str()).child_namespaces().await {
        // The policy of an older version lacks this right. OpenBaoCluster reports it.
        Err(OpenBao::Denied { .. }) => return Ok(()),
        children => children?,
    };
    for (name, child) in &children {
        let path = tenant.join(name);
        let Some(mark) = unowned(removal, &path, child) else { continue };
        let inside = session.within(path.as_str());
        if remove_access(&inside, &mark).await? {
            let note = note(&mark, inside.namespace());
            context.runtime.events.warn(object, Reason::Deleting, &note).await;
        }
    }
    Ok(())
}

/// Text of the Event about removed access. The `deletionPolicy` was in the spec of the deleted project only, so the safe
/// one applies.
fn note(mark: &Mark, namespace: &NamespacePath) -> String {
    format!(
        "removed the access to {namespace} of {} {}, which was deleted without its finalizer: its deletionPolicy is not \
         known, so its values are kept; to delete them, recreate it with deletionPolicy: Delete, wait until it is Ready, and \
         delete it",
        mark.owner, mark.name
    )
}

/// The mark of a namespace that belongs to no existing project.
fn unowned(removal: &Removal<'_>, path: &NamespacePath, child: &Namespace) -> Option<Mark> {
    let mark = Mark::of_metadata(&child.custom_metadata).filter(|_| !child.tainted)?;
    let is_project = mark.owner == Owner::Object(KindId::SecretsProject) && removal.is_of_installation(&mark);
    let is_owned = match removal.lookup().cached::<SecretsProject>(&mark.name) {
        Some(project) => is_at(&project, path),
        // An object that cannot be parsed.
        None => removal.context().exists(&mark),
    };
    (is_project && !is_owned).then_some(mark)
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
        let note = note(&mark, &NamespacePath::new("teams/a/org_1/project_42"));
        let expected = "removed the access to teams/a/org_1/project_42 of SecretsProject ns/web, which was deleted without";
        assert!(note.starts_with(expected) && note.contains("its values are kept"), "{note}");
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
