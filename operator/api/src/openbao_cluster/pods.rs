//! Pods of a managed cluster and their ServiceAccount.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Affinity, Toleration, TopologySpreadConstraint};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Duration, rules};

/// ServiceAccount of the pods.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServerAccount {
    /// Annotations to set on the ServiceAccount, such as those that bind it to a cloud identity for the seal.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    #[x_kube(validation = rules::KEYS, validation = rules::CLUSTER_KEYS)]
    pub annotations: BTreeMap<String, String>,
    /// Token of the ServiceAccount to project into the pods, for a cloud that exchanges it for a workload identity. Not
    /// required if a webhook mounts a token because of the annotations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<IdentityToken>,
}

/// Projected ServiceAccount token, at `/openbao/identity/token` in the pods. The kubelet renews it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct IdentityToken {
    /// Audience of the token, such as `sts.amazonaws.com` or `api://AzureADTokenExchange`.
    #[schemars(length(min = 1, max = 255))]
    pub audience: String,
    /// Lifetime of the token, 10m to 24h. Default: 1h.
    #[serde(default = "hour")]
    #[x_kube(validation = ("duration(self) >= duration('10m') && duration(self) <= duration('24h')", "serviceAccount.token.lifetime must be 10m to 24h: Kubernetes issues no shorter token, and a stolen one is valid until its end"))]
    pub lifetime: Duration,
}

fn hour() -> Duration {
    Duration::from_secs(3600)
}

/// Additional settings of the pods.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct PodTemplate {
    /// Resource requests and limits. Default: requests of 100m CPU and 256Mi memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
    /// Labels that a Kubernetes node must have to run the pods.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub node_selector: BTreeMap<String, String>,
    /// Tolerations of the pods.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub tolerations: Vec<Toleration>,
    /// Affinity of the pods. Default: that of `topology`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub affinity: Option<Affinity>,
    /// Topology spread constraints of the pods. Default: those of `topology`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub topology_spread_constraints: Vec<TopologySpreadConstraint>,
    /// Name of the PriorityClass of the pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub priority_class_name: Option<String>,
    /// Annotations to set on the pods.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    #[x_kube(validation = rules::KEYS, validation = rules::CLUSTER_KEYS)]
    pub annotations: BTreeMap<String, String>,
    /// Labels to set on the pods.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    #[x_kube(validation = rules::KEYS, validation = rules::LABEL_VALUES, validation = rules::CLUSTER_KEYS)]
    pub labels: BTreeMap<String, String>,
    /// Environment variables of the container, such as `BAO_LOG_LEVEL`. The variables that Steamer sets are rejected.
    #[x_kube(validation = ("self.all(name, name == 'BAO_LOG_LEVEL' || (name.matches('^[A-Za-z_][A-Za-z0-9_]*$') && !name.matches('^(BAO_|VAULT_|PG|POD_|HOME$)')))", "podTemplate.env must not contain HOME or a variable that starts with POD_, PG, BAO_ or VAULT_ (except BAO_LOG_LEVEL): Steamer sets the identity and the configuration of the nodes. Use the field of the spec instead. A name consists of letters, digits and underscores"))]
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
}

/// Resource requests and limits of the OpenBao container.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Resources {
    /// Minimum resources that are reserved.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub requests: BTreeMap<String, IntOrString>,
    /// Maximum resources that may be used.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub limits: BTreeMap<String, IntOrString>,
}
