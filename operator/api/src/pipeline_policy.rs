use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Reference;
use crate::common::{conditions, never_observed};

/// Which secrets the jobs of some environments and branches read.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "steamer.dev",
    version = "v1alpha1",
    kind = "PipelinePolicy",
    plural = "pipelinepolicies",
    namespaced,
    status = "PipelinePolicyStatus",
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
    printcolumn(name = "Project", type_ = "string", json_path = ".spec.projectRef.name"),
    printcolumn(name = "Contexts", type_ = "string", json_path = ".status.policies[*].context"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct PipelinePolicySpec {
    /// The project whose secrets are read. Immutable.
    #[x_kube(validation = ("self == oldSelf", "projectRef cannot be changed: make a new policy"))]
    pub project_ref: Reference,
    /// Environments of the job: `*` matches anything, also `/`; everything else is literal. Empty: any, also none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 255)))]
    pub environments: Vec<String>,
    /// Branches of the job, written like `environments`. Tags and merge requests are no branches. Empty: any, also none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 255)))]
    pub branches: Vec<String>,
    /// What must hold besides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<When>,
    /// The secrets that may be read.
    #[schemars(length(min = 1, max = 500), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub secrets: Vec<SecretGrant>,
    /// From then on nothing may be read through this policy. Where several policies grant a path, the latest wins;
    /// one without it beats all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,
    /// `true` takes back what this policy gives, without deleting it.
    #[serde(default)]
    pub cancelled: bool,
}

/// Conditions that narrow a policy.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct When {
    /// Whether the job's ref must be protected (`true`) or unprotected (`false`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ref_protected: Option<bool>,
}

/// A secret and what may be done with it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretGrant {
    /// The exact name.
    #[schemars(length(min = 1, max = 255))]
    #[x_kube(validation = ("self.matches('^[A-Za-z0-9_]+$')", "the name of a secret is letters, digits and _ only; patterns and paths are not possible"))]
    pub name: String,
    /// What may be done. Default: `[read]`.
    #[serde(default = "read")]
    #[schemars(length(min = 1, max = 1))]
    pub capabilities: Vec<Capability>,
}

fn read() -> Vec<Capability> {
    vec![Capability::Read]
}

/// What may be done with a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Capability {
    /// Read its value and metadata.
    Read,
}

/// What a policy comes to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PipelinePolicyStatus {
    /// The generation this status speaks of.
    #[serde(default = "never_observed")]
    pub observed_generation: i64,
    /// `Ready`, `Reconciling`, `Stalled`.
    #[serde(default)]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// The OpenBao policies it contributes to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    pub policies: Vec<ContextPolicy>,
}

/// One OpenBao policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ContextPolicy {
    /// Its name in the project's namespace.
    #[schemars(length(max = 2048))]
    pub name: String,
    /// What it stands for, readable.
    #[schemars(length(max = 1024))]
    pub context: String,
    /// How many secrets this object puts into it.
    pub secrets: i64,
}

conditions!(PipelinePolicyStatus);
