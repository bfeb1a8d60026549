//! The finalizer of objects whose resources in OpenBao outlive them, and the deadline of a deletion.

use std::fmt::Debug;
use std::time::Duration;

use jiff::Timestamp;
use kube::ResourceExt;
use kube::api::{Api, Patch, PatchParams};
use serde::Serialize;
use serde_json::json;
use steamer_api::{FINALIZER, Lifecycle, OpenBaoCluster};
use steamer_runtime::{Failure, Object, Reason, Retry, describe, is_failed_test};

use super::orphans::Handover;
use crate::context::Context;
use crate::error::Error;
use crate::layout;
use crate::served::GROUP;

/// End of the finalizers of Vault Secrets Operator.
const FORMER: &str = ".secrets.hashicorp.com/finalizer";

/// Returns true if the object has Steamer's finalizer.
pub fn has_finalizer<K: Object>(object: &K) -> bool {
    object.finalizers().iter().any(|finalizer| finalizer == FINALIZER)
}

/// Returns true if a finalizer of an object waits for Steamer: its own, or that of Vault Secrets Operator on an object that
/// Steamer serves.
pub fn is_held<K: Object>(object: &K) -> bool {
    object.finalizers().iter().any(|finalizer| is_own::<K>(finalizer))
}

fn is_own<K: Object>(finalizer: &str) -> bool {
    finalizer == FINALIZER || (K::group(&()) == GROUP && finalizer.ends_with(FORMER))
}

/// Conflict of a write that adds the finalizer. The next reconcile reads the object again.
#[derive(Debug, thiserror::Error)]
#[error("the object was changed or deleted by another client: Steamer reads it again")]
struct Changed;

impl Failure for Changed {
    fn reason(&self) -> Reason {
        Reason::Waiting
    }

    fn retry(&self) -> Retry {
        Retry::After(Duration::from_secs(1))
    }

    fn stalled(&self) -> bool {
        false
    }
}

/// Cause of a failed deletion.
#[derive(Debug)]
pub enum Obstacle {
    /// No session: OpenBao cannot be asked. Any error, because only a change outside of OpenBao can help.
    Session(Error),
    /// A request to OpenBao failed.
    Request(Error),
}

impl Obstacle {
    /// Returns true if the deletion completes without OpenBao after its deadline.
    fn has_deadline(&self) -> bool {
        match self {
            Self::Session(_) => true,
            Self::Request(error) => error.is_out_of_reach(),
        }
    }

    fn into_error(self) -> Error {
        match self {
            Self::Session(error) | Self::Request(error) => error,
        }
    }
}

/// Time until the next attempt of a deletion that started at `since`. None after the deadline.
fn pause(since: Timestamp, deadline: Duration, now: Timestamp) -> Option<Duration> {
    let passed = Duration::try_from(now.duration_since(since)).unwrap_or_default();
    let left = deadline.saturating_sub(passed);
    (!left.is_zero()).then(|| (left + Duration::from_millis(100)).min(Duration::from_secs(5)))
}

/// Time until the next attempt of the deletion of an object. None after the deadline.
pub fn until_deadline<K: Object>(object: &K, deadline: Duration) -> Option<Duration> {
    let now = Timestamp::now();
    let since = object.meta().deletion_timestamp.as_ref().map_or(now, |at| at.0);
    pause(since, deadline, now)
}

impl Context {
    /// Adds the finalizer. Call it before anything is created that outlives the object.
    ///
    /// # Errors
    /// Any error of the API server. An object that was changed or deleted in the meantime is an error too.
    pub async fn add_finalizer<K: Object>(&self, object: &K) -> Result<(), Error> {
        if has_finalizer(object) {
            return Ok(());
        }
        let mut finalizers = object.finalizers().to_vec();
        finalizers.push(FINALIZER.to_owned());
        // The resource version guards the list: a finalizer that another client added in the meantime is not lost. It also
        // refuses an object that is being deleted.
        let patch = json!({
            "metadata": {"finalizers": finalizers, "resourceVersion": object.resource_version()},
        });
        added(self.patched(object, &Patch::Merge(patch)).await)
    }

