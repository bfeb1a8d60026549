//! Writing what a pass came to: the same three steps for every kind.

use std::fmt::Debug;

use jiff::Timestamp;
use k8s_openapi::NamespaceResourceScope;
use kube::Resource;
use serde::Serialize;
use serde::de::DeserializeOwned;
use steamer_api::Conditions as Status;
use steamer_runtime::conditions::{Conditions, Verdict};

use crate::context::Context;
use crate::error::Error;

impl Context {
    /// The status in force, to be carried on.
    pub(crate) fn last<K: Resource<DynamicType = ()> + Serialize, S: DeserializeOwned + Default>(
        &self,
        object: &K,
    ) -> S {
        serde_json::from_value(self.runtime.statuses.last(object)).unwrap_or_default()
    }

    /// Puts the verdict into the status, writes it if it differs and tells of a `Ready` that has changed.
    pub(crate) async fn report<K, S>(&self, object: &K, mut status: S, verdict: &Verdict) -> Result<(), Error>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + Debug
            + DeserializeOwned
            + Serialize,
        S: Status + Serialize,
    {
        let generation = object.meta().generation.unwrap_or(0);
        Conditions::new(status.conditions_mut(), generation, Timestamp::now()).conclude(verdict);
        *status.observed_generation_mut() = generation;
        let changes = self.runtime.statuses.write(object, &status).await?;
        self.runtime.events.publish(object, &changes).await;
        Ok(())
    }
}
