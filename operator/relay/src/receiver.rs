//! Receiver of the audit entries. OpenBao waits for each answer, so it never depends on the entry or on a reader.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use futures::StreamExt;

use crate::state::Relay;

/// Largest entry that is parsed, in bytes. The rest of a larger one is read and discarded.
const LARGEST: usize = 1 << 20;

pub(crate) fn router(relay: Arc<Relay>) -> Router {
    Router::new().route("/audit", post(receive)).with_state(relay)
}

async fn receive(State(relay): State<Arc<Relay>>, body: Body) -> StatusCode {
    let entry = entry(body).await;
    relay.add(entry.as_deref().unwrap_or_default());
    StatusCode::OK
}

/// The entry. `None` if it is too large.
async fn entry(body: Body) -> Option<Vec<u8>> {
    let (mut stream, mut entry, mut total) = (body.into_data_stream(), Vec::new(), 0_usize);
    while let Some(Ok(chunk)) = stream.next().await {
        total = total.saturating_add(chunk.len());
        if total <= LARGEST {
            entry.extend_from_slice(&chunk);
        }
    }
    (total <= LARGEST).then_some(entry)
}
