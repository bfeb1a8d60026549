use jiff::Timestamp;
use steamer_api::{
    ProjectPhase, Provisioned, RunnerAccess, SecretsProject, SecretsProjectStatus, VaultAccess,
};
use steamer_core::context::Context;
use steamer_core::error::Error;
use steamer_core::layout::{DATA_ROOT, PIPELINE_MOUNT};
use steamer_runtime::Reason;
use steamer_runtime::conditions::{Conditions, State, Verdict};

use crate::pipelines::{ROLE_ID_TOKENS, ROLE_PIPELINES};
use crate::project::change::Planned;
use crate::project::validate::{Project, name_digest};

pub(crate) async fn suspended(context: &Context, project: &SecretsProject) -> Result<(), Error> {
    context.report(project, context.last::<_, SecretsProjectStatus>(project), &Verdict::Suspended).await
}

/// Before the first write to OpenBao: where things will be made, for a deletion to find them.
pub(crate) async fn provisioning(
    context: &Context,
    project: &SecretsProject,
    valid: &Project,
) -> Result<(), Error> {
    let last: SecretsProjectStatus = context.last(project);
    if last.provisioned.as_ref().is_some_and(|last| last.openbao_namespace == valid.namespace.as_str()) {
        return Ok(());
    }
    let provisioned = Provisioned { issuer_key_removals: -1, policies: Vec::new(), ..provisioned(valid) };
    let status = SecretsProjectStatus {
        phase: Some(ProjectPhase::Provisioning),
        openbao_namespace: Some(valid.namespace.as_str().to_owned()),
        provisioned: Some(provisioned),
        ..last
    };
    let verdict = Verdict::Progressing(Reason::Waiting, format!("{} is being provisioned", valid.namespace));
    context.report(project, status, &verdict).await
}

fn provisioned(valid: &Project) -> Provisioned {
    Provisioned {
        cluster_ref: valid.cluster.clone(),
        tenant_namespace: valid.tenant_namespace.as_str().to_owned(),
        openbao_namespace: valid.namespace.as_str().to_owned(),
        engine: valid.engine.clone(),
        issuer_key_removals: valid.key_removals,
        policies: valid.policies.keys().map(|name| name_digest(name)).collect(),
    }
}

pub(crate) async fn observed(
    context: &Context,
    project: &SecretsProject,
    valid: &Project,
    plan: &[Planned],
) -> Result<(), Error> {
    let verdict = match plan.len() {
        0 => Verdict::Ready(Reason::Observed, "OpenBao is as it should be".to_owned()),
        count => {
            Verdict::NotReady(Reason::Drifted, format!("{count} changes would be made: see status.plan"))
        }
    };
    let status = SecretsProjectStatus {
        openbao_namespace: Some(valid.namespace.as_str().to_owned()),
        plan: plan.iter().take(1000).map(|planned| planned.described(valid)).collect(),
        ..context.last(project)
    };
    context.report(project, status, &verdict).await
}

pub(crate) async fn applied(
    context: &Context,
    project: &SecretsProject,
    valid: &Project,
) -> Result<(), Error> {
    let mut status = SecretsProjectStatus {
        phase: Some(if valid.enabled { ProjectPhase::Active } else { ProjectPhase::Disabled }),
        openbao_namespace: Some(valid.namespace.as_str().to_owned()),
        provisioned: Some(provisioned(valid)),
        runner: runner(valid),
        vault: vault(valid),
        policies: i64::try_from(valid.policies.len()).unwrap_or(i64::MAX),
        plan: Vec::new(),
        ..context.last(project)
    };
    let generation = project.metadata.generation.unwrap_or(0);
    let mut conditions = Conditions::new(&mut status.conditions, generation, Timestamp::now());
    for (kind, holds) in [
        ("NamespaceReady", true),
        ("EngineReady", true),
        ("AuthReady", valid.enabled),
        ("PoliciesReady", valid.enabled),
    ] {
        let reason = if holds { Reason::Applied } else { Reason::Disabled };
        conditions.set(kind, State::from(holds), reason, "");
    }
    context.report(project, status, &verdict(valid)).await
}

fn verdict(valid: &Project) -> Verdict {
    if valid.enabled {
        Verdict::Ready(
            Reason::Applied,
            format!("{} policies are in force in {}", valid.policies.len(), valid.namespace),
        )
    } else {
        Verdict::Ready(Reason::Disabled, format!("nobody gets into {}; values are kept", valid.namespace))
    }
}

fn runner(valid: &Project) -> Option<RunnerAccess> {
    valid.auth.get(PIPELINE_MOUNT).map(|_| RunnerAccess {
        server_url: valid.server_url.clone(),
        inline_auth_path: valid.namespace.path(&format!("auth/{PIPELINE_MOUNT}/cel/login")),
        role: ROLE_PIPELINES.to_owned(),
        engine_path: valid.namespace.path(&valid.engine),
        engine_name: "kv-v2".to_owned(),
        data_root: DATA_ROOT.to_owned(),
    })
}

fn vault(valid: &Project) -> Option<VaultAccess> {
    let mount = valid.auth.get(PIPELINE_MOUNT)?;
    mount.cel_roles.contains_key(ROLE_ID_TOKENS).then(|| VaultAccess {
        server_url: valid.server_url.clone(),
        namespace: valid.namespace.as_str().to_owned(),
        auth_path: format!("{PIPELINE_MOUNT}/cel"),
        role: ROLE_ID_TOKENS.to_owned(),
    })
}
