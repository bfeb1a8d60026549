//! Metrics of requests to servers.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;

use super::labels::Class;
use super::registration::{Registration, histograms};

/// Requests by server.
pub(super) struct Requests {
    pub(super) kubernetes: Counter,
    pub(super) logins: Counter,
    pub(super) openbao: Counter,
    pub(super) openbao_seconds: Family<Class, Histogram, fn() -> Histogram>,
    pub(super) database: Counter,
}

impl Requests {
    pub(super) fn register(to: &mut Registration) -> Self {
        Self {
            kubernetes: to.add(
                "steamer_kubernetes_requests",
                &[],
                "Requests to the Kubernetes API",
                Counter::default(),
            ),
            logins: to.add(
                "steamer_serviceaccount_tokens",
                &[],
                "Tokens requested for ServiceAccounts",
                Counter::default(),
            ),
            openbao: to.add("steamer_openbao_requests", &[], "Requests to OpenBao", Counter::default()),
            openbao_seconds: to.add(
                "steamer_openbao_request_seconds",
                &["class"],
                "Duration of a request to OpenBao in seconds, by class: health, login, read or write. \
Includes requests without an answer",
                histograms(),
            ),
            database: to.add("steamer_database_requests", &[], "Requests to PostgreSQL", Counter::default()),
        }
    }
}
