//! Rules of a policy.

use std::collections::BTreeMap;

/// Capabilities by path.
pub type Rules = BTreeMap<String, Vec<&'static str>>;

/// Path and capabilities.
pub(super) type Rule = (String, &'static [&'static str]);
