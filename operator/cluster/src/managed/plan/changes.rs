//! Changes to the Kubernetes objects and the database of a cluster.

use std::sync::Arc;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::batch::v1::Job;
use steamer_core::error::Error;

use crate::database::logins::Logins;
use crate::first_start::Initialization;
use crate::nodes::configuration::NewConfiguration;
use crate::nodes::replace::Rollout;
use crate::seal::keys::StaticKeys;

/// The next changes, in the order in which they are applied.
pub(crate) struct Plan {
    pub(crate) keys: StaticKeys,
    /// Objects that pods need and that do not depend on the database. None: no change.
    pub(crate) surroundings: Option<Surroundings>,
    pub(crate) pods: Pods,
    /// Reported unless a rollout is applied.
    pub(crate) rollout: Rollout,
    /// Reason why the plan does not lead to the desired state.
    pub(crate) trouble: Option<Arc<Error>>,
}

/// Objects that pods need and that do not depend on the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Surroundings {
    /// Ports outside of the cluster that the seal and the issuers of administrators use.
    pub(crate) ports: Vec<u16>,
    /// Nodes of an earlier spec may run: rules for their connections stay.
    pub(crate) keeps_egress: bool,
}

/// Changes to the pods.
pub(crate) enum Pods {
    Unchanged,
    /// The StatefulSet stays the same. Its pods are repaired, after interrupted fences are completed.
    Repaired(Option<Logins>, Rollout),
    Changed(Box<PodChanges>),
}

/// Changes to the pods and to the objects that they read.
pub(crate) struct PodChanges {
    pub(crate) logins: Logins,
    /// None: the plan ends after the logins.
    pub(crate) initialization: Option<Initialization>,
    /// None: the StatefulSet cannot be determined now.
    pub(crate) set: Option<SetChanges>,
    /// Rollout of the live StatefulSet, if it cannot be changed.
    pub(crate) repair: Option<Rollout>,
}

/// Changes to the StatefulSet.
pub(crate) struct SetChanges {
    pub(crate) configuration: Option<NewConfiguration>,
    /// No node runs and no login of a node is valid, so the locks in a restored database have no holder.
    pub(crate) clears_locks: bool,
    pub(crate) stateful_set: StatefulSet,
    /// Its template is the desired one.
    pub(crate) is_desired: bool,
    pub(crate) rollout: Rollout,
    /// Pods of the nodes to unseal for a seal migration.
    pub(crate) unseal: Vec<String>,
    /// Job that checks the first updated node.
    pub(crate) check: Option<Box<Job>>,
    /// Names of unused ConfigMaps.
    pub(crate) unused: Vec<String>,
}
