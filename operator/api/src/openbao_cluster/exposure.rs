use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::LocalReference;

/// Who reads the metrics, which every node has on port 9101 at `/metrics`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServerMetrics {
    /// Whether there is a ServiceMonitor; the Prometheus operator has to be installed. Default: `false`.
    #[serde(default)]
    pub service_monitor: bool,
    /// Labels of the ServiceMonitor, such as those that a Prometheus chooses by.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub service_monitor_labels: BTreeMap<String, String>,
}

/// An Ingress to all nodes. They talk TLS with certificates of the cluster's CA: say so to the controller, such as with the
/// annotation `nginx.ingress.kubernetes.io/backend-protocol: HTTPS`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Ingress {
    /// The name that clients ask for.
    #[x_kube(validation = ("self.matches('^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$')", "host is a name in lower case, such as bao.example.com"))]
    #[schemars(length(min = 1, max = 253))]
    pub host: String,
    /// Its IngressClass. Default: the cluster's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub class_name: Option<String>,
    /// Only requests whose path begins so are let in, such as `/v1`. Default: `/`.
    #[serde(default = "everything")]
    #[x_kube(validation = ("self.startsWith('/')", "pathPrefix begins with /"))]
    #[schemars(length(min = 1, max = 255))]
    pub path_prefix: String,
    /// Annotations for its controller.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// The certificate that clients see.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<IngressTls>,
}

fn everything() -> String {
    "/".to_owned()
}

/// The certificate that clients see.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IngressTls {
    /// Secret with `tls.crt` and `tls.key`.
    pub secret_ref: LocalReference,
}

/// An HTTPRoute to all nodes, and the BackendTLSPolicy with which the Gateway checks their certificates.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Gateway {
    /// The name that clients ask for.
    #[x_kube(validation = ("self.matches('^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$')", "host is a name in lower case, such as bao.example.com"))]
    #[schemars(length(min = 1, max = 253))]
    pub host: String,
    /// The Gateway, which has to let routes of this namespace attach.
    pub parent_ref: GatewayReference,
    /// Only requests whose path begins so are let in, such as `/v1`. Default: `/`.
    #[serde(default = "everything")]
    #[x_kube(validation = ("self.startsWith('/')", "pathPrefix begins with /"))]
    #[schemars(length(min = 1, max = 255))]
    pub path_prefix: String,
}

/// A Gateway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GatewayReference {
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Its namespace. Default: the cluster's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub namespace: Option<String>,
    /// One of its listeners. Default: all that fit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub section_name: Option<String>,
}
