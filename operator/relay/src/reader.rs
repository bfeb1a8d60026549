//! Answers for readers: a request waits until there is a write after its position.

use std::path::Path as FilePath;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use steamer_openbao::KvWrites;

use crate::connection::Authorized;
use crate::state::Relay;

/// How long a request without a write waits.
const PATIENCE: Duration = Duration::from_secs(5);

pub(crate) fn router(relay: Arc<Relay>) -> Router {
    Router::new().route("/v1/writes/{epoch}/{position}", get(writes)).with_state(relay)
}

async fn writes(
    State(relay): State<Arc<Relay>>,
    Path((epoch, position)): Path<(String, u64)>,
    ConnectInfo(authorized): ConnectInfo<Authorized>,
    headers: HeaderMap,
) -> Response {
    if !is_permitted(&headers, &relay.token_file) {
        let close = [(header::CONNECTION, "close")];
        return (StatusCode::UNAUTHORIZED, close, "the token of the relay is required\n").into_response();
    }
    authorized.set();
    let answer = next(&relay, &epoch, position).await;
    match serde_json::to_vec(&answer) {
        Ok(body) => ([(header::CONTENT_TYPE, "application/json")], body).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// The writes after a position, once there are some.
async fn next(relay: &Relay, epoch: &str, position: u64) -> KvWrites {
    let mut written = relay.written.subscribe();
    let answer = relay.after(epoch, position);
    if answer.lost || !answer.writes.is_empty() {
        return answer;
    }
    let _ = tokio::time::timeout(PATIENCE, written.changed()).await;
    relay.after(epoch, position)
}

/// Returns true if the request has the token of the file. An empty file permits no request.
fn is_permitted(headers: &HeaderMap, token_file: &FilePath) -> bool {
    let presented = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let presented = presented.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
    let token = std::fs::read(token_file).unwrap_or_default();
    let token = token.trim_ascii();
    let equal = aws_lc_rs::constant_time::verify_slices_are_equal(presented.as_bytes(), token).is_ok();
    equal && !token.is_empty()
}

#[cfg(test)]
mod tests {
    use steamer_openbao::AuditEntry;

    use super::*;

    #[test]
    fn only_the_token_of_the_file_is_permitted() {
        let file = std::env::temp_dir().join(format!("steamer-relay-{}", std::process::id()));
        let permitted = |value: &str, content: &str| {
            std::fs::write(&file, content).unwrap();
            let headers: HeaderMap = [(header::AUTHORIZATION, value.parse().unwrap())].into_iter().collect();
            is_permitted(&headers, &file)
        };
        assert!(permitted("Bearer right", "right\n"));
        for (value, content) in
            [("Bearer wrong", "right"), ("right", "right"), ("Bearer ", ""), ("Bearer right", "")]
        {
            assert!(!permitted(value, content), "{value}");
        }
        std::fs::remove_file(&file).unwrap();
        assert!(!is_permitted(&HeaderMap::new(), &file));
    }

    #[tokio::test]
    async fn a_request_waits_for_a_write() {
        let relay = Relay::new("one".to_owned(), "/none".into());
        let entry = br#"{"type":"response","request":{"operation":"update","mount_point":"kv/","mount_type":"kv","path":"kv/data/a"}}"#;
        let waiting = next(&relay, "one", 0);
        let (answer, ()) = tokio::join!(waiting, async {
            tokio::task::yield_now().await;
            relay.add(AuditEntry::Other);
            relay.add(AuditEntry::parse(entry));
        });
        assert_eq!((answer.writes.len(), answer.next), (1, 1));
    }
}
