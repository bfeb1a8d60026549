//! Requests of the administrator.

use anyhow::{Context, Result};
use reqwest::Method;
use serde_json::Value;
use steamer_openbao::Session;

/// Writes to a path. Returns the body of the answer.
pub async fn post(session: &Session, path: &str, body: Value) -> Result<Value> {
    let answer = session.request_any(Method::POST, path, Some(body)).await;
    answer.with_context(|| path.to_owned())
}

/// Changes some parameters at a path.
pub async fn patch(session: &Session, path: &str, body: Value) -> Result<()> {
    let answer = session.request_any(Method::PATCH, path, Some(body)).await;
    answer.map(drop).with_context(|| path.to_owned())
}

/// The data at a path.
pub async fn get(session: &Session, path: &str) -> Result<Value> {
    let mut answer = session.request_any(Method::GET, path, None).await.with_context(|| path.to_owned())?;
    Ok(answer["data"].take())
}
