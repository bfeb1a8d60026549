//! Addresses of clusters that Steamer runs: nodes by their stable names, at the addresses of their pods.

use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use steamer_api::{OpenBaoCluster, ServerTlsMode};
use steamer_openbao::{Resolver, Settings};
use steamer_runtime::{Dependencies, Key, ObjectName};

use super::sessions::Server;
use crate::context::Context;
use crate::error::Error;

/// Port of the API of a node.
pub const PORT: u16 = 8200;

/// The key for the CA of a managed cluster: a change of its certificates requeues the objects that use the cluster.
#[must_use]
pub fn ca_key(cluster: ObjectName) -> Key {
    Key::new("ClusterCa", cluster)
}

/// The name of the ConfigMap with the CA of a managed cluster (key `ca.crt`).
#[must_use]
pub fn ca_config_map(cluster: &ObjectName) -> ObjectName {
    ObjectName::new(&cluster.namespace, format!("{}-ca", cluster.name))
}

/// The name of the pod of a node.
#[must_use]
pub fn pod(cluster: &ObjectName, ordinal: i32) -> String {
    format!("{}-{ordinal}", cluster.name)
}

/// The stable DNS name of a pod of a cluster.
#[must_use]
pub fn host(cluster: &ObjectName, pod: &str) -> String {
    format!("{pod}.{}-internal.{}.svc", cluster.name, cluster.namespace)
}

/// The URL of the node in a pod of a cluster.
#[must_use]
pub fn url(cluster: &ObjectName, pod: &str, tls: ServerTlsMode) -> String {
    let scheme = if tls == ServerTlsMode::Disabled { "http" } else { "https" };
    format!("{scheme}://{}:{PORT}", host(cluster, pod))
}

/// Namespace and name of the pod with that stable DNS name.
#[must_use]
pub fn pod_of(host: &str) -> Option<ObjectName> {
    let mut parts = host.split('.');
    let (pod, service, namespace) = (parts.next()?, parts.next()?, parts.next()?);
    service.ends_with("-internal").then(|| ObjectName::new(namespace, pod))
}

impl Context {
    /// Resolves the stable names of nodes to the addresses of their pods.
    #[must_use]
    pub fn node_resolver(&self) -> Resolver {
        let pods = self.cluster_objects.of::<Pod>();
        Resolver::new(move |name| {
            let pod = pods.get(&pod_of(name)?)?;
            pod.status.as_ref()?.pod_ip.as_ref()?.parse().ok()
        })
    }

    /// The server of a managed cluster.
    pub(super) fn managed_server(
        &self,
        dependencies: &Dependencies,
        cluster: &OpenBaoCluster,
    ) -> Result<Server, Error> {
        let name = ObjectName::of(cluster);
        dependencies.on(ca_key(name.clone()));
        let map = self.cluster_objects.of::<ConfigMap>().get(&ca_config_map(&name));
        let ca = map.and_then(|map| map.data.as_ref()?.get("ca.crt").cloned());
        let ca = ca.or_else(|| cluster.is_plain().then(String::new));
        let ca =
            ca.ok_or_else(|| Error::Waiting(format!("OpenBaoCluster {name} has no certificates yet")))?;
        let managed = cluster.spec.managed.as_ref();
        let (replicas, tls) =
            managed.map_or_else(Default::default, |managed| (managed.replicas, managed.tls.mode));
        let server = self.sessions.server(&Settings {
            addresses: (0..replicas).map(|ordinal| url(&name, &pod(&name, ordinal), tls)).collect(),
            ca: ca.into_bytes(),
            resolver: Some(self.node_resolver()),
            ..Settings::default()
        })?;
        Ok(Server { address: cluster.address(), ..server })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_is_found_by_its_stable_name() {
        let cluster = ObjectName::new("openbao", "main");
        assert_eq!(pod_of(&host(&cluster, "main-2")), Some(ObjectName::new("openbao", "main-2")));
        assert_eq!(pod_of("main.openbao.svc"), None);
    }
}
