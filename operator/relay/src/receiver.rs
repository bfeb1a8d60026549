//! Receiver of the audit entries. OpenBao waits for each answer, so it never depends on the entry or on a reader.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use futures::StreamExt;
use steamer_openbao::AuditEntry;

use crate::state::Relay;

/// Largest entry that is parsed completely, in bytes. The rest of a larger one is read and discarded. Any client can cause one:
/// it must not make the writes of others unknown.
const LARGEST: usize = 1 << 20;

pub(crate) fn router(relay: Arc<Relay>) -> Router {
    Router::new().route("/audit", post(receive)).with_state(relay)
}

async fn receive(State(relay): State<Arc<Relay>>, body: Body) -> StatusCode {
    relay.add(entry(body).await);
    StatusCode::OK
}

async fn entry(body: Body) -> AuditEntry {
    let (mut stream, mut entry, mut total) = (body.into_data_stream(), Vec::new(), 0_usize);
    while let Some(Ok(chunk)) = stream.next().await {
        total = total.saturating_add(chunk.len());
        let kept = chunk.len().min(LARGEST.saturating_sub(entry.len()));
        entry.extend_from_slice(&chunk[..kept]);
    }
    if total > LARGEST { AuditEntry::parse_start(&entry) } else { AuditEntry::parse(&entry) }
}

#[cfg(test)]
mod tests {
    use steamer_openbao::KvWrite;

    use super::*;

    #[tokio::test]
    async fn a_large_entry_is_known_by_its_start() {
        let large = |kind: &str| {
            let request = format!(
                r#"{{"operation":"update","mount_point":"m/","mount_type":"{kind}","path":"m/a","data":"#
            );
            let data = "x".repeat(LARGEST);
            format!(r#"{{"type":"response","request":{request}{{"a":"{data}"}}}}}}"#)
        };
        assert_eq!(entry(Body::from(large("jwt"))).await, AuditEntry::Other);
        let write = KvWrite { namespace: String::new(), mount: "m".to_owned(), path: "a".to_owned() };
        assert_eq!(entry(Body::from(large("kv"))).await, AuditEntry::Write(write));
    }
}
