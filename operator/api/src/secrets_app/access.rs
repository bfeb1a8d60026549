//! Access to an application in OpenBao: pods, CI jobs, people and readers.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::common::yes;
use crate::{LongDuration, rules};

/// Login of the pods of an application.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("!has(self.bindings) || !(has(self.serviceAccounts) || has(self.namespaces))", "set bindings, or serviceAccounts and namespaces: bindings lists exactly the pairs that may log in, and the two lists admit each ServiceAccount in each namespace"))]
pub struct AppRuntime {
    /// Path of an auth mount of type `kubernetes` or `jwt`, without `auth/`. It must exist. Default: `kubernetes`.
    #[serde(default = "kubernetes")]
    #[schemars(length(min = 1, max = 255))]
    #[x_kube(validation = rules::APP_PATH, validation = rules::AUTH_MOUNT)]
    pub mount: String,
    /// ServiceAccounts that may log in: exactly these. A role of type `kubernetes` admits each of its names in each of its
    /// namespaces, so pairs of other combinations have one role for each namespace. Default: ServiceAccount `<app>` in
    /// namespace `<app>`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 64))]
    pub bindings: Vec<AppBinding>,
    /// Names of the ServiceAccounts that may log in, each in every namespace of `namespaces`. Default: `[<app>]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 16), inner(length(min = 1, max = 253)))]
    #[x_kube(validation = ("self.all(name, name.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$'))", "serviceAccounts must be names of ServiceAccounts, without *"))]
    pub service_accounts: Vec<String>,
    /// Namespaces of the ServiceAccounts of `serviceAccounts`. Default: `[<app>]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 16), inner(length(min = 1, max = 63)))]
    #[x_kube(validation = ("self.all(name, name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$'))", "namespaces must be names of namespaces, without *"))]
    pub namespaces: Vec<String>,
    /// Lifetime of a token until its first renewal, in whole seconds. Default: 1h.
    #[serde(default = "one_hour", rename = "tokenTTL")]
    #[x_kube(validation = rules::WHOLE_SECONDS)]
    pub token_ttl: LongDuration,
    /// Audience that the token of the ServiceAccount must have. Default: `vault`.
    #[serde(default = "vault")]
    #[schemars(length(min = 1, max = 512))]
    #[x_kube(validation = rules::APP_AUDIENCE)]
    pub audience: String,
}

impl Default for AppRuntime {
    fn default() -> Self {
        Self {
            mount: kubernetes(),
            bindings: Vec::new(),
            service_accounts: Vec::new(),
            namespaces: Vec::new(),
            token_ttl: one_hour(),
            audience: vault(),
        }
    }
}

fn kubernetes() -> String {
    "kubernetes".to_owned()
}

fn vault() -> String {
    "vault".to_owned()
}

fn one_hour() -> LongDuration {
    LongDuration::from_secs(3600)
}

/// A ServiceAccount in its namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AppBinding {
    /// Name of the ServiceAccount.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub service_account: String,
    /// Kubernetes namespace of the ServiceAccount.
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub namespace: String,
}

/// Login of the CI jobs of a repository with a JWT.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct AppCi {
    /// Path of an auth mount of type `jwt`, without `auth/`. It must exist and trust the issuer of the JWTs, for example as an
    /// AuthMethod. Default: `gitea_jwt`.
    #[serde(default = "gitea_jwt")]
    #[schemars(length(min = 1, max = 255))]
    #[x_kube(validation = rules::APP_PATH, validation = rules::AUTH_MOUNT)]
    pub mount: String,
    /// Name of the role of the CI jobs. Default: `gitea_cicd_<app>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = rules::ROLE_NAME)]
    pub role: Option<String>,
    /// Accepted `aud` claims: the token must have one of them, such as the client ID of OpenBao at Gitea.
    #[schemars(length(min = 1, max = 16), inner(length(min = 1, max = 512)))]
    pub audiences: Vec<String>,
    /// Claim that becomes the name of the entity alias. Default: `email`.
    #[serde(default = "email")]
    #[schemars(length(min = 1, max = 512))]
    pub user_claim: String,
    /// Claims that the token must have, each with one of the listed values: at least one claim that identifies the repository,
    /// such as `repository: [example/web]`. The audience alone admits every repository of the server.
    #[schemars(extend("minProperties" = 1, "maxProperties" = 16, "additionalProperties" = {"type": "array", "minItems": 1, "maxItems": 64, "items": {"type": "string", "minLength": 1, "maxLength": 1024}}))]
    pub bound_claims: BTreeMap<String, Vec<String>>,
    /// Lifetime of a token until its first renewal, in whole seconds. Default: that of the mount.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "tokenTTL")]
    #[x_kube(validation = rules::WHOLE_SECONDS)]
    pub token_ttl: Option<LongDuration>,
}

