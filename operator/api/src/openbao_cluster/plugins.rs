use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where a seal's plugin comes from; needed from 2.7 on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("has(self.image) != has(self.command)", "plugin needs exactly one of image and command"))]
pub struct SealPlugin {
    /// An OCI image that OpenBao downloads at its start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub image: Option<String>,
    /// A file that is in the server's image already, in `/openbao/plugins`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255))]
    pub command: Option<String>,
    /// Name of the file in the image; needed before 2.7.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255))]
    pub binary_name: Option<String>,
    /// Version of the plugin.
    #[schemars(length(min = 1, max = 64))]
    pub version: String,
    /// SHA-256 of the plugin's file, in hex.
    #[x_kube(validation = ("self.matches('^[0-9a-f]{64}$')", "sha256 is 64 hex digits"))]
    #[schemars(length(max = 64))]
    pub sha256: String,
}

/// A plugin of a secrets engine, an auth method or a database.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServerPlugin {
    /// `secret`, `auth` or `database`.
    pub r#type: PluginType,
    /// Its name: what a mount has for a type.
    #[x_kube(validation = ("self.matches('^[a-z0-9]([a-z0-9_-]*[a-z0-9])?$')", "the name of a plugin is lower-case letters, digits, dashes and underscores"))]
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// Where it comes from.
    #[serde(flatten)]
    pub source: SealPlugin,
}

/// What a plugin is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PluginType {
    /// A secrets engine.
    Secret,
    /// An auth method.
    Auth,
    /// A database of the database engine.
    Database,
}
