use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{LocalReference, SecretKeyReference};

/// A database that nothing else uses.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("has(self.tls.caSecretRef) || self.tls.mode in ['Disable', 'Require']", "tls.caSecretRef names the CA that signed PostgreSQL's certificate; only the modes Disable and Require do without"))]
pub struct PostgresqlStorage {
    /// Secret of the login that owns the tables, with the keys CloudNativePG writes: `host`, `port`, `dbname`, `username`
    /// (or `user`) and `password`, or `uri`. A host without a dot is taken for a Service beside this cluster.
    pub secret_ref: LocalReference,
    /// Secret of a login that may create roles and signal backends. With it each node logs in as a role of its own and
    /// a lost leader is fenced at the database. Keys it has not come from `secretRef`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admin_secret_ref: Option<LocalReference>,
    /// How the connection is protected.
    #[serde(default)]
    pub tls: DatabaseTls,
    /// Connections a node may hold. Default: 16.
    #[serde(default = "sixteen")]
    #[schemars(range(min = 4, max = 1024))]
    pub max_connections_per_pod: i32,
    /// `Manage` creates both tables and checks them; `Existing` only checks. Default: `Manage`.
    #[serde(default)]
    pub schema: DatabaseSchema,
}

fn sixteen() -> i32 {
    16
}

/// How the connection to PostgreSQL is protected.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DatabaseTls {
    /// `VerifyFull` checks CA and name, `VerifyCA` the CA, `Require` nothing. `Disable` sends passwords' proofs and data
    /// in clear. Default: `VerifyFull`.
    #[serde(default)]
    pub mode: DatabaseTlsMode,
    /// The CA that signed the server's certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_secret_ref: Option<SecretKeyReference>,
}

/// libpq's `sslmode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DatabaseTlsMode {
    /// No TLS.
    Disable,
    /// TLS with whoever answers.
    Require,
    /// TLS with who has a certificate of the CA.
    VerifyCA,
    /// And with the right name in it.
    #[default]
    VerifyFull,
}

/// Who makes the tables.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DatabaseSchema {
    /// Steamer.
    #[default]
    Manage,
    /// Someone else.
    Existing,
}
