//! Fields that statuses have in common.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{PlannedChange, WorkloadRestarts};

/// Status fields of every kind.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CommonStatus {
    /// Generation of the spec that this status was computed from. -1 until the first reconcile.
    #[serde(default = "never_observed")]
    pub observed_generation: i64,
    /// Conditions `Ready`, `Reconciling` and `Stalled`; `Suspended` while `suspend` is `true`; and the conditions
    /// that the page of the kind lists.
    #[serde(default)]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

/// Value of `observedGeneration` before the first reconcile.
fn never_observed() -> i64 {
    -1
}

/// Status fields of a kind that creates resources in OpenBao.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LifecycleStatus {
    /// OpenBao namespace that contains the resources, from the root namespace of the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub openbao_namespace: Option<String>,
    /// Pending changes, with `mode: Observe`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1000))]
    pub plan: Vec<PlannedChange>,
    /// Writes that Steamer no longer makes, because another client undoes each of them. An entry ends with a change of the spec,
    /// with the annotation `steamer.dev/reconcile`, and when OpenBao has the desired state again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1000))]
    pub stopped: Vec<StoppedWrite>,
}

/// A write that Steamer no longer makes, because another client undid it several times.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StoppedWrite {
    /// Path in OpenBao, from the root namespace of the server.
    #[schemars(length(max = 1024))]
    pub path: String,
    /// Number of writes that the other client undid.
    pub writes: i64,
    /// Keyed digest (MAC) of the write, the generation of the spec and the value of the annotation `steamer.dev/reconcile`. An
    /// entry with another digest stops nothing.
    #[schemars(length(max = 128))]
    pub seal: String,
}

/// Status fields of a kind that becomes a Kubernetes Secret.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SyncStatus {
    /// Keyed digest (MAC) of the data that was written. It is different for every Secret, and useless without the key.
    #[serde(default, rename = "secretMAC", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub secret_mac: Option<String>,
    /// Last write of the Kubernetes Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_sync: Option<LastSync>,
    /// Name of the Kubernetes Secret that was written last. After a rename, it identifies the old Secret to delete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub destination: Option<String>,
    /// Restarts of workloads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restarts: Option<WorkloadRestarts>,
    /// Value of the annotation `steamer.dev/reconcile` that was handled last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub last_handled_reconcile_at: Option<String>,
}

/// A write of the Kubernetes Secret.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LastSync {
    /// Time of the write.
    pub time: Time,
    /// Reason of the write: `NeverSynced`, `ValueChanged`, `SpecChanged`, `TransformationChanged`,
    /// `ReconcileRequested`, `DestinationMissing`, `DestinationDrifted`, `RefreshDue`, `SourceWritten` (instant delivery). Of
    /// issued values also `RenewalDue` (the value cannot be renewed any longer) and `LeaseRevoked` (OpenBao does not know the
    /// lease).
    #[schemars(length(max = 63))]
    pub reason: String,
}

/// The status of a kind. The list of kinds implements it for each status with a field `common`.
pub trait HasConditions {
    /// Returns the fields that every status has.
    fn common(&self) -> &CommonStatus;

    /// Returns the fields that every status has, for modification.
    fn common_mut(&mut self) -> &mut CommonStatus;

    /// Returns the conditions.
    fn conditions(&self) -> &[Condition] {
        &self.common().conditions
    }

    /// Returns the condition of a type.
    fn condition(&self, kind: &str) -> Option<&Condition> {
        self.conditions().iter().find(|condition| condition.type_ == kind)
    }

    /// Returns the condition `Stalled` if it is `True`.
    fn stalled(&self) -> Option<&Condition> {
        self.condition("Stalled").filter(|condition| condition.status == "True")
    }

    /// Returns `observedGeneration`: the generation of the spec that the status was computed from, or -1 before the first
    /// reconcile.
    fn observed_generation(&self) -> i64 {
        self.common().observed_generation
    }

    /// Returns true if the condition `Ready` is `True`.
    fn is_ready(&self) -> bool {
        self.condition("Ready").is_some_and(|condition| condition.status == "True")
    }
}

/// The status of a kind that creates resources in OpenBao. The list of kinds implements it for each status with a field
/// `lifecycle`.
pub trait HasLifecycleStatus: HasConditions {
    /// Returns the fields of the resources, for modification.
    fn lifecycle_mut(&mut self) -> &mut LifecycleStatus;
}
