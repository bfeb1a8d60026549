//! A login as the settings of a method state it.

use std::collections::BTreeMap;

use steamer_api::{BaoAuthSpec, Inline};
use steamer_openbao::{LoginKind, NamespacePath};

use super::cloud_identity::{AwsSource, GcpSource};
use crate::error::Error;

/// Longest lifetime of a ServiceAccount token, in seconds. An object that was created before the limit can state more.
const LONGEST_TOKEN: i64 = 3600;
/// Default lifetime of a ServiceAccount token, in seconds.
const DEFAULT_TOKEN: i64 = 600;

/// Login of a BaoAuth, without the namespace of the object that uses it.
pub struct Method {
    /// OpenBao namespace of the auth mount.
    pub namespace: NamespacePath,
    /// Path of the auth mount, without `auth/`.
    pub mount: String,
    /// Role or user, as [`LoginKind`] requires.
    pub role: String,
    /// Endpoint of the login.
    pub kind: LoginKind,
    /// Further parameters of the login.
    pub params: BTreeMap<String, String>,
    /// Whether each request carries the credential itself.
    pub inline: bool,
    /// Source of the secret.
    pub credential: MethodCredential,
}

/// Source of the secret of a login. Secrets are those of the namespace of the object that reads.
pub enum MethodCredential {
    /// Tokens of a ServiceAccount.
    ServiceAccount(ServiceAccountSource),
    /// A JWT in a Secret.
    Jwt(String),
    /// A password, secret ID or token in a key of a Secret.
    Secret {
        /// Name of the Secret.
        name: String,
        /// Key in the Secret.
        key: &'static str,
    },
    /// A file in the pod of the operator.
    File(String),
    /// A client certificate in a Secret.
    Certificate(String),
    /// The client certificate of the connection.
    Connection,
    /// An AWS identity.
    Aws(AwsSource),
    /// A Google service account.
    Gcp(GcpSource),
}

/// Tokens of a ServiceAccount.
pub struct ServiceAccountSource {
    pub(in crate::access) name: String,
    /// Namespace that the object that reads must have, if the settings state one.
    pub(in crate::access) namespace: Option<String>,
    pub(in crate::access) audiences: Vec<String>,
    pub(in crate::access) expiration_seconds: i64,
}

impl ServiceAccountSource {
    /// Tokens of a ServiceAccount of the namespace of the object that reads.
    pub(super) fn new(name: String, audiences: &[String], expiration_seconds: Option<i64>) -> Self {
        let expiration_seconds = expiration_seconds.unwrap_or(DEFAULT_TOKEN).min(LONGEST_TOKEN);
        Self { name, namespace: None, audiences: audiences.to_vec(), expiration_seconds }
    }
}

impl Method {
    /// A login at the mount of a spec, once.
    pub(super) fn new(spec: &BaoAuthSpec, kind: LoginKind, default_mount: &str) -> Self {
        Self {
            namespace: NamespacePath::new(spec.namespace.as_deref().unwrap_or_default()),
            mount: spec.mount.as_deref().unwrap_or(default_mount).trim_matches('/').to_owned(),
            role: String::new(),
            kind,
            params: spec.params.clone(),
            inline: false,
            credential: MethodCredential::Connection,
        }
    }

    /// The login with the presentation that the spec states.
    pub(in crate::access) fn presented(self, inline: Inline) -> Result<Self, Error> {
        let automatic = self.inline;
        let inline = match inline {
            Inline::Auto => automatic,
            Inline::Always => true,
            Inline::Never => false,
        };
        if inline && self.kind != LoginKind::Role {
            return Err(Error::Invalid(
                "inline: Always requires method Kubernetes or JWT: set inline: Auto".to_owned(),
            ));
        }
        Ok(Self { inline, ..self })
    }
}

/// The settings of a method.
pub(super) fn block<'a, T>(found: Option<&'a T>, method: &str, name: &str) -> Result<&'a T, Error> {
    found.ok_or_else(|| Error::Invalid(format!("method {method} requires the block {name}")))
}

/// A setting that a method requires.
pub(super) fn required(found: Option<&String>, name: &str) -> Result<String, Error> {
    let missing =
        || Error::Invalid(format!("{name} is required: neither the login nor its global settings state it"));
    found.cloned().ok_or_else(missing)
}
