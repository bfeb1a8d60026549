//! Kind DatabaseRole: a role of a database engine in OpenBao, whose credentials are users of a database.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    CommonStatus, Lifecycle, LifecycleStatus, LongDuration, OwnedResources, Parameters, Reference, rules,
};

/// A role of a database engine in OpenBao, whose credentials are users of a database.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "steamer.dev",
    version = "v1alpha1",
    kind = "DatabaseRole",
    plural = "databaseroles",
    namespaced,
    status = "DatabaseRoleStatus",
    shortname = "dbrole",
    printcolumn(name = "Connection", type_ = "string", json_path = ".spec.connectionRef.name"),
    printcolumn(name = "Owner", type_ = "string", json_path = ".spec.ownerRole"),
    printcolumn(name = "Path", type_ = "string", json_path = ".status.credentialPath")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("(has(self.creationStatements) && size(self.creationStatements) > 0 ? 1 : 0) + (has(self.ownerRole) ? 1 : 0) + (has(self.static) ? 1 : 0) == 1", "set exactly one of creationStatements, ownerRole and static"))]
#[x_kube(validation = ("!has(self.static) || !(has(self.revocationStatements) || has(self.renewStatements) || has(self.rollbackStatements) || has(self.defaultTTL) || has(self.maxTTL))", "a static role has no leases and creates no user: remove revocationStatements, renewStatements, rollbackStatements, defaultTTL and maxTTL"))]
#[x_kube(validation = ("!has(self.defaultTTL) || !has(self.maxTTL) || duration(self.defaultTTL) <= duration(self.maxTTL)", "defaultTTL must not be longer than maxTTL"))]
#[x_kube(validation = ("has(self.static) == has(oldSelf.static)", "static cannot be added or removed: create another DatabaseRole"))]
#[x_kube(validation = crate::rules::immutable!("name", "name is immutable: create another DatabaseRole"))]
pub struct DatabaseRoleSpec {
    /// DatabaseConnection of the database. The role is in its mount, OpenBao namespace and cluster. A DatabaseConnection in
    /// another namespace must allow the reference in its `allowedNamespaces`. Immutable.
    #[x_kube(validation = ("self == oldSelf", "connectionRef is immutable: create another DatabaseRole"))]
    pub connection_ref: Reference,
    /// Name of the role in OpenBao: letters, digits and `-_.`. Immutable. Default: the name of this object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = rules::DATABASE_NAME)]
    pub name: Option<String>,
    /// Statements that create a user, with the placeholders `{{name}}`, `{{password}}` and `{{expiration}}`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 8192)))]
    pub creation_statements: Vec<String>,
    /// Role in PostgreSQL that owns everything that the users create: each user is a member of it and uses its identity after
    /// the login, so that another user can change and delete what a former user created. The role must exist: Steamer checks
    /// it before a credential is issued, if `allowedRoles` of the connection permits that. Steamer generates the statements.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = (r"!self.matches(r'[;{}\p{Cc}]') && self != 'none' && self != 'public'", "ownerRole must be the name of a role in PostgreSQL, without ; { } and control characters, and not none or public: write creationStatements for such a role"))]
    pub owner_role: Option<String>,
    /// Statements that remove a user, with the placeholder `{{name}}`. Default: those of the plugin, which revoke the
    /// privileges and drop the user. With `ownerRole`: end its sessions if OpenBao's user may do that, and drop the user.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 8192)))]
    pub revocation_statements: Vec<String>,
    /// Statements that extend the lifetime of a user, with the placeholders `{{name}}` and `{{expiration}}`. Default: those
    /// of the plugin.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 8192)))]
    pub renew_statements: Vec<String>,
    /// Statements after a failed creation, with the placeholder `{{name}}`. Default: those of the plugin.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 8192)))]
    pub rollback_statements: Vec<String>,
    /// Lifetime of a user without renewal, in whole seconds. Default: that of the mount.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "defaultTTL")]
    #[x_kube(validation = rules::WHOLE_SECONDS)]
    pub default_ttl: Option<LongDuration>,
    /// Longest lifetime of a user with renewals, in whole seconds. Default: that of the mount.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "maxTTL")]
    #[x_kube(validation = rules::WHOLE_SECONDS)]
    pub max_ttl: Option<LongDuration>,
    /// Type of the credential: `Password` or `RSAPrivateKey`. Default: `Password`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential_type: Option<DatabaseCredentialType>,
    /// An existing user of the database whose password OpenBao changes: at the creation of the role, and then by a period.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "static")]
    pub static_user: Option<StaticUser>,
    /// Other parameters of `<mount>/roles/<name>`, or `<mount>/static-roles/<name>`, in OpenBao. Not for secrets.
    #[serde(default, skip_serializing_if = "Parameters::is_empty")]
    pub parameters: Parameters,
    /// Lifecycle of the role in OpenBao. A deletion removes the role with both deletion policies, because it is access. Users
    /// that were created before live until their leases end; the user of a static role keeps its last password.
    #[serde(flatten)]
    pub lifecycle: Lifecycle,
}

/// Type of the credentials of a role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DatabaseCredentialType {
    /// A password.
    Password,
    /// An RSA key pair. The plugin of the connection must support it.
    RSAPrivateKey,
}

/// An existing user of a database whose password OpenBao changes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct StaticUser {
    /// Name of the user. It must exist. OpenBao replaces its password when the role is created; an adopted role keeps it.
    /// Immutable.
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = ("self == oldSelf", "static.username is immutable: create another DatabaseRole"))]
    pub username: String,
    /// Interval between two passwords, in whole seconds: at least 5s. OpenBao has no schedules.
    #[x_kube(validation = ("duration(self) >= duration('5s')", "rotationPeriod must be at least 5s"))]
    #[x_kube(validation = rules::WHOLE_SECONDS)]
    pub rotation_period: LongDuration,
    /// Statements that change the password, with the placeholders `{{name}}` and `{{password}}`. Default: those of the
    /// plugin.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 8192)))]
    pub rotation_statements: Vec<String>,
}

/// Observed state of a role.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DatabaseRoleStatus {
    /// Fields of every kind.
    #[serde(flatten)]
    pub common: CommonStatus,
    /// Fields of the resources in OpenBao.
    #[serde(flatten)]
    pub lifecycle: LifecycleStatus,
    /// Resources in OpenBao that this object owns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owned: Option<OwnedResources>,
    /// Path of the credentials, for `mount` and `path` of a BaoDynamicSecret, such as `database/creds/app`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub credential_path: Option<String>,
}
