//! Tests against servers that are hostile, broken or not OpenBao.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rstest::rstest;

use crate::{Client, Error, Fault, Identity, Malformed, Outgoing, Session, Settings, Transport};

/// A server that answers each connection with a function.
pub(crate) struct Server {
    pub(crate) address: String,
    pub(crate) connections: Arc<AtomicUsize>,
}

impl Server {
    pub(crate) fn start(
        answer: impl Fn(&mut TcpStream) -> std::io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let (connections, answer) = (Arc::new(AtomicUsize::new(0)), Arc::new(answer));
        let seen = connections.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (mut stream, answer) = (stream.unwrap(), answer.clone());
                seen.fetch_add(1, Ordering::Relaxed);
                std::thread::spawn(move || answer(&mut stream));
            }
        });
        Self { address, connections }
    }

    /// A server that answers each request with the same text.
    pub(crate) fn fixed(answer: String) -> Self {
        Self::start(move |stream| {
            request(stream)?;
            stream.write_all(answer.as_bytes())
        })
    }

    pub(crate) fn settings(&self) -> Settings {
        Settings {
            addresses: vec![self.address.clone()],
            timeout: Some(Duration::from_millis(500)),
            patience: Some(Duration::ZERO),
            outgoing: Outgoing::LOOPBACK,
            ..Settings::default()
        }
    }

    fn session(&self) -> Session {
        Client::new(&self.settings()).unwrap().session(Identity::Anonymous)
    }
}

/// Reads the head of a request.
pub(crate) fn request(stream: &mut impl Read) -> std::io::Result<()> {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    Ok(())
}

pub(crate) fn response(status: u16, kind: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    )
}

const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n";

/// Sends a body that never ends.
fn endless(stream: &mut TcpStream) -> std::io::Result<()> {
    request(stream)?;
    stream.write_all(format!("{HEAD}\r\n").as_bytes())?;
    loop {
        stream.write_all(&[b' '; 16384])?;
    }
}

/// Announces a large body and sends nothing of it.
fn announced(stream: &mut TcpStream) -> std::io::Result<()> {
    request(stream)?;
    stream.write_all(format!("{HEAD}content-length: 100000000000\r\n\r\n").as_bytes())?;
    silent(stream)
}

/// Sends one byte at a time.
fn dripping(stream: &mut TcpStream) -> std::io::Result<()> {
    request(stream)?;
    stream.write_all(format!("{HEAD}content-length: 900\r\n\r\n").as_bytes())?;
    stream.set_read_timeout(Some(Duration::from_millis(20)))?;
    loop {
        match stream.read(&mut [0]) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => stream.write_all(b" ")?,
            _ => return Ok(()),
        }
    }
}

/// Never answers.
fn silent(stream: &mut TcpStream) -> std::io::Result<()> {
    while stream.read(&mut [0; 1024])? > 0 {}
    Ok(())
}

/// Answers without HTTP.
fn no_http(stream: &mut TcpStream) -> std::io::Result<()> {
    request(stream)?;
    stream.write_all(b"SSH-2.0-OpenSSH_9.9\r\n")?;
    silent(stream)
}

#[rstest]
#[case::endless(endless, "cannot parse the response of OpenBao for kv/data/a: larger than 2304 KiB")]
#[case::announced(announced, "cannot parse the response of OpenBao for kv/data/a: larger than 2304 KiB")]
#[case::dripping(dripping, "cannot be reached: no complete response within the timeout")]
#[case::silent(silent, "cannot be reached: no complete response within the timeout")]
#[case::no_http(no_http, "cannot be reached: the server does not answer with HTTP")]
#[tokio::test]
async fn a_hostile_server_ends_a_request_within_bounds(
    #[case] answer: fn(&mut TcpStream) -> std::io::Result<()>,
    #[case] expected: &str,
) {
    let server = Server::start(answer);
    let started = Instant::now();
    let error = server.session().read_kv2("kv", "a", None).await.unwrap_err();
    assert!(chain(&error).contains(expected), "{}", chain(&error));
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
}

#[rstest]
#[case::endless(endless, Fault::TooLarge(1000))]
#[case::announced(announced, Fault::TooLarge(1000))]
#[case::dripping(dripping, Fault::Silent)]
#[case::silent(silent, Fault::Silent)]
#[tokio::test]
async fn a_document_is_fetched_within_bounds(
    #[case] answer: fn(&mut TcpStream) -> std::io::Result<()>,
    #[case] expected: Fault,
) {
    let server = Server::start(answer);
    let transport = Transport::new(&server.settings()).unwrap();
    assert_eq!(transport.get(&format!("{}/keys", server.address), 1000).await, Err(expected));
}

