//! JWTIssuer: which keys it has. OpenBao fetches keys itself; Steamer looks to know when one was taken away.

pub(crate) mod fetch;
mod keys;
mod status;

use std::sync::Arc;

use steamer_api::JWTIssuer;
use steamer_openbao::{JwtConfig, JwtKeys};
use steamer_runtime::{Action, Dependencies, Reconcile};

use crate::context::Context;
use crate::error::Error;

pub(crate) use keys::{KeySet, pem_keys};

pub(crate) struct Controller(pub(crate) Arc<Context>);

impl Reconcile for Controller {
    type Object = JWTIssuer;
    type Error = Error;
    const NAME: &'static str = "jwtissuer";

    async fn reconcile(&self, issuer: Arc<JWTIssuer>, dependencies: &Dependencies) -> Result<Action, Error> {
        if issuer.spec.suspend {
            status::suspended(&self.0, &issuer).await?;
            return Ok(Action::AwaitChange);
        }
        let keys = fetch::fetch(&self.0, dependencies, &issuer).await?;
        status::status(&self.0, &issuer, keys).await?;
        Ok(match issuer.spec.public_keys {
            Some(_) => Action::AwaitChange,
            None => Action::After(issuer.spec.refresh_after.get().max(std::time::Duration::from_secs(1))),
        })
    }
}

/// The configuration of a mount where an issuer's tokens log administrators in.
pub(crate) fn administrator_config(issuer: &JWTIssuer) -> Result<serde_json::Value, Error> {
    if issuer.spec.ca_secret_ref.is_some() {
        return Err(Error::Invalid(
            "an administrator's JWTIssuer may not need caSecretRef: give it publicKeys, or a public certificate"
                .to_owned(),
        ));
    }
    Ok(JwtConfig { skip_validation: true, ..config(issuer, String::new()) }.body())
}

/// The configuration of a mount where an issuer's tokens log in, with the CA of the server that has its keys.
pub(crate) fn config(issuer: &JWTIssuer, issuer_ca: String) -> JwtConfig {
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

/// The `iss` that tokens of an issuer carry.
pub(crate) fn bound_issuer(issuer: &JWTIssuer) -> String {
    let spec = &issuer.spec;
    spec.bound_issuer.clone().or_else(|| spec.oidc_discovery_url.clone()).unwrap_or_default()
}
