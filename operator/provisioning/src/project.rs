//! SecretsProject: a namespace with a secrets engine, the logins of CI jobs, users and workloads, and their policies.

pub(crate) mod audiences;
mod contributions;
mod desired;
mod fetch;
mod issuer;
mod memory;
mod observed;
mod pipelines;
mod plan;
#[cfg(test)]
pub(crate) mod samples;
mod status;
mod terms;
mod users;
mod validate;
mod withdrawal;
mod workloads;

use std::fmt::Debug;

use jiff::Timestamp;
use steamer_api::{ProjectPhase, SecretsProject, SecretsProjectStatus, SecretsTenant};
use steamer_core::error::Error;
use steamer_core::ownership::removal::{Owned, remove_project};
use steamer_core::references::target;
use steamer_openbao::{NamespacePath, Session};
use steamer_runtime::conditions::Verdict;
use steamer_runtime::{Key, ObjectName};

use crate::engine::{Footprint, Lookup, Pass, Provision, Removal, Rights, Setting, Subject};
use crate::relations::{children, cluster_of, tenant_of};
use crate::tenant::claims;
use crate::write::Plan;
use desired::Project;
use fetch::{Found, References};
use observed::Observed;
use withdrawal::Withdrawn;

pub use contributions::{OwnJobs, own_jobs};

impl Provision for SecretsProject {
    const NAME: &'static str = "secretsproject";
    type References = References;
    type Withdrawn = Withdrawn;
    type Found = Found;
    type Desired = Project;
    type Observed = Observed;

    fn relations(&self) -> Vec<Key> {
        vec![children::<Self>(tenant_of(self))]
    }

    fn subject(&self) -> Option<Subject> {
        let name = claims::subject(self.spec.scope, self.spec.id);
        let established = self.status.as_ref().is_some_and(|status| status.provisioned.is_some());
        Some(Subject { name, established })
    }

    fn cluster(&self, lookup: &Lookup<'_>) -> Option<ObjectName> {
        let tenant = lookup.cached::<SecretsTenant>(&tenant_of(self))?;
        Some(cluster_of(&tenant))
    }

    fn references(&self, lookup: &Lookup<'_>) -> Result<References, Error> {
        fetch::references(self, lookup)
    }

    async fn fetch(&self, references: References, pass: &Pass<'_>) -> Result<(Session, Found), Error> {
        fetch::fetch(self, references, pass).await
    }

    fn validate(&self, found: Found, setting: &Setting<'_>) -> Result<Project, Error> {
        validate::validate(self, &found, setting)
    }

    async fn observe(session: &Session, project: &Project) -> Result<Observed, Error> {
        observed::observe(session, project).await
    }

    fn state(observed: &Observed) -> impl Debug {
        observed.state()
    }

    fn plan(project: &Project, observed: &Observed, rights: &Rights<'_>) -> Result<Plan, Error> {
        let writes = plan::writes(project, observed, rights)?;
        Ok(Plan { writes, expires_at: project.next_expiration })
    }

    fn announcement(
        project: &Project,
        _observed: &Observed,
        last: &SecretsProjectStatus,
    ) -> Option<SecretsProjectStatus> {
        status::announcement(project, last)
    }

    fn published(project: &Project) -> NamespacePath {
        project.published()
    }

    fn applied(&self, status: &mut SecretsProjectStatus, project: &Project, now: Timestamp) -> Verdict {
        status::facts(status, project);
        status::conditions(status, project, &status::Time { generation: self.metadata.generation, now });
        status::verdict(project)
    }

    fn deleting(status: &mut SecretsProjectStatus) {
        status.phase = Some(ProjectPhase::Deprovisioning);
    }

    fn footprint(&self, last: &SecretsProjectStatus) -> Option<Footprint> {
        let provisioned = last.provisioned.as_ref()?;
        Some(Footprint {
            cluster: target(&provisioned.cluster_ref, &ObjectName::of(self).namespace),
            tenant: Some(tenant_of(self)),
            namespace: NamespacePath::new(&provisioned.openbao_namespace),
            resources: Vec::new(),
        })
    }

    async fn remove(session: &Session, namespace: &NamespacePath, owned: Owned<'_>) -> Result<(), Error> {
        remove_project(session, namespace, owned).await
    }

    fn revoked(&self, status: &mut SecretsProjectStatus, now: Timestamp) {
        let time = status::Time { generation: self.metadata.generation, now };
        status::without_access(status, ProjectPhase::Failed, &time);
    }

    async fn withdraw(
        &self,
        references: &References,
        removal: &Removal<'_>,
    ) -> Result<Option<Withdrawn>, Error> {
        withdrawal::withdraw(self, references, removal).await.map(Some)
    }

    fn withdrawn(&self, status: &mut SecretsProjectStatus, withdrawn: &Withdrawn, now: Timestamp) {
        let time = status::Time { generation: self.metadata.generation, now };
        match withdrawn {
            Withdrawn::All => status::without_access(status, ProjectPhase::Disabled, &time),
            Withdrawn::Part { key_removals, additional_issuers, .. } => {
                if let (Some(provisioned), Some(removals)) = (&mut status.provisioned, key_removals) {
                    provisioned.issuer_key_removals = *removals;
                }
                if let Some(provisioned) = &mut status.provisioned {
                    provisioned.additional_issuers.clone_from(additional_issuers);
                }
            }
        }
    }
}
