//! What a CI job may read: patterns, contexts and their names, the CEL program that finds a job's contexts, and the
//! text of policies. All of it is pure; the tests compare it with what a real OpenBao makes of it.

mod context;
mod pattern;
mod policy;
mod program;

pub use crate::pipelines::context::JobContext;
pub use crate::pipelines::pattern::Pattern;
pub use crate::pipelines::policy::{Grants, Rule, policy_text, workload_policy_text};
pub use crate::pipelines::program::{Entity, Program, ROLE_ID_TOKENS, ROLE_PIPELINES};
