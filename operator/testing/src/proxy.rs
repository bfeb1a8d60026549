//! Proxies between the operator and its servers. A test counts requests, holds them, delays them or lets connections
//! hang.

use std::collections::{BTreeMap, HashSet};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Result;
use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::{Stream, StreamExt};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Treatment of requests by a proxy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Traffic {
    /// Requests are forwarded.
    #[default]
    Passes,
    /// Requests are forwarded after a delay.
    Slow(Duration),
    /// Requests are accepted and not answered, and responses in progress stop, like on a half-open connection.
    Hangs,
    /// Writes are forwarded when the treatment changes. Other requests are forwarded.
    HoldsWrites,
}

/// A request that a proxy has seen.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Asked {
    /// HTTP method.
    pub method: String,
    /// Path without the query.
    pub path: String,
    /// Query.
    pub query: String,
    /// OpenBao namespace in the header.
    pub namespace: String,
    /// Body.
    pub body: Bytes,
}

impl Asked {
    /// Returns whether the request can change state. Leases and Events do not count.
    #[must_use]
    pub fn writes(&self) -> bool {
        let reads = ["GET", "LIST", "HEAD"].contains(&self.method.as_str());
        !reads && !self.path.contains("/leases") && !self.path.contains("/events")
    }
}

/// Control of one or several proxies, with one common order of requests.
#[derive(Clone)]
pub struct Gate(Arc<Inner>);

struct Inner {
    traffic: watch::Sender<Traffic>,
    /// All clients that have connected, and those that hang forever.
    peers: Mutex<HashSet<SocketAddr>>,
    hung: Mutex<HashSet<SocketAddr>>,
    cut: watch::Sender<Cut>,
    seen: Mutex<Vec<Asked>>,
    /// End of the path of the request whose response is lost.
    lost: Mutex<Option<String>>,
}

#[derive(Clone, Copy, Default)]
struct Cut {
    /// Number of writes that are still forwarded.
    left: Option<usize>,
    /// Whether the next write has arrived.
    reached: bool,
}

impl Default for Gate {
    fn default() -> Self {
        let (traffic, cut) = (watch::channel(Traffic::default()).0, watch::channel(Cut::default()).0);
        let (peers, hung, seen) = (Mutex::default(), Mutex::default(), Mutex::default());
        Self(Arc::new(Inner { traffic, peers, hung, cut, seen, lost: Mutex::default() }))
    }
}

impl Gate {
    /// Sets the treatment of all requests from now on.
    pub fn set(&self, traffic: Traffic) {
        self.0.traffic.send_replace(traffic);
    }

    /// Lets all existing connections hang forever. New connections work.
    pub fn hang_what_is_open(&self) {
        locked(&self.0.hung).extend(locked(&self.0.peers).iter());
    }

    /// Forwards a number of writes, and holds every request from the next write on.
    pub fn cut_after(&self, writes: usize) {
        self.0.cut.send_replace(Cut { left: Some(writes), reached: false });
    }

    /// Forwards all requests again.
    pub fn open(&self) {
        self.0.cut.send_replace(Cut::default());
    }

    /// Waits until a write is held.
    pub async fn reached(&self) {
        let _ = self.0.cut.subscribe().wait_for(|cut| cut.reached).await;
    }

    /// Loses the response to the next request whose path ends with `end`: the server executes the request, and the connection
    /// ends before the response is complete.
    pub fn lose(&self, end: &str) {
        *locked(&self.0.lost) = Some(end.to_owned());
    }

    fn loses(&self, path: &str) -> bool {
        locked(&self.0.lost).take_if(|end| path.ends_with(end.as_str())).is_some()
    }

    /// Requests that were forwarded so far.
    #[must_use]
    pub fn seen(&self) -> Vec<Asked> {
        locked(&self.0.seen).clone()
    }

    /// Clears the list of forwarded requests.
    pub fn forget(&self) {
        locked(&self.0.seen).clear();
    }

