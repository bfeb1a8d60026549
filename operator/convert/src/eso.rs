//! Kinds of External Secrets Operator.

mod auth;
mod cloud;
mod cluster_external_secret;
mod conditions;
mod credentials;
mod dynamic_secret;
mod entries;
mod external_secret;
mod generator;
mod keys;
mod location;
mod merge;
mod names;
mod namespaces;
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
        "spec.provider.readYourWrites",
        "Steamer reads from the leader unless standbys serve reads: remove the field",
    ),
    (
        "*",
        "spec.provider.forwardInconsistent",
        "Steamer sends X-Vault-Inconsistent as soon as OpenBao reports an index, so that standbys forward requests to the leader: remove the field",
    ),
    ("*", "spec.provider.checkAndSet", "BaoPushSecret always writes with check-and-set: remove the field"),
    (
        "*",
        "spec.provider.auth",
        "Steamer does not have this setting of the auth method: choose another method, or another setting",
    ),
    (
        "*",
        "spec.provider.auth.iam.role",
        "Steamer assumes only the role in the annotation eks.amazonaws.com/role-arn of the ServiceAccount in aws.irsaServiceAccount: write this role there, or let the role in OpenBao accept the identity that assumes it",
    ),
    (
        "*",
        "spec.provider.auth.iam.externalID",
        "External Secrets Operator sends it to assume the role in role, which Steamer does not assume: remove the field",
    ),
    (
        "*",
        "spec.provider.auth.iam.jwt.serviceAccountRef.audiences",
        "the token has one audience, which is that in the annotation eks.amazonaws.com/audience of the ServiceAccount, or else sts.amazonaws.com: set the annotation if AWS requires another one",
    ),
    (
        "*",
        "spec.provider.auth.iam.secretRef",
        "Steamer reads the access key from one Secret, with the keys access_key_id, secret_access_key and session_token: create it in the namespace of each object that reads, and write its name into aws.secretRef",
    ),
    (
        "*",
        "spec.provider.auth.gcp.location",
        "the login does not need it, and gcp.region is the location of the cluster: remove the field",
    ),
    (
        "*",
        "spec.provider.auth.gcp.projectID",
        "the login does not need it, and gcp.projectID is the project of the cluster: remove the field",
    ),
    (
        "*",
        "spec.provider.auth.gcp.secretRef",
        "Steamer does not log in with the key of a Google service account, which is valid for long: write gcp with workload identity of GKE",
    ),
    (
        "*",
        "spec.provider.auth.gcp.serviceAccountRef",
        "External Secrets Operator logs in with the identity of its pod, and Steamer does not: write gcp with workload identity of GKE",
    ),
    (
        "*",
        "spec.provider.auth.gcp.workloadIdentity.serviceAccountRef.audiences",
        "the token has one audience, which is the workload identity pool of the project of the cluster: remove the field",
    ),
    (
        "*",
        "spec.conditions",
        "allowedNamespaces of the BaoAuth has one set of labels: set a label on the namespaces that this condition selects, and write it to selector.matchLabels with from: Selector",
    ),
    (
        "*",
        "spec.conditions[].namespaces",
        "allowedNamespaces of the BaoAuth has no list of names: set the labels in selector.matchLabels on these namespaces, or write a label that all of them have, with from: Selector",
    ),
    (
        "*",
        "spec.conditions[].namespaceRegexes",
        "allowedNamespaces of the BaoAuth has no expressions for names: set the labels in selector.matchLabels on the namespaces that match, or write a label that all of them have, with from: Selector",
    ),
    (
        "*",
        "spec.conditions[].namespaceSelector.matchExpressions",
        "allowedNamespaces of the BaoAuth requires values of labels, and has no other operators: set a label on the namespaces that this requirement selects, and write it to selector.matchLabels with from: Selector",
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
    ("ExternalSecret", "spec.secretStoreRef", "no entry uses this store: remove the field"),
    (
        "ExternalSecret",
        "spec.refreshPolicy",
        "a BaoDynamicSecret without refreshAfter requests once until its spec changes, and renews a lease: remove the field",
    ),
    ("VaultDynamicSecret", "spec.method", "a BaoDynamicSecret sends GET, POST or PUT: choose one of them"),
    (
        "VaultDynamicSecret",
        "spec.parameters",
        "External Secrets Operator sends parameters with POST and PUT only: remove the field, or set method",
    ),
    (
        "VaultDynamicSecret",
        "spec.resultType",
        "a BaoDynamicSecret writes the data of an answer: choose a path whose answer has data",
    ),
    (
        "VaultDynamicSecret",
        "spec.allowEmptyResponse",
        "an answer without data is an error for a BaoDynamicSecret: remove the field if each answer has data",
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

/// Returns the converter of a generator that is more than a part of other objects.
pub(crate) fn generator_converter(version: &str, kind: &str) -> Option<fn(&mut Task<'_>, &mut Cursor)> {
    let is_known = version.strip_prefix(GENERATORS) == Some("/v1alpha1") && kind == "VaultDynamicSecret";
    if is_known { Some(dynamic_secret::login) } else { None }
}

/// What to do about a generator. `is_converted`: whether a written object contains its settings.
pub(crate) fn about_generator(kind: &str, is_converted: bool) -> &'static str {
    match (kind, is_converted) {
        ("VaultDynamicSecret", true) => {
            "converted: a BaoDynamicSecret contains its request, and its login is the BaoAuth of its name"
        }
        ("VaultDynamicSecret", false) => {
            "no converted object contains its request: write a BaoDynamicSecret with mount and path, and the BaoAuth of this name as authRef, for each object that uses the generator"
        }
        (_, true) => "converted: generate in an item of data of the BaoPushSecret contains its settings",
        (_, false) => {
            "a generator is a part of the object that uses it: write generate into an item of data of a BaoPushSecret; Steamer generates no delivered Secret"
        }
    }
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
