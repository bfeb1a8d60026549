//! Reasons of conditions, Events and metrics.

/// Reason of a state, shared by conditions, Events and metric labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The desired state is applied.
    Applied,
    /// The object waits for something that the message names.
    Waiting,
    /// A referenced object does not exist.
    ReferenceNotFound,
    /// A referenced object does not allow the reference.
    ReferenceDenied,
    /// The spec is invalid or cannot be applied.
    Invalid,
    /// A resource with another owner conflicts.
    Conflict,
    /// A server is unreachable.
    Unreachable,
    /// OpenBao is sealed.
    Sealed,
    /// OpenBao has no leader.
    NoLeader,
    /// A server denies a required permission.
    PermissionDenied,
    /// With `mode: Observe`: OpenBao differs from the spec.
    Drifted,
    /// `suspend: true`.
    Suspended,
    /// With `mode: Observe`: OpenBao matches the spec.
    Observed,
    /// `enabled: false`, `cancelled: true` or `hibernation: true` is applied.
    Disabled,
    /// The object is being deleted.
    Deleting,
    /// The reconcile failed and will be retried.
    ProgressingWithRetry,
    /// The secret does not exist in OpenBao.
    SourceMissing,
    /// The mount in OpenBao is gone, or is not the one that the spec describes.
    MountChanged,
    /// A server answers that is not OpenBao, such as a proxy in front of it.
    NotOpenBao,
    /// A ResourceQuota of Kubernetes is used up.
    QuotaExceeded,
    /// `expiresAt`, or the expiration of a certificate, has passed.
    Expired,
    /// `rotation.interval` has passed: the value is due for rotation.
    RotationDue,
    /// A server throttles requests.
    Throttled,
    /// A server returned an error, or an operation failed.
    Failed,
    /// A lost leader was fenced.
    Fenced,
    /// `generate-root` was opened or closed on request.
    BreakGlass,
    /// Pods are being replaced for a change.
    RollingOut,
    /// Workloads were restarted for a changed Secret.
    Restarted,
}

impl Reason {
    /// Returns the reason as it appears in a condition.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "Applied",
            Self::Waiting => "Waiting",
            Self::ReferenceNotFound => "ReferenceNotFound",
            Self::ReferenceDenied => "ReferenceDenied",
            Self::Invalid => "Invalid",
            Self::Conflict => "Conflict",
            Self::Unreachable => "Unreachable",
            Self::Sealed => "Sealed",
            Self::NoLeader => "NoLeader",
            Self::PermissionDenied => "PermissionDenied",
            Self::Drifted => "Drifted",
            Self::Suspended => "Suspended",
            Self::Observed => "Observed",
            Self::Disabled => "Disabled",
            Self::Deleting => "Deleting",
            Self::ProgressingWithRetry => "ProgressingWithRetry",
            Self::SourceMissing => "SourceMissing",
            Self::MountChanged => "MountChanged",
            Self::NotOpenBao => "NotOpenBao",
            Self::QuotaExceeded => "QuotaExceeded",
            Self::Expired => "Expired",
            Self::RotationDue => "RotationDue",
            Self::Throttled => "Throttled",
            Self::Failed => "Failed",
            Self::Fenced => "Fenced",
            Self::BreakGlass => "BreakGlass",
            Self::RollingOut => "RollingOut",
            Self::Restarted => "Restarted",
        }
    }
}
