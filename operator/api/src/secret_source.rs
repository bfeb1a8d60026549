//! Sources of a Kubernetes Secret: secrets of KV engines, and the names of their keys.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::rules;

/// One of several secrets of a Kubernetes Secret, or all secrets that `find` finds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("self.type == 'kv-v2' || !has(self.version) || self.version == 0", "version is only supported with type kv-v2: kv-v1 keeps no versions"))]
#[x_kube(validation = ("has(self.path) != has(self.find)", "a source has exactly one of path (one secret) and find (all secrets that match)"))]
#[x_kube(validation = ("!has(self.find) || !(has(self.keys) || has(self.version))", "keys and version are not supported with find: set find.key for a key of each secret"))]
#[x_kube(validation = ("!has(self.find) || !has(self.find.metadata) || self.type == 'kv-v2'", "find.metadata is only supported with type kv-v2: kv-v1 keeps no metadata"))]
#[x_kube(validation = ("!has(self.find) || has(self.find.key) || !has(self.decode) || self.decode == 'None'", "decode with find requires find.key: a whole secret is JSON, which is not encoded"))]
pub struct SecretSource {
    /// Path of the KV mount, such as `secrets/kv`.
    #[schemars(length(min = 1, max = 255))]
    #[x_kube(validation = rules::MOUNT, validation = rules::KV_MOUNT)]
    pub mount: String,
    /// Path of the secret within the mount, without `data/`. Required without `find`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    #[x_kube(validation = rules::SECRET_PATH)]
    pub path: Option<String>,
    /// Selects all secrets of a folder. Each of them becomes one key, with the path below the folder as its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub find: Option<Find>,
    /// Version of the KV engine: `kv-v1` or `kv-v2`.
    #[serde(rename = "type")]
    pub type_: KvType,
    /// Version of the secret to read, `kv-v2` only. 0 or unset: the latest version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub version: Option<i64>,
    /// Encoding of the values. Keys with their own `decode` are excepted. Default: `None`.
    #[serde(default)]
    pub decode: Decoding,
    /// Replacements in the names of the keys, in order, before the prefix is added. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub rewrite: Vec<Rewrite>,
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
    /// Encoding of the value. Default: `decode` of the source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decode: Option<Decoding>,
}

/// Choice of secrets in a folder. At most 100 secrets, 1000 names in 100 folders, and 8 levels.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Find {
    /// Folder within the mount, without `data/` and `metadata/`. Its subfolders belong to it. Default: the whole mount.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    #[x_kube(validation = rules::SECRET_PATH)]
    pub path: Option<String>,
    /// Regular expression in Go's syntax for the path below the folder. Default: all secrets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub regexp: Option<String>,
    /// Custom metadata that a secret must have, `kv-v2` only. Default: none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("minProperties" = 1, "maxProperties" = 16, "additionalProperties" = {"type": "string", "maxLength": 512}))]
    pub metadata: BTreeMap<String, String>,
    /// Key of each secret to write. It must exist. Default: the whole secret as a JSON object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub key: Option<String>,
}

/// Replacement in the name of a key: `source` and `target`, or `template`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("has(self.template) ? !(has(self.source) || has(self.target)) : (has(self.source) && has(self.target))", "a rewrite has source and target, or only template"))]
pub struct Rewrite {
    /// Regular expression in Go's syntax. Each match is replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub source: Option<String>,
    /// Text that replaces a match. `$1` and `${name}` are groups of the expression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub target: Option<String>,
    /// Template of the new name. Its input is `.value`, the name: `{{ .value | upper | replace "-" "_" }}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub template: Option<String>,
}

/// Encoding of a value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Decoding {
    /// Not encoded.
    #[default]
    None,
    /// Base64 of RFC 4648, with or without padding.
    Base64,
    /// Base64 for URLs, with or without padding.
    #[serde(rename = "Base64URL")]
    Base64Url,
    /// Base64 or Base64 for URLs with padding; any other text is unchanged.
    Auto,
}

/// Version of a KV engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum KvType {
    /// Unversioned KV engine.
    #[serde(rename = "kv-v1")]
    V1,
    /// Versioned KV engine.
    #[serde(rename = "kv-v2")]
    V2,
}
