//! The kinds that become resources in OpenBao: tenants, projects, pipeline policies, issuers.

mod jwt_issuer;
mod pipeline_policy;
pub mod pipelines;
mod project;
mod tenant;

use std::sync::Arc;

use pipeline_policy::InForce;
use steamer_core::tasks::Tasks;

/// Adds the controllers of this family.
pub fn register(tasks: &mut Tasks) {
    let in_force = Arc::new(InForce::default());
    tasks.controller(jwt_issuer::Controller(tasks.context()));
    tasks.controller(tenant::Controller(tasks.context()));
    tasks.controller(project::Controller { context: tasks.context(), in_force: in_force.clone() });
    tasks.controller(pipeline_policy::Controller { context: tasks.context(), in_force });
}
