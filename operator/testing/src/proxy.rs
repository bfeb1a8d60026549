//! Proxies between the operator and its servers. A test counts requests, holds them, delays them or lets connections
//! hang.

mod gate;

use std::net::SocketAddr;
use std::pin::Pin;
use std::thread::JoinHandle;

use anyhow::Result;
use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::{Stream, StreamExt};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use gate::{Asked, Gate, Traffic};

use gate::Passage;

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
    let passage = server.gate.pass(asked.clone(), peer).await;
    if passage == Passage::Refused {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let mut headers = parts.headers;
    headers.remove(header::HOST);
    let is_lost = server.gate.loses(&parts.method, parts.uri.path());
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let method = Method::from_bytes(parts.method.as_str().as_bytes()).unwrap_or_default();
    let sent =
        server.http.request(method, format!("{}{path}", server.url)).headers(headers).body(body).send();
    let answer = sent.await;
    if passage == Passage::Executed {
        server.gate.executed(&asked).await;
        return StatusCode::BAD_GATEWAY.into_response();
    }
    match answer {
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
