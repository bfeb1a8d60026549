//! Kinds of External Secrets Operator.

mod auth;
mod cluster_external_secret;
mod entries;
mod external_secret;
mod location;
mod merge;
mod names;
mod policies;
mod push_secret;
mod search;
mod store;
mod store_reference;
mod template;

use crate::cursor::Cursor;
use crate::leftovers::Advice;
use crate::task::Task;

/// Versions of the API.
pub(crate) const VERSIONS: &[&str] =
    &["external-secrets.io/v1", "external-secrets.io/v1beta1", "external-secrets.io/v1alpha1"];

/// What to do about fields without a counterpart.
pub(crate) const ADVICE: &[Advice] = &[
    ("*", "spec.controller", "Steamer has no classes of controllers: remove the field"),
    ("*", "spec.refreshInterval", "Steamer checks connections continuously: remove the field"),
    ("*", "spec.retrySettings", "Steamer retries with its own pauses: remove the field"),
    (
        "*",
        "spec.provider.vault.readYourWrites",
        "Steamer reads from the leader unless standbys serve reads: remove the field",
    ),
    ("*", "spec.provider.vault.forwardInconsistent", "a feature of Vault Enterprise: remove the field"),
    (
        "*",
        "spec.provider.vault.checkAndSet",
        "BaoPushSecret always writes with check-and-set: remove the field",
    ),
    (
        "*",
        "spec.provider.vault.auth",
        "Steamer does not have this setting of the auth method: choose another method, or another setting",
    ),
    (
        "*",
        "spec.provider.openbao.auth",
        "Steamer does not have this setting of the auth method: choose another method, or another setting",
    ),
    (
        "*",
        "spec.conditions",
        "Steamer selects namespaces by labels: set allowedNamespaces of the converted BaoAuth and BaoConnection",
    ),
    (
        "*",
        "spec.syncWindows",
        "write one item of spec.syncWindows with kind, schedule and duration for each window",
    ),
    (
        "ExternalSecret",
        "spec.dataFrom[].find.tags",
        "External Secrets Operator ignores tags beside a name: write find.metadata of the source if you need them",
    ),
    (
        "ExternalSecret",
        "spec.target.template",
        "write this part as a SecretTransformation, or in destination.transformation",
    ),
    (
        "ExternalSecret",
        "spec.target.template.metadata.finalizers",
        "Steamer sets no finalizers on Secrets: remove the field",
    ),
    (
        "ClusterExternalSecret",
        "spec.refreshTime",
        "Steamer reads changes of namespaces and objects immediately: remove the field",
    ),
    (
        "PushSecret",
        "spec.template",
        "BaoPushSecret has no templates: write the Secret in the form in which it is pushed",
    ),
    ("PushSecret", "spec.dataTo", "BaoPushSecret pushes the keys that its data lists: list them"),
];

/// Returns the converter of a kind.
pub(crate) fn converter(kind: &str) -> Option<fn(&mut Task<'_>, &mut Cursor)> {
    Some(match kind {
        "SecretStore" | "ClusterSecretStore" => store::converted,
        "ExternalSecret" => external_secret::converted,
        "ClusterExternalSecret" => cluster_external_secret::converted,
        "PushSecret" => push_secret::converted,
        _ => return None,
    })
}

/// What to do about a kind without a counterpart.
pub(crate) fn no_counterpart(kind: &str) -> &'static str {
    match kind {
        "ClusterPushSecret" => {
            "convert the PushSecrets that it created, and create one for each later namespace"
        }
        _ => "Steamer has no counterpart of this kind: keep External Secrets Operator for it",
    }
}
