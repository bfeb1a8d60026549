//! The certificates of the nodes of a managed cluster.

pub(crate) mod given;
pub(crate) mod issue;
pub(crate) mod keep;
