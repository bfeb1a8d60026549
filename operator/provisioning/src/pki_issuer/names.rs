//! Names of an issuer.

use kube::ResourceExt;
use steamer_api::PKIIssuer;
use steamer_core::error::Error;

/// Path of the mount.
pub(super) fn mount(issuer: &PKIIssuer) -> &str {
    issuer.spec.mount.trim_matches('/')
}

/// Name of the issuer in OpenBao.
pub(super) fn name(issuer: &PKIIssuer) -> String {
    issuer.spec.issuer_name.clone().unwrap_or_else(|| issuer.name_any())
}

/// The issuer as messages name it.
pub(super) fn title(issuer: &PKIIssuer) -> String {
    format!("issuer {} of mount {}", name(issuer), mount(issuer))
}

/// The name of an object can be one that the rule of `issuerName` refuses.
pub(super) fn check_name(name: &str) -> Result<(), Error> {
    if name != "default" && !name.ends_with("-next") {
        return Ok(());
    }
    Err(Error::Invalid(format!(
        "issuer {name} cannot have this name: set issuerName to another one than default, without -next at its end"
    )))
}

/// Name of the next issuer and its key until it replaces the issuer `name`.
pub(super) fn next(name: &str) -> String {
    format!("{name}-next")
}

/// Name of an issuer that was replaced, and of its key.
pub(super) fn retired(name: &str, serial: &str) -> String {
    format!("{name}-{serial}")
}
