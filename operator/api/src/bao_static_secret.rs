//! Kind BaoStaticSecret: a secret of a KV engine, synchronized to a Kubernetes Secret.

use std::collections::BTreeMap;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    CommonStatus, DeletionPolicy, Duration, KvType, Mode, PlannedChange, Reference, RolloutRestart,
    RolloutRestartTarget, SecretSource, SyncStatus, SyncWindow, Transformation, rules,
};

/// A secret of a KV engine, synchronized to a Kubernetes Secret.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "steamer.dev",
    version = "v1alpha1",
    kind = "BaoStaticSecret",
    plural = "baostaticsecrets",
    namespaced,
    status = "BaoStaticSecretStatus",
    shortname = "bss",
    printcolumn(name = "Secret", type_ = "string", json_path = ".spec.destination.name"),
    printcolumn(name = "Version", type_ = "integer", json_path = ".status.version")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("has(self.sources) ? !(has(self.mount) || has(self.path) || has(self.type) || has(self.version)) : has(self.mount) && has(self.path) && has(self.type)", "mount, path and type are required for one secret, and sources for several: write one of them"))]
#[x_kube(validation = ("!has(self.type) || self.type == 'kv-v2' || !has(self.version) || self.version == 0", "version is only supported with type kv-v2: kv-v1 keeps no versions"))]
pub struct BaoStaticSecretSpec {
    /// BaoAuth to log in with. Default: the BaoAuth `default` in this namespace, or else the BaoAuth `default` in the
    /// operator's namespace if it allows references from this namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_ref: Option<Reference>,
    /// OpenBao namespace to read from. Default: the namespace of the BaoAuth.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    #[x_kube(validation = rules::NAMESPACE)]
    pub namespace: Option<String>,
    /// Path of the KV mount, such as `secrets/kv`. Mounts of other engines are refused. Required without `sources`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255))]
    #[x_kube(validation = rules::MOUNT, validation = rules::KV_MOUNT)]
    pub mount: Option<String>,
    /// Path of the secret within the mount, without `data/`. Required without `sources`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    #[x_kube(validation = rules::SECRET_PATH)]
    pub path: Option<String>,
    /// Version of the KV engine: `kv-v1` or `kv-v2`. Required without `sources`.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub type_: Option<KvType>,
    /// Version of the secret to read, `kv-v2` only. 0 or unset: the latest version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub version: Option<i64>,
    /// Secrets to write to one Kubernetes Secret, instead of `mount`, `path`, `type` and `version`. All must exist, and no two
    /// may have the same key. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 16))]
    pub sources: Vec<SecretSource>,
    /// Interval at which the secret is read. Default: 60s. Minimum: 1s.
    #[serde(default = "one_minute")]
    #[x_kube(validation = ("duration(self) >= duration('1s')", "refreshAfter must be at least 1s: a shorter interval would only load OpenBao"))]
    pub refresh_after: Duration,
    /// When the secret is read. `Periodic`: every `refreshAfter`. `OnChange`: when the request for it, the BaoAuth, the
    /// transformation or the Kubernetes Secret changes. `CreatedOnce`: when the Kubernetes Secret is created; afterwards only
    /// its labels and annotations follow the spec. A new value of the annotation `steamer.dev/reconcile` reads it in any
    /// case. Default: `Periodic`.
    #[serde(default)]
    pub refresh_policy: RefreshPolicy,
    /// Times in which new values are delivered. Outside of them, the secret is not read when it is due, and the status states
    /// until when. The creation of the Secret, a changed spec, the repair of an edit and the annotation
    /// `steamer.dev/reconcile` do not wait. Default: always.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub sync_windows: Vec<SyncWindow>,
    /// Kubernetes Secret to write.
    pub destination: Destination,
    /// Action on the Kubernetes Secret when the secret does not exist in OpenBao or was deleted there. `Retain`: keep
    /// it. `Clear`: remove all keys. `Delete`: delete it. Default: `Retain`.
    #[serde(default)]
    pub on_source_deleted: OnSourceDeleted,
    /// Workloads of the namespace to restart when the data of the Secret changes. The creation of the Secret, a change of
    /// its labels and the repair of an edit restart nothing. At most 64.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub rollout_restart_targets: Vec<RolloutRestartTarget>,
    /// How workloads are restarted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout_restart: Option<RolloutRestart>,
    /// `Enforce` writes the Kubernetes Secret. `Observe` reads the secret, lists the keys that would be written and the
    /// workloads that would be restarted in `status.plan`, and writes nothing. Default: `Enforce`.
    #[serde(default)]
    pub mode: Mode,
    /// `true` stops reading the secret and leaves the Kubernetes Secret unchanged. Default: `false`.
    #[serde(default)]
    pub suspend: bool,
}

fn one_minute() -> Duration {
    Duration::from_secs(60)
}

