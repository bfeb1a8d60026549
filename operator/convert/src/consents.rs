//! Consent of ServiceAccounts and Secrets to their use for logins.

use serde_json::Value;

use crate::draft::Draft;
use crate::inventory::allowed;
use crate::task::Task;

/// Steamer requires an audience for tokens of ServiceAccounts, and the consent of the ServiceAccount to it.
pub(crate) fn audiences(task: &mut Task<'_>, draft: &Draft, root: &str) {
    for block in ["kubernetes", "jwt"] {
        if draft.get(block).is_none() || draft.get(&format!("{block}.secretRef")).is_some() {
            continue;
        }
        let field = format!("{root}.{block}.audiences");
        let audiences = draft.get(&format!("{block}.audiences")).and_then(Value::as_array);
        if audiences.is_some_and(|audiences| !audiences.is_empty()) {
            task.note(
                field,
                "set the annotation steamer.dev/audiences with these audiences on the ServiceAccount, or run Steamer with --allowed-audiences",
            );
        } else {
            task.review(
                field,
                None,
                "Steamer requests no tokens that the Kubernetes API server accepts: write an audience of OpenBao, set it as the audience of the role, and allow it on the ServiceAccount with the annotation steamer.dev/audiences",
            );
        }
    }
}

/// Steamer reads a Secret for logins only if it has a label.
pub(crate) fn secret(task: &mut Task<'_>, draft: &Draft, block: &str, field: String) {
    if draft.get(&format!("{block}.secretRef")).is_none() {
        return;
    }
    let label = if block == "jwt" { "steamer.dev/jwt" } else { "steamer.dev/login" };
    task.note(
        field,
        format!("set the label {label}: \"true\" on this Secret in each namespace that uses it"),
    );
}

/// Tokens of a ServiceAccount for a cloud provider need its consent, and that of the admission policy.
pub(crate) fn cloud(task: &mut Task<'_>, draft: &Draft, block: &str) {
    let (field, audience) = match block {
        "aws" => ("irsaServiceAccount", "sts.amazonaws.com"),
        "gcp" => ("workloadIdentityServiceAccount", "<projectID>.svc.id.goog"),
        _ => return,
    };
    let field = format!("{block}.{field}");
    if draft.get(&field).is_some() {
        task.note(
            draft.origin(&field),
            format!(
                "set the annotation steamer.dev/cloud-audiences with {audience} on the ServiceAccount, and remove the pattern of \
                 this audience from the Helm value admissionPolicy.cloudAudiences"
            ),
        );
    }
}

/// Allows the namespaces of the objects that refer to the converted one. `review`: what a user must restrict if these are
/// several.
pub(crate) fn namespaces(task: &mut Task<'_>, draft: &mut Draft, (kind, review): (&'static str, &str)) {
    let consumers = task.inventory.consumers(kind, task.origin.namespace(), &task.origin.name);
    let (many, consent) = (consumers.len() > 1, allowed(&consumers));
    if let Some(consent) = consent {
        draft.put("allowedNamespaces", consent, "metadata.namespace");
    }
    if many {
        task.review("metadata.namespace", None, review);
    }
}
