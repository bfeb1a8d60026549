//! Access to a managed cluster: metrics, Ingress, Gateway.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{LocalReference, rules};

/// Monitoring of the metrics that every node serves on port 9101 at `/metrics`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServerMetrics {
    /// `true` creates a ServiceMonitor. Requires the Prometheus Operator. Default: `false`.
    #[serde(default)]
    pub service_monitor: bool,
    /// Labels to set on the ServiceMonitor, such as those that a Prometheus selects.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    #[x_kube(validation = rules::KEYS, validation = rules::LABEL_VALUES, validation = rules::CLUSTER_KEYS)]
    pub service_monitor_labels: BTreeMap<String, String>,
}

/// Ingress that routes to all nodes. The nodes serve TLS with certificates of the cluster's CA: configure the Ingress
/// controller for it, for example with the annotation `nginx.ingress.kubernetes.io/backend-protocol: HTTPS`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Ingress {
    /// Host name that clients use.
    #[x_kube(validation = ("self.matches('^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$')", "host must be a lowercase host name, such as bao.example.com"))]
    #[schemars(length(min = 1, max = 253))]
    pub host: String,
    /// Name of the IngressClass. Default: the default IngressClass of the Kubernetes cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub class_name: Option<String>,
    /// Path prefix of the requests to route, such as `/v1`. Other requests are not routed. Default: `/`.
    #[serde(default = "everything")]
    #[x_kube(validation = ("self.startsWith('/')", "pathPrefix must start with /"))]
    #[schemars(length(min = 1, max = 255))]
    pub path_prefix: String,
    /// Annotations to set on the Ingress, for its controller.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    #[x_kube(validation = rules::KEYS, validation = rules::CLUSTER_KEYS)]
    pub annotations: BTreeMap<String, String>,
    /// Certificate that the Ingress presents to clients. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<IngressTls>,
}

fn everything() -> String {
    "/".to_owned()
}

/// Certificate that the Ingress presents to clients.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IngressTls {
    /// Secret that holds the certificate and its key (keys `tls.crt` and `tls.key`).
    pub secret_ref: LocalReference,
}

/// HTTPRoute that routes to all nodes, and the BackendTLSPolicy that makes the Gateway verify their certificates.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Gateway {
    /// Host name that clients use.
    #[x_kube(validation = ("self.matches('^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$')", "host must be a lowercase host name, such as bao.example.com"))]
    #[schemars(length(min = 1, max = 253))]
    pub host: String,
    /// Gateway to attach to. It must allow routes from this namespace.
    pub parent_ref: GatewayReference,
    /// Path prefix of the requests to route, such as `/v1`. Other requests are not routed. Default: `/`.
    #[serde(default = "everything")]
    #[x_kube(validation = ("self.startsWith('/')", "pathPrefix must start with /"))]
    #[schemars(length(min = 1, max = 255))]
    pub path_prefix: String,
}

/// Reference to a Gateway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GatewayReference {
    /// Name of the Gateway.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Namespace of the Gateway. Default: the namespace of the OpenBaoCluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub namespace: Option<String>,
    /// Name of a listener of the Gateway. Default: all matching listeners.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub section_name: Option<String>,
}
