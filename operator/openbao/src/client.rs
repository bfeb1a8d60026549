//! HTTP client of a server: addresses, retries during a failover, one connection pool.

mod leader_index;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use reqwest::header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Method, StatusCode, Url};
use secrecy::ExposeSecret;
use serde_json::Value;

use crate::{Error, Identity, NamespacePath, Session, Settings};

use leader_index::LeaderIndex;

/// Client of a server. Cheap to clone: all clones share connections and the known state of the server.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    http: reqwest::Client,
    addresses: Vec<Url>,
    /// Index of the node that served the last request.
    preferred: AtomicUsize,
    /// No node served the last request: the next requests are not retried.
    down: AtomicBool,
    patience: Duration,
    /// None: the node that is addressed answers itself.
    leader_index: Option<LeaderIndex>,
    asked: Box<dyn Fn() + Send + Sync>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("addresses", &self.0.addresses.iter().map(Url::as_str).collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

/// A request that is not bound to a node yet.
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) namespace: NamespacePath,
    pub(crate) path: String,
    pub(crate) query: Vec<(&'static str, String)>,
    pub(crate) body: Option<Value>,
    pub(crate) headers: HeaderMap,
}

/// A response, successful or not.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// Raw body. KV values are parsed from it, including numbers of any length.
    pub(crate) text: Vec<u8>,
}

impl Answer {
    /// Returns the body as JSON, or null if it is not valid JSON.
    pub(crate) fn body(&self) -> Value {
        serde_json::from_slice(&self.text).unwrap_or_default()
    }
}

impl Client {
    /// Returns a client of a server. Does not connect yet.
    ///
    /// # Errors
    /// [`Error::Settings`] if a certificate or an address is invalid.
    pub fn new(settings: &Settings) -> Result<Self, Error> {
        Self::counted(settings, || {})
    }

    /// Same as [`Client::new`], and calls `asked` for each HTTP request that is sent.
    ///
    /// # Errors
    /// Same as [`Client::new`].
    pub fn counted(settings: &Settings, asked: impl Fn() + Send + Sync + 'static) -> Result<Self, Error> {
        let addresses =
            settings.addresses.iter().map(|address| http_url(address, settings)).collect::<Result<_, _>>()?;
        Ok(Self(Arc::new(Inner {
            http: http(settings).map_err(Error::Settings)?,
            addresses,
            preferred: AtomicUsize::new(0),
            down: AtomicBool::new(false),
            patience: settings.patience.unwrap_or(Duration::from_secs(20)),
            leader_index: (!settings.node).then(LeaderIndex::default),
            asked: Box::new(asked),
        })))
    }

    /// Returns a session in the root namespace.
    #[must_use]
    pub fn session(&self, identity: Identity) -> Session {
        Session::new(self.clone(), identity, NamespacePath::root())
    }

    /// Sends a request to a node that serves it, and retries during a failover.
    pub(crate) async fn send(&self, request: &Request) -> Result<Answer, Error> {
        let started = Instant::now();
        for round in 0.. {
            let error = match self.round(request).await {
                Ok(answer) => {
                    self.0.down.store(false, Ordering::Relaxed);
                    return Ok(answer);
                }
                Err(error) => error,
            };
            let pause = pause(round);
            let patience = if self.0.down.load(Ordering::Relaxed) { Duration::ZERO } else { self.0.patience };
            let hopeless = matches!(error, Error::Sealed | Error::Uninitialized | Error::Throttled { .. });
            if hopeless || started.elapsed() + pause > patience {
                self.0.down.store(!matches!(error, Error::Throttled { .. }), Ordering::Relaxed);
                return Err(error);
            }
            tokio::time::sleep(pause).await;
        }
        unreachable!("the loop ends by returning")
    }

