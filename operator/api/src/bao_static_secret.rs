use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::common::{conditions, never_observed};
use crate::{DeletionPolicy, Duration, Reference};

/// A value of a KV engine, kept as a Kubernetes Secret.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "steamer.dev",
    version = "v1alpha1",
    kind = "BaoStaticSecret",
    plural = "baostaticsecrets",
    namespaced,
    status = "BaoStaticSecretStatus",
    shortname = "bss",
    category = "steamer",
    category = "openbao",
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].status"#
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].reason"#
    ),
    printcolumn(name = "Secret", type_ = "string", json_path = ".spec.destination.name"),
    printcolumn(name = "Version", type_ = "integer", json_path = ".status.version"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("duration(self.refreshAfter) >= duration('1s')", "refreshAfter is at least 1s"))]
#[x_kube(validation = ("self.type == 'kv-v2' || !has(self.version) || self.version == 0", "version is for kv-v2 only: kv-v1 keeps no versions"))]
pub struct BaoStaticSecretSpec {
    /// The BaoAuth to log in with. Default: `default` in this namespace, then `default` in the operator's, if that
    /// allows this namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_ref: Option<Reference>,
    /// The OpenBao namespace to read in. Default: that of the BaoAuth.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub namespace: Option<String>,
    /// Path of the KV mount.
    #[schemars(length(min = 1, max = 255))]
    pub mount: String,
    /// Path of the value in the mount, without `data/`.
    #[schemars(length(min = 1, max = 1024))]
    #[x_kube(validation = ("!self.startsWith('/') && !self.endsWith('/') && !self.matches('(^|/)[.][.]?(/|$)')", "path has no / at either end and no . or .. in it"))]
    pub path: String,
    /// Version of the KV engine.
    #[serde(rename = "type")]
    pub type_: KvType,
    /// A version to stay at, `kv-v2` only. 0 or absent: the newest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub version: Option<i64>,
    /// How often the value is read. Default: 60s, at least 1s.
    #[serde(default = "one_minute")]
    pub refresh_after: Duration,
    /// The Secret to write.
    pub destination: Destination,
    /// What happens to the Secret when the value is deleted in OpenBao. `Retain` keeps it; `Clear` empties it;
    /// `Delete` deletes it.
    #[serde(default)]
    pub on_source_deleted: OnSourceDeleted,
    /// `true` leaves the Secret as it is and reads nothing.
    #[serde(default)]
    pub suspend: bool,
}

fn one_minute() -> Duration {
    Duration::from_secs(60)
}

/// Version of a KV engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum KvType {
    /// Unversioned.
    #[serde(rename = "kv-v1")]
    V1,
    /// Versioned.
    #[serde(rename = "kv-v2")]
    V2,
}

/// The Secret that is written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("!(has(self.overwrite) && self.overwrite) || (has(self.create) && self.create)", "overwrite needs create: true"))]
pub struct Destination {
    /// Its name, in the namespace of this object.
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = ("!format.dns1123Subdomain().validate(self).hasValue()", "the name of a Secret is lower-case letters, digits, - and ."))]
    pub name: String,
    /// `true`: Steamer makes the Secret and all its keys are Steamer's. `false`: the Secret is somebody else's and has
    /// to exist; the value's keys are put into it and nothing else is touched.
    #[serde(default)]
    pub create: bool,
    /// `true` takes over a Secret that is already there. What it held is lost.
    #[serde(default)]
    pub overwrite: bool,
    /// Labels for the Secret.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    pub labels: BTreeMap<String, String>,
    /// Annotations for the Secret.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    pub annotations: BTreeMap<String, String>,
    /// Type of the Secret. Default: `Opaque`. A change makes the Secret anew.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub type_: Option<String>,
    /// `Owner`: the Secret is deleted with this object. `Orphan`: it stays.
    #[serde(default)]
    pub creation_policy: CreationPolicy,
    /// `Retain` keeps the Secret when this object is deleted or the destination is renamed. Default: `Delete`.
    #[serde(default = "delete")]
    pub deletion_policy: DeletionPolicy,
}

fn delete() -> DeletionPolicy {
    DeletionPolicy::Delete
}

/// Who a Secret belongs to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum CreationPolicy {
    /// To the object: it is garbage-collected with it.
    #[default]
    Owner,
    /// To nobody.
    Orphan,
}

/// What becomes of a Secret whose value is gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OnSourceDeleted {
    /// It stays as it is.
    #[default]
    Retain,
    /// It stays, without keys.
    Clear,
    /// It is deleted.
    Delete,
}

/// What is there of a synced value.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BaoStaticSecretStatus {
    /// The generation this status speaks of.
    #[serde(default = "never_observed")]
    pub observed_generation: i64,
    /// `Ready`, `Reconciling`, `Stalled`.
    #[serde(default)]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// Keyed digest of what was written; it tells nothing about the value to who has not the key.
    #[serde(default, rename = "secretMAC", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub secret_mac: Option<String>,
    /// Version of the value that was written, `kv-v2` only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<i64>,
    /// The last write of the Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_sync: Option<LastSync>,
    /// Name of the Secret that was written last; after a rename the old one is removed by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub destination: Option<String>,
}

/// A write of the Secret.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LastSync {
    /// When.
    pub time: Time,
    /// Why: `NeverSynced`, `ValueChanged`, `SpecChanged`, `DestinationMissing`, `DestinationDrifted`, ...
    #[schemars(length(max = 63))]
    pub reason: String,
}

conditions!(BaoStaticSecretStatus);
