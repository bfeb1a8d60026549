//! Registration of metrics, each with its description.

use std::hash::Hash;

use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Metric, Registry};

/// Description of a metric, for the reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// Name, as Prometheus shows it.
    pub name: String,
    /// `counter`, `gauge` or `histogram`.
    pub kind: &'static str,
    /// Names of the labels.
    pub labels: &'static [&'static str],
    /// Meaning and unit.
    pub help: &'static str,
}

/// Registry that records the description of each metric.
#[derive(Default)]
pub(super) struct Registration {
    registry: Registry,
    descriptions: Vec<Description>,
}

impl Registration {
    /// Registers a metric and returns it. The name of a counter has no suffix `_total`.
    pub(super) fn add<M: Metric + Clone>(
        &mut self,
        name: &str,
        labels: &'static [&'static str],
        help: &'static str,
        metric: M,
    ) -> M {
        let (kind, suffix) = match metric.metric_type() {
            MetricType::Counter => ("counter", "_total"),
            MetricType::Histogram => ("histogram", ""),
            MetricType::Gauge | MetricType::Info | MetricType::Unknown => ("gauge", ""),
        };
        self.registry.register(name, help, metric.clone());
        self.descriptions.push(Description { name: format!("{name}{suffix}"), kind, labels, help });
        metric
    }

    pub(super) fn complete(self) -> (Registry, Vec<Description>) {
        (self.registry, self.descriptions)
    }
}

/// A histogram of seconds for each set of labels.
pub(super) fn histograms<L: Clone + Hash + Eq>() -> Family<L, Histogram, fn() -> Histogram> {
    Family::new_with_constructor(|| Histogram::new([0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 60.0]))
}
