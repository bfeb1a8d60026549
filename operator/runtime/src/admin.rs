//! Admin server: probes, metrics, log level.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::{get, put};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::Metrics;
use crate::logs::Level;

/// Readiness checks of the process.
#[derive(Clone, Default)]
pub struct Readiness(Arc<Mutex<Vec<(String, Check)>>>);

type Check = Box<dyn Fn() -> bool + Send>;

impl Readiness {
    /// Adds a check: the process is ready only if `holds` returns `true`. `what` is its name in `/readyz`.
    pub fn require(&self, what: impl Into<String>, holds: impl Fn() -> bool + Send + 'static) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((what.into(), Box::new(holds)));
    }

    /// Returns the names of the checks that fail.
    #[must_use]
    pub fn missing(&self) -> Vec<String> {
        let checks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        checks.iter().filter(|(_, holds)| !holds()).map(|(what, _)| what.clone()).collect()
    }
}

struct Admin {
    metrics: Arc<Metrics>,
    readiness: Readiness,
    level: Level,
}

/// Runs the server until shutdown: `/livez`, `/readyz`, `/metrics` and `/log-level`.
///
/// # Errors
/// If the server cannot listen on the address.
pub async fn serve(
    address: SocketAddr,
    (metrics, readiness, level): (Arc<Metrics>, Readiness, Level),
    shutdown: CancellationToken,
) -> std::io::Result<()> {
    let router = Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics_text))
        .route("/log-level", put(set_level))
        .with_state(Arc::new(Admin { metrics, readiness, level }));
    let listener = TcpListener::bind(address).await?;
    axum::serve(listener, router).with_graceful_shutdown(shutdown.cancelled_owned()).await
}

async fn ready(State(admin): State<Arc<Admin>>) -> impl IntoResponse {
    let missing = admin.readiness.missing();
    if missing.is_empty() {
        (StatusCode::OK, "ok\n".to_owned())
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, format!("waiting for {}\n", missing.join(", ")))
    }
}

async fn metrics_text(State(admin): State<Arc<Admin>>) -> impl IntoResponse {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], admin.metrics.text())
}

async fn set_level(State(admin): State<Arc<Admin>>, filter: String) -> impl IntoResponse {
    match admin.level.set(&filter) {
        Ok(()) => (StatusCode::OK, "ok\n".to_owned()),
        Err(problem) => (StatusCode::BAD_REQUEST, format!("{problem}\n")),
    }
}
