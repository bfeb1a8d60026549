//! Addresses of clusters that Steamer runs: nodes by their stable names, at the addresses of their pods.

use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::ResourceExt;
use steamer_api::{OpenBaoCluster, ServerTlsMode};
use steamer_openbao::{Resolver, Settings};
use steamer_runtime::{Dependencies, Key, ObjectName};

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

/// The name of the Secret with the certificate of the nodes that Steamer issues, and its CA.
#[must_use]
pub fn tls_secret(cluster: &ObjectName) -> ObjectName {
    ObjectName::new(&cluster.namespace, format!("{}-tls", cluster.name))
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

    /// The settings of the connections to a managed cluster.
    pub(super) async fn managed_settings(
        &self,
        dependencies: &Dependencies,
        cluster: &OpenBaoCluster,
    ) -> Result<Settings, Error> {
        let name = ObjectName::of(cluster);
        dependencies.on(ca_key(name.clone()));
        let ca = self.managed_ca(dependencies, cluster).await?;
        let managed = cluster.spec.managed.as_ref();
        let (replicas, tls) =
            managed.map_or_else(Default::default, |managed| (managed.replicas, managed.tls.mode));
        Ok(Settings {
            addresses: (0..replicas).map(|ordinal| url(&name, &pod(&name, ordinal), tls)).collect(),
            ca,
            resolver: Some(self.node_resolver()),
            ..Settings::default()
        })
    }

    /// The CA of a managed cluster, from the Secret of its certificate. Empty without TLS. The ConfigMap is for other
    /// clients: an identity that can write ConfigMaps must not decide which server receives the operator's token.
    ///
    /// # Errors
    /// [`Error::Waiting`] before the first certificate, and any error of the Secret that the spec names.
    pub async fn managed_ca(
        &self,
        dependencies: &Dependencies,
        cluster: &OpenBaoCluster,
    ) -> Result<Vec<u8>, Error> {
        if cluster.is_plain() {
            return Ok(Vec::new());
        }
        let name = ObjectName::of(cluster);
        if let Some(given) = given_secret(cluster) {
            return self.secrets.value(dependencies, &given, "ca.crt").await;
        }
        let secret = self.cluster_objects.of::<Secret>().get(&tls_secret(&name));
        let ca = secret.and_then(|secret| Some(secret.data.as_ref()?.get("ca.crt")?.0.clone()));
        ca.ok_or_else(|| Error::Waiting(format!("OpenBaoCluster {name} has no certificates yet")))
    }
}

/// The Secret with a certificate that the spec names.
fn given_secret(cluster: &OpenBaoCluster) -> Option<ObjectName> {
    let reference = cluster.spec.managed.as_ref()?.tls.secret_ref.as_ref()?;
    Some(ObjectName::new(cluster.namespace().unwrap_or_default(), &reference.name))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn the_ca_of_a_given_certificate_is_in_its_secret() {
        let cluster = |tls: Value| -> OpenBaoCluster {
            let managed = json!({
                "version": "2.7.2", "seal": {"static": {}}, "tls": tls,
                "storage": {"postgresql": {"secretRef": {"name": "pg"}, "tls": {"mode": "Require"}}},
            });
            let metadata = json!({"name": "main", "namespace": "openbao"});
            let object = json!({
                "apiVersion": "steamer.dev/v1alpha1", "kind": "OpenBaoCluster", "metadata": metadata,
                "spec": {"managed": managed},
            });
            serde_json::from_value(object).unwrap()
        };
        assert_eq!(given_secret(&cluster(json!({}))), None);
        let given = cluster(json!({"mode": "Secret", "secretRef": {"name": "own"}}));
        assert_eq!(given_secret(&given), Some(ObjectName::new("openbao", "own")));
        assert_eq!(tls_secret(&ObjectName::of(&given)), ObjectName::new("openbao", "main-tls"));
    }

    #[test]
    fn a_pod_is_found_by_its_stable_name() {
        let cluster = ObjectName::new("openbao", "main");
        assert_eq!(pod_of(&host(&cluster, "main-2")), Some(ObjectName::new("openbao", "main-2")));
        assert_eq!(pod_of("main.openbao.svc"), None);
    }
}
