//! Receivers of tokens: the objects that define the server of a login.

use std::sync::Arc;

use kube::ResourceExt;
use steamer_api::{BaoConnection, OpenBaoCluster, SecretsProject};
use steamer_openbao::Settings;
use steamer_runtime::{Dependencies, ObjectName};

use super::effective::Effective;
use super::server_audience::{declared_audiences, server_audience};
use crate::context::Context;
use crate::error::Error;
use crate::references::target;

/// Receiver of the tokens of a BaoAuth.
pub(super) enum Receiver {
    /// A cluster that the BaoAuth or its connection refers to.
    Cluster(Arc<OpenBaoCluster>),
    /// The cluster of a project. The project names the ServiceAccount, and its tenant may use the cluster.
    ProjectCluster(Arc<OpenBaoCluster>),
    /// A connection by address.
    Connection(Arc<BaoConnection>),
}

impl Receiver {
    /// The receiver of a BaoAuth. References are checked for the namespace of the object that states them.
    pub(super) fn of(
        context: &Context,
        dependencies: &Dependencies,
        auth: &Effective,
    ) -> Result<Self, Error> {
        let (stores, namespace) = (&context.stores, &auth.server_from);
        if let Some(reference) = &auth.spec.cluster_ref {
            return stores.resolve(dependencies, reference, namespace).map(Self::Cluster);
        }
        let Some(reference) = &auth.spec.connection_ref else {
            let project = project_of(context, dependencies, auth)?;
            return project_cluster(context, dependencies, &project).map(Self::ProjectCluster);
        };
        let connection: Arc<BaoConnection> = stores.resolve(dependencies, reference, namespace)?;
        let own = connection.namespace().unwrap_or_default();
        match &connection.spec.cluster_ref {
            Some(reference) => stores.resolve(dependencies, reference, &own).map(Self::Cluster),
            None => Ok(Self::Connection(connection)),
        }
    }

    pub(super) async fn settings(
        &self,
        context: &Context,
        dependencies: &Dependencies,
    ) -> Result<Settings, Error> {
        match self {
            Self::Cluster(cluster) | Self::ProjectCluster(cluster) => {
                context.cluster_settings(dependencies, cluster).await
            }
            Self::Connection(connection) => context.connection_settings(dependencies, connection).await,
        }
    }

    /// The cluster, unless the server is known by its address only.
    pub(super) fn cluster(&self) -> Option<&Arc<OpenBaoCluster>> {
        match self {
            Self::Cluster(cluster) | Self::ProjectCluster(cluster) => Some(cluster),
            Self::Connection(_) => None,
        }
    }

    /// Whether BaoAuths of a namespace may log in with the client certificate of the receiver.
    pub(super) fn has_certificate_for(&self, namespace: &str) -> bool {
        match self {
            Self::Cluster(_) | Self::ProjectCluster(_) => true,
            Self::Connection(connection) => connection.namespace().as_deref() == Some(namespace),
        }
    }

    /// The audience of logins that name none.
    pub(super) fn default_audience(&self) -> Result<String, Error> {
        match self {
            Self::Cluster(cluster) | Self::ProjectCluster(cluster) => Ok(server_audience(cluster)),
            Self::Connection(connection) => Err(Error::Invalid(format!(
                "audiences is required, because BaoConnection {} has no default audience: set the audience that the role \
                 in OpenBao binds",
                ObjectName::of(&**connection)
            ))),
        }
    }

    /// The audiences that the receiver may ask of ServiceAccounts of a namespace without their consent. They identify its
    /// server, so no other server can use the tokens.
    pub(super) async fn audiences(
        &self,
        context: &Context,
        dependencies: &Dependencies,
        consumer: &str,
    ) -> Result<Vec<String>, Error> {
        let cluster = match self {
            Self::Connection(_) => return Ok(Vec::new()),
            Self::ProjectCluster(cluster) => cluster,
            Self::Cluster(cluster) => {
                let name = ObjectName::of(&**cluster);
                if context.stores.named::<OpenBaoCluster>(dependencies, &name, consumer).is_err() {
                    return Ok(Vec::new());
                }
                cluster
            }
        };
        context.without_rival(dependencies, cluster).await?;
        Ok(declared_audiences(cluster))
    }
}

/// The project of a BaoAuth.
pub(super) fn project_of(
    context: &Context,
    dependencies: &Dependencies,
    auth: &Effective,
) -> Result<Arc<SecretsProject>, Error> {
    let reference = auth.spec.project_ref.as_ref();
    let reference = reference.ok_or_else(|| {
        Error::Invalid(
            "one of connectionRef, clusterRef and projectRef is required: neither the login nor its global settings state \
             one"
            .to_owned(),
        )
    })?;
    context.stores.resolve(dependencies, reference, &auth.name.namespace)
}

/// The cluster of a project. The caller must have checked the right to refer to the project.
pub(super) fn project_cluster(
    context: &Context,
    dependencies: &Dependencies,
    project: &SecretsProject,
) -> Result<Arc<OpenBaoCluster>, Error> {
    let provisioned = project.status.as_ref().and_then(|status| status.provisioned.as_ref());
    let provisioned = provisioned.ok_or_else(|| not_provisioned(project))?;
    let name = target(&provisioned.cluster_ref, &project.namespace().unwrap_or_default());
    context.stores.existing(dependencies, &name)
}

pub(super) fn not_provisioned(project: &SecretsProject) -> Error {
    Error::Waiting(format!("SecretsProject {} is not active yet", ObjectName::of(project)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_cluster_has_a_default_audience_and_an_address_has_none() {
        let cluster: OpenBaoCluster = serde_json::from_value(json!({
            "apiVersion": "steamer.dev/v1alpha1", "kind": "OpenBaoCluster",
            "metadata": {"name": "main", "namespace": "openbao"},
            "spec": {"managed": {
                "version": "2.7.2", "seal": {"static": {}},
                "storage": {"postgresql": {"secretRef": {"name": "pg"}, "tls": {"mode": "Require"}}},
            }},
        }))
        .unwrap();
        let cluster = Receiver::Cluster(Arc::new(cluster));
        assert_eq!(cluster.default_audience().unwrap(), "openbao:openbao/main");
        let connection: BaoConnection = serde_json::from_value(json!({
            "apiVersion": "steamer.dev/v1alpha1", "kind": "BaoConnection",
            "metadata": {"name": "direct", "namespace": "web"}, "spec": {"address": "https://bao"},
        }))
        .unwrap();
        let refused = Receiver::Connection(Arc::new(connection)).default_audience().unwrap_err().to_string();
        assert!(refused.contains("audiences is required") && refused.contains("web/direct"), "{refused}");
    }
}
