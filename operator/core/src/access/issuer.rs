//! JWT auth mounts: how the keys of a JWTIssuer become the configuration of a mount.

use steamer_api::JWTIssuer;
use steamer_openbao::{JwtConfig, JwtKeys};

use super::public_key::PublicKey;
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
    // The status must not change the configuration of the pods.
    Ok(JwtConfig { skip_validation: true, ..published(issuer, String::new()) }.body())
}

/// The configuration of a mount that accepts tokens of an issuer. `issuer_ca` is the CA, in PEM, of the server that
/// publishes the keys; empty for publicly trusted certificates. The mount contains the keys themselves if OpenBao cannot
/// read the whole key set.
#[must_use]
pub fn config(issuer: &JWTIssuer, issuer_ca: String) -> JwtConfig {
    match issuer.readable_keys() {
        None => published(issuer, issuer_ca),
        Some(keys) => {
            let keys = JwtKeys::Static(keys.to_vec());
            JwtConfig { keys, ca: String::new(), ..published(issuer, issuer_ca) }
        }
    }
}

fn published(issuer: &JWTIssuer, issuer_ca: String) -> JwtConfig {
    let spec = &issuer.spec;
    let (keys, ca) = match (&spec.oidc_discovery_url, &spec.jwks_url, &spec.public_keys) {
        (Some(url), _, _) => (JwtKeys::Discovery(url.clone()), issuer_ca),
        (_, Some(url), _) => (JwtKeys::Jwks(url.clone()), issuer_ca),
        (_, _, keys) => (JwtKeys::Static(readable(keys.as_deref().unwrap_or_default())), String::new()),
    };
    JwtConfig {
        keys,
        ca,
        bound_issuer: bound_issuer(issuer),
        algorithms: spec.algorithms.iter().map(|algorithm| format!("{algorithm:?}")).collect(),
        skip_validation: spec.skip_issuer_check,
    }
}

/// Without the keys that OpenBao cannot read, because it rejects all of them otherwise.
fn readable(keys: &[String]) -> Vec<String> {
    keys.iter().filter(|key| PublicKey::of_pem(key).is_ok()).cloned().collect()
}

/// The `iss` claim of the issuer's tokens.
#[must_use]
pub fn bound_issuer(issuer: &JWTIssuer) -> String {
    let spec = &issuer.spec;
    spec.bound_issuer.clone().or_else(|| spec.oidc_discovery_url.clone()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const PEM: &str = "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEf83OJ3D2xF1Bg8vub9tLe1gHMzV7\n6e8Tus9uPHvRVEXH8UTNG72bfocs3+257rn0s2ldbqkLJK2KRiMohYjlrQ==\n-----END PUBLIC KEY-----\n";

    fn issuer(spec: Value, status: Value) -> JWTIssuer {
        let mut issuer = JWTIssuer::new("gitlab", serde_json::from_value(spec).unwrap());
        issuer.status = serde_json::from_value(status).unwrap();
        issuer
    }

    #[test]
    fn a_mount_contains_the_usable_keys_of_a_key_set_that_openbao_cannot_read() {
        let url = "https://gitlab";
        let readable = json!({"readableKeys": {"source": url, "keys": [PEM]}});
        let keys = |issuer: &JWTIssuer| {
            let JwtConfig { keys, ca, .. } = config(issuer, "ca".to_owned());
            (keys, ca)
        };
        let (issuer_with, issuer_without) = (
            issuer(json!({"oidcDiscoveryUrl": url}), readable.clone()),
            issuer(json!({"oidcDiscoveryUrl": url}), json!({})),
        );
        assert_eq!(keys(&issuer_with), (JwtKeys::Static(vec![PEM.to_owned()]), String::new()));
        let discovered = (JwtKeys::Discovery(url.to_owned()), "ca".to_owned());
        assert_eq!(keys(&issuer_without), discovered);
        let moved = issuer(json!({"oidcDiscoveryUrl": "https://moved"}), readable);
        assert_eq!(keys(&moved).0, JwtKeys::Discovery("https://moved".to_owned()), "keys of another source");
    }

    #[test]
    fn stated_keys_that_openbao_cannot_read_are_left_out() {
        let spec = json!({"publicKeys": ["-----BEGIN PUBLIC KEY-----\njunk\n-----END PUBLIC KEY-----", PEM], "boundIssuer": "i"});
        assert_eq!(
            config(&issuer(spec, json!({})), String::new()).keys,
            JwtKeys::Static(vec![PEM.to_owned()])
        );
    }
}
