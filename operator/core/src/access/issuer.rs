//! JWT auth mounts: how the keys of a JWTIssuer become the configuration of a mount.

use steamer_api::JWTIssuer;
use steamer_openbao::{JwtConfig, JwtKeys};

use crate::error::Error;

/// The configuration of the mount where administrators log in with tokens of an issuer. Self-initialization of OpenBao
/// writes it, so it cannot contain the CA of the issuer's server.
///
/// # Errors
/// [`Error::Invalid`] if the issuer has `caSecretRef`.
pub fn administrator_config(issuer: &JWTIssuer) -> Result<serde_json::Value, Error> {
    if issuer.spec.ca_secret_ref.is_some() {
        return Err(Error::Invalid(
            "the JWTIssuer of an administrator cannot have caSecretRef: set publicKeys, or use a publicly trusted certificate"
                .to_owned(),
        ));
    }
    Ok(JwtConfig { skip_validation: true, ..config(issuer, String::new()) }.body())
}

/// The configuration of a mount that accepts tokens of an issuer. `issuer_ca` is the CA, in PEM, of the server that
/// publishes the keys; empty for publicly trusted certificates.
#[must_use]
pub fn config(issuer: &JWTIssuer, issuer_ca: String) -> JwtConfig {
    let spec = &issuer.spec;
    let (keys, ca) = match (&spec.oidc_discovery_url, &spec.jwks_url, &spec.public_keys) {
        (Some(url), _, _) => (JwtKeys::Discovery(url.clone()), issuer_ca),
        (_, Some(url), _) => (JwtKeys::Jwks(url.clone()), issuer_ca),
        (_, _, keys) => (JwtKeys::Static(keys.clone().unwrap_or_default()), String::new()),
    };
    JwtConfig {
        keys,
        ca,
        bound_issuer: bound_issuer(issuer),
        algorithms: spec.algorithms.iter().map(|algorithm| format!("{algorithm:?}")).collect(),
        skip_validation: spec.skip_issuer_check,
    }
}

/// The `iss` claim of the issuer's tokens.
#[must_use]
pub fn bound_issuer(issuer: &JWTIssuer) -> String {
    let spec = &issuer.spec;
    spec.bound_issuer.clone().or_else(|| spec.oidc_discovery_url.clone()).unwrap_or_default()
}
