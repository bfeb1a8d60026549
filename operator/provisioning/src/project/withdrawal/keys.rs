//! Keys of an auth mount that its issuer has withdrawn.

use std::collections::BTreeSet;

use steamer_api::JWTIssuer;
use steamer_core::access::keys::pem_digest;
use steamer_openbao::{JwtConfig, JwtKeys, NamespacePath};

use crate::project::desired::KeyRemovals;
use crate::write::{Call, WITHDRAWN, Write, auth_path};

/// Configuration of the mount without withdrawn keys.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Narrowed {
    /// No key was withdrawn.
    Same,
    /// Fewer keys, or the same source, which OpenBao then fetches again.
    Config(JwtConfig),
    /// No key is left.
    None,
}

impl Narrowed {
    pub(super) fn of(observed: &JwtConfig, issuer: &JWTIssuer, removals: KeyRemovals) -> Self {
        match (&observed.keys, &issuer.spec.public_keys) {
            (JwtKeys::Static(keys), Some(stated)) => {
                let digests = stated.iter().map(|key| pem_digest(key)).collect();
                Self::of_keys(keys, &digests, observed)
            }
            // The issuer has, or had, keys that OpenBao cannot read.
            (JwtKeys::Static(keys), None) if removals.now != removals.written => {
                let digests =
                    issuer.status.iter().flat_map(|status| status.key_digests.iter().cloned()).collect();
                Self::of_keys(keys, &digests, observed)
            }
            (JwtKeys::Discovery(_) | JwtKeys::Jwks(_), None) if removals.now != removals.written => {
                Self::Config(JwtConfig { skip_validation: true, ..observed.clone() })
            }
            _ => Self::Same,
        }
    }

    /// Keys are compared by their material: the same key in another text is not withdrawn.
    fn of_keys(keys: &[String], digests: &BTreeSet<String>, observed: &JwtConfig) -> Self {
        let is_current = |key: &&String| digests.contains(&pem_digest(key));
        let kept: Vec<String> = keys.iter().filter(is_current).cloned().collect();
        match kept.len() {
            0 => Self::None,
            count if count == keys.len() => Self::Same,
            _ => Self::Config(JwtConfig { keys: JwtKeys::Static(kept), ..observed.clone() }),
        }
    }

    pub(super) fn write(self, namespace: &NamespacePath, mount: &str) -> Option<Write> {
        match self {
            Self::Same => None,
            Self::Config(config) => {
                let call = Call::PutJwtConfig { mount: mount.to_owned(), config };
                Some(Write::update(namespace, call, WITHDRAWN))
            }
            Self::None => Some(Write::delete(namespace, auth_path(mount), WITHDRAWN)),
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};
    use steamer_api::JWTIssuerStatus;

    use super::*;

    fn config(keys: JwtKeys) -> JwtConfig {
        let algorithms = vec!["RS256".to_owned()];
        JwtConfig {
            keys,
            ca: String::new(),
            bound_issuer: "i".to_owned(),
            algorithms,
            skip_validation: false,
        }
    }

    fn list(keys: &[&str]) -> JwtKeys {
        JwtKeys::Static(keys.iter().map(|key| (*key).to_owned()).collect())
    }

    const PEM: &str = "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEf83OJ3D2xF1Bg8vub9tLe1gHMzV7\n6e8Tus9uPHvRVEXH8UTNG72bfocs3+257rn0s2ldbqkLJK2KRiMohYjlrQ==\n-----END PUBLIC KEY-----\n";
    /// The same key with other line breaks.
    const REWRAPPED: &str = "-----BEGIN PUBLIC KEY-----\r\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcD\r\nQgAEf83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEXH8UTNG72bfocs3+25\r\n7rn0s2ldbqkLJK2KRiMohYjlrQ==\r\n-----END PUBLIC KEY-----";

    fn discovery() -> JwtKeys {
        JwtKeys::Discovery("https://gitlab".to_owned())
    }

    #[rstest]
    #[case::stated(list(&["a", "b"]), json!({"publicKeys": ["b\n", "a", "c"]}), 1, "Same")]
    #[case::withdrawn(list(&["a", "b"]), json!({"publicKeys": ["b", "c"]}), 1, r#"Static(["b"])"#)]
    #[case::all_withdrawn(list(&["a"]), json!({"publicKeys": ["c"]}), 1, "None")]
    #[case::published(discovery(), json!({"oidcDiscoveryUrl": "https://gitlab"}), 0, "Same")]
    #[case::removed(discovery(), json!({"oidcDiscoveryUrl": "https://gitlab"}), 1, r#"Discovery("https://gitlab")"#)]
    #[case::rewrapped(list(&[PEM]), json!({"publicKeys": [REWRAPPED]}), 1, "Same")]
    #[case::published_keys_without_removal(list(&[PEM]), json!({"oidcDiscoveryUrl": "https://gitlab"}), 0, "Same")]
    #[case::published_key_withdrawn(list(&[PEM, "b"]), json!({"oidcDiscoveryUrl": "https://gitlab"}), 1, "kept PEM")]
    #[case::published_keys_withdrawn(list(&["a", "b"]), json!({"oidcDiscoveryUrl": "https://gitlab"}), 1, "None")]
    #[case::another_source(discovery(), json!({"publicKeys": ["a"]}), 1, "Same")]
    fn withdrawn_keys_are_removed_and_none_is_added(
        #[case] observed: JwtKeys,
        #[case] spec: Value,
        #[case] now: i64,
        #[case] expected: &str,
    ) {
        let mut issuer = JWTIssuer::new("gitlab", serde_json::from_value(spec).unwrap());
        issuer.status = Some(JWTIssuerStatus { key_digests: vec![pem_digest(PEM)], ..Default::default() });
        let narrowed = Narrowed::of(&config(observed), &issuer, KeyRemovals { now, written: 0 });
        let described = match &narrowed {
            Narrowed::Config(config) if config.keys == list(&[PEM]) => "kept PEM".to_owned(),
            Narrowed::Config(config) => format!("{:?}", config.keys),
            other => format!("{other:?}"),
        };
        assert_eq!(described, expected);
        let path = narrowed
            .write(&NamespacePath::new("n"), "pipeline_jwt")
            .map(|write| write.described(&NamespacePath::root()).path);
        let path_expected = match expected {
            "Same" => None,
            "None" => Some("n/sys/auth/pipeline_jwt"),
            _ => Some("n/auth/pipeline_jwt/config"),
        };
        assert_eq!(path.as_deref(), path_expected);
    }
}
