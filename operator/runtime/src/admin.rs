//! Admin server: probes, metrics, log level.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::Locked;
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
pub struct Readiness(Arc<Locked<Vec<(String, Check)>>>);

type Check = Box<dyn Fn() -> bool + Send>;

impl Readiness {
    /// Adds a check: the process is ready only if `holds` returns `true`. `what` is its name in `/readyz`.
    pub fn require(&self, what: impl Into<String>, holds: impl Fn() -> bool + Send + 'static) {
        self.0.lock().push((what.into(), Box::new(holds)));
    }

    /// Returns the names of the checks that fail.
    #[must_use]
    pub fn missing(&self) -> Vec<String> {
        let checks = self.0.lock();
        checks.iter().filter(|(_, holds)| !holds()).map(|(what, _)| what.clone()).collect()
    }
}

/// State that the server shows and changes.
pub struct Admin {
    /// Metrics to export.
    pub metrics: Arc<Metrics>,
    /// Conditions of readiness.
    pub readiness: Readiness,
    /// Log level.
    pub level: Level,
}

/// Runs the server until shutdown: `/livez`, `/readyz`, `/metrics` and `/log-level`.
///
/// # Errors
/// If the server cannot listen on the address.
pub async fn serve(address: SocketAddr, admin: Admin, shutdown: CancellationToken) -> std::io::Result<()> {
    let router = Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics_text))
        .route("/log-level", put(set_level))
        .with_state(Arc::new(admin));
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
