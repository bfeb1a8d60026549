//! The nodes of a managed cluster: members, health, leader, configuration, scale, rollout.

pub(crate) mod configuration;
pub(crate) mod fault;
pub(crate) mod fence_request;
pub(crate) mod health;
pub(crate) mod leader;
pub(crate) mod members;
pub(crate) mod node;
pub(crate) mod observation;
pub(crate) mod repair;
pub(crate) mod repairs;
pub(crate) mod replace;
pub(crate) mod rollout;
pub(crate) mod scale;
pub(crate) mod standby_mark;
pub(crate) mod start;
pub(crate) mod stateful_set;
pub(crate) mod template;
pub(crate) mod turns;
pub(crate) mod validation;
pub(crate) mod withdrawal;
