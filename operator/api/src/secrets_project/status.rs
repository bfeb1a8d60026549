use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::common::{conditions, never_observed};
use crate::{PlannedChange, Reference};

/// What is there of a project.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretsProjectStatus {
    /// The generation this status speaks of.
    #[serde(default = "never_observed")]
    pub observed_generation: i64,
    /// `Ready`, `Reconciling`, `Stalled`; `NamespaceReady`, `EngineReady`, `AuthReady`, `PoliciesReady`.
    #[serde(default)]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// The state in a word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<ProjectPhase>,
    /// The project's namespace in OpenBao, from the root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub openbao_namespace: Option<String>,
    /// What deletion works from, since parents may be gone by then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provisioned: Option<Provisioned>,
    /// What a CI server puts into a job for `gitlab_secrets_manager`. Paths are from the root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runner: Option<RunnerAccess>,
    /// CI variables for the `vault:` keyword. `authPath` is relative to the namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vault: Option<VaultAccess>,
    /// How many policies are in force.
    #[serde(default)]
    pub policies: i64,
    /// With `mode: Observe`: what would be done.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1000))]
    pub plan: Vec<PlannedChange>,
}

/// The state of a project in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ProjectPhase {
    /// Nothing done yet.
    Pending,
    /// On the way.
    Provisioning,
    /// In force.
    Active,
    /// Nobody gets in; values are kept.
    Disabled,
    /// Being removed.
    Deprovisioning,
    /// Will not proceed until someone changes something.
    Failed,
}

/// Where things were made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Provisioned {
    /// The cluster, with its namespace.
    pub cluster_ref: Reference,
    /// The tenant's namespace in OpenBao.
    #[schemars(length(max = 512))]
    pub tenant_namespace: String,
    /// The project's namespace in OpenBao.
    #[schemars(length(max = 512))]
    pub openbao_namespace: String,
    /// Mount of the engine.
    #[schemars(length(max = 255))]
    pub engine: String,
    /// `keyRemovals` of the issuer when the pipeline mount was last written.
    #[serde(default)]
    pub issuer_key_removals: i64,
    /// Digests of the names of the policies that were written: one of these is ours also when someone has edited the
    /// mark out of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 512), inner(length(max = 16)))]
    pub policies: Vec<String>,
}

/// What a runner needs for `gitlab_secrets_manager`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunnerAccess {
    /// URL of OpenBao for runners.
    #[schemars(length(max = 512))]
    pub server_url: String,
    /// Login path from the root namespace.
    #[schemars(length(max = 512))]
    pub inline_auth_path: String,
    /// Role to log in as.
    #[schemars(length(max = 255))]
    pub role: String,
    /// Mount of the engine from the root namespace.
    #[schemars(length(max = 512))]
    pub engine_path: String,
    /// Type of the engine.
    #[schemars(length(max = 63))]
    pub engine_name: String,
    /// The folder in the engine that holds values.
    #[schemars(length(max = 255))]
    pub data_root: String,
}

/// CI variables for the `vault:` keyword.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VaultAccess {
    /// `VAULT_SERVER_URL`.
    #[schemars(length(max = 512))]
    pub server_url: String,
    /// `VAULT_NAMESPACE`.
    #[schemars(length(max = 512))]
    pub namespace: String,
    /// `VAULT_AUTH_PATH`.
    #[schemars(length(max = 255))]
    pub auth_path: String,
    /// `VAULT_AUTH_ROLE`.
    #[schemars(length(max = 255))]
    pub role: String,
}

conditions!(SecretsProjectStatus);
