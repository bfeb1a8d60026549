//! The type of a rule.

/// CEL expression and message.
pub(super) type Rule = (&'static str, &'static str);
