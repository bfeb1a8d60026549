//! Metrics of the age of a value, and of the time until a new version is in its Secret.

use jiff::Timestamp;
use kube::ResourceExt;
use steamer_core::Context;
use steamer_runtime::{ObjectName, Reading};

use super::decide::{Known, Why};
use super::due::Due;
use super::synced::Synced;

/// Records a value that was obtained. A value that is not obtained again has no age. An issued value is current until it is due.
pub(super) fn fresh<K: Synced>(context: &Context, object: &K, (known, due): (&Known, Due)) {
    let (metrics, name) = (&context.runtime.metrics, ObjectName::of(object));
    if due.is_never() {
        metrics.value_ends(K::NAME, &name);
    } else {
        let due = due.at.as_second();
        let read = if known.stamp.held.is_issued() { due } else { known.obtained.as_second() };
        let reading = Reading { read, due };
        metrics.value_fresh(K::NAME, &name, reading);
    }
}

/// Records a failed read.
pub(super) fn stale<K: Synced>(context: &Context, object: &K) {
    let created = object.creation_timestamp().map_or_else(Timestamp::now, |at| at.0);
    context.runtime.metrics.value_unread(K::NAME, &ObjectName::of(object), created.as_second());
}

/// Removes the age of the value of an object that reads none.
pub(super) fn ended<K: Synced>(context: &Context, object: &ObjectName) {
    context.runtime.metrics.value_ends(K::NAME, object);
}

/// Records the write of a version that was created at `created`. The first write of an object is none.
pub(super) fn delivered(context: &Context, why: Why, created: Option<Timestamp>) {
    if let (Why::RefreshDue | Why::SourceWritten, Some(created)) = (why, created) {
        let seconds = Timestamp::now().duration_since(created).as_secs_f64();
        context.runtime.metrics.delivered(seconds.max(0.0));
    }
}
