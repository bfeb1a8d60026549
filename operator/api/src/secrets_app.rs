//! Kind SecretsApp: policies, roles and identities of one application in OpenBao.

mod access;
mod status;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::common::yes;
use crate::{Lifecycle, LocalReference, LongDuration, Reference, rules};
pub use access::*;
pub use status::*;

/// An application in OpenBao: one name determines its policies, its roles, its CI identity and its database role.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "steamer.dev",
    version = "v1alpha1",
    kind = "SecretsApp",
    plural = "secretsapps",
    namespaced,
    status = "SecretsAppStatus",
    shortname = "sapp",
    printcolumn(name = "App", type_ = "string", json_path = ".status.app"),
    printcolumn(name = "Policies", type_ = "string", json_path = ".status.policies"),
    printcolumn(name = "CI", type_ = "string", json_path = ".status.ci.role"),
    printcolumn(name = "Credentials", type_ = "string", json_path = ".status.database.credentialPath")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = crate::rules::immutable!("app", "app is immutable: create another SecretsApp"))]
#[x_kube(validation = ("!has(self.rolesOwner) || self.rolesOwner != 'Repository' || has(self.ci)", "rolesOwner: Repository requires ci: only the CI jobs of the repository can create the roles then"))]
#[x_kube(validation = ("!has(self.ops) || !has(self.ops.extraPolicies) || has(self.ci)", "ops.extraPolicies requires ci: only the login of the CI jobs gives further policies"))]
#[x_kube(validation = ("!has(self.ops) || has(self.ci) || !has(self.identityGroup) || !has(self.identityGroup.enabled) || self.identityGroup.enabled || (!has(self.ops.extraPaths) && !has(self.ops.terraformCompat))", "ops requires ci or identityGroup: otherwise no person has these rights"))]
pub struct SecretsAppSpec {
    /// OpenBaoCluster in the namespace of this object. Its `operatorScope` must be `Root`: this kind writes policies and roles
    /// of the root namespace, which is equivalent to root access. Immutable.
    #[x_kube(validation = ("self == oldSelf", "clusterRef is immutable: create another SecretsApp"))]
    pub cluster_ref: LocalReference,
    /// Name of the application, from which all names in OpenBao are derived: lower-case letters, digits and `-`, at most 58
    /// characters. Immutable. Default: the name of this object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 58))]
    #[x_kube(validation = rules::APP_NAME)]
    pub app: Option<String>,
    /// Secrets of the application.
    #[serde(default)]
    pub kv: AppKv,
    /// Login of the pods of the application.
    #[serde(default)]
    pub runtime: AppRuntime,
    /// Credentials of a database. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<AppDatabase>,
    /// Login of the CI jobs of the repository of the application. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ci: Option<AppCi>,
    /// Rights of the CI jobs beyond the secrets of the application.
    #[serde(default, skip_serializing_if = "AppOps::is_empty")]
    pub ops: AppOps,
    /// Group of people who have the rights of the CI jobs.
    #[serde(default)]
    pub identity_group: AppGroup,
    /// Other workloads that read a part of the secrets of the application.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub readers: Vec<AppReader>,
    /// Owner of the roles of the pods and of the database. `Steamer`: this object creates them, and CI jobs cannot change them.
    /// `Repository`: CI jobs create them, for example with Terraform, and the policy of the CI jobs accepts no other parameters
    /// than those that this object determines. A change from `Steamer` to `Repository` removes the roles, and the next CI job
    /// creates them. Default: `Steamer`.
    #[serde(default)]
    pub roles_owner: RolesOwner,
    /// Lifecycle of the resources in OpenBao. A deletion removes policies, roles and groups with both deletion policies, because
    /// they are access. Secrets stay.
    #[serde(flatten)]
    pub lifecycle: Lifecycle,
}

/// Owner of the roles of an application.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RolesOwner {
    /// The SecretsApp.
    #[default]
    Steamer,
    /// The CI jobs of the repository of the application.
    Repository,
}

/// Secrets of an application.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct AppKv {
    /// Path of the mount of a KV engine of version 2. It must exist. Default: `kvv2`.
    #[serde(default = "kvv2")]
    #[schemars(length(min = 1, max = 255))]
    #[x_kube(validation = rules::APP_PATH, validation = rules::ENGINE_MOUNT)]
    pub mount: String,
    /// Folder of the secrets. Pods read everything below it. Default: the name of the application.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255))]
    #[x_kube(validation = rules::APP_PATH)]
    pub prefix: Option<String>,
}

impl Default for AppKv {
    fn default() -> Self {
        Self { mount: kvv2(), prefix: None }
    }
}

fn kvv2() -> String {
    "kvv2".to_owned()
}

/// Credentials of a database, each a user that acts as the owner role.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("!has(self.defaultTTL) || !has(self.maxTTL) || duration(self.defaultTTL) <= duration(self.maxTTL)", "defaultTTL must not be longer than maxTTL"))]
#[x_kube(validation = crate::rules::immutable!("ownerRole", "ownerRole is immutable: remove database, wait until the object is Ready, and add database again"))]
#[x_kube(validation = crate::rules::immutable!("database", "database.database is immutable: remove database, wait until the object is Ready, and add database again"))]
#[x_kube(validation = ("!has(self.createOwnerRole) || !self.createOwnerRole || !has(self.creationStatements)", "createOwnerRole only works without creationStatements: add the statement that creates the role to them"))]
pub struct AppDatabase {
    /// `false` removes the role of the database. Default: `true`.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// DatabaseConnection of the database, in the root namespace of the same cluster, with a plugin of PostgreSQL. One in another
    /// namespace must allow the reference in its `allowedNamespaces`.
    pub connection_ref: Reference,
    /// Database of the application. Steamer checks that it exists before a credential is issued. Immutable. Default: the name
    /// of the application.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = rules::DATABASE_IDENTIFIER)]
    pub database: Option<String>,
    /// Role in PostgreSQL that owns everything that the users create. Steamer checks that it exists before a credential is
    /// issued. Immutable. Default: `<app>_role`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = rules::DATABASE_IDENTIFIER)]
    pub owner_role: Option<String>,
    /// `true` creates the owner role, without a login, with the first credential. The user of the connection needs `CREATEROLE`.
    /// Steamer then checks neither the role nor the database. Default: `false`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub create_owner_role: bool,
    /// Lifetime of a user without renewal, in whole seconds. Default: that of the mount.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "defaultTTL")]
    #[x_kube(validation = rules::WHOLE_SECONDS)]
    pub default_ttl: Option<LongDuration>,
    /// Longest lifetime of a user with renewals, in whole seconds. Default: that of the mount.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "maxTTL")]
    #[x_kube(validation = rules::WHOLE_SECONDS)]
    pub max_ttl: Option<LongDuration>,
    /// Statements that create a user, as in a DatabaseRole, such as those of an existing Terraform module. Default: the user is
    /// a member of the owner role and uses its identity after the login.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 8192)))]
    pub creation_statements: Vec<String>,
    /// Statements that remove a user, as in a DatabaseRole. Default: end its sessions, and drop the user.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 8192)))]
    pub revocation_statements: Vec<String>,
}
