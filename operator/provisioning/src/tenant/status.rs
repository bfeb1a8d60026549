use steamer_api::{Orphan, SecretsTenant, SecretsTenantStatus};
use steamer_core::context::Context;
use steamer_core::error::Error;
use steamer_core::layout;
use steamer_runtime::Reason;
use steamer_runtime::conditions::Verdict;

use crate::tenant::plan::Step;

pub(crate) async fn suspended(context: &Context, tenant: &SecretsTenant) -> Result<(), Error> {
    context.report(tenant, context.last::<_, SecretsTenantStatus>(tenant), &Verdict::Suspended).await
}

pub(crate) async fn observed(context: &Context, tenant: &SecretsTenant, plan: &[Step]) -> Result<(), Error> {
    let verdict = match plan.len() {
        0 => Verdict::Ready(Reason::Observed, "OpenBao is as it should be".to_owned()),
        count => {
            Verdict::NotReady(Reason::Drifted, format!("{count} changes would be made: see status.plan"))
        }
    };
    let status = SecretsTenantStatus {
        openbao_namespace: Some(layout::tenant(tenant).as_str().to_owned()),
        plan: plan.iter().map(Step::described).collect(),
        ..context.last(tenant)
    };
    context.report(tenant, status, &verdict).await
}

pub(crate) async fn applied(
    context: &Context,
    tenant: &SecretsTenant,
    orphans: Vec<Orphan>,
) -> Result<(), Error> {
    let namespace = layout::tenant(tenant);
    let verdict = if tenant.spec.enabled {
        Verdict::Ready(Reason::Applied, format!("namespace {namespace} is there"))
    } else {
        Verdict::Ready(
            Reason::Disabled,
            format!("nobody gets into the projects of {namespace}; values are kept"),
        )
    };
    let status = SecretsTenantStatus {
        openbao_namespace: Some(namespace.as_str().to_owned()),
        plan: Vec::new(),
        orphans,
        ..context.last(tenant)
    };
    context.report(tenant, status, &verdict).await
}