    /// Number of forwarded requests by `kind`.
    #[must_use]
    pub fn count(&self, kind: impl Fn(&Asked) -> Option<String>) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for kind in self.seen().iter().filter_map(kind) {
            *counts.entry(kind).or_default() += 1;
        }
        counts
    }

    /// Returns whether the request is forwarded. A held request is never forwarded, because its client was killed
    /// meanwhile.
    async fn pass(&self, asked: Asked, peer: SocketAddr) -> bool {
        locked(&self.0.peers).insert(peer);
        if asked.writes() {
            self.0.cut.send_modify(Cut::take);
        }
        if self.0.cut.borrow().reached {
            let _ = self.0.cut.subscribe().wait_for(|cut| !cut.reached).await;
            return false;
        }
        let writes = asked.writes();
        locked(&self.0.seen).push(asked);
        let traffic = *self.0.traffic.borrow();
        match traffic {
            Traffic::Slow(pause) => tokio::time::sleep(pause).await,
            Traffic::HoldsWrites if writes => {
                let _ = self.0.traffic.subscribe().wait_for(|now| *now != Traffic::HoldsWrites).await;
            }
            Traffic::Passes | Traffic::Hangs | Traffic::HoldsWrites => {}
        }
        self.flows(peer).await;
        true
    }

    async fn flows(&self, peer: SocketAddr) {
        if locked(&self.0.hung).contains(&peer) {
            std::future::pending::<()>().await;
        }
        let _ = self.0.traffic.subscribe().wait_for(|traffic| *traffic != Traffic::Hangs).await;
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Cut {
    /// Counts a write.
    fn take(&mut self) {
        match &mut self.left {
            None => {}
            Some(0) => self.reached = true,
            Some(left) => *left -= 1,
        }
    }
}

/// HTTP proxy of one server. It has its own thread, so that other work of a test does not delay it.
pub struct Proxy {
    /// URL of the proxy.
    pub url: String,
    end: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

#[derive(Clone)]
struct Server {
    gate: Gate,
    http: reqwest::Client,
    url: String,
}

impl Proxy {
    /// Starts a proxy of the server at `url` with the given CA.
    ///
    /// # Errors
    /// When no port is free, or the CA cannot be parsed.
    pub fn start(gate: &Gate, url: &str, ca: &str) -> Result<Self> {
        let http = reqwest::Client::builder()
            .tls_certs_only(reqwest::Certificate::from_pem_bundle(ca.as_bytes())?)
            .redirect(reqwest::redirect::Policy::none())
            .http1_only()
            .no_proxy()
            .build()?;
        let server = Server { gate: gate.clone(), http, url: url.to_owned() };
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let url = format!("http://{}", listener.local_addr()?);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let listener = {
            let _context = runtime.enter();
            TcpListener::from_std(listener)?
        };
        let end = CancellationToken::new();
        let until = end.clone();
        let thread = std::thread::Builder::new().name("proxy".to_owned()).spawn(move || {
            runtime.block_on(async {
                let router = Router::new().fallback(forward).with_state(server);
                let router = router.into_make_service_with_connect_info::<SocketAddr>();
                tokio::select! {
                    () = until.cancelled() => {}
                    _ = async { axum::serve(listener, router).await } => {}
                }
            });
        })?;
        Ok(Self { url, end, thread: Some(thread) })
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.end.cancel();
        // Afterwards the proxy forwards no request and its port is closed.
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn forward(
    State(server): State<Server>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, usize::MAX).await else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let namespace = parts.headers.get("x-vault-namespace").and_then(|value| value.to_str().ok());
    let asked = Asked {
        method: parts.method.to_string(),
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        namespace: namespace.unwrap_or_default().to_owned(),
        body: body.clone(),
    };
    if !server.gate.pass(asked, peer).await {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let mut headers = parts.headers;
    headers.remove(header::HOST);
    let is_lost = server.gate.loses(parts.uri.path());
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let method = Method::from_bytes(parts.method.as_str().as_bytes()).unwrap_or_default();
    let sent =
        server.http.request(method, format!("{}{path}", server.url)).headers(headers).body(body).send();
    match sent.await {
        Ok(answer) if is_lost => {
            let _ = answer.bytes().await;
            let broken = futures::stream::iter([Err::<Bytes, _>(std::io::Error::other("lost"))]);
            Response::new(Body::from_stream(broken))
        }
        Ok(answer) => {
            let (status, mut headers) = (answer.status(), answer.headers().clone());
            headers.remove(header::TRANSFER_ENCODING);
            let stream = flowing(server.gate.clone(), peer, answer.bytes_stream());
            let mut response = Response::new(Body::from_stream(stream));
            *response.status_mut() = status;
            *response.headers_mut() = headers;
            response
        }
        Err(error) => (StatusCode::BAD_GATEWAY, error.to_string()).into_response(),
    }
}

/// Holds the chunks of a stream while the gate does.
fn flowing(
    gate: Gate,
    peer: SocketAddr,
    stream: impl Stream<Item = reqwest::Result<Bytes>> + Send + 'static,
) -> Pin<Box<dyn Stream<Item = reqwest::Result<Bytes>> + Send>> {
    Box::pin(stream.then(move |chunk| {
        let gate = gate.clone();
        async move {
            gate.flows(peer).await;
            chunk
        }
    }))
}
