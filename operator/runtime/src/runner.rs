//! Main loop of every controller.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use kube::{Resource, ResourceExt};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, debug, info_span, warn};

use crate::conditions::{Conditions, Verdict};
use crate::queue::{Queue, backoff};
use crate::reconcile::chain;
use crate::{
    Action, Events, Failure, Index, Lane, Metrics, ObjectName, Reason, Reconcile, Retry, Statuses, Store,
};

/// State that all controllers share.
pub struct Runtime {
    /// Writer of statuses.
    pub statuses: Statuses,
    /// Publisher of Events.
    pub events: Events,
    /// Metrics of the process.
    pub metrics: Arc<Metrics>,
    /// Dependencies between objects.
    pub index: Arc<Index>,
    /// Token that stops all controllers.
    pub shutdown: CancellationToken,
    /// Limits of each controller.
    pub limits: Limits,
}

/// Limits of one controller.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Maximum number of concurrent reconciles. Default: 16.
    pub workers: usize,
    /// Maximum number of these that may be refreshes and retries. Default: 4.
    pub background: usize,
    /// Timeout of a reconcile. Default: 120 s.
    pub timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { workers: 16, background: 4, timeout: Duration::from_secs(120) }
    }
}

/// Runs a controller until shutdown. Running reconciles are finished. A panic in a reconcile propagates.
pub async fn run<R: Reconcile>(
    runtime: Arc<Runtime>,
    reconciler: Arc<R>,
    store: Store<R::Object>,
    mut asked: mpsc::UnboundedReceiver<(ObjectName, Lane)>,
) {
    let mut queue = Queue::default();
    let mut passes = JoinSet::new();
    let Limits { workers, background, .. } = runtime.limits;
    loop {
        while let Some(name) = queue.next(workers, background) {
            let visit = Visit {
                runtime: runtime.clone(),
                reconciler: reconciler.clone(),
                store: store.clone(),
                name,
            };
            passes.spawn(visit.run());
        }
        runtime.metrics.waiting(R::NAME, queue.depth());
        tokio::select! {
            biased;
            () = runtime.shutdown.cancelled() => break,
            Some(ended) = passes.join_next() => ended_pass(&mut queue, ended),
            Some((name, lane)) = asked.recv() => queue.push(name, lane),
            () = sleep_until(queue.next_due()) => queue.promote(Instant::now()),
        }
    }
    while passes.join_next().await.is_some() {}
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}

/// Result of a reconcile.
enum Ended {
    Gone,
    Well(Action),
    Badly(Retry),
}

fn ended_pass(queue: &mut Queue, ended: Result<(ObjectName, Ended), tokio::task::JoinError>) {
    let (name, ended) = match ended {
        Ok(ended) => ended,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    };
    let due = match ended {
        Ended::Gone => {
            queue.finished(&name, None);
            return queue.forget(&name);
        }
        Ended::Well(action) => {
            queue.succeeded(&name);
            match action {
                Action::AwaitChange => None,
                Action::After(pause) => Some(pause),
            }
        }
        Ended::Badly(Retry::OnChange) => None,
        Ended::Badly(Retry::After(pause)) => Some(pause),
        Ended::Badly(Retry::Backoff) => {
            let failures = queue.failed(&name);
            Some(backoff(failures, seed(&name, failures)))
        }
    };
    queue.finished(&name, due.map(|pause| Instant::now() + pause));
}

/// Returns a jitter seed that depends on the object and the number of failures.
fn seed(name: &ObjectName, failures: u32) -> u64 {
    let mut hasher = DefaultHasher::new();
    (name, failures).hash(&mut hasher);
    hasher.finish()
}

struct Visit<R: Reconcile> {
    runtime: Arc<Runtime>,
    reconciler: Arc<R>,
    store: Store<R::Object>,
    name: ObjectName,
}

impl<R: Reconcile> Visit<R> {
    async fn run(self) -> (ObjectName, Ended) {
        let span = info_span!("reconcile", controller = R::NAME, object = %self.name);
        let ended = self.pass().instrument(span).await;
        (self.name, ended)
    }

    async fn pass(&self) -> Ended {
        let Some(object) = self.store.get(&self.name) else {
            self.reconciler.forget(&self.name);
            self.runtime.index.forget(R::NAME, &self.name);
            self.runtime.statuses.forget::<R::Object>(&self.name);
            return Ended::Gone;
        };
        let started = Instant::now();
        let dependencies = self.runtime.index.pass(R::NAME, self.name.clone());
        let pass = self.reconciler.reconcile(object.clone(), &dependencies);
        let result = tokio::time::timeout(self.runtime.limits.timeout, pass).await;
        drop(dependencies);
        let (ended, outcome) = match result {
            Ok(Ok(action)) => (Ended::Well(action), "applied"),
            Ok(Err(error)) => (self.failed(&object, &error).await, "failed"),
            Err(_) => (self.timed_out(&object).await, "timed_out"),
        };
        self.runtime.metrics.reconciled(R::NAME, outcome, started.elapsed());
        ended
    }

    async fn failed(&self, object: &R::Object, error: &R::Error) -> Ended {
        let reason = error.reason();
        if error.stalled() || matches!(reason, Reason::Waiting | Reason::ReferenceNotFound | Reason::Deleting)
        {
            debug!(reason = reason.as_str(), error = chain(error), "reconcile not applied");
        } else {
            warn!(reason = reason.as_str(), error = chain(error), "reconcile failed");
        }
        self.runtime.metrics.failed(R::NAME, reason);
        self.conclude(object, &error.verdict()).await;
        Ended::Badly(error.retry())
    }

    async fn timed_out(&self, object: &R::Object) -> Ended {
        warn!("reconcile timed out");
        self.runtime.metrics.failed(R::NAME, Reason::Failed);
        let message = "the reconcile timed out; it will be retried".to_owned();
        self.conclude(object, &Verdict::Retrying(Reason::Failed, message)).await;
        Ended::Badly(Retry::Backoff)
    }

    /// Writes the conditions of a failure and keeps the rest of the status.
    async fn conclude(&self, object: &R::Object, verdict: &Verdict) {
        let mut status = self.runtime.statuses.last(object);
        let mut list = status
            .get("conditions")
            .and_then(|conditions| serde_json::from_value(conditions.clone()).ok())
            .unwrap_or_default();
        let generation = object.meta().generation.unwrap_or_default();
        Conditions::new(&mut list, generation, Timestamp::now()).conclude(verdict);
        if let Value::Null = status {
            status = Value::Object(serde_json::Map::new());
        }
        status["conditions"] = serde_json::json!(list);
        status["observedGeneration"] = generation.into();
        match self.runtime.statuses.write(object, &status).await {
            Ok(changes) => self.runtime.events.publish(object, &changes).await,
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                warn!(object = object.name_any(), error, "cannot write the status");
            }
        }
    }
}
