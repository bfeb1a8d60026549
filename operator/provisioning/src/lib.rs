//! Kinds that create resources in OpenBao: tenants, projects, pipeline policies, issuers.

mod engine;
mod jwt_issuer;
mod namespaces;
mod pipeline_policy;
pub mod pipelines;
mod project;
mod relations;
mod tenant;
mod write;

use std::sync::Arc;

use engine::{Controller, Provision};
use pipeline_policy::in_force::InForce;
use steamer_api::{SecretsProject, SecretsTenant};
use steamer_core::tasks::Tasks;

/// Adds the controllers of this family. A kind on the engine is one line.
pub fn register(tasks: &mut Tasks) {
    let in_force = Arc::new(InForce::default());
    provision::<SecretsTenant>(tasks, ());
    provision::<SecretsProject>(tasks, in_force.clone());
    tasks.controller(jwt_issuer::Controller(tasks.context()));
    tasks.controller(pipeline_policy::Controller { context: tasks.context(), in_force });
}

fn provision<K: Provision>(tasks: &mut Tasks, memory: K::Memory) {
    tasks.controller(Controller::<K>::new(tasks.context(), memory));
}
