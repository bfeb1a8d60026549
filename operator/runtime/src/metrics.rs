use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::Reason;

/// The operator's metrics. Labels are names of controllers and reasons; never of objects.
pub struct Metrics {
    registry: Registry,
    reconciles: Family<Outcome, Counter>,
    seconds: Family<Controller, Histogram, fn() -> Histogram>,
    failures: Family<Failed, Counter>,
    waiting: Family<Controller, Gauge>,
    logins: Counter,
    reads: Counter,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Controller {
    controller: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Outcome {
    controller: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Failed {
    controller: &'static str,
    reason: &'static str,
}

fn seconds() -> Histogram {
    Histogram::new([0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 60.0])
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("steamer");
        let reconciles = Family::default();
        let seconds = Family::new_with_constructor(seconds as fn() -> Histogram);
        let failures = Family::default();
        let waiting = Family::default();
        let (logins, reads) = (Counter::default(), Counter::default());
        registry.register("reconcile", "Passes over objects", reconciles.clone());
        registry.register("reconcile_seconds", "How long a pass took", seconds.clone());
        registry.register("failures", "Passes that failed, by reason", failures.clone());
        registry.register("queue_waiting", "Objects that wait for a worker", waiting.clone());
        registry.register("serviceaccount_tokens", "Tokens requested for ServiceAccounts", logins.clone());
        registry.register("value_reads", "Values read from OpenBao", reads.clone());
        Self { registry, reconciles, seconds, failures, waiting, logins, reads }
    }
}

impl Metrics {
    /// A pass ended.
    pub fn reconciled(&self, controller: &'static str, outcome: &'static str, took: Duration) {
        self.reconciles.get_or_create(&Outcome { controller, outcome }).inc();
        self.seconds.get_or_create(&Controller { controller }).observe(took.as_secs_f64());
    }

    /// A pass failed.
    pub fn failed(&self, controller: &'static str, reason: Reason) {
        self.failures.get_or_create(&Failed { controller, reason: reason.as_str() }).inc();
    }

    /// So many objects wait.
    pub fn waiting(&self, controller: &'static str, count: usize) {
        self.waiting.get_or_create(&Controller { controller }).set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// A token was requested for a ServiceAccount.
    pub fn token_requested(&self) {
        self.logins.inc();
    }

    /// A value was read from OpenBao.
    pub fn value_read(&self) {
        self.reads.inc();
    }

    /// All of them as OpenMetrics text.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a String does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}
