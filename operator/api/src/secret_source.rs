//! Sources of a Kubernetes Secret: secrets of KV engines, and the names of their keys.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::rules;

/// One of several secrets of a Kubernetes Secret.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("self.type == 'kv-v2' || !has(self.version) || self.version == 0", "version is only supported with type kv-v2: kv-v1 keeps no versions"))]
pub struct SecretSource {
    /// Path of the KV mount, such as `secrets/kv`.
    #[schemars(length(min = 1, max = 255))]
    #[x_kube(validation = rules::MOUNT, validation = rules::KV_MOUNT)]
    pub mount: String,
    /// Path of the secret within the mount, without `data/`.
    #[schemars(length(min = 1, max = 1024))]
    #[x_kube(validation = rules::SECRET_PATH)]
    pub path: String,
    /// Version of the KV engine: `kv-v1` or `kv-v2`.
    #[serde(rename = "type")]
    pub type_: KvType,
    /// Version of the secret to read, `kv-v2` only. 0 or unset: the latest version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub version: Option<i64>,
    /// Text before the name of each key. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub prefix: Option<String>,
    /// Keys to read. Default: all keys.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub keys: Vec<SourceKey>,
}

/// Key of a secret that is read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SourceKey {
    /// Key in OpenBao. It must exist.
    #[schemars(length(min = 1, max = 1024))]
    pub key: String,
    /// Key of the Kubernetes Secret, after the prefix. Default: `key`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub name: Option<String>,
}

/// Version of a KV engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum KvType {
    /// Unversioned KV engine.
    #[serde(rename = "kv-v1")]
    V1,
    /// Versioned KV engine.
    #[serde(rename = "kv-v2")]
    V2,
}
