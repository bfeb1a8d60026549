//! Kind BaoPushSecret: keys of Kubernetes Secrets, and generated values, written to a KV engine.

use std::collections::BTreeMap;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    CommonStatus, Duration, Generator, KvType, LabelSelector, Lifecycle, LifecycleStatus, LocalReference,
    Reference, Rewrite, Transformation, rules,
};

/// Keys of Kubernetes Secrets, and generated values, written to a KV engine.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "steamer.dev",
    version = "v1alpha1",
    kind = "BaoPushSecret",
    plural = "baopushsecrets",
    namespaced,
    status = "BaoPushSecretStatus",
    shortname = "bpush",
    printcolumn(name = "Secret", type_ = "string", json_path = ".spec.secretRef.name"),
    printcolumn(name = "Selected", type_ = "integer", json_path = ".status.selected")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("has(self.secretRef) || has(self.selector) || self.data.all(item, has(item.generate))", "secretRef or selector is required: only generated values need no Secret"))]
#[x_kube(validation = ("!(has(self.secretRef) && has(self.selector))", "secretRef and selector exclude each other: remove one"))]
#[x_kube(validation = ("!has(self.selector) || self.data.all(item, !has(item.generate))", "generate excludes selector: write the generated values with another object"))]
#[x_kube(validation = ("!has(self.transformation) || has(self.secretRef) || has(self.selector)", "transformation requires secretRef or selector: it applies to the keys of the Secret"))]
#[x_kube(validation = ("!has(self.transformation) || !(has(self.transformation.labels) || has(self.transformation.annotations))", "labels and annotations of transformation have no effect: OpenBao has none; remove them"))]
pub struct BaoPushSecretSpec {
    /// BaoAuth to log in with. Default: the BaoAuth `default` in this namespace, or else the BaoAuth `default` in the
    /// operator's namespace if it allows references from this namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_ref: Option<Reference>,
    /// OpenBao namespace to write to. Default: the namespace of the BaoAuth.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    #[x_kube(validation = rules::NAMESPACE)]
    pub namespace: Option<String>,
    /// Kubernetes Secret to read, in the namespace of this object. A Secret that Steamer writes is refused: its values would
    /// return to OpenBao. Required unless `selector` is set or all values are generated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<LocalReference>,
    /// Labels of the Kubernetes Secrets to read, in the namespace of this object, instead of `secretRef`. Each Secret has its
    /// own entries: their path is `path` of the item, `/` and the name of the Secret. At most 64 Secrets with 4 MiB of values,
    /// and 128 entries. The entries of a Secret that is deleted or loses the labels are released as those that `data` no longer
    /// lists; if no Secret matches, all entries stay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
    /// Templates and filters for the keys of the Secret, before `data` selects keys. `.Secrets` contains the keys of the Secret,
    /// `.Labels` and `.Annotations` are those of this object. Default: each key, unchanged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transformation: Option<Transformation>,
    /// Values to write. Items with the same `mount`, `path` and `type` are written together, as one entry. An entry belongs to
    /// one BaoPushSecret: keys that it does not list are removed. At most 64.
    #[schemars(length(min = 1, max = 64))]
    pub data: Vec<PushItem>,
    /// Handling of an entry whose value differs from the Secret. `Replace`: write a new version. `IfNotExists`: keep any
    /// existing value, of any owner. Generated values are replaced only with `rotateAfter`. Default: `Replace`.
    #[serde(default)]
    pub update_policy: UpdatePolicy,
    /// Interval at which the entries in OpenBao are checked. A change of the Secret is written immediately. Default: 5m.
    /// Minimum: 1s.
    #[serde(default = "five_minutes")]
    #[x_kube(validation = ("duration(self) >= duration('1s')", "refreshAfter must be at least 1s: a shorter interval would only load OpenBao"))]
    pub refresh_after: Duration,
    /// Lifecycle of the entries in OpenBao.
    #[serde(flatten)]
    pub lifecycle: Lifecycle,
}

fn five_minutes() -> Duration {
    Duration::from_secs(300)
}

