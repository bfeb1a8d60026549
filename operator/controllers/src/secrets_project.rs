//! SecretsProject: a namespace, an engine, the ways in and what each may read.

mod apply;
mod change;
mod delete;
mod fetch;
mod plan;
mod status;
mod validate;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kube::ResourceExt;
use steamer_api::{Mode, SecretsProject};
use steamer_runtime::{Action, Dependencies, Key, Name, Reconcile};

use crate::context::{Context, Contributions, InForce};
use crate::error::Error;
use crate::references::target;

pub(crate) use delete::{give_up, remove_orphans};

/// The auth mount of CI jobs.
pub(crate) const PIPELINE_MOUNT: &str = "pipeline_jwt";
/// The auth mount of Kubernetes workloads.
pub(crate) const WORKLOAD_MOUNT: &str = "workload_jwt";

pub(crate) struct Controller(pub(crate) Arc<Context>);

/// The tenant of a project.
pub(crate) fn tenant_of(project: &SecretsProject) -> Name {
    target(&project.spec.tenant_ref, &project.namespace().unwrap_or_default())
}

/// The key under which projects that claim the same id wait for each other.
pub(crate) fn project_claim(project: &SecretsProject) -> Key {
    let claimed = format!("{:?}-{}", project.spec.scope, project.spec.id);
    Key::new("ProjectClaim", Name::new(tenant_of(project).to_string(), claimed))
}

impl Reconcile for Controller {
    type Object = SecretsProject;
    type Error = Error;
    const NAME: &'static str = "secretsproject";

    async fn reconcile(
        &self,
        project: Arc<SecretsProject>,
        dependencies: &Dependencies,
    ) -> Result<Action, Error> {
        if project.metadata.deletion_timestamp.is_some() {
            return delete::delete(&self.0, dependencies, &project).await;
        }
        if project.spec.lifecycle.suspend {
            status::suspended(&self.0, &project).await?;
            return Ok(Action::AwaitChange);
        }
        match self.pass(&project, dependencies).await {
            Err(error @ (Error::Denied { .. } | Error::NotAllowed(_))) => {
                self.in_force(&project, Contributions::default());
                delete::withdraw(&self.0, dependencies, &project).await?;
                Err(error)
            }
            result => result,
        }
    }

    fn forget(&self, name: &Name) {
        self.0.in_force.forget(name);
    }
}

impl Controller {
    async fn pass(&self, project: &SecretsProject, dependencies: &Dependencies) -> Result<Action, Error> {
        let now = Timestamp::now();
        let references = fetch::references(&self.0, dependencies, project).await?;
        let policies = fetch::policies(&self.0, dependencies, project);
        let (valid, contributions) = validate::validate(&self.0, project, &references, &policies, now)?;
        let seen = fetch::openbao(&references.session, &valid).await?;
        let plan = plan::plan(&valid, &seen, |mark| self.0.lives(mark))?;
        if project.spec.lifecycle.mode == Mode::Observe {
            status::observed(&self.0, project, &valid, &plan).await?;
        } else {
            self.0.hold(project).await?;
            status::provisioning(&self.0, project, &valid).await?;
            self.0.in_force.retain(&Name::of(project), &contributions);
            apply::apply(&references.session, &valid, plan).await?;
            status::applied(&self.0, project, &valid).await?;
            self.in_force(project, contributions);
        }
        Ok(Action::After(next_visit(self.0.drift_interval, valid.next_expiry, now)))
    }

    fn in_force(&self, project: &SecretsProject, contributions: Contributions) {
        let name = Name::of(project);
        if self.0.in_force.set(&name, contributions) {
            self.0.runtime.index.wake(&[InForce::key(&name)], None);
        }
    }
}

/// At the latest when drift is looked for; earlier when something expires.
fn next_visit(drift: Duration, expiry: Option<Timestamp>, now: Timestamp) -> Duration {
    let until = expiry.map(|at| Duration::try_from(at.duration_since(now)).unwrap_or_default());
    until.map_or(drift, |until| (until + Duration::from_millis(50)).min(drift))
}
