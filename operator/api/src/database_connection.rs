//! Kind DatabaseConnection: a connection of a database engine in OpenBao to a database.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::common::yes;
use crate::{
    AllowedNamespaces, CommonStatus, Duration, Lifecycle, LifecycleStatus, LocalReference, OwnedResources,
    Parameters, Placement, SecretKeyReference, SecretParameters, rules,
};

/// A connection of a database engine in OpenBao to a database, with the user that creates other users.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "steamer.dev",
    version = "v1alpha1",
    kind = "DatabaseConnection",
    plural = "databaseconnections",
    namespaced,
    status = "DatabaseConnectionStatus",
    shortname = "dbconn",
    printcolumn(name = "Mount", type_ = "string", json_path = ".spec.mount"),
    printcolumn(name = "Plugin", type_ = "string", json_path = ".spec.plugin"),
    printcolumn(name = "Rotated", type_ = "string", json_path = ".status.rootCredential.rotatedAt")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("self.mount == oldSelf.mount", "mount is immutable: create another DatabaseConnection"))]
#[x_kube(validation = crate::rules::immutable!("name", "name is immutable: create another DatabaseConnection"))]
#[x_kube(validation = ("has(self.connectionURL) || !self.plugin.matches('^(postgresql|mysql)')", "this plugin needs connectionURL, such as postgresql://{{username}}:{{password}}@postgres.web.svc:5432/app"))]
#[x_kube(validation = ("has(self.rootSecretRef) || (has(self.adopt) && self.adopt == 'IfUnowned')", "rootSecretRef is required: name a Secret with the keys username and password. Only an adopted connection works without it (adopt: IfUnowned)"))]
pub struct DatabaseConnectionSpec {
    /// Location in OpenBao.
    #[serde(flatten)]
    pub placement: Placement,
    /// Path of the mount of the database engine, such as `database`. It must exist. Immutable.
    #[schemars(length(min = 1, max = 255))]
    #[x_kube(validation = rules::MOUNT, validation = rules::ENGINE_MOUNT)]
    pub mount: String,
    /// Name of the connection in OpenBao: letters, digits and `-_.`. Immutable. Default: the name of this object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = rules::DATABASE_NAME)]
    pub name: Option<String>,
    /// Plugin of the engine: `postgresql-database-plugin`, `mysql-database-plugin`, `valkey-database-plugin`,
    /// `cassandra-database-plugin`, `influxdb-database-plugin`, or a plugin that is registered in OpenBao.
    #[schemars(length(min = 1, max = 128))]
    #[x_kube(validation = ("self.matches('^[a-z0-9][a-z0-9._-]*$')", "plugin must be the name of a plugin in OpenBao, such as postgresql-database-plugin"))]
    pub plugin: String,
    /// URL of the database with the placeholders `{{username}}` and `{{password}}`, such as
    /// `postgresql://{{username}}:{{password}}@postgres.web.svc:5432/app?sslmode=verify-full`, or
    /// `{{username}}:{{password}}@tcp(mysql.web.svc:3306)/` for MySQL. OpenBao must reach it. A password in the URL is refused.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "connectionURL")]
    #[schemars(length(min = 1, max = 2048))]
    #[x_kube(validation = rules::NO_PASSWORD_IN_URL, validation = rules::NO_PASSWORD_PARAMETER)]
    pub connection_url: Option<String>,
    /// Secret in this namespace with the user that OpenBao logs in as (keys `username` and `password`). The user needs the
    /// right to create users. A change of the Secret is written to OpenBao. An adopted connection keeps its password until
    /// the Secret changes. Required without `adopt: IfUnowned`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root_secret_ref: Option<LocalReference>,
    /// Names of the roles in OpenBao that may use the connection. `["*"]` allows every role of the mount. Default: the roles of
    /// the DatabaseRoles that refer to this object, and no others. An adoption without this field is a `Conflict` if the
    /// connection allows other roles in OpenBao.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256), inner(length(min = 1, max = 253)))]
    pub allowed_roles: Option<Vec<String>>,
    /// `false` accepts settings without a login to the database. Default: `true`.
    #[serde(default = "yes")]
    pub verify: bool,
    /// Rotation of the password of the user. `Never`: the password stays that of the Secret. `Once`: OpenBao replaces the
    /// password after it was written, and only OpenBao knows the new one. The password in the Secret no longer works then, and
    /// is not written again until the Secret contains another one. Default: `Never`.
    #[serde(default)]
    pub rotate_root: RotateRoot,
    /// Statements that change the password of the user, with the placeholders `{{name}}` and `{{password}}`. An empty list
    /// removes those in OpenBao. Default: those of the plugin.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 4096)))]
    pub root_rotation_statements: Vec<String>,
    /// TLS of the connection, for the plugins of MySQL and Valkey. The plugin of PostgreSQL reads files of the OpenBao server
    /// instead: `?sslmode=verify-full&sslrootcert=/path/ca.crt` in `connectionURL`. Default: the settings of the plugin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<DatabaseConnectionTls>,
    /// Password policy in OpenBao by which passwords are generated. Default: 20 characters of all classes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    #[x_kube(validation = rules::PASSWORD_POLICY)]
    pub password_policy: Option<String>,
    /// Template of the names of users, such as `{{.RoleName}}-{{random 8}}`. Default: that of the plugin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub username_template: Option<String>,
    /// Most connections that OpenBao opens. Default: 4.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000))]
    pub max_open_connections: Option<i64>,
    /// Most idle connections that OpenBao keeps open. Default: as many as `maxOpenConnections`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000))]
    pub max_idle_connections: Option<i64>,
    /// Time after which OpenBao replaces a connection. Default: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_connection_lifetime: Option<Duration>,
    /// Other parameters of `<mount>/config/<name>` in OpenBao, such as `host` and `port` of Valkey. Not for secrets.
    #[serde(default, skip_serializing_if = "Parameters::is_empty")]
    pub parameters: Parameters,
    /// Other parameters of `<mount>/config/<name>` whose values are in Secrets in this namespace, such as `pem_json` of Cassandra.
    /// OpenBao returns most of them to clients that may read the connection. An adopted connection keeps its values until a
    /// Secret changes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    pub secret_parameters: SecretParameters,
    /// Namespaces whose DatabaseRoles may refer to this object. They have every right that the user of `rootSecretRef` has in
    /// the database, because a role contains statements. Default: only its own namespace.
    #[serde(default)]
    pub allowed_namespaces: AllowedNamespaces,
    /// Lifecycle of the connection in OpenBao. A deletion with `deletionPolicy: Retain` keeps it, because OpenBao needs it to
    /// remove users whose leases end. With `Delete`, the deletion waits for the DatabaseRoles that refer to this object.
    #[serde(flatten)]
    pub lifecycle: Lifecycle,
}

