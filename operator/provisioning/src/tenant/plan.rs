use steamer_api::{Operation, PlannedChange, SecretsTenant};
use steamer_core::context::Context;
use steamer_core::error::Error;
use steamer_core::ownership::mark::{Claim, Mark, claim, foreign};
use steamer_core::ownership::removal::{deleting, organization};
use steamer_openbao::NamespacePath;

use crate::tenant::fetch::Found;

/// A namespace to be made or marked.
pub(crate) struct Step {
    pub(crate) path: NamespacePath,
    pub(crate) mark: Mark,
    pub(crate) operation: Operation,
}

impl Step {
    pub(crate) fn described(&self) -> PlannedChange {
        let reason = match self.operation {
            Operation::Create => "the namespace is not there",
            _ => "the namespace is to be marked as this tenant's",
        };
        PlannedChange { operation: self.operation, path: self.path.path(""), reason: reason.to_owned() }
    }
}

/// What is to be done, outermost first.
pub(crate) fn plan(context: &Context, tenant: &SecretsTenant, found: &Found) -> Result<Vec<Step>, Error> {
    let own = crate::tenant::layout::tenant(tenant);
    let mut steps = Vec::new();
    for (path, namespace) in &found.levels {
        let mark = mark_of(context, tenant, path, &own);
        let Some(namespace) = namespace else {
            steps.push(Step { path: path.clone(), mark, operation: Operation::Create });
            continue;
        };
        if namespace.tainted {
            return Err(deleting(path));
        }
        let found = Mark::of_metadata(&namespace.custom_metadata);
        match claim(&mark, found.as_ref(), tenant.spec.lifecycle.adopt, |mark| context.exists(mark)) {
            Claim::Ours => {}
            Claim::Adopt => steps.push(Step { path: path.clone(), mark, operation: Operation::Update }),
            Claim::Foreign => return Err(foreign(&format!("namespace {path}"), found.as_ref())),
        }
    }
    Ok(steps)
}

/// An organization that holds tenants belongs to the installation; the innermost namespace to the tenant.
pub(crate) fn mark_of(
    context: &Context,
    tenant: &SecretsTenant,
    path: &NamespacePath,
    own: &NamespacePath,
) -> Mark {
    if path == own { context.mark_of(tenant) } else { organization(context, path) }
}
