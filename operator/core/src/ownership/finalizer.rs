//! The finalizer of objects whose resources in OpenBao outlive them, and the deadline of a deletion.

use std::time::Duration;

use jiff::Timestamp;
use kube::ResourceExt;
use kube::api::{Api, Patch, PatchParams};
use steamer_api::{FINALIZER, Lifecycle};
use steamer_runtime::{Object, Reason};

use super::orphans::Handover;
use crate::context::Context;
use crate::error::Error;

/// Returns true if the object has Steamer's finalizer.
pub fn has_finalizer<K: Object>(object: &K) -> bool {
    object.finalizers().iter().any(|finalizer| finalizer == FINALIZER)
}

impl Context {
    /// Adds the finalizer. Call it before anything is created that outlives the object.
    ///
    /// # Errors
    /// Any error of the API server.
    pub async fn add_finalizer<K: Object>(&self, object: &K) -> Result<(), Error> {
        if has_finalizer(object) {
            return Ok(());
        }
        let mut finalizers = object.finalizers().to_vec();
        finalizers.push(FINALIZER.to_owned());
        self.set_finalizers(object, &finalizers).await
    }

    /// Removes the finalizer, so that the API server deletes the object.
    ///
    /// # Errors
    /// Any error of the API server.
    pub async fn remove_finalizer<K: Object>(&self, object: &K) -> Result<(), Error> {
        let kept: Vec<String> =
            object.finalizers().iter().filter(|name| *name != FINALIZER).cloned().collect();
        self.set_finalizers(object, &kept).await
    }

    async fn set_finalizers<K: Object>(&self, object: &K, finalizers: &[String]) -> Result<(), Error> {
        let api: Api<K> = Api::namespaced(self.client.clone(), &object.namespace().unwrap_or_default());
        // The resource version guards the list: a finalizer that another client added in the meantime is not lost.
        let patch = serde_json::json!({
            "metadata": {"finalizers": finalizers, "resourceVersion": object.resource_version()},
        });
        match api.patch(&object.name_any(), &PatchParams::default(), &Patch::Merge(&patch)).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
            Err(kube::Error::Api(status)) if status.is_conflict() => {
                Err(Error::Deleting("the object was changed by another client".to_owned()))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Handles a deletion that failed. Before the deadline it is tried again. After the deadline the remaining resources
    /// are handed over as orphans, and the caller removes the finalizer.
    ///
    /// # Errors
    /// The error itself when OpenBao answered, [`Error::DeletionWaits`] before the deadline.
    pub async fn hand_over_after_deadline<K: Object>(
        &self,
        object: &K,
        lifecycle: &Lifecycle,
        error: Error,
        handover: Handover,
    ) -> Result<(), Error> {
        if matches!(error, Error::Deleting(_)) || !error.is_out_of_reach() {
            return Err(error);
        }
        let since = object.meta().deletion_timestamp.as_ref().map_or_else(Timestamp::now, |at| at.0);
        let passed = Duration::try_from(Timestamp::now().duration_since(since)).unwrap_or_default();
        let left = lifecycle.deletion_deadline.get().saturating_sub(passed);
        if !left.is_zero() {
            let pause = (left + Duration::from_millis(100)).min(Duration::from_secs(5));
            return Err(Error::DeletionWaits(Box::new(error), pause));
        }
        let note = format!(
            "deleted without OpenBao, which was unreachable until the deletionDeadline: {} remains in OpenBao and will be removed when OpenBao is reachable",
            handover.namespaces()
        );
        self.runtime.events.warn(object, Reason::Deleting, &note).await;
        handover.carry_out(self).await
    }
}