    /// Tries each node once until one serves the request. Returns the most specific of all errors.
    async fn round(&self, request: &Request) -> Result<Answer, Error> {
        let count = self.0.addresses.len();
        let first = self.0.preferred.load(Ordering::Relaxed);
        let mut worst = None;
        for offset in 0..count {
            let index = (first + offset) % count;
            match self.once(&self.0.addresses[index], request).await {
                Ok(answer) => {
                    // A standby fails if it has to write first, such as the salt of a new audit device: the next
                    // request goes to another node.
                    let failed = usize::from(answer.status == StatusCode::INTERNAL_SERVER_ERROR);
                    self.0.preferred.store((index + failed) % count, Ordering::Relaxed);
                    return Ok(answer);
                }
                Err(error) => worst = Some(more_telling(worst, error)),
            }
        }
        Err(worst.unwrap_or(Error::NoLeader))
    }

    /// Sends a request to a node, which forwards it to the leader.
    async fn once(&self, address: &Url, request: &Request) -> Result<Answer, Error> {
        let Some(index) = &self.0.leader_index else {
            return served(self.respond(address, request, HeaderMap::new()).await?, request);
        };
        let mut answer = self.respond(address, request, index.headers(&request.path)).await?;
        if index.refused(answer.status, &answer.text) {
            answer = self.respond(address, request, HeaderMap::new()).await?;
        }
        index.learn(&answer.headers);
        served(answer, request)
    }

    async fn respond(&self, address: &Url, request: &Request, leader: HeaderMap) -> Result<Answer, Error> {
        (self.0.asked)();
        let unreachable = |source: reqwest::Error| Error::Unreachable {
            address: address.as_str().trim_end_matches('/').to_owned(),
            source: source.without_url(),
        };
        let mut builder = self
            .0
            .http
            .request(request.method.clone(), url(address, request))
            .headers(request.headers.clone())
            .headers(leader);
        if !request.namespace.is_root() {
            builder = builder.header("x-vault-namespace", request.namespace.as_str());
        }
        if let Some(body) = &request.body {
            builder = builder.json(body);
        }
        if request.method == Method::PATCH {
            builder = builder.header(reqwest::header::CONTENT_TYPE, "application/merge-patch+json");
        }
        let response = builder.send().await.map_err(unreachable)?;
        let (status, headers) = (response.status(), response.headers().clone());
        let text = response.bytes().await.map_err(unreachable)?.into();
        Ok(Answer { status, headers, text })
    }
}

/// Separates final responses from those that only report that this node cannot serve the request.
fn served(answer: Answer, request: &Request) -> Result<Answer, Error> {
    let health = request.path == "sys/health";
    match answer.status.as_u16() {
        // A standby redirects to the last leader that it knew, which may be dead: try another node, or later.
        301 | 302 | 307 | 308 => Err(Error::NoLeader),
        429 if !health => Err(Error::Throttled { retry_after: retry_after(&answer.headers) }),
        500 | 503 if !health => {
            match Error::from_answer(answer.status, request.method.as_str(), String::new(), &answer.body()) {
                error @ (Error::Sealed | Error::NoLeader) => Err(error),
                _ => Ok(answer),
            }
        }
        _ => Ok(answer),
    }
}

fn more_telling(known: Option<Error>, new: Error) -> Error {
    let rank = |error: &Error| match error {
        Error::Throttled { .. } => 4,
        Error::NoLeader => 3,
        Error::Sealed => 2,
        _ => 1,
    };
    match known {
        Some(known) if rank(&known) >= rank(&new) => known,
        _ => new,
    }
}

/// Returns the pause after a round: 100 ms, doubled each round up to 2 s.
fn pause(round: u32) -> Duration {
    Duration::from_millis(100 << round.min(5)).min(Duration::from_secs(2))
}

fn retry_after(headers: &HeaderMap) -> Duration {
    let seconds = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    Duration::from_secs(seconds.unwrap_or(1).clamp(1, 60))
}

