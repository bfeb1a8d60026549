//! Plugins of a managed cluster.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Source of a plugin. Exactly one of `image` and `command` is required.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("has(self.image) != has(self.command)", "a plugin requires exactly one of image and command"))]
pub struct SealPlugin {
    /// OCI image that OpenBao downloads when it starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub image: Option<String>,
    /// Name of a file in `/openbao/plugins` of the OpenBao image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255))]
    pub command: Option<String>,
    /// Name of the file in the OCI image. Required before OpenBao 2.7.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255))]
    pub binary_name: Option<String>,
    /// Version of the plugin.
    #[schemars(length(min = 1, max = 64))]
    pub version: String,
    /// SHA-256 digest of the plugin's file, in hex.
    #[x_kube(validation = ("self.matches('^[0-9a-f]{64}$')", "sha256 must be 64 lowercase hex digits"))]
    #[schemars(length(max = 64))]
    pub sha256: String,
}

/// Plugin for a secrets engine, an auth method or a database.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServerPlugin {
    /// Type of the plugin: `secret`, `auth` or `database`.
    pub r#type: PluginType,
    /// Name of the plugin, which mounts use as their type.
    #[x_kube(validation = ("self.matches('^[a-z0-9]([a-z0-9_-]*[a-z0-9])?$')", "the name of a plugin must consist of lowercase letters, digits, dashes and underscores"))]
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// Source of the plugin.
    #[serde(flatten)]
    pub source: SealPlugin,
}

/// Type of a plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PluginType {
    /// Secrets engine.
    Secret,
    /// Auth method.
    Auth,
    /// Database of the database secrets engine.
    Database,
}
