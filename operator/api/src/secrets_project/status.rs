//! Status of a SecretsProject.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{CommonStatus, LifecycleStatus, Reference};

/// Observed state of a project.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretsProjectStatus {
    /// Fields of every kind.
    #[serde(flatten)]
    pub common: CommonStatus,
    /// Summary of the state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<ProjectPhase>,
    /// Fields of the resources in OpenBao.
    #[serde(flatten)]
    pub lifecycle: LifecycleStatus,
    /// Location of the provisioned resources. Used for deletion, when the tenant may no longer exist.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provisioned: Option<Provisioned>,
    /// Settings that a CI server passes to a job for `gitlab_secrets_manager`. Paths are from the root namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runner: Option<RunnerAccess>,
    /// CI variables for the `vault:` keyword. `authPath` is relative to the namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vault: Option<VaultAccess>,
    /// Logins of the jobs of additional issuers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub issuers: Vec<IssuerAccess>,
    /// Number of policies in force.
    #[serde(default)]
    pub policies: i64,
}

/// Summary of the state of a project.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ProjectPhase {
    /// Being provisioned.
    Provisioning,
    /// Provisioned.
    Active,
    /// No login is possible; values are kept.
    Disabled,
    /// Being deleted.
    Deprovisioning,
    /// No login is possible, because a right was revoked; values are kept.
    Failed,
}

/// Location of provisioned resources. Its namespaces are relative to `external.namespace` of the cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Provisioned {
    /// OpenBaoCluster, with its namespace.
    pub cluster_ref: Reference,
    /// OpenBao namespace of the tenant.
    #[schemars(length(max = 512))]
    pub tenant_namespace: String,
    /// OpenBao namespace of the project.
    #[schemars(length(max = 512))]
    pub openbao_namespace: String,
    /// Path of the engine's mount.
    #[schemars(length(max = 255))]
    pub engine: String,
    /// JWTIssuer of the pipeline mount, with its namespace. It keeps its access while the spec refers to a JWTIssuer that
    /// does not exist.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer_ref: Option<Reference>,
    /// `keyRemovals` of the issuer when the pipeline mount was last written.
    #[serde(default)]
    pub issuer_key_removals: i64,
    /// `true` after `defaultRoles` were written. They are not written again.
    #[serde(default)]
    pub default_roles_written: bool,
    /// Additional issuers whose auth mounts and policies can exist, by their names in the spec.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    pub additional_issuers: BTreeMap<String, ProvisionedIssuer>,
    /// Digests of the names of the policies that were written. Such a policy is owned by this project even if its owner
    /// mark was edited out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 592), inner(length(max = 16)))]
    pub policies: Vec<String>,
}

/// Auth mount of an additional issuer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProvisionedIssuer {
    /// JWTIssuer that the mount trusts, with its namespace. Unset while the mount changes to another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer_ref: Option<Reference>,
    /// `keyRemovals` of the issuer when the mount was last written.
    #[serde(default)]
    pub key_removals: i64,
}

/// Settings of a runner for `gitlab_secrets_manager`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunnerAccess {
    /// URL of OpenBao for runners.
    #[schemars(length(max = 512))]
    pub server_url: String,
    /// Login path, from the root namespace.
    #[schemars(length(max = 512))]
    pub inline_auth_path: String,
    /// Role to log in as.
    #[schemars(length(max = 255))]
    pub role: String,
    /// Path of the engine's mount, from the root namespace.
    #[schemars(length(max = 512))]
    pub engine_path: String,
    /// Type of the engine.
    #[schemars(length(max = 63))]
    pub engine_name: String,
    /// Path in the engine that contains the values.
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

/// Login of the jobs of an additional issuer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IssuerAccess {
    /// Name of the issuer in the spec.
    #[schemars(length(max = 32))]
    pub name: String,
    /// CI variables of a login. `authPath` is relative to the namespace.
    pub vault: VaultAccess,
}