/// A value to write.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("!has(self.generate) || (has(self.property) && !has(self.key) && self.type == 'kv-v2' && self.encoding == 'Text')", "generate requires property and type kv-v2, and excludes key and encoding"))]
#[x_kube(validation = ("!has(self.property) || has(self.key) || has(self.generate)", "property requires key or generate: without key, all keys of the Secret are written by their names"))]
#[x_kube(validation = ("!has(self.rotateAfter) || has(self.generate)", "rotateAfter requires generate: a value of the Secret changes with the Secret"))]
#[x_kube(validation = ("!(has(self.match) || has(self.rewrite)) || !(has(self.key) || has(self.generate))", "match and rewrite apply to all keys of the Secret: remove key and generate"))]
pub struct PushItem {
    /// Key of the Secret. Default: all keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub key: Option<String>,
    /// Regular expression in Go's syntax. Only keys of the Secret that match are written. Default: all keys.
    #[serde(default, rename = "match", skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub match_: Option<String>,
    /// Replacements in the names of the keys, in order. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub rewrite: Vec<Rewrite>,
    /// Path of the KV mount, such as `secrets/kv`.
    #[schemars(length(min = 1, max = 255))]
    #[x_kube(validation = rules::MOUNT, validation = rules::KV_MOUNT)]
    pub mount: String,
    /// Path of the entry within the mount, without `data/`. With `selector`: the folder of the entries.
    #[schemars(length(min = 1, max = 1024))]
    #[x_kube(validation = rules::SECRET_PATH)]
    pub path: String,
    /// Key in OpenBao. Default: `key`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub property: Option<String>,
    /// Version of the KV engine: `kv-v1` or `kv-v2`.
    #[serde(rename = "type")]
    pub type_: KvType,
    /// `Text`: the value is written as it is and must be UTF-8. `Base64`: the value is encoded. Default: `Text`.
    #[serde(default)]
    pub encoding: PushEncoding,
    /// Generates the value if the entry does not contain it, and never again without `rotateAfter`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generate: Option<Generator>,
    /// Age at which another value is generated, as a new version of the entry. `updatePolicy: IfNotExists` keeps the value.
    /// Minimum: 1m. Default: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = ("duration(self) >= duration('1m')", "rotateAfter must be at least 1m: programs need time to read a new value"))]
    pub rotate_after: Option<Duration>,
}

/// Encoding of a value in OpenBao.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PushEncoding {
    /// Unchanged.
    #[default]
    Text,
    /// Base64 with padding.
    Base64,
}

/// Handling of an entry whose value differs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum UpdatePolicy {
    /// Write a new version.
    #[default]
    Replace,
    /// Keep it.
    IfNotExists,
}

/// Observed state of a pushed Secret.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BaoPushSecretStatus {
    /// Fields of every kind.
    #[serde(flatten)]
    pub common: CommonStatus,
    /// Fields of the resources in OpenBao.
    #[serde(flatten)]
    pub lifecycle: LifecycleStatus,
    /// Entries that this object has written.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    pub entries: Vec<PushedEntry>,
    /// Number of Secrets that `selector` matches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selected: Option<i64>,
    /// Secrets that `selector` matches and that are not pushed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub failed: Vec<FailedSecret>,
    /// Value of the annotation `steamer.dev/reconcile` that was handled last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub last_handled_reconcile_at: Option<String>,
}

/// A Secret that is not pushed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FailedSecret {
    /// Name of the Secret.
    #[schemars(length(max = 253))]
    pub name: String,
    /// Reason, as in the condition `Ready`.
    #[schemars(length(max = 63))]
    pub reason: String,
    /// What is wrong, and what to change.
    #[schemars(length(max = 1100))]
    pub message: String,
}

/// An entry in OpenBao.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PushedEntry {
    /// OpenBao namespace, from the root namespace of the server. Empty: the root namespace.
    #[serde(default)]
    #[schemars(length(max = 512))]
    pub namespace: String,
    /// Path of the KV mount.
    #[schemars(length(max = 255))]
    pub mount: String,
    /// Path of the entry within the mount.
    #[schemars(length(max = 1024))]
    pub path: String,
    /// Version of the KV engine.
    #[serde(rename = "type")]
    pub type_: KvType,
    /// Version that was written or found last, `kv-v2` only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<i64>,
    /// Keyed digest (MAC) of the values from the Secret. It is different for every entry, and useless without the key.
    #[serde(rename = "secretMAC")]
    #[schemars(length(max = 128))]
    pub secret_mac: String,
    /// When the values with `rotateAfter` were generated, by property. The first check counts for values of unknown age.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64, "additionalProperties" = {"type": "string", "maxLength": 64}))]
    pub generated_at: BTreeMap<String, String>,
}
