//! Kinds of Vault Secrets Operator.

mod auth;
mod auth_global;
mod connection;
mod destination;
mod dynamic_secret;
mod methods;
mod pki_secret;
mod reference;
mod static_secret;
mod transformation;

use crate::cursor::Cursor;
use crate::leftovers::Advice;
use crate::task::Task;

/// Versions of the API.
pub(crate) const VERSIONS: &[&str] = &["secrets.hashicorp.com/v1beta1"];

/// What to do about fields without a counterpart.
pub(crate) const ADVICE: &[Advice] = &[
    ("*", "spec.syncConfig", "OpenBao has no events API: choose a refreshAfter that is short enough"),
    (
        "*",
        "spec.hmacSecretData",
        "Steamer always compares keyed digests and never writes an unchanged Secret: remove the field",
    ),
    ("*", "spec.destination.overwrite", "the field must be a boolean: correct it"),
    ("VaultAuth", "spec.storageEncryption", "Steamer stores no tokens: remove the field"),
    (
        "VaultConnection",
        "spec.caCertPath",
        "Steamer reads no files: create a Secret with the key ca.crt, and set caCertSecretRef to its name",
    ),
    ("VaultConnection", "spec.address", "address must be a text"),
];

/// Returns the converter of a kind.
pub(crate) fn converter(kind: &str) -> Option<fn(&mut Task<'_>, &mut Cursor)> {
    Some(match kind {
        "VaultConnection" => connection::converted,
        "VaultAuth" => auth::converted,
        "VaultAuthGlobal" => auth_global::converted,
        "VaultStaticSecret" => static_secret::converted,
        "VaultDynamicSecret" => dynamic_secret::converted,
        "VaultPKISecret" => pki_secret::converted,
        "SecretTransformation" => transformation::converted,
        _ => return None,
    })
}

/// What to do about a kind without a counterpart.
pub(crate) fn no_counterpart(kind: &str) -> &'static str {
    match kind {
        "HCPAuth" | "HCPVaultSecretsApp" => {
            "HCP Vault Secrets is a service of HashiCorp: copy the values to OpenBao, and create a BaoStaticSecret"
        }
        "CSISecrets" => "a feature of Vault Enterprise: create a BaoStaticSecret, and mount its Secret",
        _ => "Steamer has no counterpart of this kind: keep Vault Secrets Operator for it",
    }
}
