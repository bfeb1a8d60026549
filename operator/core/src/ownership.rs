//! Ownership: which object owns a resource, and how the resource is removed.

pub mod claims;
pub mod finalizer;
pub mod installation;
pub mod mark;
pub mod orphans;
pub mod removal;
pub mod removers;
pub mod secret;

pub use mark::{Claim, Mark, Owner, claim};
