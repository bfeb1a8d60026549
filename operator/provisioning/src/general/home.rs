//! Cluster and OpenBao namespace of the resources of an object. Every right is checked.

use std::sync::Arc;

use steamer_api::{
    DatabaseConnection, HasLifecycle, OpenBaoCluster, OperatorScope, Placement, Reference, SecretsProject,
    SecretsTenant,
};
use steamer_core::error::Error;
use steamer_core::{layout, references};
use steamer_openbao::NamespacePath;
use steamer_runtime::ObjectName;

use super::site::Site;
use crate::engine::{Lookup, Provision};
use crate::relations::tenant_of;

/// Where the resources of an object are.
#[derive(Clone, Debug)]
pub(crate) struct Home {
    /// The cluster.
    pub(crate) cluster: Arc<OpenBaoCluster>,
    /// OpenBao namespace, relative to the root of the cluster.
    pub(crate) namespace: NamespacePath,
}

impl Home {
    /// Finds the home of an object and checks its right to it.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a namespace outside of `operatorScope`. [`Error::NotAllowed`] if the cluster does not allow the
    /// namespace of the object to provision. Any error of a reference.
    pub(crate) fn of(
        object: &impl HasLifecycle,
        site: &Site<'_>,
        lookup: &Lookup<'_>,
    ) -> Result<Self, Error> {
        let own = ObjectName::of(object).namespace;
        let home = match site {
            Site::Placed(placement) => placed(placement, &own, lookup)?,
            Site::Root(cluster) => return at_root(&ObjectName::new(&own, &cluster.name), lookup),
            Site::Connection(reference) => {
                let connection: Arc<DatabaseConnection> = lookup.resolve(reference, &own)?;
                return Self::of(&*connection, &Site::Placed(&connection.spec.placement), lookup);
            }
        };
        in_scope(&home)?;
        Ok(home)
    }
}

fn placed(placement: &Placement, own: &str, lookup: &Lookup<'_>) -> Result<Home, Error> {
    let below = placement.namespace.as_deref().unwrap_or_default();
    let (cluster, outer) = match (&placement.cluster_ref, &placement.project_ref) {
        (Some(cluster), None) => (provisioned(cluster, own, lookup)?, NamespacePath::root()),
        (None, Some(project)) => of_project(&ObjectName::new(own, &project.name), lookup)?,
        _ => return Err(Error::Invalid("set exactly one of clusterRef and projectRef".to_owned())),
    };
    Ok(Home { cluster, namespace: outer.join(below) })
}

/// The root namespace of a cluster, which only the scope `Root` contains.
fn at_root(name: &ObjectName, lookup: &Lookup<'_>) -> Result<Home, Error> {
    let cluster: Arc<OpenBaoCluster> = lookup.stores.existing(lookup.dependencies, name)?;
    if cluster.spec.operator_scope == OperatorScope::Root {
        return Ok(Home { cluster, namespace: NamespacePath::root() });
    }
    Err(Error::Invalid(format!(
        "OpenBaoCluster {name} does not have operatorScope: Root: set it, because this object writes policies and roles of the \
         root namespace; it gives Steamer the rights of an administrator"
    )))
}

/// The cluster, if it allows objects of namespace `own` to create resources.
fn provisioned(reference: &Reference, own: &str, lookup: &Lookup<'_>) -> Result<Arc<OpenBaoCluster>, Error> {
    let name = references::target(reference, own);
    let cluster: Arc<OpenBaoCluster> = lookup.stores.existing(lookup.dependencies, &name)?;
    let allowed = &cluster.spec.provisioning_namespaces;
    if lookup.stores.allowed(lookup.dependencies, allowed, (&name.namespace, own)) {
        return Ok(cluster);
    }
    Err(Error::NotAllowed(format!(
        "OpenBaoCluster {name} does not allow objects of namespace {own} to create resources: add the namespace to its \
         provisioningNamespaces"
    )))
}

