//! Writing the result of a reconcile: the same steps for every kind.

use jiff::Timestamp;
use serde::Serialize;
use steamer_api::{HasConditions, Kind};
use steamer_runtime::AnyObject;
use steamer_runtime::conditions::{Conditions, Verdict};

use crate::context::Context;
use crate::error::Error;

impl Context {
    /// The last written status, for fields that are kept. It is parsed only if the watch has not shown it yet.
    pub fn status<K: Kind>(&self, object: &K) -> K::Status {
        match self.runtime.statuses.unseen(object) {
            Some(text) => serde_json::from_str(&text).unwrap_or_default(),
            None => object.status().cloned().unwrap_or_default(),
        }
    }

    /// Sets the conditions of the verdict, writes the status if it changed, and publishes an Event if `Ready` changed.
    ///
    /// # Errors
    /// Any error of the API server.
    pub async fn report<K, S>(&self, object: &K, mut status: S, verdict: &Verdict) -> Result<(), Error>
    where
        K: AnyObject,
        S: HasConditions + Serialize,
    {
        let generation = object.meta().generation.unwrap_or(0);
        let common = status.common_mut();
        Conditions::new(&mut common.conditions, generation, Timestamp::now()).conclude(verdict);
        common.observed_generation = generation;
        let changes = self.runtime.statuses.write(object, &status).await?;
        self.runtime.events.publish(object, &changes).await;
        Ok(())
    }
}
