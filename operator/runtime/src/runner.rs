//! Main loop of every controller.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use kube::{Resource, ResourceExt};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, debug, error, info_span, warn};

use crate::conditions::{Conditions, Verdict};
use crate::queue::{Queue, backoff};
use crate::reconcile::chain;
use crate::status::Step;
use crate::{
    Action, Events, Failure, Index, Lane, Metrics, ObjectName, Reason, Reconcile, Released, Retry, Statuses,
    Store, after, caught_future,
};

/// State that all controllers share.
pub struct Runtime {
    /// Writer of statuses.
    pub statuses: Statuses,
    /// Publisher of Events.
    pub events: Events,
    /// Deleted objects that wait for nothing more.
    pub released: Released,
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

/// Time after which a reconcile no longer occupies a worker: it waits for a server.
const SLOW: Duration = Duration::from_secs(1);

/// Runs a controller until shutdown. Running reconciles are finished. A panic in a reconcile fails only its object.
pub async fn run<R: Reconcile>(
    runtime: Arc<Runtime>,
    reconciler: Arc<R>,
    store: Store<R::Object>,
    mut asked: mpsc::UnboundedReceiver<(ObjectName, Lane)>,
) {
    let mut queue = Queue::default();
    let mut passes = JoinSet::new();
    let (slow, mut slowed) = mpsc::unbounded_channel();
    let Limits { workers, background, .. } = runtime.limits;
    loop {
        while let Some(name) = queue.next(workers, background) {
            runtime.metrics.waited(R::NAME, queue.waited(&name));
            let visit = Visit {
                runtime: runtime.clone(),
                reconciler: reconciler.clone(),
                store: store.clone(),
                name,
                slow: slow.clone(),
            };
            passes.spawn(visit.run());
        }
        runtime.metrics.waiting(R::NAME, queue.depth());
        tokio::select! {
            biased;
            () = runtime.shutdown.cancelled() => break,
            Some(ended) = passes.join_next() => ended_pass(&mut queue, ended),
            Some(name) = slowed.recv() => queue.slowed(&name),
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
        // A reconcile catches its panics, and nothing cancels it before the runtime ends.
        Err(error) => return error!(error = &error as &dyn std::error::Error, "a reconcile was lost"),
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
    queue.finished(&name, due.map(|pause| after(Instant::now(), pause)));
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
    slow: mpsc::UnboundedSender<ObjectName>,
}

impl<R: Reconcile> Visit<R> {
    async fn run(self) -> (ObjectName, Ended) {
        let span = info_span!("reconcile", controller = R::NAME, object = %self.name);
        let ended = self.measured().instrument(span).await;
        (self.name, ended)
    }

    /// Reconciles, and reports when that becomes slow.
    async fn measured(&self) -> Ended {
        let mut pass = pin!(self.isolated());
        match tokio::time::timeout(SLOW, &mut pass).await {
            Ok(ended) => ended,
            Err(_) => {
                // The receiver is gone only if the controller ended.
                let _ = self.slow.send(self.name.clone());
                pass.await
            }
        }
    }

    /// Reconciles. A panic fails the object, and nothing else.
    async fn isolated(&self) -> Ended {
        let problem = match caught_future(self.pass()).await {
            Ok(ended) => return ended,
            Err(problem) => problem,
        };
        self.runtime.metrics.panicked(R::Object::kind(&()));
        self.runtime.metrics.failed(R::NAME, Reason::Failed);
        error!("the reconcile ended in a panic");
        if let Some(object) = self.store.get(&self.name) {
            let message = format!("the reconcile ended in {problem}; it will be retried");
            let verdict = Verdict::Retrying(Reason::Failed, message);
            // The status can be what caused the panic.
            if caught_future(self.conclude(&object, &verdict)).await.is_err() {
                error!("the status cannot be written");
            }
        }
        Ended::Badly(Retry::Backoff)
    }

    async fn pass(&self) -> Ended {
        let Some(object) = self.store.get(&self.name) else {
            self.reconciler.forget(&self.name);
            self.runtime.index.forget(R::NAME, &self.name);
            self.runtime.statuses.forget::<R::Object>(&self.name);
            self.runtime.released.forget::<R::Object>(&self.name);
            return Ended::Gone;
        };
        if self.runtime.released.contains(&*object) {
            return Ended::Well(Action::AwaitChange);
        }
        self.runtime.statuses.started(&*object);
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
        match self.runtime.statuses.write_in(Step::Failure, object, &status).await {
            Ok(changes) => self.runtime.events.publish(object, &changes).await,
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                warn!(object = object.name_any(), error, "cannot write the status");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::ConfigMap;
    use serde_json::json;

    use super::*;
    use crate::Dependencies;
    use crate::fake::Fake;
    use crate::queue::trigger;

    #[derive(Debug, thiserror::Error)]
    #[error("failed")]
    struct Problem;

    impl Failure for Problem {
        fn reason(&self) -> Reason {
            Reason::Failed
        }
        fn retry(&self) -> Retry {
            Retry::Backoff
        }
        fn stalled(&self) -> bool {
            false
        }
    }

    /// Panics for the object `bad`, and reports all others.
    struct Panicking(mpsc::UnboundedSender<ObjectName>);

    impl Reconcile for Panicking {
        type Object = ConfigMap;
        type Error = Problem;
        const NAME: &'static str = "panicking";

        #[allow(clippy::panic)]
        async fn reconcile(&self, object: Arc<ConfigMap>, _: &Dependencies) -> Result<Action, Problem> {
            let name = ObjectName::of(&*object);
            if name.name == "bad" {
                panic!("hunter2");
            }
            let _ = self.0.send(name);
            Ok(Action::AwaitChange)
        }
    }

    fn runtime(fake: &Fake) -> Arc<Runtime> {
        Arc::new(Runtime {
            statuses: Statuses::new(fake.client()),
            events: Events::new(fake.client(), "test".to_owned()),
            released: Released::default(),
            metrics: Arc::default(),
            index: Arc::default(),
            shutdown: CancellationToken::new(),
            limits: Limits::default(),
        })
    }

    #[tokio::test]
    async fn a_panic_fails_its_object_with_an_event_and_a_metric_and_no_other_object() {
        let fake = Fake::answering(|request| {
            let name = request.path.split('/').rev().nth(1).unwrap_or_default().to_owned();
            (200, json!({"metadata": {"name": name, "namespace": "ns", "uid": "u", "resourceVersion": "2"}}))
        });
        let (runtime, store) = (runtime(&fake), Store::default());
        let (trigger, requests) = trigger();
        let (done, mut reconciled) = mpsc::unbounded_channel();
        for name in ["bad", "good"] {
            let json =
                json!({"metadata": {"name": name, "namespace": "ns", "uid": "u", "resourceVersion": "1"}});
            store.insert(ObjectName::new("ns", name), Arc::new(serde_json::from_value(json).unwrap()));
            trigger.send(ObjectName::new("ns", name), Lane::Changed);
        }
        let controller = tokio::spawn(run(runtime.clone(), Arc::new(Panicking(done)), store, requests));
        assert_eq!(reconciled.recv().await, Some(ObjectName::new("ns", "good")));
        while !fake.requests().iter().any(|request| request.path.ends_with("/events")) {
            tokio::task::yield_now().await;
        }
        // The controller continues.
        trigger.send(ObjectName::new("ns", "good"), Lane::Changed);
        assert_eq!(reconciled.recv().await, Some(ObjectName::new("ns", "good")));
        let status =
            fake.requests().into_iter().find(|request| request.path.ends_with("/configmaps/bad/status"));
        let text = status.unwrap().body.to_string();
        assert!(text.contains(r#""reason":"Failed""#) && text.contains("fault of Steamer"), "{text}");
        assert!(!text.contains("hunter2"), "{text}");
        assert!(runtime.metrics.text().contains(r#"steamer_panics_total{kind="ConfigMap"} 1"#));
        runtime.shutdown.cancel();
        controller.await.unwrap();
    }
}
