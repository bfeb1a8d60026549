//! OpenBaoCluster: runs OpenBao on PostgreSQL, or observes an OpenBao that another tool runs.

mod audit;
mod break_glass;
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
mod jobs;
mod managed;
mod metrics;
mod nodes;
mod objects;
pub mod operator_policy;
mod paths;
mod relay;
mod restore;
mod restore_drill;
mod seal;
mod server;
#[cfg(test)]
mod tests;
mod waits;

use std::sync::Arc;

use steamer_core::tasks::Tasks;

use crate::guard::registry::Guards;

/// The guards of managed clusters. They can outlive the controllers: a lost leader must be replaced also while the API
/// server is unreachable and the process has lost its lease.
#[derive(Clone, Default)]
pub struct Guarding(Arc<Guards>);

impl Guarding {
    /// Records that the controllers have ended: the guards go on without a watch of the pods.
    pub fn leave_alone(&self) {
        self.0.leave_alone();
    }

    /// Stops all guards.
    pub fn stop(&self) {
        self.0.stop_all();
    }
}

/// Adds the controller of OpenBaoCluster and the watches of the objects that it creates.
pub fn register(tasks: &mut Tasks, guarding: &Guarding) {
    children::watch(tasks);
    metrics::register(&tasks.context());
    tasks.context().generated.set(operator_policy::held);
    tasks.controller(controller::Controller::new(tasks.context(), guarding.0.clone()));
}
