//! Verdict of OpenBao on the token of a CI job: what the roles of a project require of it, and which contexts the job has. All
//! of it is pure. An end-to-end test compares it with a real OpenBao. The controller of projects writes these roles, and
//! `kubectl steamer explain` decides as they do.

mod job;
mod login;
mod registered;
mod signature;
mod token;

pub use crate::jwt::job::{Job, Mismatch};
pub(crate) use crate::jwt::login::entity;
pub use crate::jwt::login::{Login, Refusal, logins, own_logins};
pub use crate::jwt::signature::{Key, Verification, keys_of_set, verified};
pub use crate::jwt::token::{Malformed, Token};
pub use crate::pipeline_policy::contexts::contexts_of;
pub use crate::pipeline_policy::is_in_force;
