use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use jiff::Timestamp;
use kube::ResourceExt;
use steamer_api::{Adopt, PipelineAuth, PipelinePolicy, Reference, Scope, SecretsProject, Workload};
use steamer_core::access::issuer::config;
use steamer_core::context::Context;
use steamer_core::error::Error;
use steamer_core::layout;
use steamer_core::layout::{PIPELINE_MOUNT, WORKLOAD_MOUNT};
use steamer_core::ownership::mark::Mark;
use steamer_openbao::{CelRole, JwtConfig, JwtKeys, JwtRole, KvConfig, NamespacePath};
use steamer_runtime::ObjectName;

use crate::pipeline_policy::{Contribution, Contributions, contexts_of, gives};
use crate::pipelines::{
    Entity, Grants, Program, ROLE_ID_TOKENS, ROLE_PIPELINES, policy_text, workload_policy_text,
};
use crate::project::fetch::References;

/// More contexts would make logins slow: each is compared with every job.
const MOST_CONTEXTS: usize = 256;

/// What a project comes to: all that should be in OpenBao, and what people are told.
pub(crate) struct Project {
    pub(crate) mark: Mark,
    pub(crate) adopt: Adopt,
    pub(crate) cluster: Reference,
    pub(crate) server_url: String,
    pub(crate) tenant_namespace: NamespacePath,
    pub(crate) namespace: NamespacePath,
    /// Name of the innermost namespace.
    pub(crate) own: String,
    pub(crate) engine: String,
    pub(crate) kv: KvConfig,
    /// Auth mounts by path; none when nobody is to get in.
    pub(crate) auth: BTreeMap<&'static str, Auth>,
    pub(crate) policies: BTreeMap<String, String>,
    /// Digests of the names of policies written before.
    pub(crate) policies_written: Vec<String>,
    pub(crate) enabled: bool,
    /// Keys that the issuer took away, counted; and how many were when the mount was last written.
    pub(crate) key_removals: i64,
    pub(crate) key_removals_written: i64,
    pub(crate) next_expiry: Option<Timestamp>,
}

/// An auth mount as it should be.
pub(crate) struct Auth {
    pub(crate) config: JwtConfig,
    pub(crate) cel_roles: BTreeMap<String, CelRole>,
    pub(crate) jwt_roles: BTreeMap<String, JwtRole>,
}

pub(crate) fn validate(
    context: &Context,
    project: &SecretsProject,
    references: &References,
    policies: &[Arc<PipelinePolicy>],
    now: Timestamp,
) -> Result<(Project, Contributions), Error> {
    let spec = &project.spec;
    let mark = context.mark_of(project);
    let engine = spec.engines.first().map(|engine| layout::engine(&engine.name)).unwrap_or_default();
    let tenant_namespace = layout::tenant(&references.tenant);
    let own = layout::project(spec.scope, spec.id);
    let written = project.status.as_ref().and_then(|status| status.provisioned.as_ref());
    let cluster = &references.cluster;
    let mut valid = Project {
        adopt: spec.lifecycle.adopt,
        cluster: Reference {
            name: references.cluster_name.name.clone(),
            namespace: Some(references.cluster_name.namespace.clone()),
        },
        server_url: cluster.spec.external_url.clone().unwrap_or_else(|| cluster.address()),
        namespace: tenant_namespace.join(&own),
        kv: kv(project),
        auth: BTreeMap::new(),
        policies: BTreeMap::new(),
        policies_written: written.map(|written| written.policies.clone()).unwrap_or_default(),
        enabled: spec.enabled && references.tenant.spec.enabled,
        key_removals: references.issuer.status.as_ref().map_or(0, |status| status.key_removals),
        key_removals_written: written.map_or(-1, |written| written.issuer_key_removals),
        next_expiry: None,
        tenant_namespace,
        own,
        engine,
        mark,
    };
    let (grants, contributions) = granted(policies, now);
    if valid.enabled {
        pipelines(&mut valid, project, references, &grants)?;
        workloads(&mut valid, context, project, references)?;
    }
    Ok((valid, contributions))
}

/// Tells policies apart in a status without holding their names, which are long.
pub(crate) fn name_digest(name: &str) -> String {
    steamer_core::digest::digest(name.as_bytes())[..16].to_owned()
}

fn kv(project: &SecretsProject) -> KvConfig {
    let engine = project.spec.engines.first().cloned().unwrap_or_default();
    KvConfig {
        max_versions: engine.max_versions,
        cas_required: engine.cas_required,
        delete_version_after: format!("{}s", engine.delete_version_after.get().as_secs()),
    }
}

/// What all policies together give, and what became of each.
fn granted(policies: &[Arc<PipelinePolicy>], now: Timestamp) -> (Grants, Contributions) {
    let (mut grants, mut all) = (Grants::default(), HashMap::new());
    for policy in policies {
        let contexts = if gives(policy, now) { contexts_of(policy) } else { Vec::new() };
        let new = contexts.iter().filter(|context| !grants.0.contains_key(context)).count();
        let refused = (grants.0.len() + new > MOST_CONTEXTS).then(|| {
            format!(
                "a project has at most {MOST_CONTEXTS} contexts and older policies have them: use patterns"
            )
        });
        if refused.is_none() {
            let by = ObjectName::of(&**policy).to_string();
            let expires_at = policy.spec.expires_at.as_ref().map(|at| at.0);
            for context in &contexts {
                for secret in &policy.spec.secrets {
                    grants.add(context.clone(), &secret.name, expires_at, &by);
                }
            }
        }
        let contribution = Contribution {
            uid: policy.uid().unwrap_or_default(),
            generation: policy.metadata.generation.unwrap_or(0),
            refused,
        };
        all.insert(ObjectName::of(&**policy), contribution);
    }
    (grants, Contributions(all))
}

