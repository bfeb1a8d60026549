//! OpenBaoCluster: runs OpenBao on PostgreSQL, or observes an OpenBao that another tool runs.

mod audit;
mod certificates;
mod children;
mod cluster;
mod controller;
mod database;
mod difference;
mod effects;
mod exposure;
mod external;
mod first_start;
mod guard;
mod managed;
mod nodes;
mod objects;
pub mod operator_policy;
mod paths;
mod relay;
mod restore;
mod seal;
mod server;
#[cfg(test)]
mod tests;

use steamer_core::tasks::Tasks;

/// Adds the controller of OpenBaoCluster and the watches of the objects that it creates.
pub fn register(tasks: &mut Tasks) {
    children::watch(tasks);
    tasks.controller(controller::Controller::new(tasks.context()));
}
