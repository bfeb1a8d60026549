//! JWTIssuer: the keys of an issuer. OpenBao fetches keys itself; Steamer fetches them to detect that a key was removed.

pub(crate) mod fetch;
mod published;
mod status;

use std::sync::Arc;
use std::time::Duration;

use steamer_api::{JWTIssuer, Kind};
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
        let keys = fetch::fetch(&self.0, dependencies, &issuer).await?;
        status::status(&self.0, &issuer, keys).await?;
        Ok(match issuer.spec.public_keys {
            Some(_) => Action::AwaitChange,
            None => Action::After(issuer.spec.refresh_after.get().max(SHORTEST_REFRESH)),
        })
    }
}
