//! Tests of requests to servers that are down: answered at once, limited in number, and ended in time.

use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::gate::Gate;
use super::*;
use crate::hostile::{Server, request, response};
use crate::{Fault, Health};

const HEALTH: &str = r#"{"initialized":true,"sealed":false,"version":"2.7.2"}"#;

/// A server that is silent until it is up, and the highest number of its concurrent requests.
struct Lazy {
    server: Server,
    up: Arc<AtomicBool>,
    most: Arc<AtomicUsize>,
}

fn lazy() -> Lazy {
    let (up, now, most) = (Arc::<AtomicBool>::default(), AtomicUsize::new(0), Arc::<AtomicUsize>::default());
    let (is_up, seen) = (up.clone(), most.clone());
    let server = Server::start(move |stream: &mut TcpStream| {
        use std::io::{Read, Write};
        seen.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        let answered = request(stream).and_then(|()| {
            if is_up.load(Ordering::SeqCst) {
                return stream.write_all(response(200, "application/json", HEALTH).as_bytes());
            }
            while stream.read(&mut [0; 1024])? > 0 {}
            Ok(())
        });
        now.fetch_sub(1, Ordering::SeqCst);
        answered
    });
    Lazy { server, up, most }
}

/// Counts recoveries.
struct Counter(Arc<AtomicUsize>);

impl Observer for Counter {
    fn recovered(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

async fn health(client: &Client) -> Result<Health, Error> {
    client.session(Identity::Anonymous).health().await
}

fn fault(result: Result<Health, Error>) -> Fault {
    match result {
        Err(Error::Unreachable { source, .. }) => source,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_server_that_is_down_is_answered_for_at_once_until_it_recovers() {
    let Lazy { server, up, .. } = lazy();
    let recovered = Arc::<AtomicUsize>::default();
    let client = Client::observed(&server.settings(), Counter(recovered.clone())).unwrap();
    assert_eq!(fault(health(&client).await), Fault::Silent);
    let started = Instant::now();
    for _ in 0..100 {
        assert_eq!(fault(health(&client).await), Fault::Silent);
    }
    assert!(started.elapsed() < Duration::from_millis(400), "{:?}", started.elapsed());
    assert_eq!(server.connections.load(Ordering::SeqCst), 1, "requests during the pause");
    up.store(true, Ordering::SeqCst);
    // The refused requests caused a probe.
    while recovered.load(Ordering::SeqCst) == 0 {
        assert!(started.elapsed() < Duration::from_secs(10), "no probe");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(health(&client).await.is_ok());
    assert_eq!(recovered.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn no_request_waits_for_a_probe_and_a_failed_probe_is_repeated() {
    let Lazy { server, .. } = lazy();
    let client = Client::new(&server.settings()).unwrap();
    assert_eq!(fault(health(&client).await), Fault::Silent);
    // The first pause is over, and no request was refused that would have caused a probe.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert_eq!(server.connections.load(Ordering::SeqCst), 1);
    let started = Instant::now();
    for _ in 0..10 {
        assert_eq!(fault(health(&client).await), Fault::Silent);
    }
    assert!(started.elapsed() < Duration::from_millis(400), "{:?}", started.elapsed());
    while server.connections.load(Ordering::SeqCst) < 3 {
        assert!(started.elapsed() < Duration::from_secs(10), "the probe is not repeated");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_node_is_asked_each_time() {
    let Lazy { server, .. } = lazy();
    let settings = Settings { node: true, timeout: Some(Duration::from_millis(50)), ..server.settings() };
    let client = Client::new(&settings).unwrap();
    for _ in 0..3 {
        assert_eq!(fault(health(&client).await), Fault::Silent);
    }
    assert_eq!(server.connections.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn one_server_has_a_limited_number_of_requests() {
    let Lazy { server, most, .. } = lazy();
    let client = Client::new(&server.settings()).unwrap();
    let requests: Vec<_> = (0..100)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { fault(health(&client).await) })
        })
        .collect();
    for request in requests {
        assert_eq!(request.await.unwrap(), Fault::Silent);
    }
    assert_eq!(most.load(Ordering::SeqCst), 8);
    let connections = server.connections.load(Ordering::SeqCst);
    assert!(connections <= 16, "{connections} of 100 requests were sent to a silent server");
}

#[tokio::test]
async fn a_request_waits_for_its_turn_within_bounds() {
    let Lazy { server, .. } = lazy();
    let settings = Settings { timeout: Some(Duration::from_secs(3)), ..server.settings() };
    let client = Client::bounded(&settings, (), Duration::from_millis(300)).unwrap();
    let gate: &Gate = client.0.gate.as_ref().unwrap();
    let mut entries = Vec::new();
    for _ in 0..8 {
        entries.push(gate.enter().await.ok().unwrap());
    }
    assert_eq!(fault(health(&client).await), Fault::Busy);
    assert!(!client.0.probing.load(Ordering::SeqCst), "a probe of a server that is busy");
}

#[tokio::test]
async fn a_request_at_once_waits_for_no_turn() {
    let Lazy { server, up, .. } = lazy();
    up.store(true, Ordering::SeqCst);
    let client = Client::new(&server.settings()).unwrap();
    let gate: &Gate = client.0.gate.as_ref().unwrap();
    let mut entries = Vec::new();
    for _ in 0..8 {
        entries.push(gate.enter().await.ok().unwrap());
    }
    assert!(client.send_at_once(&Request::get("sys/health")).await.is_ok());
}

#[tokio::test]
async fn nine_silent_addresses_end_in_time_and_each_is_tried() {
    let nodes: Vec<Lazy> = (0..9).map(|_| lazy()).collect();
    let addresses = nodes.iter().map(|node| node.server.address.clone()).collect();
    let settings =
        Settings { addresses, timeout: Some(Duration::from_millis(200)), ..nodes[0].server.settings() };
    let client = Client::bounded(&settings, (), Duration::from_millis(500)).unwrap();
    let started = Instant::now();
    assert_eq!(fault(health(&client).await), Fault::Silent);
    assert!(started.elapsed() < Duration::from_millis(1000), "{:?}", started.elapsed());
    nodes[8].up.store(true, Ordering::SeqCst);
    while health(&client).await.is_err() {
        assert!(started.elapsed() < Duration::from_secs(30), "the last address is never tried");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_server_that_answers_with_an_error_is_not_down() {
    let body = r#"{"errors":["Vault is sealed"]}"#;
    let server = Server::fixed(response(503, "application/json", body));
    let client = Client::new(&server.settings()).unwrap();
    let session = client.session(Identity::Anonymous);
    for _ in 0..5 {
        assert!(matches!(session.read_kv1("kv", "a").await, Err(Error::Sealed)));
    }
    assert_eq!(server.connections.load(Ordering::SeqCst), 5);
}

#[tokio::test]
async fn a_request_for_a_credential_is_sent_to_one_node_and_once() {
    // Each server reads the request and closes the connection.
    let servers = [Server::start(request), Server::start(request)];
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let nodes = servers.iter().map(|server| server.address.clone());
    // The first node refuses the connection: it did not receive the request.
    let addresses = [format!("http://{free}")].into_iter().chain(nodes).collect();
    let settings = Settings { addresses, patience: None, ..servers[0].settings() };
    let session = Client::new(&settings).unwrap().session(Identity::Anonymous);
    let issued = session.issue(reqwest::Method::GET, "database/creds/app", None).await;
    assert!(matches!(issued, Err(Error::Unanswered { .. })), "{issued:?}");
    let sent = servers.map(|server| server.connections.load(Ordering::SeqCst));
    assert_eq!(sent, [1, 0]);
}
