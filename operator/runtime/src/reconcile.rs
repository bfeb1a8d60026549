//! Traits of a controller and of its errors.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use crate::conditions::Verdict;
use crate::{AnyObject, Dependencies, Edges, ObjectName, Reason};

/// A controller, which reconciles the objects of one kind.
pub trait Reconcile: Send + Sync + 'static {
    /// Type of the objects.
    type Object: AnyObject;
    /// Error of a reconcile.
    type Error: Failure;
    /// Name of the controller in logs, metrics and field managers.
    const NAME: &'static str;

    /// Reconciles one object. May be repeated, or canceled at any point. Lookups of other objects are recorded in
    /// `dependencies`, so that their changes requeue this object.
    fn reconcile(
        &self,
        object: Arc<Self::Object>,
        dependencies: &Dependencies,
    ) -> impl Future<Output = Result<Action, Self::Error>> + Send;

    /// Returns the keys whose waiters are requeued when the object changes. Default: the object's own key.
    fn edges(object: &Self::Object) -> Edges {
        Edges::of_self(object)
    }

    /// Discards the in-memory state of a deleted object.
    fn forget(&self, _name: &ObjectName) {}
}

/// Time of the next reconcile after a successful one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// On a change of the object or one of its dependencies.
    AwaitChange,
    /// After this duration, or on a change.
    After(Duration),
}

/// Time of the next reconcile after a failed one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// After a backoff that grows with each failure.
    Backoff,
    /// After this duration.
    After(Duration),
    /// Only on a change of the object or one of its dependencies.
    OnChange,
}

/// Error of a controller. Its text says what failed and what to change.
pub trait Failure: std::error::Error + Send + Sync + 'static {
    /// Returns the reason for conditions, Events and metrics.
    fn reason(&self) -> Reason;
    /// Returns the time of the next reconcile.
    fn retry(&self) -> Retry;
    /// Returns whether a retry cannot succeed until the spec or an external object changes.
    fn stalled(&self) -> bool;

    /// Returns the resulting verdict. Its message contains the whole chain of causes.
    fn verdict(&self) -> Verdict
    where
        Self: Sized,
    {
        let message = chain(self);
        match (self.stalled(), self.reason()) {
            (true, reason) => Verdict::Stalled(reason, message),
            (false, reason @ (Reason::Waiting | Reason::ReferenceNotFound | Reason::Deleting)) => {
                Verdict::Progressing(reason, message)
            }
            (false, reason) => Verdict::Retrying(reason, message),
        }
    }
}

/// Returns the error with its chain of causes. A cause that the text already ends with is not repeated.
#[must_use]
pub fn describe(error: &(impl std::error::Error + 'static)) -> String {
    chain(error)
}

/// Same as [`describe`], for any error.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}
