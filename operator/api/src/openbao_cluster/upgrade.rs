//! Rollout of changes to the nodes of a managed cluster.

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
        }
    }
}
