//! Kinds of External Secrets Operator.

mod auth;
mod cluster_external_secret;
mod entries;
mod external_secret;
mod generator;
mod keys;
mod location;
mod merge;
mod names;
mod policies;
mod push_secret;
mod search;
mod store;
mod store_reference;
mod template;
mod windows;

use crate::cursor::Cursor;
use crate::leftovers::Advice;
use crate::task::Task;

/// Versions of the API.
pub(crate) const VERSIONS: &[&str] =
    &["external-secrets.io/v1", "external-secrets.io/v1beta1", "external-secrets.io/v1alpha1"];

/// API group of the generators.
pub(crate) const GENERATORS: &str = "generators.external-secrets.io";

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
        "write an item of syncWindows with kind, schedule and duration for this window",
    ),
    (
        "ExternalSecret",
        "spec.dataFrom[].find.tags",
        "External Secrets Operator ignores tags beside a name: write find.metadata of the source if you need them",
    ),
    (
        "ExternalSecret",
        "spec.target.template",
        "write this part into destination.transformation, or into a SecretTransformation",
    ),
    (
        "ExternalSecret",
        "spec.target.template.templateFrom",
        "Steamer reads no templates from ConfigMaps and Secrets, and no mapping of labels: write templates, keysAndValues, labels or annotations of destination.transformation, or a SecretTransformation",
    ),
    (
        "ExternalSecret",
        "spec.dataFrom[].rewrite",
        "write rewrite, prefix or keys of the source; a merge is a template with mergeOverwrite",
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
        "an entry in OpenBao has no type, labels, annotations and finalizers: remove the field",
    ),
    (
        "PushSecret",
        "spec.template.templateFrom",
        "Steamer reads no templates from ConfigMaps and Secrets: write templates or keysAndValues of transformation, or a SecretTransformation",
    ),
    (
        "PushSecret",
        "spec.dataTo",
        "write an item of data with mount, path, match and rewrite; keys of entries of their own need an item each, with key, path and property",
    ),
    (
        "PushSecret",
        "spec.dataTo[].metadata",
        "the custom metadata of an entry contains the mark of its owner: remove the field",
    ),
    (
        "PushSecret",
        "spec.data[].metadata",
        "the custom metadata of an entry contains the mark of its owner: remove the field",
    ),
    (
        "PushSecret",
        "spec.selector.generatorRef",
        "write generate into an item of data: password, passwordPolicy, bytes, uuid, sshKey or tlsKey, and rotateAfter for another value at an interval",
    ),
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
