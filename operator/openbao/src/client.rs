//! Client of a server: nodes, retries during a failover, one connection pool.

mod leader_index;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use reqwest::Url;
use reqwest::header::HeaderMap;

use crate::answer::{Answer, Request};
use crate::fault::Fault;
use crate::json::Malformed;
use crate::settings::InvalidSetting;
use crate::transport::{Transport, parsed};
use crate::{Error, Identity, NamespacePath, Session, Settings, answer, body};

use leader_index::LeaderIndex;

/// Client of a server. Cheap to clone: all clones share connections and the known state of the server.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    transport: Transport,
    nodes: Vec<Node>,
    /// Index of the node that served the last request.
    preferred: AtomicUsize,
    /// No node served the last request: the next requests are not retried.
    down: AtomicBool,
    patience: Duration,
    /// None: the node that is addressed answers itself.
    leader_index: Option<LeaderIndex>,
    asked: Box<dyn Fn() + Send + Sync>,
}

/// A node of a server.
struct Node {
    /// Address for messages, as the settings state it.
    address: String,
    /// URL for requests. Contains the name of the certificate.
    url: Url,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("addresses", &self.0.nodes.iter().map(|node| &node.address).collect::<Vec<_>>())
            .finish_non_exhaustive()
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
        let nodes = settings.addresses.iter().map(|address| Node::new(address, settings));
        let nodes = nodes.collect::<Result<_, _>>().map_err(Error::Settings)?;
        Ok(Self(Arc::new(Inner {
            transport: Transport::new(settings).map_err(Error::Settings)?,
            nodes,
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
            if hopeless(&error) || started.elapsed() + pause > patience {
                self.0.down.store(!matches!(error, Error::Throttled { .. }), Ordering::Relaxed);
                return Err(error);
            }
            tokio::time::sleep(pause).await;
        }
        unreachable!("the loop ends by returning")
    }

    /// Tries each node once until one serves the request. Returns the most specific of all errors.
    async fn round(&self, request: &Request) -> Result<Answer, Error> {
        let count = self.0.nodes.len();
        let first = self.0.preferred.load(Ordering::Relaxed);
        let mut worst = None;
        for offset in 0..count {
            let index = (first + offset) % count;
            match self.once(&self.0.nodes[index], request).await {
                Ok(answer) => {
                    // A standby fails if it has to write first, such as the salt of a new audit device: the next
                    // request goes to another node.
                    let failed = usize::from(answer.status == reqwest::StatusCode::INTERNAL_SERVER_ERROR);
                    self.0.preferred.store((index + failed) % count, Ordering::Relaxed);
                    return Ok(answer);
                }
                Err(error) => worst = Some(more_telling(worst, error)),
            }
        }
        Err(worst.unwrap_or(Error::NoLeader))
    }

    /// Sends a request to a node, which forwards it to the leader.
    async fn once(&self, node: &Node, request: &Request) -> Result<Answer, Error> {
        let none = HeaderMap::new;
        let Some(index) = &self.0.leader_index else {
            return node.served(self.respond(node, request, none()).await?, request);
        };
        let mut answer = self.respond(node, request, index.headers(&request.path)).await?;
        if index.refused(answer.status, &answer.text) {
            answer = self.respond(node, request, none()).await?;
        }
        index.learn(&answer.headers);
        node.served(answer, request)
    }

    async fn respond(&self, node: &Node, request: &Request, leader: HeaderMap) -> Result<Answer, Error> {
        (self.0.asked)();
        let fault = |fault| node.error(request, fault);
        let prepared = answer::prepared(&self.0.transport, &node.url, request).headers(leader);
        let response = self.0.transport.send(prepared).await.map_err(fault)?;
        let (status, headers) = (response.status(), response.headers().clone());
        let text = body::read(response, request.limit(status)).await.map_err(fault)?;
        Ok(Answer { status, headers, text })
    }
}

impl Node {
    fn new(address: &str, settings: &Settings) -> Result<Self, InvalidSetting> {
        let mut url = parsed(address)?;
        if let Some(name) = &settings.server_name {
            url.set_host(Some(name)).map_err(|_| InvalidSetting::Address)?;
        }
        Ok(Self { address: address.trim_end_matches('/').to_owned(), url })
    }

    fn served(&self, answer: Answer, request: &Request) -> Result<Answer, Error> {
        answer::served(answer, request, &self.url).map_err(|problem| match problem {
            Ok(error) => error,
            Err(fault) => self.error(request, fault),
        })
    }

    fn error(&self, request: &Request, fault: Fault) -> Error {
        let address = self.address.clone();
        match fault {
            Fault::TooLarge(limit) => {
                Error::Answer { path: request.full_path(), source: Malformed::TooLarge(limit) }
            }
            fault @ Fault::Redirect(_) => Error::Redirect { address, source: fault },
            source => Error::Unreachable { address, source },
        }
    }
}

/// Returns whether a retry within seconds is pointless.
fn hopeless(error: &Error) -> bool {
    matches!(
        error,
        Error::Sealed
            | Error::Uninitialized
            | Error::Throttled { .. }
            | Error::Redirect { .. }
            | Error::Answer { .. }
            | Error::Unreachable { source: Fault::Forbidden(_), .. }
    )
}

fn more_telling(known: Option<Error>, new: Error) -> Error {
    let rank = |error: &Error| match error {
        Error::Throttled { .. } => 5,
        Error::NoLeader => 4,
        Error::Sealed => 3,
        Error::Redirect { .. } | Error::Answer { .. } => 2,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_leader_has_priority_over_a_sealed_node() {
        let settings = Settings { addresses: vec!["http://a".into()], ..Settings::default() };
        assert!(!format!("{:?}", Client::new(&settings).unwrap()).contains("token"));
        assert!(matches!(more_telling(Some(Error::Sealed), Error::NoLeader), Error::NoLeader));
        assert!(matches!(more_telling(Some(Error::NoLeader), Error::Sealed), Error::NoLeader));
    }

    #[test]
    fn a_forbidden_address_is_not_tried_again() {
        let unreachable = |source| Error::Unreachable { address: "http://a".to_owned(), source };
        assert!(hopeless(&unreachable(Fault::Forbidden([169, 254, 169, 254].into()))));
        assert!(!hopeless(&unreachable(Fault::Refused)));
    }
}
