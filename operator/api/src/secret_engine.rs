//! Kind SecretEngine: a secrets engine at a path of an OpenBao namespace.

use std::collections::BTreeMap;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    CommonStatus, Lifecycle, LifecycleStatus, LongDuration, MountTune, OwnedResources, Parameters, Placement,
    SecretParameters, rules,
};

/// A secrets engine in OpenBao, with its settings and the configuration of its plugin.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "steamer.dev",
    version = "v1alpha1",
    kind = "SecretEngine",
    plural = "secretengines",
    namespaced,
    status = "SecretEngineStatus",
    printcolumn(name = "Type", type_ = "string", json_path = ".spec.type"),
    printcolumn(name = "Namespace", type_ = "string", json_path = ".status.openbaoNamespace")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = crate::rules::immutable!("path", "path is immutable: create another SecretEngine"))]
#[x_kube(validation = ("self.type == oldSelf.type", "type is immutable: create another SecretEngine"))]
#[x_kube(validation = ("!has(self.config) || self.type == 'kv-v2'", "config is the configuration of type kv-v2: remove it, and write the configuration of other types to parameters or configs"))]
pub struct SecretEngineSpec {
    /// Location in OpenBao.
    #[serde(flatten)]
    pub placement: Placement,
    /// Path of the mount, such as `secrets/kv`, without `/` at its start or end. Immutable. Default: the name of this
    /// object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255))]
    #[x_kube(validation = rules::MOUNT_PATH, validation = rules::ENGINE_PATH)]
    pub path: Option<String>,
    /// Type of the engine: `kv-v1`, `kv-v2`, `transit`, `database`, `pki`, `ssh`, `totp`, or the name of a plugin of type
    /// `secret`. Immutable.
    #[serde(rename = "type")]
    #[schemars(length(min = 1, max = 128))]
    #[x_kube(validation = rules::PLUGIN_NAME, validation = rules::KV_TYPE)]
    pub type_: String,
    /// Version of the plugin in the catalog of OpenBao, such as `v1.2.3`. `latest` needs OpenBao 2.7. After a change, OpenBao runs
    /// the other version when the plugin is reloaded. OpenBao cannot remove a version: without this field, it is left as it is.
    /// Not for built-in types, whose version changes with OpenBao.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    #[x_kube(validation = rules::PLUGIN_VERSION)]
    pub plugin_version: Option<String>,
    /// Text for people who list mounts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    #[x_kube(validation = rules::MOUNT_DESCRIPTION)]
    pub description: Option<String>,
    /// Options that OpenBao passes to the plugin. An empty value removes an option. Options that are not listed are left as
    /// they are in OpenBao.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32, "additionalProperties" = {"type": "string", "maxLength": 1024}))]
    #[x_kube(validation = ("!('version' in self)", "options.version is the type: write type: kv-v1 or type: kv-v2 instead"))]
    pub options: BTreeMap<String, String>,
    /// Settings of the mount.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tune: Option<MountTune>,
    /// `true` encrypts the values of the mount with the seal as well. OpenBao cannot change it later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seal_wrap: Option<bool>,
    /// `true` excludes the mount from replication. OpenBao cannot change it later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local: Option<bool>,
    /// `true` keeps the values of the mount out of the cache of OpenBao. OpenBao cannot change it later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub force_no_cache: Option<bool>,
    /// Configuration of type `kv-v2`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<KvEngineConfig>,
    /// Parameters of `<path>/config`, as the API of OpenBao names them. Parameters that are not listed are left as they are
    /// in OpenBao, if the plugin keeps them.
    #[serde(default, skip_serializing_if = "Parameters::is_empty")]
    pub parameters: Parameters,
    /// Parameters of `<path>/config` whose values are in Secrets in the namespace of this object.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    pub secret_parameters: SecretParameters,
    /// Configuration at other paths below `<path>/config/`, such as `urls` of type `pki`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["path"]))]
    pub configs: Vec<EngineConfig>,
    /// Lifecycle of the engine in OpenBao. A deletion keeps the engine and its values, unless `deletionPolicy` is `Delete`.
    #[serde(flatten)]
    pub lifecycle: Lifecycle,
}

/// Configuration of a KV engine of version 2.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KvEngineConfig {
    /// Number of versions of a secret that are kept. 0: the default of OpenBao, 10.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100_000))]
    pub max_versions: Option<i64>,
    /// `true` requires the number of the current version in each write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cas_required: Option<bool>,
    /// Age at which OpenBao deletes a version. `0s`: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delete_version_after: Option<LongDuration>,
}

/// Configuration of an engine at a path below `<path>/config/`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct EngineConfig {
    /// Path below `<path>/config/`, such as `urls`.
    #[schemars(length(min = 1, max = 128))]
    #[x_kube(validation = rules::CONFIG_PATH)]
    pub path: String,
    /// Parameters, as the API of OpenBao names them.
    #[serde(default, skip_serializing_if = "Parameters::is_empty")]
    pub parameters: Parameters,
    /// Parameters whose values are in Secrets in the namespace of this object.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    pub secret_parameters: SecretParameters,
}

/// Observed state of a secrets engine.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretEngineStatus {
    /// Fields of every kind.
    #[serde(flatten)]
    pub common: CommonStatus,
    /// Fields of the resources in OpenBao.
    #[serde(flatten)]
    pub lifecycle: LifecycleStatus,
    /// Resources in OpenBao that this object owns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owned: Option<OwnedResources>,
}