/// The mount, roles and policies of CI jobs.
fn pipelines(
    valid: &mut Project,
    project: &SecretsProject,
    references: &References,
    grants: &Grants,
) -> Result<(), Error> {
    let issuer = &references.issuer.spec;
    let PipelineAuth { mode: _, token_ttl, require_scope_claim, id_tokens } = &project.spec.pipeline_auth;
    let contexts: Vec<_> = grants.0.keys().cloned().collect();
    let audiences = audiences(references)?;
    let entity = match project.spec.scope {
        Scope::Project => Entity::Project(project.spec.id),
        Scope::Group => Entity::Group(project.spec.id),
    };
    let program = |scope_claim, audiences| {
        let program = Program {
            entity,
            scope_claim,
            audiences,
            ttl: token_ttl.get(),
            leeway: issuer.leeway.get(),
            contexts: &contexts,
        };
        program.role()
    };
    let mut cel_roles = BTreeMap::from([(
        ROLE_PIPELINES.to_owned(),
        program(require_scope_claim.then_some(true), &audiences),
    )]);
    let id_audiences = id_audiences(references, &id_tokens.audiences);
    if id_tokens.enabled && !id_audiences.is_empty() {
        apart(&audiences, &id_audiences)?;
        cel_roles.insert(ROLE_ID_TOKENS.to_owned(), program(Some(false), &id_audiences));
    }
    let owner = valid.mark.description();
    for (context, rules) in &grants.0 {
        valid.policies.insert(context.policy_name(), policy_text(&owner, &valid.engine, rules));
    }
    valid.next_expiry = grants.next_expiry();
    valid.auth.insert(
        PIPELINE_MOUNT,
        Auth {
            config: config(&references.issuer, references.issuer_ca.clone()),
            cel_roles,
            jwt_roles: BTreeMap::new(),
        },
    );
    Ok(())
}

fn audiences(references: &References) -> Result<Vec<String>, Error> {
    let named = &references.issuer.spec.audiences;
    let audiences: Vec<String> = match &references.cluster.spec.jwt_audience {
        Some(audience) if named.is_empty() => vec![audience.clone()],
        _ => named.clone(),
    };
    if audiences.is_empty() {
        return Err(Error::Invalid(format!(
            "JWTIssuer {} names no audiences and OpenBaoCluster {} no jwtAudience: one of them is needed, or any token \
             of the issuer would be let in",
            ObjectName::of(&*references.issuer),
            references.cluster_name
        )));
    }
    Ok(audiences)
}

fn id_audiences(references: &References, named: &[String]) -> Vec<String> {
    match &references.cluster.spec.jwt_audience {
        Some(audience) if named.is_empty() => vec![format!("{}/id-tokens", audience.trim_end_matches('/'))],
        _ => named.to_vec(),
    }
}

fn apart(pipelines: &[String], id_tokens: &[String]) -> Result<(), Error> {
    match id_tokens.iter().find(|audience| pipelines.contains(audience)) {
        Some(audience) => Err(Error::Invalid(format!(
            "audience `{audience}` is one of pipeline tokens: pipelineAuth.idTokens.audiences needs one of its own, for \
             any user can put it into an ID token"
        ))),
        None => Ok(()),
    }
}

/// The mount, roles and policies of Kubernetes workloads.
fn workloads(
    valid: &mut Project,
    context: &Context,
    project: &SecretsProject,
    references: &References,
) -> Result<(), Error> {
    let Some(api) = &references.api_issuer else {
        return Ok(());
    };
    let owner = valid.mark.description();
    let mut jwt_roles = BTreeMap::new();
    for workload in &project.spec.workloads {
        context.safe_audiences(std::slice::from_ref(&workload.audience))?;
        let policy = layout::workload_policy(&workload.name);
        valid.policies.insert(policy.clone(), workload_policy_text(&owner, &valid.engine, &workload.secrets));
        jwt_roles.insert(workload.name.clone(), workload_role(workload, policy));
    }
    let config = JwtConfig {
        keys: JwtKeys::Static(api.keys.clone()),
        ca: String::new(),
        bound_issuer: api.issuer.clone(),
        algorithms: ["RS256", "ES256"].map(str::to_owned).to_vec(),
        skip_validation: true,
    };
    valid.auth.insert(WORKLOAD_MOUNT, Auth { config, cel_roles: BTreeMap::new(), jwt_roles });
    Ok(())
}

fn workload_role(workload: &Workload, policy: String) -> JwtRole {
    JwtRole {
        bound_subject: format!("system:serviceaccount:{}:{}", workload.namespace, workload.service_account),
        bound_audiences: vec![workload.audience.clone()],
        user_claim: "sub".to_owned(),
        token_policies: vec![policy],
        token_ttl: 300,
        token_max_ttl: 300,
        token_no_default_policy: true,
        token_type: "batch".to_owned(),
    }
}
