//! Status of an OpenBaoCluster.

mod nodes;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::RestoreDrillState;
use crate::{CommonStatus, Orphan};

pub use nodes::*;

/// Observed state of an OpenBao cluster or server.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OpenBaoClusterStatus {
    /// Fields of every kind.
    #[serde(flatten)]
    pub common: CommonStatus,
    /// Summary of the state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<ClusterPhase>,
    /// OpenBao version that the server reports. For a managed cluster: the lowest version of its ready nodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub version: Option<String>,
    /// Image of the leader of a managed cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub image: Option<String>,
    /// Highest version that has been leader. A lower version must not become leader again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub highest_version_led: Option<String>,
    /// URL for clients.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub endpoint: Option<String>,
    /// `true` if OpenBao is initialized.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initialized: Option<bool>,
    /// Cluster ID that OpenBao reports. A different ID means a different database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub cluster_id: Option<String>,
    /// OpenBaoCluster whose audience this object claims. Kept until the audience of this object changes, or the conflict is
    /// resolved: the audience does not pass to this object when the other one is deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audience_holder: Option<AudienceHolder>,
    /// Name of the ConfigMap that holds the CA certificate of a managed cluster (key `ca.crt`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub ca_config_map: Option<String>,
    /// Number of ready nodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<i32>,
    /// Label selector of the pods, for the scale subresource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub selector: Option<String>,
    /// Current leader. Unset while there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leader: Option<LeaderStatus>,
    /// Last known leader. Kept while there is no leader.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_leader: Option<LeaderStatus>,
    /// Number of leader changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leadership_changes: Option<i64>,
    /// Nodes of a managed cluster.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub members: Vec<MemberStatus>,
    /// Seal of a managed cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seal: Option<SealState>,
    /// Database of a managed cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<StorageState>,
    /// Certificates of the nodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificates: Option<CertificateState>,
    /// `true` if the nodes of a managed cluster have an audit device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audited: Option<bool>,
    /// Digests of the administrators that the initialization wrote, by name. For a cluster that was initialized by an
    /// earlier Steamer: those of the spec at the time of the upgrade.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxProperties" = 16))]
    pub administrators: Option<std::collections::BTreeMap<String, String>>,
    /// Location of the recovery keys. Set once they exist.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovery_keys: Option<RecoveryKeyState>,
    /// Rollout in progress. Unset while there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upgrade: Option<UpgradeState>,
    /// Failovers of a managed cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failover: Option<FailoverState>,
    /// Fenced incarnations of nodes, which can no longer write.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub fenced: Vec<Fenced>,
    /// Last opening of `generate-root` with the annotation `steamer.dev/break-glass`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub break_glass: Option<BreakGlassState>,
    /// Last restore drill.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restore_drill: Option<RestoreDrillState>,
    /// Resources that deleted tenants and projects left in OpenBao while it was unreachable.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1000))]
    pub orphans: Vec<Orphan>,
}

/// Summary of the state of an OpenBao cluster or server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ClusterPhase {
    /// Not reconciled yet.
    Pending,
    /// Its Kubernetes objects are being created.
    Creating,
    /// Its storage is being initialized.
    Initializing,
    /// It serves requests.
    Running,
    /// It serves requests, and its nodes are being replaced.
    Upgrading,
    /// It serves requests with fewer ready nodes than desired.
    Degraded,
    /// It does not serve requests.
    Unavailable,
    /// No node runs, as `hibernation: true` requests.
    Hibernated,
}

/// State of the seal.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SealState {
    /// Type of the seal, such as `static`.
    #[serde(rename = "type")]
    #[schemars(length(max = 63))]
    pub kind: String,
    /// Target type of the seal migration in progress.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub migrating_to: Option<String>,
    /// ID of the static key in use. During a rotation: the key that is being replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 255))]
    pub key_id: Option<String>,
    /// Rotation of the static key in progress.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotating: Option<SealRotation>,
    /// Keyed digests of the static keys in the Secret, by key ID. They reveal a key that was replaced under the same
    /// ID.
    #[serde(default, skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    pub fingerprints: std::collections::BTreeMap<String, String>,
}

/// Rotation of the static key in progress.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SealRotation {
    /// ID of the new key.
    #[schemars(length(max = 255))]
    pub to: String,
    /// `Distribute`: the new key is rolled out to the nodes. `Rewrap`: the new key becomes the key in use. `Retire`:
    /// the old key is removed from the nodes.
    pub phase: RotationPhase,
}

/// Phase of a rotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RotationPhase {
    /// The new key is rolled out to the nodes.
    Distribute,
    /// The new key becomes the key in use.
    Rewrap,
    /// The old key is removed from the nodes.
    Retire,
}

/// State of the database.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StorageState {
    /// Host and port of the database.
    #[schemars(length(max = 255))]
    pub host: String,
    /// PostgreSQL version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub version: Option<String>,
    /// PostgreSQL timeline ID. It changes when another server is promoted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeline: Option<i64>,
}

/// State of the nodes' certificates.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CertificateState {
    /// Expiration time of the nodes' certificate.
    pub not_after: Time,
}

/// Location of the recovery keys.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RecoveryKeyState {
    /// Name of the Secret.
    #[schemars(length(max = 253))]
    pub secret_name: String,
}

/// Rollout in progress.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UpgradeState {
    /// OpenBao version before the rollout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub from: Option<String>,
    /// Target OpenBao version.
    #[schemars(length(max = 63))]
    pub to: String,
    /// Current step, or what the rollout waits for.
    #[schemars(length(max = 1024))]
    pub step: String,
    /// Number of updated nodes.
    pub updated: i32,
}

/// The cluster that had an audience first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AudienceHolder {
    /// Namespace and name of the OpenBaoCluster.
    #[schemars(length(max = 317))]
    pub cluster: String,
    /// The audience.
    #[schemars(length(max = 512))]
    pub audience: String,
}