/// Cluster and OpenBao namespace of a project.
fn of_project(name: &ObjectName, lookup: &Lookup<'_>) -> Result<(Arc<OpenBaoCluster>, NamespacePath), Error> {
    let project: Arc<SecretsProject> = lookup.stores.existing(lookup.dependencies, name)?;
    let found = project.references(lookup)?;
    let namespace = namespace_of(&found.tenant, &project);
    let provisioned = project.status.as_ref().and_then(|status| status.provisioned.as_ref());
    if provisioned.is_none_or(|it| it.openbao_namespace != namespace.as_str()) {
        return Err(Error::Waiting(format!(
            "SecretsProject {name} has not created its OpenBao namespace yet"
        )));
    }
    Ok((found.cluster, namespace))
}

fn in_scope(home: &Home) -> Result<(), Error> {
    if home.cluster.spec.scope_allows(home.namespace.as_str()) {
        return Ok(());
    }
    let (cluster, namespace) = (ObjectName::of(&*home.cluster), &home.namespace);
    Err(Error::Invalid(format!(
        "the operatorScope of OpenBaoCluster {cluster} does not contain namespace {namespace}: set operatorScope: Namespaces \
         and add it to operatorNamespaces, or set operatorScope: Root; this gives Steamer the rights of an administrator there"
    )))
}

/// The cluster that the spec names, without a check of any right. None while a parent does not exist.
pub(crate) fn cluster(
    object: &impl HasLifecycle,
    site: &Site<'_>,
    lookup: &Lookup<'_>,
) -> Option<ObjectName> {
    let own = ObjectName::of(object).namespace;
    match site {
        Site::Placed(Placement { cluster_ref: Some(cluster), .. }) => Some(references::target(cluster, &own)),
        Site::Root(cluster) => Some(ObjectName::new(&own, &cluster.name)),
        Site::Placed(placement) => {
            let name = ObjectName::new(&own, &placement.project_ref.as_ref()?.name);
            lookup.cached::<SecretsProject>(&name)?.cluster(lookup)
        }
        Site::Connection(reference) => {
            let connection = lookup.cached::<DatabaseConnection>(&references::target(reference, &own))?;
            cluster(&*connection, &Site::Placed(&connection.spec.placement), lookup)
        }
    }
}

/// The location of the resources in their cluster, as messages name it. Equal for all objects with the same location, however
/// their specs name it. None while a parent does not exist.
pub(crate) fn location(object: &impl HasLifecycle, site: &Site<'_>, lookup: &Lookup<'_>) -> Option<String> {
    let own = ObjectName::of(object).namespace;
    match site {
        Site::Placed(placement) => {
            let outer = match &placement.project_ref {
                Some(project) => project_namespace(&ObjectName::new(&own, &project.name), lookup)?,
                None => NamespacePath::root(),
            };
            Some(format!("namespace {}", outer.join(placement.namespace.as_deref().unwrap_or_default())))
        }
        Site::Root(_) => Some(format!("namespace {}", NamespacePath::root())),
        Site::Connection(reference) => {
            let connection = lookup.cached::<DatabaseConnection>(&references::target(reference, &own))?;
            let outer = location(&*connection, &Site::Placed(&connection.spec.placement), lookup)?;
            Some(format!("mount {} in {outer}", connection.spec.mount.trim_matches('/')))
        }
    }
}

/// OpenBao namespace of a project, without a check of any right.
fn project_namespace(name: &ObjectName, lookup: &Lookup<'_>) -> Option<NamespacePath> {
    let project = lookup.cached::<SecretsProject>(name)?;
    let tenant = lookup.cached::<SecretsTenant>(&tenant_of(&project))?;
    Some(namespace_of(&tenant, &project))
}

fn namespace_of(tenant: &SecretsTenant, project: &SecretsProject) -> NamespacePath {
    layout::tenant(tenant).join(&layout::project(project.spec.scope, project.spec.id))
}
