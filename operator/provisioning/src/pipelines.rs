//! Access of CI jobs: patterns, contexts and their names, the CEL program that selects the contexts of a job, and the
//! texts of policies. All of it is pure; end-to-end tests compare it with a real OpenBao.

mod conditions;
mod context;
mod names;
mod pattern;
mod policy;
mod program;
mod tokens;

pub use crate::pipelines::conditions::Conditions;
pub use crate::pipelines::context::JobContext;
pub(crate) use crate::pipelines::names::{branch_mistake, environment_mistake};
pub use crate::pipelines::pattern::Pattern;
pub use crate::pipelines::policy::{Grants, Rule, policy_text, workload_policy_text};
pub use crate::pipelines::program::{Entity, Program, ROLE_ID_TOKENS, ROLE_PIPELINES};
pub(crate) use crate::pipelines::program::{MOST_CODE_POINTS_OF_CONTEXTS, code_points};
pub use crate::pipelines::tokens::Tokens;
