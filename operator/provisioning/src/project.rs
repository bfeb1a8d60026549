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
use steamer_core::context::Context;
use steamer_core::error::Error;
use steamer_core::references::target;
use steamer_runtime::{Action, Dependencies, Edges, Key, ObjectName, Reconcile};

use crate::pipeline_policy::{Contributions, InForce};
use crate::tenant::projects_of;

/// Controller of SecretsProject.
pub(crate) struct Controller {
    pub(crate) context: Arc<Context>,
    pub(crate) in_force: Arc<InForce>,
}

/// The tenant of a project.
pub(crate) fn tenant_of(project: &SecretsProject) -> ObjectName {
    target(&project.spec.tenant_ref, &project.namespace().unwrap_or_default())
}

/// The key under which projects that claim the same id wait for each other.
pub(crate) fn project_claim(project: &SecretsProject) -> Key {
    let claimed = format!("{:?}-{}", project.spec.scope, project.spec.id);
    Key::new("ProjectClaim", ObjectName::new(tenant_of(project).to_string(), claimed))
}

impl Reconcile for Controller {
    type Object = SecretsProject;
    type Error = Error;
    const NAME: &'static str = "secretsproject";

    fn edges(project: &SecretsProject) -> Edges {
        let own = Edges::of_self(project).by_any_change.into_iter();
        Edges {
            by_any_change: own.chain([project_claim(project)]).collect(),
            by_spec: vec![projects_of(tenant_of(project))],
        }
    }

    async fn reconcile(
        &self,
        project: Arc<SecretsProject>,
        dependencies: &Dependencies,
    ) -> Result<Action, Error> {
        if project.metadata.deletion_timestamp.is_some() {
            return delete::delete(&self.context, dependencies, &project).await;
        }
        if project.spec.lifecycle.suspend {
            status::suspended(&self.context, &project).await?;
            return Ok(Action::AwaitChange);
        }
        match self.pass(&project, dependencies).await {
            Err(error @ (Error::Denied { .. } | Error::NotAllowed(_))) => {
                self.record(&project, Contributions::default());
                delete::withdraw(&self.context, dependencies, &project).await?;
                Err(error)
            }
            result => result,
        }
    }

    fn forget(&self, name: &ObjectName) {
        self.in_force.forget(name);
    }
}

impl Controller {
    async fn pass(&self, project: &SecretsProject, dependencies: &Dependencies) -> Result<Action, Error> {
        let now = Timestamp::now();
        let references = fetch::references(&self.context, dependencies, project).await?;
        let policies = fetch::policies(&self.context, dependencies, project);
        let (valid, contributions) = validate::validate(&self.context, project, &references, &policies, now)?;
        let seen = fetch::openbao(&references.session, &valid).await?;
        let plan = plan::plan(&valid, &seen, |mark| self.context.exists(mark))?;
        if project.spec.lifecycle.mode == Mode::Observe {
            status::observed(&self.context, project, &valid, &plan).await?;
        } else {
            self.context.add_finalizer(project).await?;
            status::provisioning(&self.context, project, &valid).await?;
            self.in_force.retain(&ObjectName::of(project), &contributions);
            apply::apply(&references.session, &valid, plan).await?;
            status::applied(&self.context, project, &valid).await?;
            self.record(project, contributions);
        }
        Ok(Action::After(next_visit(self.context.drift_interval, valid.next_expiry, now)))
    }

    fn record(&self, project: &SecretsProject, contributions: Contributions) {
        let name = ObjectName::of(project);
        if self.in_force.set(&name, contributions) {
            self.context.runtime.index.wake(&[InForce::key(&name)], None);
        }
    }
}

/// At the latest when drift is looked for; earlier when something expires.
fn next_visit(drift: Duration, expiry: Option<Timestamp>, now: Timestamp) -> Duration {
    let until = expiry.map(|at| Duration::try_from(at.duration_since(now)).unwrap_or_default());
    until.map_or(drift, |until| (until + Duration::from_millis(50)).min(drift))
}
