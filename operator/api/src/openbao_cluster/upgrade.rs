//! Rollout of changes to the nodes of a managed cluster.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Duration, SyncWindow};

/// Rollout of changes to the nodes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Upgrade {
    /// `true` stops replacing pods for changes. Default: `false`.
    #[serde(default)]
    pub paused: bool,
    /// Time within which a replaced node must be unsealed and ready. If it is not, the rollout stops. 1s
    /// to 24h. Default: 2m.
    #[serde(default = "two_minutes")]
    #[x_kube(validation = ("duration(self) >= duration('1s') && duration(self) <= duration('24h')", "upgrade.nodeTimeout must be 1s to 24h: a rollout waits that long for a node that does not start"))]
    pub node_timeout: Duration,
    /// Replacement of the leader, the last step of a rollout. `Automatic`: when all standbys are updated. `Supervised`: when
    /// a user moves the leader to an updated standby with the annotation `steamer.dev/step-down`; requires 3 or more
    /// replicas. Default: `Automatic`.
    #[serde(default)]
    pub leader: LeaderUpgrade,
    /// Times in which Steamer replaces pods for changes, also for a requested restart. A node that fails is replaced at any
    /// time. Default: always.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub windows: Vec<SyncWindow>,
    /// Check of each rollout: a Job that runs when the first replaced node serves, before another node is replaced. If it
    /// fails, the rollout stops. Requires 3 or more replicas. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation: Option<UpgradeValidation>,
}

/// Check of a rollout by a Job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct UpgradeValidation {
    /// The Job. It runs once for each change of the pods; delete it to run it again.
    pub job: ValidationJob,
    /// Time after which the Job has failed, 10s to 24h. Default: 10m.
    #[serde(default = "ten_minutes")]
    #[x_kube(validation = ("duration(self) >= duration('10s') && duration(self) <= duration('24h')", "upgrade.validation.timeout must be 10s to 24h"))]
    pub timeout: Duration,
}

/// Job that checks the first replaced node. Steamer adds the variables `BAO_ADDR` (URL of this node), `BAO_CACERT` and
/// `STEAMER_POD`, and the file `/openbao/token/token`: a token of the ServiceAccount `<name>-validation` for the audience of
/// the cluster, with which it can log in at `auth/kubernetes`. Steamer creates this ServiceAccount without rights.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ValidationJob {
    /// Image. Default: the image of the nodes, which contains `bao`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub image: Option<String>,
    /// Command. Exit code 0 continues the rollout. Default: that of the image.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 16384)))]
    pub command: Vec<String>,
    /// Arguments of the command.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 16384)))]
    pub args: Vec<String>,
    /// Environment variables. Those that Steamer adds have precedence.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    #[x_kube(validation = ("self.all(name, name.matches('^[A-Za-z_][A-Za-z0-9_]*$') && size(self[name]) <= 4096)", "names in validation.job.env must be letters, digits and underscores, and values must have at most 4096 characters"))]
    pub env: BTreeMap<String, String>,
}

fn ten_minutes() -> Duration {
    Duration::from_secs(600)
}

/// Replacement of the leader in a rollout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum LeaderUpgrade {
    /// When all standbys are updated.
    #[default]
    Automatic,
    /// When a user has moved the leader to an updated standby.
    Supervised,
}

fn two_minutes() -> Duration {
    Duration::from_secs(120)
}

impl Default for Upgrade {
    fn default() -> Self {
        Self {
            paused: false,
            node_timeout: two_minutes(),
            leader: LeaderUpgrade::default(),
            windows: Vec::new(),
            validation: None,
        }
    }
}
