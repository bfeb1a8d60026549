//! Network of a managed cluster: certificates, listener and NetworkPolicy.

use k8s_openapi::api::networking::v1::{NetworkPolicyEgressRule, NetworkPolicyPeer};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::common::yes;
use crate::{Duration, LocalReference};

/// TLS certificates of the nodes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("has(self.secretRef) == (has(self.mode) && self.mode == 'Secret')", "tls.secretRef is required with tls.mode Secret, and only allowed with it"))]
pub struct ServerTls {
    /// `Managed`: Steamer issues certificates from its own CA and renews them. `Secret`: certificates from a Secret
    /// with the keys `tls.crt`, `tls.key` and `ca.crt`, as cert-manager writes it. `Disabled`: plain HTTP, for a
    /// service mesh that encrypts; Steamer then does not protect values on the network. Cannot be changed to or from
    /// `Disabled`. Default: `Managed`.
    #[serde(default)]
    pub mode: ServerTlsMode,
    /// Secret that holds the certificate, its key and the CA certificate. Required with `mode: Secret`, and only
    /// allowed with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<LocalReference>,
    /// DNS names and IP addresses to add to the certificates, besides those of the Services.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(max = 253)))]
    #[x_kube(validation = ("self.all(name, name.matches('^([*][.])?([A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?[.])*[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?$') || name.matches('^[0-9A-Fa-f]*:[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*$'))", "tls.extraNames must contain host names such as bao.example.com or *.example.com, or IP addresses: no scheme, port, path, blank or address range"))]
    pub extra_names: Vec<String>,
}

/// Source of the certificates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ServerTlsMode {
    /// A CA that Steamer creates for the cluster.
    #[default]
    Managed,
    /// A Secret.
    Secret,
    /// No certificates: plain HTTP.
    Disabled,
}

/// Limits of requests.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Listener {
    /// Maximum size of a request in bytes. Default: OpenBao's default, 32 MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1024))]
    pub max_request_size: Option<i64>,
    /// Maximum duration of a request, 1s to 24h. Default: OpenBao's default, 90s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = ("duration(self) >= duration('1s') && duration(self) <= duration('24h')", "listener.maxRequestDuration must be 1s to 24h: a request holds resources of the leader for that long"))]
    pub max_request_duration: Option<Duration>,
    /// IP addresses or CIDRs of the proxies whose `X-Forwarded-For` header is trusted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub x_forwarded_for_authorized_addresses: Vec<String>,
}

/// NetworkPolicy of the pods. All pods may reach the API port; only nodes may reach the cluster port.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PodNetworkPolicy {
    /// `false` does not create the object. Default: `true`.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Peers that may read the metrics, as in a NetworkPolicy. Default: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub metrics_from: Vec<NetworkPolicyPeer>,
    /// TCP ports that the nodes may connect to, besides 443, 6443, DNS, and those of PostgreSQL, the seal, the audit
    /// devices and the issuers of administrators. Add the ports of other JWT issuers, proxies and databases that OpenBao
    /// connects to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(range(min = 1, max = 65535)))]
    pub egress_ports: Vec<u16>,
    /// Additional rules for connections of the nodes, as in a NetworkPolicy: for DNS on another port than 53, other
    /// protocols than TCP, and destinations that `egressPorts` would allow too widely.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub egress: Vec<NetworkPolicyEgressRule>,
}

impl Default for PodNetworkPolicy {
    fn default() -> Self {
        Self { enabled: true, metrics_from: Vec::new(), egress_ports: Vec::new(), egress: Vec::new() }
    }
}
