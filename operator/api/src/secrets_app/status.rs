//! Observed state of an application in OpenBao.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{CommonStatus, LifecycleStatus, OwnedResources};

/// Observed state of an application.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretsAppStatus {
    /// Fields of every kind.
    #[serde(flatten)]
    pub common: CommonStatus,
    /// Fields of the resources in OpenBao.
    #[serde(flatten)]
    pub lifecycle: LifecycleStatus,
    /// Resources in OpenBao that this object owns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owned: Option<OwnedResources>,
    /// Name of the application.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub app: Option<String>,
    /// Policies of the application, its CI jobs and its readers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 253)))]
    pub policies: Vec<String>,
    /// Folder of the secrets in the KV engine, such as `kvv2/web`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub kv_path: Option<String>,
    /// Roles of the pods and of the readers, with the ServiceAccounts that may log in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128))]
    pub roles: Vec<AppRoleStatus>,
    /// Login of the CI jobs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ci: Option<AppCiStatus>,
    /// Credentials of the database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<AppDatabaseStatus>,
    /// Paths of the application in OpenBao, with the roles and groups that may write and read them. The paths of
    /// `ops.extraPolicies` are not listed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128))]
    pub inventory: Vec<AppPathStatus>,
}

/// A path in OpenBao, with the roles and groups that may use it, as `auth/<mount>/role/<name>` and
/// `identity/group/name/<name>`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AppPathStatus {
    /// Path, such as `kvv2/web/*`. For secrets of the application, it is without the `data` of a KV engine of version 2.
    #[schemars(length(max = 1024))]
    pub path: String,
    /// Who may write the path. Empty for credentials, which OpenBao creates, and for values of an administrator.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128), inner(length(max = 512)))]
    pub written_by: Vec<String>,
    /// Who may read the path.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128), inner(length(max = 512)))]
    pub read_by: Vec<String>,
}

/// A role with which ServiceAccounts log in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AppRoleStatus {
    /// Name of the role.
    #[schemars(length(max = 253))]
    pub name: String,
    /// Path of the login.
    #[schemars(length(max = 512))]
    pub login_path: String,
    /// ServiceAccounts that may log in, as `<namespace>/<name>`.
    #[schemars(length(max = 256), inner(length(max = 320)))]
    pub service_accounts: Vec<String>,
}

/// Login of the CI jobs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AppCiStatus {
    /// Name of the role.
    #[schemars(length(max = 253))]
    pub role: String,
    /// Path of the login, such as `auth/gitea_jwt/login`.
    #[schemars(length(max = 512))]
    pub login_path: String,
}

/// Credentials of the database.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AppDatabaseStatus {
    /// Path of the credentials, for `mount` and `path` of a BaoDynamicSecret, such as `postgres/creds/web`.
    #[schemars(length(max = 512))]
    pub credential_path: String,
    /// Name of the database.
    #[schemars(length(max = 63))]
    pub name: String,
    /// Role in PostgreSQL that owns everything that the users create.
    #[schemars(length(max = 63))]
    pub owner_role: String,
    /// DatabaseConnection of the credentials, as `<namespace>/<name>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 320))]
    pub connection: Option<String>,
}
