//! Stands between the operator and a server, so that a test can count what is asked, hold it up, slow it down or
//! leave it hanging.

use std::collections::{BTreeMap, HashSet};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
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

/// What a proxy does with requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Traffic {
    /// Passes them on.
    #[default]
    Passes,
    /// Passes them on after a while.
    Slow(Duration),
    /// Takes them and says nothing more, neither to new ones nor to answers under way: what a half-open connection
    /// looks like.
    Hangs,
}

/// A request as it is counted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Asked {
    /// Its method.
    pub method: String,
    /// Its path, without the query.
    pub path: String,
    /// Its query.
    pub query: String,
    /// The OpenBao namespace it names.
    pub namespace: String,
    /// Its body.
    pub body: Bytes,
}

impl Asked {
    /// Whether it may change something: no read, no lease and no Event.
    #[must_use]
    pub fn writes(&self) -> bool {
        let reads = ["GET", "LIST", "HEAD"].contains(&self.method.as_str());
        !reads && !self.path.contains("/leases") && !self.path.contains("/events")
    }
}

/// What several proxies share: the order of what passes, and where it ends.
#[derive(Clone)]
pub struct Gate(Arc<Inner>);

struct Inner {
    traffic: watch::Sender<Traffic>,
    /// Everybody who has connected, and those of them that are left hanging for good.
    peers: Mutex<HashSet<SocketAddr>>,
    hung: Mutex<HashSet<SocketAddr>>,
    cut: watch::Sender<Cut>,
    seen: Mutex<Vec<Asked>>,
}

#[derive(Clone, Copy, Default)]
struct Cut {
    /// Writes that may still pass.
    left: Option<usize>,
    /// The next one has come.
    reached: bool,
}

impl Default for Gate {
    fn default() -> Self {
        let (traffic, cut) = (watch::channel(Traffic::default()).0, watch::channel(Cut::default()).0);
        let (peers, hung, seen) = (Mutex::default(), Mutex::default(), Mutex::default());
        Self(Arc::new(Inner { traffic, peers, hung, cut, seen }))
    }
}

impl Gate {
    /// What happens to requests from now on.
    pub fn set(&self, traffic: Traffic) {
        self.0.traffic.send_replace(traffic);
    }

    /// Leaves the connections there are hanging for good. New ones are served.
    pub fn hang_what_is_open(&self) {
        locked(&self.0.hung).extend(locked(&self.0.peers).iter());
    }

    /// Lets so many writes pass and holds everything from the next on.
    pub fn cut_after(&self, writes: usize) {
        self.0.cut.send_replace(Cut { left: Some(writes), reached: false });
    }

    /// Lets everything pass again.
    pub fn open(&self) {
        self.0.cut.send_replace(Cut::default());
    }

    /// Returns when a write is held.
    pub async fn reached(&self) {
        let _ = self.0.cut.subscribe().wait_for(|cut| cut.reached).await;
    }

    /// What has passed so far.
    #[must_use]
    pub fn seen(&self) -> Vec<Asked> {
        locked(&self.0.seen).clone()
    }

    /// Forgets what has passed.
    pub fn forget(&self) {
        locked(&self.0.seen).clear();
    }

    /// How much of each has passed, by method and what `kind` makes of it.
    #[must_use]
    pub fn count(&self, kind: impl Fn(&Asked) -> Option<String>) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for kind in self.seen().iter().filter_map(kind) {
            *counts.entry(kind).or_default() += 1;
        }
        counts
    }

    /// Whether the request may go on. One that was held never does: who asked has been killed meanwhile.
    async fn pass(&self, asked: Asked, peer: SocketAddr) -> bool {
        locked(&self.0.peers).insert(peer);
        if asked.writes() {
            self.0.cut.send_modify(Cut::take);
        }
        if self.0.cut.borrow().reached {
            let _ = self.0.cut.subscribe().wait_for(|cut| !cut.reached).await;
            return false;
        }
        locked(&self.0.seen).push(asked);
        let traffic = *self.0.traffic.borrow();
        match traffic {
            Traffic::Passes => {}
            Traffic::Slow(pause) => tokio::time::sleep(pause).await,
            Traffic::Hangs => {}
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
    /// A write has come.
    fn take(&mut self) {
        match &mut self.left {
            None => {}
            Some(0) => self.reached = true,
            Some(left) => *left -= 1,
        }
    }
}

/// A proxy of one server, by HTTP, on a thread of its own: what tests do elsewhere does not hold it up.
pub struct Proxy {
    /// Its URL.
    pub url: String,
    end: CancellationToken,
}

#[derive(Clone)]
struct Server {
    gate: Gate,
    http: reqwest::Client,
    url: String,
}

impl Proxy {
    /// Starts one for a server with that CA.
    ///
    /// # Errors
    /// When there is no port or the CA is none.
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
        let end = CancellationToken::new();
        let until = end.clone();
        std::thread::Builder::new().name("proxy".to_owned()).spawn(move || {
            runtime.block_on(async {
                let router = Router::new().fallback(forward).with_state(server);
                let router = router.into_make_service_with_connect_info::<SocketAddr>();
                if let Ok(listener) = TcpListener::from_std(listener) {
                    tokio::select! {
                        () = until.cancelled() => {}
                        _ = async { axum::serve(listener, router).await } => {}
                    }
                }
            });
        })?;
        Ok(Self { url, end })
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.end.cancel();
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
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let method = Method::from_bytes(parts.method.as_str().as_bytes()).unwrap_or_default();
    let sent =
        server.http.request(method, format!("{}{path}", server.url)).headers(headers).body(body).send();
    match sent.await {
        Ok(answer) => {
            let (status, mut headers) = (answer.status(), answer.headers().clone());
            headers.remove(header::TRANSFER_ENCODING);
            let stream = flowing((server.gate.clone(), peer), answer.bytes_stream());
            let mut response = Response::new(Body::from_stream(stream));
            *response.status_mut() = status;
            *response.headers_mut() = headers;
            response
        }
        Err(error) => (StatusCode::BAD_GATEWAY, error.to_string()).into_response(),
    }
}

/// The stream while traffic flows.
fn flowing(
    (gate, peer): (Gate, SocketAddr),
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