    /// Removes the finalizer, so that the API server deletes the object.
    ///
    /// # Errors
    /// Any error of the API server.
    pub async fn remove_finalizer<K: Object>(&self, object: &K) -> Result<(), Error> {
        let finalizers = object.finalizers();
        let kept: Vec<&String> = finalizers.iter().filter(|name| !is_own::<K>(name)).collect();
        // Tests the list instead of the resource version, because the status was written since the object was read.
        let operations = json!([
            {"op": "test", "path": "/metadata/uid", "value": object.uid()},
            {"op": "test", "path": "/metadata/finalizers", "value": finalizers},
            {"op": "replace", "path": "/metadata/finalizers", "value": kept},
        ]);
        let patch = serde_json::from_value(operations).map_err(kube::Error::SerdeError)?;
        removed(self.patched(object, &Patch::<K>::Json(patch)).await)?;
        self.runtime.released.insert(object);
        Ok(())
    }

    /// Removes the finalizers of an object that is being deleted and needs no cleanup. Returns false if there is nothing to
    /// do.
    ///
    /// # Errors
    /// Any error of the API server.
    pub async fn let_go<K: Object>(&self, object: &K) -> Result<bool, Error> {
        let is_leaving = object.meta().deletion_timestamp.is_some() && is_held(object);
        if is_leaving {
            self.remove_finalizer(object).await?;
        }
        Ok(is_leaving)
    }

    async fn patched<K: Object, P: Serialize + Debug>(
        &self,
        object: &K,
        patch: &Patch<P>,
    ) -> Result<(), kube::Error> {
        let api: Api<K> = Api::namespaced(self.client.clone(), &object.namespace().unwrap_or_default());
        api.patch(&object.name_any(), &PatchParams::default(), patch).await.map(drop)
    }

    /// Handles a deletion that failed. Before the deadline it is tried again. After the deadline the remaining resources
    /// are handed over as orphans, and the caller removes the finalizer.
    ///
    /// # Errors
    /// The error of the request when OpenBao answered, [`Error::DeletionWaits`] before the deadline.
    pub async fn hand_over_after_deadline<K: Object>(
        &self,
        object: &K,
        lifecycle: &Lifecycle,
        obstacle: Obstacle,
        handover: Handover,
    ) -> Result<(), Error> {
        let error = expired(object, lifecycle, obstacle)?;
        let cluster = self.stores.of::<OpenBaoCluster>().get(&handover.cluster);
        let root = cluster.map(|cluster| layout::root(&cluster)).unwrap_or_default();
        let note = note(&handover.namespaces(&root), &error);
        self.runtime.events.warn(object, Reason::Deleting, &note).await;
        handover.carry_out(self).await
    }
}

/// Returns the error of a deletion whose deadline has passed.
///
/// # Errors
/// The error of the request when OpenBao answered, [`Error::DeletionWaits`] before the deadline.
pub fn expired<K: Object>(object: &K, lifecycle: &Lifecycle, obstacle: Obstacle) -> Result<Error, Error> {
    if !obstacle.has_deadline() {
        return Err(obstacle.into_error());
    }
    let error = obstacle.into_error();
    match until_deadline(object, lifecycle.deletion_deadline.get()) {
        Some(pause) => Err(Error::DeletionWaits(Box::new(error), pause)),
        None => Ok(error),
    }
}

/// Text of the Event of a deletion that ends at its deadline.
fn note(namespaces: &str, error: &Error) -> String {
    format!(
        "deleted at its deletionDeadline although its resources in OpenBao could not be removed ({}): {namespaces} \
         remains in OpenBao and will be removed when OpenBao is reachable",
        describe(error)
    )
}

/// Result of a write that adds the finalizer. Without the finalizer, nothing may be created.
fn added(result: Result<(), kube::Error>) -> Result<(), Error> {
    match result {
        Err(kube::Error::Api(status)) if status.is_not_found() || status.is_conflict() => {
            Err(Error::other(Changed))
        }
        result => Ok(result?),
    }
}

/// Result of a write that removes the finalizer. An object that no longer exists does not need the write.
fn removed(result: Result<(), kube::Error>) -> Result<(), Error> {
    match result {
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
        Err(kube::Error::Api(status)) if status.is_conflict() || is_failed_test(&status) => Err(
            Error::Deleting("the object was changed by another client: Steamer reads it again".to_owned()),
        ),
        result => Ok(result?),
    }
}

