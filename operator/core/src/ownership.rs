//! Ownership: which object owns a resource, and how the life of the resource ends.

pub mod finalizer;
pub mod installation;
pub mod mark;
pub mod orphans;
pub mod removal;

pub use mark::{Claim, Mark, Owner, claim};
