//! Access to projects that no longer exist: the finalizer of the project was removed, or its status was changed. Nothing
//! lists these resources, so the tenant finds them in OpenBao by their marks. Values stay.

use steamer_api::{KindId, SecretsProject};
use steamer_core::error::Error;
use steamer_core::layout;
use steamer_core::ownership::removal::remove_access;
use steamer_core::ownership::{Mark, Owner};
use steamer_openbao::{Error as OpenBao, Namespace, NamespacePath};

use crate::engine::Removal;

/// Time after the start of the operator before anything is collected, in drift intervals: a restore of Kubernetes creates
/// projects after their tenants.
const GRACE: u32 = 2;

pub(super) async fn collect(removal: &Removal<'_>) -> Result<(), Error> {
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
        if let Some(mark) = unowned(removal, &path, child) {
            remove_access(&session.within(path.as_str()), &mark).await?;
        }
    }
    Ok(())
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
