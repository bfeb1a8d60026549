use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Orphan;
use crate::common::{conditions, never_observed};

/// What is known of an OpenBao.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OpenBaoClusterStatus {
    /// The generation this status speaks of.
    #[serde(default = "never_observed")]
    pub observed_generation: i64,
    /// `Ready`, `Reconciling`, `Stalled`; `Available`, `Initialized`, `Unsealed`, `LeaderElected`, `OperatorPolicyCurrent`;
    /// of a managed cluster also `StorageReachable`, `SealReachable`, `CertificatesValid`, `FencingReady`, `Degraded`,
    /// `UpgradeInProgress`.
    #[serde(default)]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// The state in a word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<ClusterPhase>,
    /// The version the server reports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub version: Option<String>,
    /// The highest version that has led: none below it may lead again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub highest_version_led: Option<String>,
    /// Where clients reach it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub endpoint: Option<String>,
    /// Whether it was ever initialised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initialized: Option<bool>,
    /// OpenBao's own id, of a managed cluster: another one means another database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub cluster_id: Option<String>,
    /// The ConfigMap with the CA of a managed cluster, under `ca.crt`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub ca_config_map: Option<String>,
    /// How many nodes serve.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<i32>,
    /// Labels of its pods, for whoever scales it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub selector: Option<String>,
    /// Who leads, and since when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leader: Option<LeaderStatus>,
    /// Who led last; kept while nobody leads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_leader: Option<LeaderStatus>,
    /// How often the leader has changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leadership_changes: Option<i64>,
    /// The nodes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub members: Vec<MemberStatus>,
    /// The seal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seal: Option<SealState>,
    /// The database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<StorageState>,
    /// The certificates of the nodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificates: Option<CertificateState>,
    /// Whether the nodes of a managed cluster have an audit device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audited: Option<bool>,
    /// Where the recovery keys are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovery_keys: Option<RecoveryKeyState>,
    /// A change on its way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upgrade: Option<UpgradeState>,
    /// Incarnations of nodes that may not write any more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub fenced: Vec<Fenced>,
    /// What deleted tenants left behind while OpenBao could not be reached.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1000))]
    pub orphans: Vec<Orphan>,
}

/// The state of an OpenBao in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ClusterPhase {
    /// Not looked at yet.
    Pending,
    /// Its objects are being made.
    Creating,
    /// Its storage is being initialised.
    Initializing,
    /// It serves.
    Running,
    /// It serves, and its nodes are being replaced.
    Upgrading,
    /// It serves with fewer nodes than it should have.
    Degraded,
    /// It does not serve.
    Unavailable,
}

/// Who leads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LeaderStatus {
    /// Its pod.
    #[schemars(length(max = 253))]
    pub pod: String,
    /// Since when it was seen to lead.
    pub since: Time,
}

/// A node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MemberStatus {
    /// Its pod.
    #[schemars(length(max = 253))]
    pub pod: String,
    /// The machine it runs on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub node: Option<String>,
    /// `Leader`, `Standby`, or `Unknown` while it does not answer.
    pub role: MemberRole,
    /// Its version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub version: Option<String>,
    /// Whether it is sealed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sealed: Option<bool>,
    /// Whether it serves.
    pub ready: bool,
}

/// What a node is in its cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum MemberRole {
    /// It leads.
    Leader,
    /// It follows.
    Standby,
    /// It does not answer.
    Unknown,
}

/// The seal.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SealState {
    /// Its kind.
    #[serde(rename = "type")]
    #[schemars(length(max = 63))]
    pub kind: String,
    /// The kind that a migration under way goes to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub migrating_to: Option<String>,
    /// Id of the key in use; of a rotation under way the one that is to be replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 255))]
    pub key_id: Option<String>,
    /// The key that a rotation under way goes to, and how far it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotating: Option<SealRotation>,
    /// Keyed digests of the static keys in use, which tell when one is replaced under the same id.
    #[serde(default, skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    pub fingerprints: std::collections::BTreeMap<String, String>,
}

/// A rotation under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SealRotation {
    /// The new key.
    #[schemars(length(max = 255))]
    pub to: String,
    /// `Distribute`: nodes get to know the new key. `Rewrap`: it becomes the one in use. `Retire`: the old one goes.
    pub phase: RotationPhase,
}

/// How far a rotation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RotationPhase {
    /// Nodes get to know the new key.
    Distribute,
    /// The new key becomes the one in use.
    Rewrap,
    /// The old key goes.
    Retire,
}

/// The database.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StorageState {
    /// Its host.
    #[schemars(length(max = 255))]
    pub host: String,
    /// Its version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub version: Option<String>,
    /// Its timeline: it changes when another server is promoted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeline: Option<i64>,
}

/// The certificates of the nodes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CertificateState {
    /// When the nodes' certificate ends.
    pub not_after: Time,
}

/// Where the recovery keys are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RecoveryKeyState {
    /// The Secret.
    #[schemars(length(max = 253))]
    pub secret_name: String,
}

/// A change on its way.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UpgradeState {
    /// The version before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub from: Option<String>,
    /// The version it goes to.
    #[schemars(length(max = 63))]
    pub to: String,
    /// What is waited for.
    #[schemars(length(max = 1024))]
    pub step: String,
    /// How many nodes are as they should be.
    pub updated: i32,
}

/// An incarnation of a node that may not write any more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Fenced {
    /// Its pod.
    #[schemars(length(max = 253))]
    pub pod: String,
    /// Uid of the pod.
    #[schemars(length(max = 63))]
    pub uid: String,
    /// The role in PostgreSQL that may not log in any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub role: Option<String>,
    /// Since when.
    pub since: Time,
    /// Why.
    #[schemars(length(max = 1024))]
    pub reason: String,
}

conditions!(OpenBaoClusterStatus);
