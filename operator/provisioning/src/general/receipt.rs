//! Requests of general kinds, and receipts of answers that OpenBao gives only once.

use std::fmt::Debug;

use futures::future::BoxFuture;
use reqwest::Method;
use serde_json::Value;
use steamer_core::error::Error;
use steamer_openbao::Session;

use super::body::Body;

/// Keeps what only the answer to the creation of a resource contains.
pub(crate) trait Receipt: Debug + Send + Sync {
    /// Runs before the request. An error prevents the creation.
    fn prepare(&self) -> BoxFuture<'_, Result<(), Error>>;

    /// Keeps the answer.
    fn keep<'a>(&'a self, answer: &'a Value) -> BoxFuture<'a, Result<(), Error>>;
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
    let answer = session.request_any(method.clone(), path, Some(body.exposed())).await?;
    match receipt {
        Some(receipt) => receipt.keep(&answer).await,
        None => Ok(()),
    }
}
