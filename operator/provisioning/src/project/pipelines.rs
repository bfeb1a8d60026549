//! Access of CI jobs: auth mount, roles and policies.

use std::collections::BTreeMap;

use steamer_api::{PipelineAuth, Scope, SecretsProject};
use steamer_core::access::issuer::config;
use steamer_core::error::Error;
use steamer_core::layout::PIPELINE_MOUNT;
use steamer_openbao::CelRole;

use super::audiences::{id_token_audiences, pipeline_audiences};
use super::desired::{Access, Auth};
use super::fetch::Found;
use crate::pipelines::{Entity, Grants, JobContext, Program, ROLE_ID_TOKENS, ROLE_PIPELINES, policy_text};

/// Names that the texts of policies contain.
pub(crate) struct PolicyNames<'a> {
    /// Description of the owner.
    pub(crate) owner: &'a str,
    /// Path of the secrets engine.
    pub(crate) engine: &'a str,
}

pub(crate) fn access(
    project: &SecretsProject,
    found: &Found,
    grants: &Grants,
    names: &PolicyNames<'_>,
) -> Result<Access, Error> {
    let contexts: Vec<JobContext> = grants.0.keys().cloned().collect();
    let auth = Auth {
        config: config(&found.references.issuer, found.issuer_ca.clone()),
        cel_roles: roles(project, found, &contexts)?,
        jwt_roles: BTreeMap::new(),
    };
    Ok(Access { mount: PIPELINE_MOUNT, auth, policies: policy_texts(grants, names) })
}

/// Texts of the policies of all contexts, by name.
pub(crate) fn policy_texts(grants: &Grants, names: &PolicyNames<'_>) -> BTreeMap<String, String> {
    let text = |rules| policy_text(names.owner, names.engine, rules);
    grants.0.iter().map(|(context, rules)| (context.policy_name(), text(rules))).collect()
}

fn roles(
    project: &SecretsProject,
    found: &Found,
    contexts: &[JobContext],
) -> Result<BTreeMap<String, CelRole>, Error> {
    let PipelineAuth { mode: _, token_ttl, require_scope_claim, id_tokens } = &project.spec.pipeline_auth;
    let references = &found.references;
    let audiences = pipeline_audiences(&references.issuer, &references.cluster)?;
    let pipelines = Program {
        entity: entity(project),
        scope_claim: require_scope_claim.then_some(true),
        audiences: &audiences,
        ttl: token_ttl.get(),
        leeway: references.issuer.spec.leeway.get(),
        contexts,
    };
    let mut roles = BTreeMap::from([(ROLE_PIPELINES.to_owned(), pipelines.role())]);
    if id_tokens.enabled {
        let own_audiences = id_token_audiences(&id_tokens.audiences, &references.cluster, &audiences)?;
        let program = Program { scope_claim: Some(false), audiences: &own_audiences, ..pipelines };
        let role = (!own_audiences.is_empty()).then(|| (ROLE_ID_TOKENS.to_owned(), program.role()));
        roles.extend(role);
    }
    Ok(roles)
}

fn entity(project: &SecretsProject) -> Entity {
    match project.spec.scope {
        Scope::Project => Entity::Project(project.spec.id),
        Scope::Group => Entity::Group(project.spec.id),
    }
}
