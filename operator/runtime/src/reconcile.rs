use std::fmt::Debug;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::NamespaceResourceScope;
use kube::Resource;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::conditions::Verdict;
use crate::{Dependencies, Name, Reason};

/// A controller: how one object of a kind is brought to what its spec asks for.
pub trait Reconcile: Send + Sync + 'static {
    /// The kind.
    type Object: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + Debug
        + DeserializeOwned
        + Serialize
        + Send
        + Sync
        + 'static;
    /// Why a pass failed.
    type Error: Failure;
    /// Names the controller in logs, metrics and field managers.
    const NAME: &'static str;

    /// One pass. May be repeated or cut off at any point. What the object refers to is looked up through
    /// `dependencies`, so that its change wakes this object.
    fn reconcile(
        &self,
        object: Arc<Self::Object>,
        dependencies: &Dependencies,
    ) -> impl Future<Output = Result<Action, Self::Error>> + Send;

    /// The object is gone: what is kept in memory for it can go too.
    fn forget(&self, _name: &Name) {}
}

/// When to look again after a pass that went well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// When the object, or what it refers to, changes.
    AwaitChange,
    /// Then, and on a change.
    After(Duration),
}

/// When to try again after a pass that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// After a pause that grows with each failure.
    Backoff,
    /// After this long.
    After(Duration),
    /// Only when the object, or what it refers to, changes.
    OnChange,
}

/// An error of a controller. Its text says what failed and what to change.
pub trait Failure: std::error::Error + Send + Sync + 'static {
    /// The stable word for it.
    fn reason(&self) -> Reason;
    /// When to try again.
    fn retry(&self) -> Retry;
    /// Whether it will not proceed until someone changes something.
    fn stalled(&self) -> bool;

    /// The conditions it comes to. The text carries the whole chain of causes.
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

/// What failed, and why, and why that; each said once.
#[must_use]
pub fn describe(error: &(impl std::error::Error + 'static)) -> String {
    chain(error)
}

/// The same, of any error.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
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
