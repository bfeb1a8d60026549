//! Keys of the pipeline mount that the issuer has withdrawn.

use steamer_api::JWTIssuer;
use steamer_core::layout::PIPELINE_MOUNT;
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
                let is_stated = |key: &&String| stated.iter().any(|stated| stated.trim() == key.trim());
                let kept: Vec<String> = keys.iter().filter(is_stated).cloned().collect();
                match kept.len() {
                    0 => Self::None,
                    count if count == keys.len() => Self::Same,
                    _ => Self::Config(JwtConfig { keys: JwtKeys::Static(kept), ..observed.clone() }),
                }
            }
            (JwtKeys::Discovery(_) | JwtKeys::Jwks(_), None) if removals.now != removals.written => {
                Self::Config(JwtConfig { skip_validation: true, ..observed.clone() })
            }
            _ => Self::Same,
        }
    }

    pub(super) fn write(self, namespace: &NamespacePath) -> Option<Write> {
        match self {
            Self::Same => None,
            Self::Config(config) => {
                let call = Call::PutJwtConfig { mount: PIPELINE_MOUNT.to_owned(), config };
                Some(Write::update(namespace, call, WITHDRAWN))
            }
            Self::None => Some(Write::delete(namespace, auth_path(PIPELINE_MOUNT), WITHDRAWN)),
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

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

    fn discovery() -> JwtKeys {
        JwtKeys::Discovery("https://gitlab".to_owned())
    }

    #[rstest]
    #[case::stated(list(&["a", "b"]), json!({"publicKeys": ["b\n", "a", "c"]}), 1, "Same")]
    #[case::withdrawn(list(&["a", "b"]), json!({"publicKeys": ["b", "c"]}), 1, r#"Static(["b"])"#)]
    #[case::all_withdrawn(list(&["a"]), json!({"publicKeys": ["c"]}), 1, "None")]
    #[case::published(discovery(), json!({"oidcDiscoveryUrl": "https://gitlab"}), 0, "Same")]
    #[case::removed(discovery(), json!({"oidcDiscoveryUrl": "https://gitlab"}), 1, r#"Discovery("https://gitlab")"#)]
    #[case::another_source(discovery(), json!({"publicKeys": ["a"]}), 1, "Same")]
    fn withdrawn_keys_are_removed_and_none_is_added(
        #[case] observed: JwtKeys,
        #[case] spec: Value,
        #[case] now: i64,
        #[case] expected: &str,
    ) {
        let issuer = JWTIssuer::new("gitlab", serde_json::from_value(spec).unwrap());
        let narrowed = Narrowed::of(&config(observed), &issuer, KeyRemovals { now, written: 0 });
        let described = match &narrowed {
            Narrowed::Config(config) => format!("{:?}", config.keys),
            other => format!("{other:?}"),
        };
        assert_eq!(described, expected);
        let path = narrowed.write(&NamespacePath::new("n")).map(|write| write.described().path);
        let path_expected = match expected {
            "Same" => None,
            "None" => Some("n/sys/auth/pipeline_jwt"),
            _ => Some("n/auth/pipeline_jwt/config"),
        };
        assert_eq!(path.as_deref(), path_expected);
    }
}
