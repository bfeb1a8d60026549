//! Reads from the leader. Standbys of OpenBao 2.7 answer reads from caches that can be stale.
//!
//! A response contains the storage index of the node (`X-Vault-Index`). A request with an index that no standby has
//! reached, and with `X-Vault-Inconsistent: forward-active-node`, is forwarded to the leader.

use std::sync::{PoisonError, RwLock};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::StatusCode;
use reqwest::header::{HeaderMap, HeaderValue};
use serde_json::Value;

const INDEX: &str = "x-vault-index";
const INCONSISTENT: &str = "x-vault-inconsistent";

/// Endpoints that report the state of the node that answers.
const NODE_STATE: [&str; 3] = ["sys/health", "sys/leader", "sys/seal-status"];

/// Index that no standby of a server has reached. Learned from the responses of the server.
#[derive(Default)]
pub(crate) struct LeaderIndex(RwLock<Option<HeaderValue>>);

impl LeaderIndex {
    /// Learns the format of the index from a response.
    pub(crate) fn learn(&self, response: &HeaderMap) {
        let Some(index) = response.get(INDEX).and_then(|value| unreached(value.to_str().ok()?)) else {
            return;
        };
        if self.known().as_ref() != Some(&index) {
            self.set(Some(index));
        }
    }

    /// Headers that forward a request to the leader. Empty if the server does not report an index.
    pub(crate) fn headers(&self, path: &str) -> HeaderMap {
        let index = self.known().filter(|_| !NODE_STATE.contains(&path));
        let headers = index.map(|index| {
            [(INDEX, index), (INCONSISTENT, HeaderValue::from_static("forward-active-node"))]
                .map(|(name, value)| (reqwest::header::HeaderName::from_static(name), value))
        });
        headers.into_iter().flatten().collect()
    }

    /// Handles a response to a request with these headers. Returns true if the node does not know this format, as a node
    /// of another version: the request is then repeated without them.
    pub(crate) fn refused(&self, status: StatusCode, text: &[u8]) -> bool {
        let refused = status == StatusCode::BAD_REQUEST
            && self.known().is_some()
            && String::from_utf8_lossy(text).contains("X-Vault-Index");
        if refused {
            self.set(None);
        }
        refused
    }

    fn known(&self) -> Option<HeaderValue> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, index: Option<HeaderValue>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = index;
    }
}

/// Replaces the value of an index by the highest one: `<cluster>:<value>`, or a Base64 object in 2.7.
fn unreached(index: &str) -> Option<HeaderValue> {
    let text = match index.split_once(':') {
        Some((cluster, value)) => format!("{cluster}:{}", highest(value)?),
        None => {
            let mut object: Value = serde_json::from_slice(&STANDARD.decode(index).ok()?).ok()?;
            let value = object.get_mut("value")?;
            *value = highest(value.as_str()?)?.into();
            STANDARD.encode(object.to_string())
        }
    };
    HeaderValue::from_str(&text).ok()
}

/// Highest value in the format of a value: a WAL position of PostgreSQL or a number of Raft.
fn highest(value: &str) -> Option<&'static str> {
    let is_position =
        |part: &str| (1..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_hexdigit());
    match value.split_once('/') {
        Some((high, low)) => (is_position(high) && is_position(low)).then_some("FFFFFFFF/FFFFFFFF"),
        None => value.parse::<u64>().ok().map(|_| "18446744073709551615"),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use rstest::rstest;

    use super::*;
    use crate::{Client, Identity, Outgoing, Settings};

    fn encoded(value: &str) -> String {
        STANDARD.encode(format!(r#"{{"cluster":"c","value":"{value}"}}"#))
    }

    #[rstest]
    #[case("c:0/1B07C58", Some("c:FFFFFFFF/FFFFFFFF".to_owned()))]
    #[case("c:42", Some("c:18446744073709551615".to_owned()))]
    #[case(&encoded("0/1B07C58"), Some(encoded("FFFFFFFF/FFFFFFFF")))]
    #[case(&encoded("x"), None)]
    #[case("c:0/1B07C58/2", None)]
    #[case("c:", None)]
    #[case("c", None)]
    #[case("", None)]
    fn the_highest_index_has_the_format_of_the_server(#[case] index: &str, #[case] expected: Option<String>) {
        assert_eq!(unreached(index).map(|value| value.to_str().unwrap().to_owned()), expected);
    }

    /// Answers one request per response, and returns the index of each request.
    fn server(responses: &'static [&'static str]) -> (String, std::thread::JoinHandle<Vec<Option<String>>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let answer = move |response: &&str| {
            let (mut stream, _) = listener.accept().unwrap();
            let (mut text, mut buffer) = (String::new(), [0; 4096]);
            while !text.contains("\r\n\r\n") {
                let size = stream.read(&mut buffer).unwrap();
                text.push_str(&String::from_utf8_lossy(&buffer[..size]));
            }
            stream.write_all(response.as_bytes()).unwrap();
            text.lines().find_map(|line| line.strip_prefix("x-vault-index: ")).map(str::to_owned)
        };
        (address, std::thread::spawn(move || responses.iter().map(answer).collect()))
    }

    const GOOD: &str =
        "HTTP/1.1 200 OK\r\nx-vault-index: c:0/1\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}";
    const STATE: &str = "HTTP/1.1 200 OK\r\nx-vault-index: c:0/1\r\nconnection: close\r\ncontent-length: 35\r\n\r\n\
                         {\"initialized\":true,\"sealed\":false}";
    const BAD: &str = "HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 50\r\n\r\n\
                       {\"errors\":[\"failed to decode \\\"X-Vault-Index\\\"\"]}\n";
    const OLD: &str = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}";

    #[rstest]
    #[case::learned(false, &[GOOD, GOOD], &["", "c:FFFFFFFF/FFFFFFFF"])]
    #[case::refused(false, &[GOOD, BAD, OLD, OLD], &["", "c:FFFFFFFF/FFFFFFFF", "", ""])]
    #[case::without_an_index(false, &[OLD, OLD], &["", ""])]
    #[case::of_one_node(true, &[GOOD, GOOD], &["", ""])]
    #[tokio::test]
    async fn requests_are_forwarded_to_the_leader(
        #[case] node: bool,
        #[case] responses: &'static [&'static str],
        #[case] expected: &[&str],
    ) {
        let (address, server) = server(responses);
        let outgoing = Outgoing::LOOPBACK;
        let settings = Settings { addresses: vec![address], node, outgoing, ..Settings::default() };
        let session = Client::new(&settings).unwrap().session(Identity::Anonymous);
        let refusals = responses.iter().filter(|response| **response == BAD).count();
        for _ in refusals..responses.len() {
            session.request_any(reqwest::Method::GET, "kv/a", None).await.unwrap();
        }
        let sent: Vec<String> = server.join().unwrap().into_iter().map(Option::unwrap_or_default).collect();
        assert_eq!(sent, expected);
    }

    #[tokio::test]
    async fn the_state_of_a_node_is_its_own() {
        let (address, server) = server(&[GOOD, STATE]);
        let settings =
            Settings { addresses: vec![address], outgoing: Outgoing::LOOPBACK, ..Settings::default() };
        let session = Client::new(&settings).unwrap().session(Identity::Anonymous);
        session.request_any(reqwest::Method::GET, "kv/a", None).await.unwrap();
        session.seal_status().await.unwrap();
        assert_eq!(server.join().unwrap(), [None, None]);
    }
}
