//! JWTIssuer: the keys of an issuer. OpenBao fetches keys itself; Steamer fetches them to detect that a key was removed.

pub(crate) mod fetch;
mod published;
mod status;

use std::sync::Arc;
use std::time::Duration;

use steamer_api::{JWTIssuer, Kind};
use steamer_core::access::servers::encrypted;
use steamer_core::context::Context;
use steamer_core::error::Error;
use steamer_runtime::{Action, Dependencies, ObjectName, Reconcile};

/// Shortest interval between two fetches.
const SHORTEST_REFRESH: Duration = Duration::from_secs(1);

/// Controller of JWTIssuer.
pub(crate) struct Controller(pub(crate) Arc<Context>);

impl Reconcile for Controller {
    type Object = JWTIssuer;
    type Error = Error;
    const NAME: &'static str = "jwtissuer";

    async fn reconcile(&self, issuer: Arc<JWTIssuer>, dependencies: &Dependencies) -> Result<Action, Error> {
        self.0.stores.honor(JWTIssuer::ID, &ObjectName::of(&*issuer).namespace)?;
        if issuer.spec.suspend {
            status::suspended(&self.0, &issuer).await?;
            return Ok(Action::AwaitChange);
        }
        validate(&issuer)?;
        let keys = fetch::fetch(&self.0, dependencies, &issuer).await?;
        status::status(&self.0, &issuer, keys).await?;
        Ok(match issuer.spec.public_keys {
            Some(_) => Action::AwaitChange,
            None => Action::After(issuer.spec.refresh_after.get().max(SHORTEST_REFRESH)),
        })
    }
}

/// Refuses URLs without TLS of an issuer that was admitted before the rule existed. Projects keep its auth mounts.
fn validate(issuer: &JWTIssuer) -> Result<(), Error> {
    let spec = &issuer.spec;
    let urls = [&spec.oidc_discovery_url, &spec.jwks_url].into_iter().flatten();
    encrypted(&urls.cloned().collect::<Vec<_>>(), spec.allow_plaintext.into())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    #[rstest]
    #[case::https(json!({"oidcDiscoveryUrl": "https://gitlab"}), true)]
    #[case::discovery(json!({"oidcDiscoveryUrl": "http://gitlab"}), false)]
    #[case::key_set(json!({"jwksUrl": "http://gitlab/keys", "boundIssuer": "i"}), false)]
    #[case::consent(json!({"jwksUrl": "http://gitlab/keys", "boundIssuer": "i", "allowPlaintext": true}), true)]
    #[case::stated_keys(json!({"publicKeys": ["a"], "boundIssuer": "i"}), true)]
    fn an_issuer_without_tls_needs_consent(#[case] spec: Value, #[case] accepted: bool) {
        let issuer = JWTIssuer::new("gitlab", serde_json::from_value(spec).unwrap());
        match validate(&issuer) {
            Ok(()) => assert!(accepted),
            Err(error) => assert!(!accepted && error.to_string().contains("allowPlaintext: true"), "{error}"),
        }
    }
}