#[tokio::test]
async fn a_deeply_nested_response_is_rejected() {
    for levels in [100, 9_999, 50_000] {
        let value = format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        let body = format!(r#"{{"data": {{"data": {{"a": {value}}}, "metadata": {{"version": 1}}}}}}"#);
        let server = Server::fixed(response(200, "application/json", &body));
        let read = [
            server.session().read_kv2("kv", "a", None).await.unwrap_err(),
            server.session().read_kv1("kv", "a").await.unwrap_err(),
        ];
        for error in read {
            assert!(matches!(error, Error::Answer { source: Malformed::Nested, .. }), "{error:?}");
        }
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed_not_retried_and_named() {
    let head = "HTTP/1.1 308 X\r\nlocation: https://user:canary@bao.example.test/v1/sys/health?canary\r\n";
    let server = Server::fixed(format!("{head}content-length: 0\r\nconnection: close\r\n\r\n"));
    let patient = Settings { patience: None, timeout: None, ..server.settings() };
    let session = Client::new(&patient).unwrap().session(Identity::Anonymous);
    for error in [session.health().await.unwrap_err(), session.read_kv1("kv", "a").await.unwrap_err()] {
        assert!(matches!(error, Error::Redirect { .. }), "{error:?}");
        assert!(!error.is_transient());
        let text = format!("{} {error:?}", chain(&error));
        assert!(text.contains("redirects to https://bao.example.test: set that address"), "{text}");
        assert!(!text.contains("canary"), "{text}");
    }
    assert_eq!(server.connections.load(Ordering::Relaxed), 2, "a redirect is retried");
    let transport = Transport::new(&server.settings()).unwrap();
    let fault = transport.get(&format!("{}/keys", server.address), 1000).await;
    assert_eq!(fault, Err(Fault::Redirect("https://bao.example.test".to_owned())));
}

#[rstest]
#[case::html(200, "text/html", "<html>ok</html>")]
#[case::other_json(200, "application/json", r#"{"status":"ok"}"#)]
#[case::no_version(200, "application/json", r#"{"initialized":true,"sealed":false}"#)]
#[case::odd_version(200, "application/json", r#"{"initialized":true,"sealed":false,"version":"\n"}"#)]
#[case::null(200, "application/json", "null")]
#[case::empty(200, "application/json", "")]
#[case::default_backend(404, "text/html", "default backend - 404")]
#[case::gateway(404, "application/json", r#"{"message":"no Route matched with those values"}"#)]
#[case::tls_port(400, "text/plain", "Client sent an HTTP request to an HTTPS server.\n")]
#[tokio::test]
async fn another_web_service_is_not_healthy(#[case] status: u16, #[case] kind: &str, #[case] body: &str) {
    let server = Server::fixed(response(status, kind, body));
    let error = server.session().health().await.unwrap_err();
    assert!(matches!(error, Error::Foreign { .. }), "{error:?}");
    assert!(!error.is_transient());
}

#[rstest]
#[case::load_balancer(503, "text/html", "<html>no server</html>")]
#[case::gateway(502, "text/plain", "")]
#[case::no_storage(500, "application/json", r#"{"errors":[]}"#)]
#[tokio::test]
async fn a_load_balancer_without_servers_is_temporary(
    #[case] status: u16,
    #[case] kind: &str,
    #[case] body: &str,
) {
    let server = Server::fixed(response(status, kind, body));
    let error = server.session().health().await.unwrap_err();
    assert!(error.is_transient(), "{error:?}");
}

#[rstest]
#[case::active(200, r#"{"initialized":true,"sealed":false,"standby":false,"version":"2.7.2"}"#)]
#[case::standby(429, r#"{"initialized":true,"sealed":false,"standby":true,"version":"2.7.2"}"#)]
#[case::sealed(
    503,
    r#"{"initialized":true,"sealed":true,"standby":true,"version":"1.17.0","enterprise":false}"#
)]
#[case::uninitialized(501, r#"{"initialized":false,"sealed":true,"standby":true,"version":"2.7.2"}"#)]
#[tokio::test]
async fn openbao_and_vault_report_their_health(#[case] status: u16, #[case] body: &str) {
    let server = Server::fixed(response(status, "application/json", body));
    assert!(server.session().health().await.is_ok());
}

#[rstest]
#[case::closed_port("http://127.0.0.1:1", Fault::Refused)]
#[case::unknown_name("http://bao.invalid:8200", Fault::Unresolved("bao.invalid".to_owned()))]
#[case::metadata("http://169.254.169.254", Fault::Forbidden("169.254.169.254".parse().unwrap()))]
#[case::metadata_6("http://[fd00:ec2::254]", Fault::Forbidden("fd00:ec2::254".parse().unwrap()))]
#[tokio::test]
async fn an_unreachable_address_states_its_cause(#[case] address: &str, #[case] expected: Fault) {
    let settings = Settings {
        addresses: vec![address.to_owned()],
        patience: Some(Duration::ZERO),
        outgoing: Outgoing::LOOPBACK,
        ..Settings::default()
    };
    let error = Client::new(&settings).unwrap().session(Identity::Anonymous).health().await.unwrap_err();
    let Error::Unreachable { source, .. } = error else { panic!("{error:?}") };
    assert_eq!(source, expected);
}

#[tokio::test]
async fn loopback_is_refused_unless_the_process_permits_it() {
    let body = r#"{"initialized":true,"sealed":false,"version":"2.7.2"}"#;
    let server = Server::fixed(response(200, "application/json", body));
    let port = server.address.rsplit(':').next().unwrap();
    for host in ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]"] {
        let addresses = vec![format!("http://{host}:{port}")];
        let settings = Settings { addresses, outgoing: Outgoing::default(), ..server.settings() };
        let error = Client::new(&settings).unwrap().session(Identity::Anonymous).health().await.unwrap_err();
        assert!(matches!(error, Error::Unreachable { source: Fault::Forbidden(_), .. }), "{error:?}");
    }
    assert_eq!(server.connections.load(Ordering::Relaxed), 0);
}

/// Returns an error with all its causes.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
