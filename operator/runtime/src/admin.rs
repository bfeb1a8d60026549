//! Admin servers: probes and metrics for the cluster, the log level for the pod only.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::Locked;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::logs::Level;
use crate::reviews::Decision;
use crate::{Metrics, Reviews};

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
    /// Reviews of the readers of the metrics. `None`: everyone may read them.
    pub reviews: Option<Reviews>,
}

/// Runs the server until shutdown: `/livez`, `/readyz` and `/metrics`. It changes nothing, because every pod can reach it.
///
/// # Errors
/// If the server cannot listen on the address.
pub async fn serve(address: SocketAddr, admin: Admin, shutdown: CancellationToken) -> std::io::Result<()> {
    let router = Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics_text))
        .with_state(Arc::new(admin));
    let listener = TcpListener::bind(address).await?;
    axum::serve(listener, router).with_graceful_shutdown(shutdown.cancelled_owned()).await
}

/// Runs the server that changes the log level (`PUT /log-level`) until shutdown. It is optional: two operators that share
/// a network cannot both listen on the address.
///
/// # Errors
/// If the address is not a loopback address.
pub async fn serve_level(
    address: SocketAddr,
    level: Level,
    shutdown: CancellationToken,
) -> std::io::Result<()> {
    if !address.ip().is_loopback() {
        let problem = format!("{address} is not a loopback address: other pods could change the log level");
        return Err(std::io::Error::new(std::io::ErrorKind::InvalidInput, problem));
    }
    let router = Router::new().route("/log-level", put(set_level)).with_state(level);
    let listener = match TcpListener::bind(address).await {
        Ok(listener) => listener,
        Err(error) => {
            warn!(%address, %error, "the log level cannot be changed: the server cannot listen on its address");
            shutdown.cancelled().await;
            return Ok(());
        }
    };
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

async fn metrics_text(State(admin): State<Arc<Admin>>, headers: HeaderMap) -> Response {
    if let Some(reviews) = &admin.reviews
        && let Some(refusal) = refusal(reviews.decide(bearer(&headers), "/metrics").await)
    {
        return refusal.into_response();
    }
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], admin.metrics.text()).into_response()
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn refusal(decision: Decision) -> Option<(StatusCode, &'static str)> {
    match decision {
        Decision::Allowed => None,
        Decision::Unauthenticated => {
            Some((StatusCode::UNAUTHORIZED, "a token of a ServiceAccount is required\n"))
        }
        Decision::Forbidden => {
            Some((StatusCode::FORBIDDEN, "the right to get the nonResourceURL /metrics is required\n"))
        }
        Decision::Unavailable => {
            Some((StatusCode::SERVICE_UNAVAILABLE, "the token cannot be reviewed now\n"))
        }
    }
}

async fn set_level(State(level): State<Level>, filter: String) -> impl IntoResponse {
    match level.set(&filter) {
        Ok(()) => (StatusCode::OK, "ok\n".to_owned()),
        Err(problem) => (StatusCode::BAD_REQUEST, format!("{problem}\n")),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(Some("Bearer a.b"), Some("a.b"))]
    #[case(Some("bearer  a.b "), Some("a.b"))]
    #[case(Some("Basic a.b"), None)]
    #[case(Some("a.b"), None)]
    #[case(None, None)]
    fn only_a_bearer_token_identifies_a_reader(#[case] value: Option<&str>, #[case] expected: Option<&str>) {
        let mut headers = HeaderMap::new();
        if let Some(value) = value {
            headers.insert(header::AUTHORIZATION, value.parse().unwrap());
        }
        assert_eq!(bearer(&headers), expected);
    }

    #[rstest]
    #[case("0.0.0.0:0")]
    #[case("[::]:0")]
    #[case("10.0.0.1:0")]
    #[tokio::test]
    async fn the_log_level_is_not_served_to_other_pods(#[case] address: SocketAddr) {
        let level = crate::logs::detached();
        let problem = serve_level(address, level, CancellationToken::new()).await.unwrap_err();
        assert!(problem.to_string().contains("not a loopback address"), "{problem}");
    }
}
