//! SecretsTenant: the namespaces that contain the projects of a tenant.

pub(crate) mod claims;
mod plan;
mod unowned;

use std::fmt::Debug;
use std::sync::Arc;

use jiff::Timestamp;
use kube::ResourceExt;
use steamer_api::{
    Entitlement, JWTIssuer, OpenBaoCluster, Orphan, SecretsProject, SecretsTenant, SecretsTenantStatus,
};
use steamer_core::error::Error;
use steamer_core::layout;
use steamer_core::ownership::finalizer::has_finalizer;
use steamer_core::ownership::removal::{Owned, levels, remove_namespaces};
use steamer_openbao::{Namespace, NamespacePath, Session};
use steamer_runtime::conditions::Verdict;
use steamer_runtime::{ObjectName, Reason};

use crate::engine::{Footprint, Lookup, Pass, Provision, Removal, Rights, Setting, Subject};
use crate::relations::{children, cluster_of, tenant_of};
use crate::write::Plan;

/// Innermost namespace of a tenant.
pub(crate) struct Place {
    root: NamespacePath,
    namespace: NamespacePath,
}

/// Names of waiting projects in a message.
const MOST_NAMES: usize = 3;

impl Provision for SecretsTenant {
    const NAME: &'static str = "secretstenant";
    type References = Arc<OpenBaoCluster>;
    type Withdrawn = ();
    /// Root of the cluster.
    type Found = NamespacePath;
    type Desired = Place;
    /// Every level of the namespace, outermost first.
    type Observed = Vec<(NamespacePath, Option<Namespace>)>;

    fn subject(&self) -> Option<Subject> {
        let name = layout::tenant(self).as_str().to_owned();
        Some(Subject { name, established: has_finalizer(self) })
    }

    fn cluster(&self, _lookup: &Lookup<'_>) -> Option<ObjectName> {
        Some(cluster_of(self))
    }

    fn references(&self, lookup: &Lookup<'_>) -> Result<Arc<OpenBaoCluster>, Error> {
        let namespace = self.namespace().unwrap_or_default();
        let cluster = lookup.resolve(&self.spec.cluster_ref, &namespace)?;
        lookup.resolve::<JWTIssuer>(&self.spec.issuer_ref, &namespace)?;
        Ok(cluster)
    }

    async fn fetch(
        &self,
        cluster: Arc<OpenBaoCluster>,
        pass: &Pass<'_>,
    ) -> Result<(Session, NamespacePath), Error> {
        let session = pass.session(&cluster).await?;
        let root = session.namespace().clone();
        Ok((session, root))
    }

    fn validate(&self, root: NamespacePath, _setting: &Setting<'_>) -> Result<Place, Error> {
        Ok(Place { root, namespace: layout::tenant(self) })
    }

    async fn observe(session: &Session, place: &Place) -> Result<Self::Observed, Error> {
        levels(session, &place.namespace).await
    }

    fn state(observed: &Self::Observed) -> impl Debug {
        observed
    }

    fn plan(place: &Place, levels: &Self::Observed, rights: &Rights<'_>) -> Result<Plan, Error> {
        Ok(Plan { writes: plan::writes(&place.namespace, levels, rights)?, expires_at: None })
    }

    fn published(place: &Place) -> NamespacePath {
        place.root.join(place.namespace.as_str())
    }

    fn applied(&self, _: &mut SecretsTenantStatus, place: &Place, _: Timestamp) -> Verdict {
        let namespace = Self::published(place);
        if !self.spec.gives_access() {
            let message = format!("access to the projects of {namespace} is disabled; values are kept");
            return Verdict::Ready(Reason::Disabled, message);
        }
        let entitlement = match self.spec.entitlement {
            Entitlement::Grace => "; the subscription has ended, and access continues in a grace period",
            Entitlement::ReadOnly => {
                "; the subscription has ended, and users can only read and delete values"
            }
            Entitlement::Active | Entitlement::Blocked => "",
        };
        Verdict::Ready(Reason::Applied, format!("namespace {namespace} exists{entitlement}"))
    }

    fn orphans(status: &mut SecretsTenantStatus) -> Option<&mut Vec<Orphan>> {
        Some(&mut status.orphans)
    }

    fn deletable(&self, lookup: &Lookup<'_>) -> Result<(), Error> {
        let name = ObjectName::of(self);
        let key = children::<SecretsProject>(name.clone());
        let of_tenant = |project: &SecretsProject| tenant_of(project) == name;
        let projects = lookup.children::<SecretsProject, Self>((key, &name), of_tenant)?;
        if projects.is_empty() {
            return Ok(());
        }
        let names = projects.iter().take(MOST_NAMES).map(|project| ObjectName::of(&**project).to_string());
        let names = names.collect::<Vec<_>>().join(", ");
        Err(Error::Waiting(format!(
            "waits for the deletion of its projects: {names} ({} in total)",
            projects.len()
        )))
    }

    fn footprint(&self, _last: &SecretsTenantStatus) -> Option<Footprint> {
        let footprint = || Footprint {
            cluster: cluster_of(self),
            tenant: None,
            namespace: layout::tenant(self),
            resources: Vec::new(),
        };
        // The status contains the namespace under `mode: Observe`, too. The finalizer precedes the first write.
        has_finalizer(self).then(footprint)
    }