/// Rotation of the password of the user of a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RotateRoot {
    /// No rotation.
    #[default]
    Never,
    /// One rotation for each password in the Secret.
    Once,
}

/// TLS of a connection to a database.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DatabaseConnectionTls {
    /// Secret in this namespace with the CA of the certificate of the database. Default: the CAs of OpenBao's system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_secret_ref: Option<SecretKeyReference>,
    /// Secret in this namespace with a client certificate (keys `tls.crt` and `tls.key`), for MySQL. OpenBao returns the key
    /// to clients that may read the connection. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_cert_secret_ref: Option<LocalReference>,
    /// Name that the certificate of the database must contain, for MySQL. Default: the host of `connectionURL`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub server_name: Option<String>,
}

/// Observed state of a connection.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DatabaseConnectionStatus {
    /// Fields of every kind.
    #[serde(flatten)]
    pub common: CommonStatus,
    /// Fields of the resources in OpenBao.
    #[serde(flatten)]
    pub lifecycle: LifecycleStatus,
    /// Resources in OpenBao that this object owns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owned: Option<OwnedResources>,
    /// The user and password of the Secret that are in force, and their rotation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root_credential: Option<RootCredential>,
}

/// The user and password of a Secret that are in force in OpenBao.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RootCredential {
    /// ID of the MAC key of the installation, `.`, and the keyed digest (MAC) of the user and password. A Secret with this
    /// digest is not written again. With another key, a rotated password stays in force until the Secret changes once more.
    #[schemars(length(max = 128))]
    pub digest: String,
    /// When OpenBao replaced the password. From then on the password in the Secret does not work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotated_at: Option<Time>,
}
