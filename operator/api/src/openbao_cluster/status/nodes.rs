//! State of the nodes of a managed cluster.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Leader of a managed cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LeaderStatus {
    /// Name of the leader's pod.
    #[schemars(length(max = 253))]
    pub pod: String,
    /// Time at which it became the leader.
    pub since: Time,
}

/// OpenBao node of a managed cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MemberStatus {
    /// Name of the node's pod.
    #[schemars(length(max = 253))]
    pub pod: String,
    /// Name of the Kubernetes node that the pod runs on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub node: Option<String>,
    /// `Leader`, `Standby`, or `Unknown` if it is neither, such as while it is sealed or unreachable.
    pub role: MemberRole,
    /// OpenBao version that the node reports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub version: Option<String>,
    /// `true` if the node is sealed. Unset while it does not report its health.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sealed: Option<bool>,
    /// `true` if the node is unsealed, and leads or follows the leader.
    pub ready: bool,
}

/// Role of a node in its cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum MemberRole {
    /// The active node.
    Leader,
    /// A standby node.
    Standby,
    /// Neither active nor standby, such as sealed or unreachable.
    Unknown,
}

/// Failovers of a managed cluster.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FailoverState {
    /// Longest takeover that was measured, in seconds: from the acquisition of the lock until the node leads. It grows
    /// with the number of namespaces, and waiting times derive from it.
    pub takeover_seconds: i64,
}

/// Opening of `generate-root` with the annotation `steamer.dev/break-glass`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BreakGlassState {
    /// Value of the annotation. The same value opens nothing again.
    #[schemars(length(max = 63))]
    pub request: String,
    /// Name of the pod whose loopback interface answers.
    #[schemars(length(max = 253))]
    pub pod: String,
    /// Time at which Steamer closes it.
    pub until: Time,
}

/// Fenced incarnation of a node, which can no longer write.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Fenced {
    /// Name of the node's pod.
    #[schemars(length(max = 253))]
    pub pod: String,
    /// UID of the pod.
    #[schemars(length(max = 63))]
    pub uid: String,
    /// PostgreSQL role that can no longer log in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub role: Option<String>,
    /// Time of the fencing.
    pub since: Time,
    /// Reason of the fencing.
    #[schemars(length(max = 1024))]
    pub reason: String,
}
