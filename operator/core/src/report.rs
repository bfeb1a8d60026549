//! Writing the result of a reconcile: the same steps for every kind.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::Serialize;
use steamer_api::{HasConditions, Kind};
use steamer_runtime::AnyObject;
use steamer_runtime::conditions::{Conditions, Verdict};

use crate::context::Context;
use crate::error::Error;

impl Context {
    /// The last written status, for fields that are kept.
    pub fn status<K: Kind>(&self, object: &K) -> K::Status {
        self.latest(object).into_owned()
    }

    /// The last written status, to read it. It is parsed only if the watch has not shown it yet, and is that of the object
    /// otherwise.
    pub fn latest<'a, K: Kind>(&self, object: &'a K) -> Cow<'a, K::Status> {
        match self.runtime.statuses.unseen(object) {
            Some(text) => Cow::Owned(serde_json::from_str(&text).unwrap_or_default()),
            None => object.status().map_or_else(|| Cow::Owned(K::Status::default()), Cow::Borrowed),
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
