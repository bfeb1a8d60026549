//! Access of CI jobs: auth mounts, roles and policies.

use std::collections::BTreeMap;

use steamer_api::{JWTIssuer, Scope, SecretsProject};
use steamer_core::access::issuer::config;
use steamer_core::error::Error;
use steamer_core::layout::{PIPELINE_MOUNT, PIPELINE_POLICIES, additional_mount, additional_policies};
use steamer_openbao::CelRole;

use super::desired::{Access, Auth, KeyRemovals};
use super::fetch::{Additional, Found};
use super::terms::IssuerName;
use crate::jwt::{Login, entity, logins};
use crate::pipelines::{Entity, Grants, JobContext, policy_text};

/// Names that the texts of policies contain.
pub(crate) struct PolicyNames<'a> {
    /// Description of the owner.
    pub(crate) owner: &'a str,
    /// Path of the secrets engine.
    pub(crate) engine: &'a str,
}

/// The jobs of one issuer.
pub(crate) struct Jobs<'a> {
    pub(crate) issuer: &'a JWTIssuer,
    /// CA of the issuer's server.
    pub(crate) ca: &'a str,
    pub(crate) entity: Entity<'a>,
    pub(crate) key_removals: KeyRemovals,
    /// Name of an additional issuer.
    pub(crate) name: Option<&'a str>,
}

impl<'a> Jobs<'a> {
    /// The jobs of the issuer of a project.
    pub(crate) fn own(project: &SecretsProject, found: &'a Found, key_removals: KeyRemovals) -> Self {
        Self {
            issuer: &found.references.issuer,
            ca: &found.issuer_ca,
            entity: entity(project.spec.scope, project.spec.id),
            key_removals,
            name: None,
        }
    }

    /// The jobs of an additional issuer.
    pub(crate) fn additional(
        scope: Scope,
        additional: &'a Additional,
        ca: &'a str,
        key_removals: KeyRemovals,
    ) -> Self {
        let Additional { spec, issuer } = additional;
        let entity = spec.id.map_or(Entity::Subjects(&spec.subjects), |id| entity(scope, id));
        Self { issuer, ca, entity, key_removals, name: Some(&spec.name) }
    }

    fn mount(&self) -> String {
        self.name.map_or_else(|| PIPELINE_MOUNT.to_owned(), additional_mount)
    }
}

/// Prefix of the policies of the jobs of an issuer.
pub(crate) fn policies(issuer: &IssuerName) -> String {
    issuer.as_deref().map_or_else(|| PIPELINE_POLICIES.to_owned(), additional_policies)
}

pub(crate) fn access(
    project: &SecretsProject,
    found: &Found,
    jobs: &Jobs<'_>,
    (grants, names): (&Grants, &PolicyNames<'_>),
) -> Result<Access, Error> {
    let contexts: Vec<JobContext> = grants.0.keys().cloned().collect();
    let prefix = policies(&jobs.name.map(str::to_owned));
    let auth = Auth {
        config: config(jobs.issuer, jobs.ca.to_owned()),
        key_removals: Some(jobs.key_removals),
        cel_roles: roles(project, found, jobs, (&contexts, &prefix))?,
        jwt_roles: BTreeMap::new(),
    };
    Ok(Access { mount: jobs.mount(), auth, policies: policy_texts(grants, &prefix, names) })
}

/// Texts of the policies of all contexts, by name.
pub(crate) fn policy_texts(
    grants: &Grants,
    prefix: &str,
    names: &PolicyNames<'_>,
) -> BTreeMap<String, String> {
    let text = |rules| policy_text(names.owner, names.engine, rules);
    grants.0.iter().map(|(context, rules)| (context.policy_name_below(prefix), text(rules))).collect()
}

fn roles(
    project: &SecretsProject,
    found: &Found,
    jobs: &Jobs<'_>,
    (contexts, policies): (&[JobContext], &str),
) -> Result<BTreeMap<String, CelRole>, Error> {
    let logins = logins(project, (jobs.issuer, jobs.entity), &found.references.cluster)?;
    let role = |login: &Login<'_>| (login.role.to_owned(), login.program(contexts, policies).role());
    Ok(logins.iter().map(role).collect())
}
