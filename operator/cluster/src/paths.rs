//! Paths of OpenBao's API that the operator requests and that its policy permits.

/// Step-down of the leader.
pub(crate) const STEP_DOWN: &str = "sys/step-down";
/// Policy without holders, whose text shows whether a standby follows the leader.
pub(crate) const STANDBY_MARK: &str = "sys/policies/acl/steamer-mark";
/// Start and cancellation of an operation that creates recovery keys.
pub(crate) const RECOVERY_INIT: &str = "sys/rotate/recovery/init";
/// OpenBao's copy of encrypted recovery keys.
pub(crate) const RECOVERY_BACKUP: &str = "sys/rotate/recovery/backup";
/// Verification of new recovery keys.
pub(crate) const RECOVERY_VERIFY: &str = "sys/rotate/recovery/verify";
