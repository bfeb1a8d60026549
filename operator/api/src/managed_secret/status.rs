//! Status of a ManagedSecret.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{CommonStatus, LifecycleStatus, Reference};

/// Observed state of a secret. It never contains a value.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ManagedSecretStatus {
    /// Fields of every kind.
    #[serde(flatten)]
    pub common: CommonStatus,
    /// Fields of the resources in OpenBao.
    #[serde(flatten)]
    pub lifecycle: LifecycleStatus,
    /// Location of the secret. Used for deletion, when the project may no longer exist.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provisioned: Option<ProvisionedSecret>,
    /// State of the secret in OpenBao.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<SecretState>,
    /// Number of the current version. Unset: there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<i64>,
    /// Time of the last change of the value by its source. A repair or rollback is no rotation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotated_at: Option<Time>,
    /// Time from which the value is due for rotation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotation_due_at: Option<Time>,
    /// Whether the value may be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compliance: Option<Compliance>,
    /// Digest of the annotation `steamer.dev/rotate` that was carried out last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub last_handled_rotate: Option<String>,
}

/// State of a secret in OpenBao. Its metadata contain the state, in the form of GitLab Secrets Manager.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum SecretState {
    /// Metadata and value belong together.
    Completed,
    /// The secret is being created: it has no value yet, or one that is not confirmed.
    CreateInProgress,
    /// The creation began more than 30 seconds ago.
    CreateStale,
    /// The value is being replaced: it is the former one, or one that is not confirmed.
    UpdateInProgress,
    /// The replacement began more than 30 seconds ago.
    UpdateStale,
}

/// Whether a value may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum Compliance {
    /// It is neither expired nor due for rotation.
    Compliant,
    /// `expiresAt` has passed.
    Expired,
    /// It is older than `rotation.interval`.
    RotationDue,
}

/// Location of a secret.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProvisionedSecret {
    /// OpenBaoCluster, with its namespace.
    pub cluster_ref: Reference,
    /// SecretsTenant, with its namespace.
    pub tenant_ref: Reference,
    /// OpenBao namespace of the project, relative to `external.namespace` of the cluster.
    #[schemars(length(max = 512))]
    pub openbao_namespace: String,
    /// Path of the value within that namespace.
    #[schemars(length(max = 1024))]
    pub path: String,
}