#[cfg(test)]
mod tests {
    use kube::core::Status;
    use rstest::rstest;
    use steamer_openbao::Error as OpenBao;
    use steamer_runtime::ObjectName;

    use super::*;

    fn refused(code: u16, reason: &str) -> Result<(), kube::Error> {
        Err(kube::Error::Api(Status::failure("refused", reason).with_code(code).boxed()))
    }

    #[rstest]
    #[case::written(Ok(()), None, None)]
    #[case::gone(refused(404, "NotFound"), Some(Reason::Waiting), None)]
    #[case::changed(refused(409, "Conflict"), Some(Reason::Waiting), Some(Reason::Deleting))]
    #[case::another_list(refused(422, "Invalid"), Some(Reason::Invalid), Some(Reason::Deleting))]
    #[case::forbidden(
        refused(403, "Forbidden"),
        Some(Reason::PermissionDenied),
        Some(Reason::PermissionDenied)
    )]
    fn only_a_removal_succeeds_on_an_object_that_is_gone(
        #[case] result: Result<(), kube::Error>,
        #[case] adding: Option<Reason>,
        #[case] removing: Option<Reason>,
    ) {
        let same = match &result {
            Err(kube::Error::Api(status)) => refused(status.code, &status.reason),
            _ => Ok(()),
        };
        assert_eq!(added(result).err().map(|error| error.reason()), adding);
        assert_eq!(removed(same).err().map(|error| error.reason()), removing);
    }

    /// The API server answers a write of an object that it no longer accepts with causes.
    #[test]
    fn an_invalid_object_was_not_changed_by_another_client() {
        let cause = json!({"reason": "FieldValueInvalid", "message": "must be a URL", "field": "spec.url"});
        let status: Status = serde_json::from_value(json!({
            "status": "Failure", "reason": "Invalid", "code": 422, "details": {"causes": [cause]},
        }))
        .unwrap();
        let error = removed(Err(kube::Error::Api(status.boxed()))).unwrap_err();
        assert_eq!(error.reason(), Reason::Invalid);
    }

    #[test]
    fn an_object_that_was_changed_is_read_again_after_a_pause() {
        let error = added(refused(409, "Conflict")).unwrap_err();
        assert_eq!(error.retry(), Retry::After(Duration::from_secs(1)));
        assert!(!error.stalled());
    }

    #[rstest]
    #[case::new(0, Some(5_000))]
    #[case::before_the_last_attempt(598, Some(2_100))]
    #[case::at_the_deadline(600, None)]
    #[case::after_the_deadline(700, None)]
    #[case::clock_behind(-10, Some(5_000))]
    fn a_deletion_is_tried_until_its_deadline(#[case] passed: i64, #[case] milliseconds: Option<u64>) {
        let since = Timestamp::from_second(1_000).unwrap();
        let now = Timestamp::from_second(1_000 + passed).unwrap();
        let pause = pause(since, Duration::from_secs(600), now);
        assert_eq!(pause, milliseconds.map(Duration::from_millis));
    }

    fn missing() -> Error {
        Error::NotFound { kind: "OpenBaoCluster", name: ObjectName::new("ns", "main") }
    }

    #[rstest]
    #[case::no_certificates(Obstacle::Session(Error::Waiting("no certificates".to_owned())), true)]
    #[case::invalid_settings(Obstacle::Session(Error::Invalid("managementAuth".to_owned())), true)]
    #[case::no_cluster(Obstacle::Session(missing()), true)]
    #[case::sealed(Obstacle::Request(OpenBao::Sealed.into()), true)]
    #[case::in_progress(Obstacle::Request(Error::Deleting("in progress".to_owned())), false)]
    #[case::rejected(Obstacle::Request(OpenBao::Invalid { path: "p".to_owned(), message: "m".to_owned() }.into()), false)]
    fn the_deadline_applies_while_openbao_is_out_of_reach(
        #[case] obstacle: Obstacle,
        #[case] expected: bool,
    ) {
        assert_eq!(obstacle.has_deadline(), expected);
    }

    #[test]
    fn the_event_of_the_deadline_states_the_cause() {
        assert_eq!(
            note("org_1/group_7", &missing()),
            "deleted at its deletionDeadline although its resources in OpenBao could not be removed (OpenBaoCluster \
             ns/main does not exist): org_1/group_7 remains in OpenBao and will be removed when OpenBao is reachable"
        );
    }
}
