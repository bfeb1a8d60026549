//! Tests that a value is absent only if a KV engine of OpenBao says so.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use rstest::rstest;

use crate::{Client, Denials, Error, Identity, Kv, KvVersion, Session, Settings};

/// A session at a server that answers each request with the same body.
fn session(status: u16, body: &str) -> Session {
    let kind = if body.starts_with('<') { "text/html" } else { "application/json" };
    let answer = format!(
        "HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addresses = vec![format!("http://{}", listener.local_addr().unwrap())];
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let _ = reply(&mut stream.unwrap(), &answer);
        }
    });
    let settings = Settings {
        addresses,
        patience: Some(Duration::ZERO),
        outgoing: crate::Outgoing::LOOPBACK,
        ..Settings::default()
    };
    Client::new(&settings).unwrap().session(Identity::Anonymous)
}

fn reply(stream: &mut TcpStream, answer: &str) -> std::io::Result<()> {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    stream.write_all(answer.as_bytes())
}

fn outcome(result: Result<Kv, Error>) -> &'static str {
    match result {
        Ok(Kv::Value { .. }) => "value",
        Ok(Kv::Deleted { .. }) => "deleted",
        Ok(Kv::Absent) => "absent",
        Err(Error::Foreign { .. }) => "foreign",
        Err(Error::Mount { .. }) => "mount",
        Err(Error::Denied { .. }) => "denied",
        Err(Error::Answer { .. }) => "unreadable",
        Err(Error::Server { .. }) => "server",
        Err(_) => "other",
    }
}

/// Outcome of the answer as KV v2 and as KV v1. Only the answers of OpenBao lead to an absent or deleted value.
#[rstest]
#[case::no_value(404, r#"{"errors":[]}"#, ["absent", "absent"])]
#[case::deleted(
    404, r#"{"request_id":"1","data":{"data":null,"metadata":{"version":3,"deletion_time":"x"}}}"#, ["deleted", "mount"]
)]
#[case::no_mount(
    404, r#"{"errors":["no handler for route \"kv/data/a\". route entry not found."]}"#, ["mount", "mount"]
)]
#[case::no_namespace(404, r#"{"errors":["namespace not found"]}"#, ["mount", "mount"])]
#[case::ingress(404, "default backend - 404", ["foreign", "foreign"])]
#[case::page(404, "<html>404</html>", ["foreign", "foreign"])]
#[case::gateway(404, r#"{"message":"no Route matched with those values"}"#, ["foreign", "foreign"])]
#[case::other_service(404, r#"{"errors":[{"code":404}]}"#, ["foreign", "foreign"])]
#[case::data_of_another_service(404, r#"{"data":null}"#, ["foreign", "foreign"])]
#[case::empty(404, "", ["foreign", "foreign"])]
#[case::gone(410, "<html>", ["foreign", "foreign"])]
#[case::denied(403, r#"{"errors":["permission denied"]}"#, ["denied", "denied"])]
#[case::firewall(403, "<html>", ["foreign", "foreign"])]
#[case::broken(502, "<html>", ["server", "server"])]
#[case::login_page(200, "<html>", ["foreign", "foreign"])]
#[case::another_json(200, r#"{"status":"ok"}"#, ["foreign", "foreign"])]
#[case::nothing(200, "", ["foreign", "foreign"])]
#[case::another_shape(200, r#"{"data":{"data":"x"}}"#, ["unreadable", "value"])]
#[case::kv1_read_as_kv2(200, r#"{"request_id":"1","data":{"password":"x"}}"#, ["mount", "value"])]
#[case::kv1_with_a_field_metadata(200, r#"{"data":{"metadata":{"version":"1"}}}"#, ["mount", "value"])]
#[case::value(200, r#"{"data":{"data":{"a":"b"},"metadata":{"version":1}}}"#, ["value", "value"])]
#[tokio::test]
async fn a_value_is_absent_only_if_openbao_says_so(
    #[case] status: u16,
    #[case] body: &str,
    #[case] expected: [&str; 2],
) {
    let session = session(status, body);
    let seen = [session.read_kv2("kv", "a", None).await, session.read_kv1("kv", "a").await].map(outcome);
    assert_eq!(seen, expected);
}

fn mount(kind: &str, path: &str, options: &str) -> String {
    format!(
        r#"{{"request_id":"1","data":{{"type":"{kind}","path":"{path}","options":{options},"uuid":"u"}}}}"#
    )
}

#[rstest]
#[case::kv2(mount("kv", "team/kv/", r#"{"version":"2"}"#), KvVersion::V2, "")]
#[case::kv1(mount("kv", "team/kv/", "{}"), KvVersion::V1, "")]
#[case::kv1_without_options(mount("kv", "team/kv/", "null"), KvVersion::V1, "")]
#[case::kv2_as_kv1(mount("kv", "team/kv/", r#"{"version":"2"}"#), KvVersion::V1, "write type: kv-v2")]
#[case::kv1_as_kv2(mount("kv", "team/kv/", "{}"), KvVersion::V2, "write type: kv-v1")]
#[case::database(mount("database", "team/kv/", "null"), KvVersion::V1, "is an engine of type database")]
#[case::token(mount("token", "token/", "null"), KvVersion::V1, "is an engine of type token")]
#[case::hostile(mount("CANARY x", "team/kv/", "null"), KvVersion::V1, "of another server")]
#[case::part(mount("kv", "team/", "{}"), KvVersion::V1, "write mount team, and start path with kv/")]
#[case::another(mount("kv", "teams/", "{}"), KvVersion::V1, "does not exist")]
#[tokio::test]
async fn only_the_kv_engine_of_the_spec_is_read(
    #[case] body: String,
    #[case] version: KvVersion,
    #[case] expected: &str,
) {
    match session(200, &body).kv_engine("team/kv", version).await {
        Ok(id) => assert_eq!((id.as_str(), expected), ("u", "")),
        Err(error @ Error::Mount { .. }) => {
            let text = error.to_string();
            assert!(!expected.is_empty() && text.contains(expected) && !text.contains("CANARY"), "{text}");
        }
        Err(error) => panic!("{error:?}"),
    }
}

#[tokio::test]
async fn a_tolerant_session_records_what_it_may_not_read() {
    let denials = Denials::default();
    let session = session(403, r#"{"errors":["permission denied"]}"#).tolerant(&denials).within("team");
    assert!(session.auth_mount("jwt").await.unwrap().is_none());
    assert_eq!(denials.requests(), [("GET".to_owned(), "team/sys/auth/jwt".to_owned())]);
}
