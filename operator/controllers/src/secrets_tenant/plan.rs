use steamer_api::{Operation, PlannedChange, SecretsTenant};
use steamer_openbao::NamespacePath;
use steamer_runtime::Name;

use super::fetch::Found;
use crate::context::Context;
use crate::error::Error;
use crate::ownership::{Claim, Mark, claim};

/// A namespace to be made or marked.
pub(super) struct Step {
    pub(super) path: NamespacePath,
    pub(super) mark: Mark,
    pub(super) operation: Operation,
}

impl Step {
    pub(super) fn described(&self) -> PlannedChange {
        let reason = match self.operation {
            Operation::Create => "the namespace is not there",
            _ => "the namespace is to be marked as this tenant's",
        };
        PlannedChange { operation: self.operation, path: self.path.path(""), reason: reason.to_owned() }
    }
}

/// What is to be done, outermost first.
pub(super) fn plan(context: &Context, tenant: &SecretsTenant, found: &Found) -> Result<Vec<Step>, Error> {
    let own = super::namespace_of(tenant);
    let mut steps = Vec::new();
    for (path, namespace) in &found.levels {
        let mark = mark_of(context, tenant, path, &own);
        let Some(namespace) = namespace else {
            steps.push(Step { path: path.clone(), mark, operation: Operation::Create });
            continue;
        };
        if namespace.tainted {
            return Err(Error::Deleting(format!("namespace {path} is still being deleted in OpenBao")));
        }
        let found = Mark::of_metadata(&namespace.custom_metadata);
        match claim(&mark, found.as_ref(), tenant.spec.lifecycle.adopt, |mark| context.lives(mark)) {
            Claim::Ours => {}
            Claim::Adopt => steps.push(Step { path: path.clone(), mark, operation: Operation::Update }),
            Claim::Foreign => return Err(foreign(path, found.as_ref())),
        }
    }
    Ok(steps)
}

/// An organization that holds tenants belongs to the installation; the innermost namespace to the tenant.
pub(super) fn mark_of(
    context: &Context,
    tenant: &SecretsTenant,
    path: &NamespacePath,
    own: &NamespacePath,
) -> Mark {
    if path == own {
        context.mark("SecretsTenant", Name::of(tenant))
    } else {
        context.mark("Organization", Name::new("-", path.as_str()))
    }
}

fn foreign(path: &NamespacePath, owner: Option<&Mark>) -> Error {
    let whose =
        owner.map_or_else(|| "someone else".to_owned(), |owner| format!("{} {}", owner.kind, owner.name));
    Error::Conflict(format!(
        "namespace {path} in OpenBao is {whose}'s: remove it, or set adopt: IfUnowned to take over what nobody owns"
    ))
}