fn gitea_jwt() -> String {
    "gitea_jwt".to_owned()
}

fn email() -> String {
    "email".to_owned()
}

/// Rights of the CI jobs beyond the secrets of the application.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct AppOps {
    /// Further policies of the CI jobs. They must exist, because OpenBao ignores the name of a missing policy. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 253)))]
    #[x_kube(validation = rules::GRANTED_POLICIES)]
    pub extra_policies: Vec<String>,
    /// Further paths, each in a KV engine, such as `kvv1/google/credentials` or `kvv1/cloudflare/web/*`. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["path"]))]
    pub extra_paths: Vec<AppPath>,
    /// `true` lets the jobs create child tokens without other policies, and read the settings of auth mounts: the provider of
    /// Terraform for Vault needs both. Default: `false`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub terraform_compat: bool,
}

impl AppOps {
    /// Returns true if no field is set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Rights of the CI jobs for a path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct AppPath {
    /// Path in a KV engine of the root namespace. `/*` at the end matches everything below a folder. `*` elsewhere, `+`,
    /// templates, and the segments `sys`, `auth`, `identity` and `cubbyhole` are refused.
    #[schemars(length(min = 3, max = 512))]
    #[x_kube(validation = rules::APP_EXTRA_PATH, validation = rules::APP_ENGINE_PATH)]
    pub path: String,
    /// Operations: at least one.
    #[schemars(length(min = 1, max = 6))]
    pub verbs: Vec<PathVerb>,
}

/// Operation on a path in a secrets engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PathVerb {
    /// Create a value that does not exist.
    Create,
    /// Read a value.
    Read,
    /// Change a value.
    Update,
    /// Change a part of a value.
    Patch,
    /// Delete a value.
    Delete,
    /// List names.
    List,
}

/// Group of people who have the rights of the CI jobs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct AppGroup {
    /// `false` removes the group. Default: `true`.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Names or IDs of the entities that are members: exactly these. They must exist in the root namespace. Default: the members
    /// in OpenBao are left as they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256), inner(length(min = 1, max = 253)))]
    #[x_kube(validation = rules::ROLE_NAMES)]
    pub member_entities: Option<Vec<String>>,
}

impl Default for AppGroup {
    fn default() -> Self {
        Self { enabled: true, member_entities: None }
    }
}

/// A workload that reads a part of the secrets of an application.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct AppReader {
    /// Name of the role and of the policy, such as `factory_crowdsec_conf`. It must contain `_`, so that it is never the name of
    /// an application.
    #[schemars(length(min = 3, max = 128))]
    #[x_kube(validation = ("self.matches('^[a-z0-9]([a-z0-9_-]*[a-z0-9])?$') && self.contains('_')", "the name of a reader consists of lower-case letters, digits, - and _, and contains _, so that it is never the name of an application: write for example web_reader"))]
    pub name: String,
    /// Name of the ServiceAccount.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub service_account: String,
    /// Kubernetes namespace of the ServiceAccount.
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub namespace: String,
    /// Folder below `kv.prefix` that the workload reads, such as `factory`.
    #[schemars(length(min = 1, max = 255))]
    #[x_kube(validation = rules::APP_PATH)]
    pub prefix: String,
}
