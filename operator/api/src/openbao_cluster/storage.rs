//! PostgreSQL storage of a managed cluster.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{LocalReference, SecretKeyReference};

/// PostgreSQL database that is used only by this cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("has(self.tls.caSecretRef) || self.tls.mode in ['Disable', 'Require']", "tls.caSecretRef is required unless tls.mode is Disable or Require: it refers to the CA certificate of PostgreSQL"))]
pub struct PostgresqlStorage {
    /// Secret that holds the login of the table owner, with the keys that CloudNativePG writes: `host`, `port`,
    /// `dbname`, `username` (or `user`) and `password`, or `uri`. A host without a dot is the name of a Service in the
    /// namespace of this cluster.
    pub secret_ref: LocalReference,
    /// Secret that holds a login that may create roles and signal backends. With it, each node logs in with its own
    /// role, and a lost leader is fenced at the database. Host, port and database name default to those of `secretRef`.
    /// Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admin_secret_ref: Option<LocalReference>,
    /// TLS settings of the connection.
    #[serde(default)]
    pub tls: DatabaseTls,
    /// Maximum number of connections per node, which stay open when they are idle. Two of them are never used by
    /// transactions, so that the leader can always renew its lock. PostgreSQL must accept this number for each node.
    /// Default: 16.
    #[serde(default = "sixteen")]
    #[schemars(range(min = 4, max = 1024))]
    pub max_connections_per_pod: i32,
    /// `Manage`: Steamer creates and checks OpenBao's two tables. `Existing`: Steamer only checks them. Default:
    /// `Manage`.
    #[serde(default)]
    pub schema: DatabaseSchema,
}

fn sixteen() -> i32 {
    16
}

/// TLS settings of the connection to PostgreSQL.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DatabaseTls {
    /// `VerifyFull`: verify the certificate chain and the host name. `VerifyCA`: verify only the chain. `Require`:
    /// encrypt without verification. `Disable`: no TLS; authentication messages and data are sent in plaintext.
    /// Default: `VerifyFull`.
    #[serde(default)]
    pub mode: DatabaseTlsMode,
    /// Secret that holds the CA certificate of the server. Required with `VerifyFull` and `VerifyCA`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_secret_ref: Option<SecretKeyReference>,
}

/// TLS mode, as libpq's `sslmode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DatabaseTlsMode {
    /// No TLS.
    Disable,
    /// TLS without verification.
    Require,
    /// TLS with verification of the certificate chain.
    VerifyCA,
    /// TLS with verification of the certificate chain and the host name.
    #[default]
    VerifyFull,
}

/// Creator of the tables.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DatabaseSchema {
    /// Steamer creates the tables.
    #[default]
    Manage,
    /// The tables must exist.
    Existing,
}
