//! Labels and annotations of the Secrets that the engine writes.

pub(crate) use steamer_core::ownership::secret::{KEYS_OF, OWNER};

/// Label of every Secret that Steamer created. Only these Secrets are watched.
pub(crate) const MANAGED_BY: (&str, &str) = ("app.kubernetes.io/managed-by", "steamer");
/// Annotation that lists the labels and annotations from the spec. Those that the spec no longer contains are removed.
pub(crate) const APPLIED: &str = "steamer.dev/applied";
/// Annotation with the stamp. With `create: false` the stamp is in the status of the object.
pub(crate) const STAMP: &str = "steamer.dev/holds";
