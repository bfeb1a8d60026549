//! Kinds that create resources in OpenBao: tenants, projects, policies of jobs and users, issuers.

mod auth_method;
mod auth_mounts;
mod bao_auth_role;
mod bao_namespace;
mod bao_policy;
mod bao_rate_limit_quota;
mod cel;
mod database_connection;
mod database_names;
mod database_role;
mod engine;
mod general;
mod grants;
mod identity_group;
pub mod jwt;
mod jwt_issuer;
mod managed_secret;
mod mounts;
mod namespaces;
mod pipeline_policy;
pub mod pipelines;
mod pki_issuer;
mod pki_role;
mod policy_text;
mod project;
mod relations;
mod secret_engine;
mod secrets_app;
mod signing;
mod tenant;
mod transit_key;
mod user_policy;
mod users;
mod write;

use std::sync::Arc;

use engine::{Controller, Footprint, Memory, Provision};
use futures::future::BoxFuture;
use grants::in_force::InForce;
use steamer_api::{
    AuthMethod, BaoAuthRole, BaoNamespace, BaoPolicy, BaoRateLimitQuota, DatabaseConnection, DatabaseRole,
    IdentityGroup, ManagedSecret, PKIIssuer, PKIRole, PipelinePolicy, SecretEngine, SecretsApp,
    SecretsProject, SecretsTenant, TransitKey, UserPolicy,
};
use steamer_core::ownership::removal::Owned;
use steamer_core::ownership::removers::Record;
use steamer_core::tasks::Tasks;
use steamer_core::{Error, Stores};
use steamer_openbao::{NamespacePath, Session};

pub use project::{OwnJobs, own_jobs};

/// Adds the controllers of this family. A kind on the engine is one line.
pub fn register(tasks: &mut Tasks) {
    let in_force = Arc::new(InForce::default());
    provision::<SecretsTenant, _>(tasks, ());
    provision::<SecretsProject, _>(tasks, in_force.clone());
    provision::<ManagedSecret, _>(tasks, ());
    provision::<BaoPolicy, _>(tasks, ());
    provision::<SecretEngine, _>(tasks, ());
    provision::<AuthMethod, _>(tasks, ());
    provision::<BaoNamespace, _>(tasks, ());
    provision::<TransitKey, _>(tasks, ());
    provision::<BaoRateLimitQuota, _>(tasks, ());
    provision::<PKIIssuer, _>(tasks, ());
    provision::<PKIRole, _>(tasks, ());
    provision::<BaoAuthRole, _>(tasks, ());
    provision::<IdentityGroup, _>(tasks, ());
    provision::<DatabaseConnection, _>(tasks, ());
    provision::<DatabaseRole, _>(tasks, ());
    provision::<SecretsApp, _>(tasks, ());
    tasks.controller(jwt_issuer::Controller(tasks.context()));
    tasks
        .controller(grants::controller::Controller::<PipelinePolicy>::new(tasks.context(), in_force.clone()));
    tasks.controller(grants::controller::Controller::<UserPolicy>::new(tasks.context(), in_force));
}

fn provision<K: Provision, M: Memory<K>>(tasks: &mut Tasks, memory: M) {
    let context = tasks.context();
    context.removers.add(K::ID, remove::<K>, records::<K>);
    tasks.controller(Controller::<K, M>::new(context, memory));
}

fn remove<'a, K: Provision>(
    session: &'a Session,
    namespace: &'a NamespacePath,
    owned: Owned<'a>,
) -> BoxFuture<'a, Result<(), Error>> {
    Box::pin(K::remove(session, namespace, owned))
}

fn records<K: Provision>(stores: &Stores) -> Vec<Record> {
    let objects = stores.of::<K>().filter(|_| true);
    let footprints = objects.iter().filter_map(|it| it.footprint(&it.status().cloned().unwrap_or_default()));
    let record = |Footprint { cluster, namespace, resources, .. }| Record { cluster, namespace, resources };
    footprints.map(record).collect()
}
