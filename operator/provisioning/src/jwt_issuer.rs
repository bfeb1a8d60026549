//! JWTIssuer: which keys it has. OpenBao fetches keys itself; Steamer looks to know when one was taken away.

pub(crate) mod fetch;
mod status;

use std::sync::Arc;

use steamer_api::JWTIssuer;
use steamer_core::context::Context;
use steamer_core::error::Error;
use steamer_runtime::{Action, Dependencies, Reconcile};

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
