//! The kinds that become Kubernetes Secrets, and the connections and logins that they use.

mod auth;
mod auth_global;
mod cluster_static_secret;
mod connection;
mod dynamic_secret;
mod engine;
mod forms;
mod naming;
mod pki_secret;
mod push_secret;
mod secret_transformation;
mod served;
mod static_secret;

use steamer_api::{
    BaoAuth, BaoAuthGlobal, BaoConnection, BaoDynamicSecret, BaoPKISecret, BaoStaticSecret,
    SecretTransformation,
};
use steamer_core::served::Installed;
use steamer_core::tasks::Tasks;
use steamer_runtime::Coverage;

use engine::{Controller, Engine};
use forms::FormController;

/// Adds the controllers of this family and the watch of the Secrets that they write. `installed`: the kinds of Vault Secrets
/// Operator to serve.
pub fn register(tasks: &mut Tasks, installed: &Installed) {
    let engine = Engine::new(tasks);
    tasks.controller(FormController::<BaoConnection>::new(tasks.context()));
    tasks.controller(FormController::<BaoAuth>::new(tasks.context()));
    tasks.controller(FormController::<BaoAuthGlobal>::new(tasks.context()));
    tasks.controller(FormController::<SecretTransformation>::new(tasks.context()));
    tasks.controller(Controller::<BaoStaticSecret>::new(engine.clone()));
    tasks.controller(Controller::<BaoPKISecret>::new(engine.clone()));
    tasks.controller(Controller::<BaoDynamicSecret>::new(engine.clone()));
    tasks.controller(push_secret::Controller::new(tasks.context()));
    // An operator for some namespaces has no right to read cluster-scoped objects.
    if tasks.context().namespaces == Coverage::All {
        tasks.cluster_controller(cluster_static_secret::Controller::new(engine.clone()));
    }
    served::register(tasks, &engine, installed);
}
