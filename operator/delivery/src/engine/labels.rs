//! Labels and annotations of the Secrets that the engine writes.

pub(crate) use steamer_core::ownership::secret::{KEYS_OF, OWNER};

/// Label of every Secret that Steamer created. Only these Secrets are watched.
pub(crate) const MANAGED_BY: (&str, &str) = ("app.kubernetes.io/managed-by", "steamer");
/// Annotation that lists the labels and annotations from the spec. Those that the spec no longer contains are removed.
pub(crate) const APPLIED: &str = "steamer.dev/applied";
/// Annotation with the stamp.
pub(crate) const STAMP: &str = "steamer.dev/holds";
/// Annotation with the stamp of an issued value whose keys are in a Secret of another client (`create: false`).
pub(crate) const KEYS_STAMP: &str = "steamer.dev/keys-hold";
