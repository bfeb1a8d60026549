/// Why an object is as it is: one list for conditions, Events and metric labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// In force.
    Applied,
    /// Waits for something named in the message.
    Waiting,
    /// Refers to what does not exist.
    ReferenceNotFound,
    /// Refers to what does not allow it.
    ReferenceDenied,
    /// The spec cannot be carried out as it is.
    Invalid,
    /// Something of someone else is in the way.
    Conflict,
    /// A server cannot be reached.
    Unreachable,
    /// OpenBao is sealed.
    Sealed,
    /// OpenBao has no leader.
    NoLeader,
    /// A server denies what is needed.
    PermissionDenied,
    /// Under `mode: Observe`: what is there differs.
    Drifted,
    /// `suspend: true`.
    Suspended,
    /// Under `mode: Observe`: what is there is as it should be.
    Observed,
    /// `enabled: false`, and so it is.
    Disabled,
    /// On its way out.
    Deleting,
    /// Failed for now; tried again.
    ProgressingWithRetry,
    /// There is no value at the path.
    SourceMissing,
    /// From a time in the past on it gives nothing.
    Expired,
    /// A server asked to be asked less.
    Throttled,
    /// A server failed.
    Failed,
    /// A lost leader was kept from writing.
    Fenced,
    /// Pods are replaced for a change.
    RollingOut,
}

impl Reason {
    /// As it is written in a condition.
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
            Self::Expired => "Expired",
            Self::Throttled => "Throttled",
            Self::Failed => "Failed",
            Self::Fenced => "Fenced",
            Self::RollingOut => "RollingOut",
        }
    }
}
