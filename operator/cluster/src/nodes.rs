//! The nodes of a managed cluster: members, leader, configuration, rollout.

pub(crate) mod configuration;
pub(crate) mod leader;
pub(crate) mod members;
pub(crate) mod replace;
pub(crate) mod rollout;
