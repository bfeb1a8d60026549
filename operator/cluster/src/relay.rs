//! Connections to the relays beside the nodes of a cluster, for instant delivery.

pub(crate) mod condition;
mod follower;
pub(crate) mod registry;
mod streams;
pub(crate) mod target;
