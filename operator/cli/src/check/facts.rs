//! What the checks are computed from.

use steamer_api::{KindId, OpenBaoCluster};

/// Facts about a Kubernetes cluster.
#[derive(Debug)]
pub(super) struct Facts {
    /// Version of the API server, such as `v1.34.4`.
    pub(super) kubernetes: String,
    /// Kinds that the API server serves.
    pub(super) served: Vec<KindId>,
    /// Kinds whose schema differs from that of this plugin. None: you may not read them.
    pub(super) different: Option<Vec<KindId>>,
    /// Deployments of the operator. None: you may not list them.
    pub(super) operators: Option<Vec<Operator>>,
    /// Your own rights in a namespace.
    pub(super) own: Own,
    /// OpenBaoClusters. None: you may not list them.
    pub(super) clusters: Option<Vec<OpenBaoCluster>>,
    /// Rights of other users.
    pub(super) reviews: Vec<Review>,
}

/// A Deployment of the operator.
#[derive(Clone, Debug)]
pub(super) struct Operator {
    /// Namespace and name.
    pub(super) name: String,
    pub(super) namespace: String,
    pub(super) account: String,
    pub(super) image: String,
    pub(super) ready: i32,
    pub(super) desired: i32,
    /// Holder of the leader lease, and seconds since it was renewed. None: there is none, or you may not read it.
    pub(super) leader: Option<(String, i64)>,
    /// Duration of the lease, in seconds.
    pub(super) lease: i64,
}

/// Your own rights to the kinds of Steamer.
#[derive(Debug, Default)]
pub(super) struct Own {
    pub(super) namespace: String,
    pub(super) readable: Vec<KindId>,
    pub(super) writable: Vec<KindId>,
}

/// A right of another user.
#[derive(Clone, Debug)]
pub(super) struct Review {
    /// User, such as `system:serviceaccount:steamer-system:steamer`.
    pub(super) user: String,
    /// Right, such as `get secrets in openbao`.
    pub(super) right: String,
    /// What is needed if the right is missing.
    pub(super) advice: String,
    /// Whether the user has it. None: you may not ask.
    pub(super) allowed: Option<bool>,
}