    async fn remove_children(session: &Session, removal: &Removal<'_>) -> Result<(), Error> {
        // A request that always reaches OpenBao: its error tells whether the deadline applies.
        levels(session, removal.namespace()).await?;
        removal.remove_orphans(session).await?;
        unowned::revoke_unknown(session, removal).await
    }

    async fn remove(session: &Session, namespace: &NamespacePath, owned: Owned<'_>) -> Result<(), Error> {
        remove_namespaces(session, namespace, owned).await
    }

    async fn revoke(_removal: &Removal<'_>) -> Result<(), Error> {
        // Namespaces give no access. Projects resolve the cluster of their tenant and revoke their own access.
        Ok(())
    }

    async fn withdraw(
        &self,
        _cluster: &Arc<OpenBaoCluster>,
        removal: &Removal<'_>,
    ) -> Result<Option<()>, Error> {
        self.collect(removal).await?;
        Ok(None)
    }

    async fn collect(&self, removal: &Removal<'_>) -> Result<(), Error> {
        unowned::collect(self, removal).await
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;
    use steamer_api::{FINALIZER, LifecycleStatus};
    use steamer_core::Stores;
    use steamer_runtime::Index;

    use super::*;
    use crate::project::samples::refusal;

    fn tenant() -> SecretsTenant {
        let spec = json!({
            "clusterRef": {"name": "main"}, "organizationId": 1, "groupId": 7, "issuerRef": {"name": "gitlab"},
        });
        let mut tenant = SecretsTenant::new("acme", serde_json::from_value(spec).unwrap());
        tenant.metadata.namespace = Some("ns".to_owned());
        // The status under `mode: Observe`.
        let namespace = Some("org_1/group_7".to_owned());
        let lifecycle = LifecycleStatus { openbao_namespace: namespace, ..LifecycleStatus::default() };
        tenant.status = Some(SecretsTenantStatus { lifecycle, ..SecretsTenantStatus::default() });
        tenant
    }

    #[test]
    fn every_published_path_contains_the_namespace_of_an_external_cluster() {
        let namespace = NamespacePath::new("org_1/group_7");
        let mut status = SecretsTenantStatus::default();
        for enabled in [true, false] {
            let mut tenant = tenant();
            tenant.spec.enabled = enabled;
            let place = Place { root: NamespacePath::new("teams/a"), namespace: namespace.clone() };
            assert_eq!(SecretsTenant::published(&place).as_str(), "teams/a/org_1/group_7");
            let verdict = format!("{:?}", tenant.applied(&mut status, &place, Timestamp::UNIX_EPOCH));
            assert!(verdict.contains(" teams/a/org_1/group_7 "), "{verdict}");
        }
    }

    fn project() -> SecretsProject {
        let spec = json!({"tenantRef": {"name": "acme"}, "id": 42});
        let mut project = SecretsProject::new("web", serde_json::from_value(spec).unwrap());
        project.metadata.namespace = Some("ns".to_owned());
        project
    }

    #[rstest]
    #[case::no_project(false, false, None)]
    #[case::project(true, false, Some("waits for the deletion of its projects: ns/web (1 in total)"))]
    #[case::unknown_projects(
        false,
        true,
        Some("refuses to list objects of kind SecretsProject in namespace ns: ")
    )]
    fn the_deletion_of_a_tenant_waits_for_its_projects(
        #[case] has_project: bool,
        #[case] is_refused: bool,
        #[case] expected: Option<&str>,
    ) {
        let (stores, tenant, index) = (Stores::default(), tenant(), Arc::<Index>::default());
        stores.of::<SecretsTenant>().insert(ObjectName::of(&tenant), Arc::new(tenant.clone()));
        let projects = stores.of::<SecretsProject>();
        projects.listed(Some("ns"), 0);
        if has_project {
            let project = project();
            projects.insert(ObjectName::of(&project), Arc::new(project));
        }
        assert!(!is_refused || projects.failed(Some("ns"), &refusal()));
        let dependencies = index.pass("test", ObjectName::of(&tenant));
        let result = tenant.deletable(&Lookup { stores: &stores, dependencies: &dependencies });
        let message = result.err().map(|error| error.to_string());
        let is_expected = match (&message, expected) {
            (Some(message), Some(expected)) => message.contains(expected),
            (message, expected) => message.is_none() && expected.is_none(),
        };
        assert!(is_expected, "{message:?}");
    }

    #[test]
    fn a_tenant_has_no_resources_before_its_finalizer_is_added() {
        let mut tenant = tenant();
        let last = tenant.status.clone().unwrap();
        assert_eq!(tenant.footprint(&last), None);
        assert!(!tenant.subject().unwrap().established);
        tenant.metadata.finalizers = Some(vec![FINALIZER.to_owned()]);
        let footprint = tenant.footprint(&last).unwrap();
        assert_eq!((footprint.cluster, footprint.tenant), (ObjectName::new("ns", "main"), None));
        assert_eq!(footprint.namespace, NamespacePath::new("org_1/group_7"));
        assert!(tenant.subject().unwrap().established);
    }
}