/// When a secret is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RefreshPolicy {
    /// Every `refreshAfter`.
    #[default]
    Periodic,
    /// When the spec or the Kubernetes Secret changes.
    OnChange,
    /// When the Kubernetes Secret is created.
    CreatedOnce,
}

/// Kubernetes Secret that is written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("!(has(self.overwrite) && self.overwrite) || (has(self.create) && self.create)", "overwrite requires create: true"))]
#[x_kube(validation = ("!(has(self.immutable) && self.immutable) || (has(self.create) && self.create)", "immutable requires create: true: a Secret of another owner keeps its setting"))]
#[x_kube(validation = ("!(has(self.creationPolicy) && self.creationPolicy == 'Merge') || !(has(self.create) && self.create)", "creationPolicy: Merge writes into an existing Secret: remove create: true, or set creationPolicy to Owner or Orphan"))]
pub struct Destination {
    /// Name of the Secret, in the namespace of this object.
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = ("!format.dns1123Subdomain().validate(self).hasValue()", "destination.name must be a valid Secret name: lowercase letters, digits, - and ."))]
    pub name: String,
    /// `true`: Steamer creates the Secret and owns all of its keys. `false`: the Secret must exist; Steamer writes the
    /// keys of the value and an annotation into it and changes nothing else. A Secret belongs to at most one object.
    /// Default: `false`.
    #[serde(default)]
    pub create: bool,
    /// `true` adopts an existing Secret that Steamer did not create; its data is replaced. A Secret of another existing
    /// object, of a controller other than Vault Secrets Operator and External Secrets Operator or of a managed cluster, and an
    /// immutable Secret, are never adopted. Requires `create: true`. Default: `false`.
    #[serde(default)]
    pub overwrite: bool,
    /// Labels to set on the Secret. Labels of Kubernetes (except `app.kubernetes.io/*`) and Steamer are refused. Ignored
    /// with `create: false`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    #[x_kube(validation = rules::KEYS, validation = rules::LABEL_VALUES, validation = rules::SECRET_KEYS)]
    pub labels: BTreeMap<String, String>,
    /// Annotations to set on the Secret. Annotations of Kubernetes (except `app.kubernetes.io/*`) and Steamer are refused.
    /// Ignored with `create: false`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    #[x_kube(validation = rules::KEYS, validation = rules::SECRET_KEYS)]
    pub annotations: BTreeMap<String, String>,
    /// Type of the Secret. Default: `Opaque`. If the type changes, the Secret is deleted and recreated, unless the API
    /// server does not accept the value with the new type. Types on which Kubernetes or Helm act are refused.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = rules::SECRET_TYPE)]
    pub type_: Option<String>,
    /// Templates and filters for the keys of the Secret. Default: each key of the value, unchanged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transformation: Option<Transformation>,
    /// `true` writes an immutable Secret. If its data changes, Steamer deletes and recreates it, if the API server accepts
    /// the new data. Requires `create: true`. Default: `false`.
    #[serde(default)]
    pub immutable: bool,
    /// `Owner`: the Secret is deleted with this object. `Orphan`: the Secret is kept. `Merge`: the keys are written into an
    /// existing Secret, as with `create: false`. Default: `Owner`.
    #[serde(default)]
    pub creation_policy: CreationPolicy,
    /// `Retain` keeps the Secret (with `create: false`: the keys in it) when this object is deleted or the destination is
    /// renamed. Default: `Delete`.
    #[serde(default = "delete")]
    pub deletion_policy: DeletionPolicy,
}

fn delete() -> DeletionPolicy {
    DeletionPolicy::Delete
}

/// Owner of the Secret.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum CreationPolicy {
    /// The BaoStaticSecret: the Secret is garbage-collected with it.
    #[default]
    Owner,
    /// No owner.
    Orphan,
    /// Another client: the keys are removed with the BaoStaticSecret.
    Merge,
}

/// Action on the Kubernetes Secret when its source was deleted in OpenBao.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OnSourceDeleted {
    /// Keep the Secret unchanged.
    #[default]
    Retain,
    /// Keep the Secret and remove all keys.
    Clear,
    /// Delete the Secret.
    Delete,
}

/// Observed state of a synchronized secret.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BaoStaticSecretStatus {
    /// Fields of every kind.
    #[serde(flatten)]
    pub common: CommonStatus,
    /// The Kubernetes Secret, and the restarts of its consumers.
    #[serde(flatten)]
    pub sync: SyncStatus,
    /// Version of the secret that was written, `kv-v2` only. Unset with several `sources`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<i64>,
    /// ID of the KV mount that the value was read from. A mount that is recreated has another ID: a value that is missing in
    /// it is not a deleted value. With `sources`: the ID for each source, separated by commas.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub mount_id: Option<String>,
    /// State of the last sync, in a format of the operator: digests of the request and the content, and the version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub stamp: Option<String>,
    /// Pending changes, with `mode: Observe`: names of keys and workloads, without values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1000))]
    pub plan: Vec<PlannedChange>,
}
