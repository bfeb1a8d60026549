//! Requests of general kinds, and receipts of answers that OpenBao gives only once.

use std::fmt::Debug;

use futures::future::BoxFuture;
use reqwest::Method;
use serde_json::Value;
use steamer_core::error::Error;
use steamer_openbao::{Error as OpenBao, NamespacePath, Session};

use super::body::Body;
use super::missing;

/// Keeps what only the answer to the creation of a resource contains.
pub(crate) trait Receipt: Debug + Send + Sync {
    /// Runs before the request. An error prevents the creation.
    fn prepare(&self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async { Ok(()) })
    }

    /// Undoes the preparation after OpenBao refused the request, and so created nothing.
    fn discard(&self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async { Ok(()) })
    }

    /// Keeps the answer.
    fn keep<'a>(&'a self, _answer: &'a Value) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async { Ok(()) })
    }

    /// Converts the error of the request.
    fn failed(&self, error: OpenBao) -> Error {
        error.into()
    }
}

/// Sends a request that creates or changes a resource.
pub(crate) async fn send(
    session: &Session,
    (method, path, body): (&Method, &str, &Body),
    receipt: Option<&dyn Receipt>,
) -> Result<(), Error> {
    if let Some(receipt) = receipt {
        receipt.prepare().await?;
    }
    let body = body.resolved(session).await?;
    let sent = session.request_any(method.clone(), path, Some(body.exposed())).await;
    let outcome = match (sent, receipt) {
        (Ok(answer), Some(receipt)) => receipt.keep(&answer).await,
        (Ok(_), None) => Ok(()),
        (Err(error), receipt) => {
            if let Some(receipt) = receipt.filter(|_| is_refusal(&error)) {
                receipt.discard().await?;
            }
            Err(explained(error, session.namespace(), (path, receipt)))
        }
    };
    if outcome.is_ok() {
        body.read_back(session).await;
    }
    outcome
}

/// Returns true if OpenBao has not executed a request.
const fn is_refusal(error: &OpenBao) -> bool {
    matches!(
        error,
        OpenBao::Invalid { .. } | OpenBao::Denied { .. } | OpenBao::NotFound { .. } | OpenBao::InUse { .. }
    )
}

/// The error of a write, which names a missing mount or namespace.
fn explained(
    error: OpenBao,
    namespace: &NamespacePath,
    (path, receipt): (&str, Option<&dyn Receipt>),
) -> Error {
    match (error, receipt) {
        (OpenBao::NotFound { mounted: false, .. }, _) => missing::error(namespace, path),
        (error, Some(receipt)) => receipt.failed(error),
        (error, None) => error.into(),
    }
}
