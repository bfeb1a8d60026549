use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::common::{conditions, never_observed};
use crate::{AllowedNamespaces, Duration, Reference};

/// How an OpenBao is reached to read secrets from.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "steamer.dev",
    version = "v1alpha1",
    kind = "BaoConnection",
    plural = "baoconnections",
    namespaced,
    status = "BaoConnectionStatus",
    category = "steamer",
    category = "openbao",
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].status"#
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].reason"#
    ),
    printcolumn(name = "Address", type_ = "string", json_path = ".status.address"),
    printcolumn(name = "Version", type_ = "string", json_path = ".status.version"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("has(self.address) != has(self.clusterRef)", "a connection needs exactly one of address and clusterRef"))]
#[x_kube(validation = ("!has(self.clusterRef) || !(has(self.tlsServerName) || has(self.caCertSecretRef) || has(self.clientCertSecretRef) || (has(self.skipTLSVerify) && self.skipTLSVerify))", "with clusterRef the TLS settings are those of the cluster: remove tlsServerName, caCertSecretRef, clientCertSecretRef and skipTLSVerify"))]
pub struct BaoConnectionSpec {
    /// The server's URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    #[x_kube(validation = ("self.matches('^https?://[^/]+$')", "address is a URL without a path, such as https://openbao.openbao.svc:8200"))]
    pub address: Option<String>,
    /// An OpenBaoCluster instead of an address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_ref: Option<Reference>,
    /// Headers sent with every request.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    #[x_kube(validation = ("self.all(name, !name.lowerAscii().startsWith('x-vault-') && name.lowerAscii() != 'authorization')", "X-Vault-* headers and Authorization are Steamer's own: set namespace on the BaoAuth instead"))]
    pub headers: BTreeMap<String, String>,
    /// The name the server's certificate must carry, where it is not the host of the address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub tls_server_name: Option<String>,
    /// Secret in this namespace whose `ca.crt` signed the server's certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub ca_cert_secret_ref: Option<String>,
    /// Secret of type `kubernetes.io/tls` in this namespace, shown to the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub client_cert_secret_ref: Option<String>,
    /// `true` accepts any certificate: whoever sits in between reads everything.
    #[serde(default, rename = "skipTLSVerify")]
    pub skip_tls_verify: bool,
    /// How long one request may take. Default: 30s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
    /// Who may refer to this connection.
    #[serde(default)]
    pub allowed_namespaces: AllowedNamespaces,
}

/// What is known of a connection.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BaoConnectionStatus {
    /// The generation this status speaks of.
    #[serde(default = "never_observed")]
    pub observed_generation: i64,
    /// `Ready`, `Reconciling`, `Stalled`.
    #[serde(default)]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// The address in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub address: Option<String>,
    /// The version the server reports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub version: Option<String>,
}

conditions!(BaoConnectionStatus);
