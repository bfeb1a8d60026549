//! Rollout of changes to the nodes of a managed cluster.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Duration;

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
}

fn two_minutes() -> Duration {
    Duration::from_secs(120)
}

impl Default for Upgrade {
    fn default() -> Self {
        Self { paused: false, node_timeout: two_minutes() }
    }
}
