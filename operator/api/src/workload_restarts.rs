//! Restarts of workloads after a change of the Secret that they use.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Duration, rules};

/// Workloads that are restarted when the Secret changes: one by name, or all that a selector matches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("has(self.name) != has(self.selector)", "a rolloutRestartTarget has exactly one of name and selector"))]
pub struct RolloutRestartTarget {
    /// Kind of the workload: `Deployment`, `StatefulSet`, `DaemonSet` or `argo.Rollout`.
    pub kind: WorkloadKind,
    /// Name of the workload, in the namespace of this object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = ("!format.dns1123Subdomain().validate(self).hasValue()", "the name of a rolloutRestartTarget must be a valid name of a workload: lowercase letters, digits, - and ."))]
    pub name: Option<String>,
    /// Selects workloads of the kind by their labels, in the namespace of this object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<WorkloadSelector>,
}

/// Kind of a workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum WorkloadKind {
    /// Deployment of `apps/v1`.
    Deployment,
    /// StatefulSet of `apps/v1`.
    StatefulSet,
    /// DaemonSet of `apps/v1`.
    DaemonSet,
    /// Rollout of Argo Rollouts.
    #[serde(rename = "argo.Rollout")]
    ArgoRollout,
}

impl WorkloadKind {
    /// All kinds.
    pub const ALL: [Self; 4] = [Self::Deployment, Self::StatefulSet, Self::DaemonSet, Self::ArgoRollout];

    /// Returns the name of the kind in a spec.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Deployment => "Deployment",
            Self::StatefulSet => "StatefulSet",
            Self::DaemonSet => "DaemonSet",
            Self::ArgoRollout => "argo.Rollout",
        }
    }
}

/// Labels that a workload must have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct WorkloadSelector {
    /// Labels and their values. A workload must have all of them.
    #[schemars(extend("minProperties" = 1, "maxProperties" = 8, "additionalProperties" = {"type": "string", "maxLength": 63}))]
    #[x_kube(validation = rules::KEYS, validation = rules::LABEL_VALUES)]
    pub match_labels: BTreeMap<String, String>,
}

/// How workloads are restarted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct RolloutRestart {
    /// `Targets`: restart the `rolloutRestartTargets`. `Consumers`: also restart every workload of the namespace whose
    /// pod template uses the Secret in `env`, `envFrom`, a volume or a projected volume. `imagePullSecrets` do not count.
    /// `None`: restart nothing. Default: `Targets`.
    #[serde(default)]
    pub mode: RestartMode,
    /// How long Steamer waits for changes of further Secrets before it restarts a workload, so that a batch of changes
    /// causes one restart. Default: 5s. Maximum: 1h.
    #[serde(default = "five_seconds")]
    #[x_kube(validation = ("duration(self) <= duration('1h')", "debounce must be at most 1h: until then, the pods use the former value"))]
    pub debounce: Duration,
    /// Maximum number of workloads of this object that roll out at the same time. Default: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub max_concurrent: Option<i64>,
}

fn five_seconds() -> Duration {
    Duration::from_secs(5)
}

impl Default for RolloutRestart {
    fn default() -> Self {
        Self { mode: RestartMode::default(), debounce: five_seconds(), max_concurrent: None }
    }
}

/// Choice of the workloads that are restarted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RestartMode {
    /// The `rolloutRestartTargets`.
    #[default]
    Targets,
    /// The `rolloutRestartTargets`, and all workloads that use the Secret.
    Consumers,
    /// None.
    None,
}

/// Restarts of workloads so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WorkloadRestarts {
    /// Number of the last change of the Secret for which all workloads were restarted. The creation of the Secret is
    /// change 0.
    #[serde(default)]
    pub change: i64,
    /// Workloads that were restarted last, the latest first. At most 50.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub workloads: Vec<RestartedWorkload>,
}

/// A workload that was restarted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RestartedWorkload {
    /// Kind of the workload.
    pub kind: WorkloadKind,
    /// Name of the workload.
    #[schemars(length(max = 253))]
    pub name: String,
    /// Time of its last restart by this object.
    pub time: Time,
    /// Number of the change of the Secret that caused it.
    pub change: i64,
}
