//! Policy of the operator as Steamer generates it. The family of clusters adds it.

use std::sync::OnceLock;

use steamer_api::OpenBaoClusterSpec;

use crate::policy_lines::Held;

/// Returns the capabilities that the generated policy of a cluster has at paths of its root namespace.
pub type Generated = fn(&OpenBaoClusterSpec, &[String]) -> Held;

/// The generated policy.
#[derive(Default)]
pub struct GeneratedPolicy(OnceLock<Generated>);

impl GeneratedPolicy {
    /// Sets the policy. A second one is ignored.
    pub fn set(&self, generated: Generated) {
        let _ = self.0.set(generated);
    }

    /// The capabilities at paths of the root namespace of a cluster. Empty without a policy.
    #[must_use]
    pub fn held(&self, spec: &OpenBaoClusterSpec, paths: &[String]) -> Held {
        self.0.get().map(|generated| generated(spec, paths)).unwrap_or_default()
    }
}