fn url(address: &Url, request: &Request) -> Url {
    let mut url = address.clone();
    if let Ok(mut segments) = url.path_segments_mut() {
        // Each segment is escaped separately: a `?`, `#` or space in a key stays part of the key.
        segments.pop_if_empty().push("v1").extend(request.path.split('/'));
    }
    if !request.query.is_empty() {
        url.query_pairs_mut().extend_pairs(request.query.iter().map(|(key, value)| (key, value.as_str())));
    }
    url
}

fn http(settings: &Settings) -> Result<reqwest::Client, reqwest::Error> {
    let mut headers = HeaderMap::new();
    headers.insert("x-vault-request", HeaderValue::from_static("true"));
    for (name, value) in &settings.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            headers.insert(name, value);
        }
    }
    let silence = Duration::from_secs(if settings.resolver.is_some() { 2 } else { 10 });
    let mut builder = reqwest::Client::builder()
        .default_headers(headers)
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(Duration::from_secs(5))
        .timeout(settings.timeout.unwrap_or(Duration::from_secs(30)))
        .pool_idle_timeout(Duration::from_secs(60))
        .tcp_keepalive(Duration::from_secs(15))
        // All requests share one connection: if it is half open, this must be detected before the requests time out.
        .http2_keep_alive_interval(silence)
        .http2_keep_alive_timeout(silence)
        .no_proxy()
        .tls_danger_accept_invalid_certs(settings.insecure);
    if !settings.ca.is_empty() {
        builder = builder.tls_certs_only(reqwest::Certificate::from_pem_bundle(&settings.ca)?);
    }
    if let Some(identity) = &settings.client_certificate {
        builder = builder.identity(reqwest::Identity::from_pem(identity.expose_secret().as_bytes())?);
    }
    if settings.plain {
        builder = builder.http1_only();
    }
    if let Some(resolver) = &settings.resolver {
        builder = builder.dns_resolver(resolver.clone());
    }
    if let Some((name, addresses)) = renamed(settings) {
        builder = builder.resolve_to_addrs(&name, &addresses);
    }
    builder.build()
}

/// rustls verifies the name in the URL, so the URL contains the certificate's name, which resolves to the IP addresses
/// of the settings. A host name in the settings is resolved once, here.
fn renamed(settings: &Settings) -> Option<(String, Vec<SocketAddr>)> {
    let name = settings.server_name.clone()?;
    let addresses = settings.addresses.iter().filter_map(|address| {
        let url = Url::parse(address).ok()?;
        url.socket_addrs(|| None).ok()
    });
    Some((name, addresses.flatten().collect()))
}

fn http_url(address: &str, settings: &Settings) -> Result<Url, Error> {
    // `reqwest::Error` has no constructor: an invalid request is built to get one.
    let mut url = reqwest::Client::new().get(address).build().map_err(Error::Settings)?.url().clone();
    if let Some(name) = &settings.server_name {
        let _ = url.set_host(Some(name));
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(path: &str) -> Request {
        Request {
            method: Method::GET,
            namespace: NamespacePath::root(),
            path: path.to_owned(),
            query: vec![("version", "3".into())],
            body: None,
            headers: HeaderMap::new(),
        }
    }

    #[test]
    fn a_key_with_url_characters_stays_one_key() {
        let address = Url::parse("http://bao:8200").unwrap();
        let url = url(&address, &request("kv/data/a b/c?d#e%2F"));
        assert_eq!(url.as_str(), "http://bao:8200/v1/kv/data/a%20b/c%3Fd%23e%252F?version=3");
    }

    #[test]
    fn a_missing_leader_has_priority_over_a_sealed_node() {
        let settings = Settings { addresses: vec!["http://a".into()], ..Settings::default() };
        assert!(!format!("{:?}", Client::new(&settings).unwrap()).contains("token"));
        assert!(matches!(more_telling(Some(Error::Sealed), Error::NoLeader), Error::NoLeader));
        assert!(matches!(more_telling(Some(Error::NoLeader), Error::Sealed), Error::NoLeader));
    }
}
