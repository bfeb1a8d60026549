//! Distribution of the pods of a managed cluster.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Distribution of the pods over zones and Kubernetes nodes. `podTemplate.affinity` and
/// `podTemplate.topologySpreadConstraints` replace their part of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Topology {
    /// `Zones`: over zones (label `topology.kubernetes.io/zone`) and over Kubernetes nodes. `Hosts`: over Kubernetes
    /// nodes. `None`: as the scheduler decides. Default: `Zones`.
    #[serde(default)]
    pub spread: Spread,
    /// `true`: a pod that would violate the distribution stays Pending; a cluster of three then needs three Kubernetes
    /// nodes. `false`: it is scheduled nevertheless. Default: `false`.
    #[serde(default)]
    pub required: bool,
}

/// Domains over which pods are distributed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Spread {
    /// Zones and Kubernetes nodes.
    #[default]
    Zones,
    /// Kubernetes nodes.
    Hosts,
    /// No domain.
    None,
}
