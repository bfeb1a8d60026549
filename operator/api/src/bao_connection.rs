//! Kind BaoConnection: a connection to an OpenBao server.

use std::collections::BTreeMap;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::rules;
use crate::{AllowedNamespaces, CommonStatus, Duration, Reference};

/// Connection to an OpenBao server that secrets are read from.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "steamer.dev",
    version = "v1alpha1",
    kind = "BaoConnection",
    plural = "baoconnections",
    namespaced,
    status = "BaoConnectionStatus",
    printcolumn(name = "Address", type_ = "string", json_path = ".status.address"),
    printcolumn(name = "Version", type_ = "string", json_path = ".status.version")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("has(self.address) != has(self.clusterRef)", "a BaoConnection requires exactly one of address and clusterRef"))]
#[x_kube(validation = ("!has(self.clusterRef) || !(has(self.tlsServerName) || has(self.caCertSecretRef) || has(self.clientCertSecretRef) || (has(self.skipTLSVerify) && self.skipTLSVerify))", "with clusterRef the TLS settings come from the cluster: remove tlsServerName, caCertSecretRef, clientCertSecretRef and skipTLSVerify"))]
#[x_kube(validation = rules::PLAINTEXT_ADDRESS)]
pub struct BaoConnectionSpec {
    /// URL of the server. Exactly one of `address` and `clusterRef` is required.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    #[x_kube(validation = rules::ADDRESS)]
    pub address: Option<String>,
    /// `true` accepts an `http://` address: everyone in the network can read and change all requests and values. Default:
    /// `false`.
    #[serde(default)]
    pub allow_plaintext: bool,
    /// OpenBaoCluster to connect to, instead of an address. Its TLS settings apply.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_ref: Option<Reference>,
    /// HTTP headers sent with every request. `X-Vault-*`, `X-Forwarded-*`, `Authorization`, `Host`, `Cookie` and headers of
    /// the connection are reserved.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    #[x_kube(validation = rules::HEADER_NAMES, validation = rules::RESERVED_HEADERS, validation = rules::HEADER_VALUES)]
    pub headers: BTreeMap<String, String>,
    /// Name that the server's certificate must contain. Default: the host of `address`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub tls_server_name: Option<String>,
    /// Name of the Secret in this namespace that holds the CA certificate of the server (key `ca.crt`). Default: the
    /// system's CA certificates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub ca_cert_secret_ref: Option<String>,
    /// Name of the Secret in this namespace that holds the client certificate and key (keys `tls.crt` and `tls.key`).
    /// Default: no client certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub client_cert_secret_ref: Option<String>,
    /// `true` accepts any server certificate: an attacker between Steamer and the server can read all secrets. Default:
    /// `false`.
    #[serde(default, rename = "skipTLSVerify")]
    pub skip_tls_verify: bool,
    /// Timeout of a single request, 1s to 60s. Default: 30s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = ("duration(self) >= duration('1s') && duration(self) <= duration('60s')", "timeout must be 1s to 60s: a longer request would keep other objects waiting"))]
    pub timeout: Option<Duration>,
    /// Namespaces whose objects may refer to this connection. Default: only its own namespace.
    #[serde(default)]
    pub allowed_namespaces: AllowedNamespaces,
}

/// Observed state of a connection.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BaoConnectionStatus {
    /// Fields of every kind.
    #[serde(flatten)]
    pub common: CommonStatus,
    /// URL in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub address: Option<String>,
    /// OpenBao version that the server reports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub version: Option<String>,
}
