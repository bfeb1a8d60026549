//! Client of a server: nodes, retries during a failover, one connection pool.

mod gate;
mod leader_index;
mod limits;
mod node;
#[cfg(test)]
mod outages;
mod retries;

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use reqwest::header::HeaderMap;

use crate::answer::{Answer, Request, WRITE};
use crate::fault::Fault;
use crate::transport::Transport;
use crate::{Error, Identity, NamespacePath, Session, Settings, answer, body};

use gate::{Entry, Gate, Outage, Refusal};
use leader_index::LeaderIndex;
use limits::Limits;
use node::Node;
use retries::{hopeless, is_down, is_unsent, more_telling, pause, unrepeated};

/// Longest time for one request with its retries at all nodes, unless its own timeout is longer. A reconcile makes several
/// requests.
const LONGEST: Duration = Duration::from_secs(45);
/// Longest pause between two probes of a server that is down.
const PROBE: Duration = Duration::from_secs(10);
/// Longest pause between two probes of pods, which restart within seconds.
const PROBE_OF_PODS: Duration = Duration::from_secs(2);

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
    /// Longest time for one request with its retries.
    longest: Duration,
    /// None: the node that is addressed answers itself.
    leader_index: Option<LeaderIndex>,
    /// None: the state of the one node is the subject of the requests.
    gate: Option<Gate>,
    /// A probe is scheduled or being sent.
    probing: AtomicBool,
    observer: Box<dyn Observer>,
}

/// Observer of the requests of a client.
pub trait Observer: Send + Sync {
    /// Called for each HTTP request that is sent.
    fn asked(&self) {}

    /// Called before each HTTP request that can change something in OpenBao. Logins are no such requests. `path` is relative to
    /// the namespace.
    fn before_write(&self, _namespace: &NamespacePath, _path: &str) {}

    /// Called when a request has ended, with or without a response. `class`: `health`, `login`, `read` or `write`.
    fn ended(&self, _class: &'static str, _took: Duration) {}

    /// Called when a server answers that was known to be down.
    fn recovered(&self) {}
}

impl Observer for () {}

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
        Self::observed(settings, ())
    }

    /// Same as [`Client::new`], with an observer.
    ///
    /// # Errors
    /// Same as [`Client::new`].
    pub fn observed(settings: &Settings, observer: impl Observer + 'static) -> Result<Self, Error> {
        Self::bounded(settings, observer, settings.timeout.map_or(LONGEST, |timeout| timeout.max(LONGEST)))
    }

    fn bounded(
        settings: &Settings,
        observer: impl Observer + 'static,
        longest: Duration,
    ) -> Result<Self, Error> {
        let nodes = settings.addresses.iter().map(|address| Node::new(address, settings));
        let nodes = nodes.collect::<Result<_, _>>().map_err(Error::Settings)?;
        let probe = if settings.resolver.is_some() { PROBE_OF_PODS } else { PROBE };
        Ok(Self(Arc::new(Inner {
            transport: Transport::new(settings).map_err(Error::Settings)?,
            nodes,
            preferred: AtomicUsize::new(0),
            down: AtomicBool::new(false),
            patience: settings.patience.unwrap_or(Duration::from_secs(20)),
            longest,
            leader_index: (!settings.node).then(LeaderIndex::default),
            gate: (!settings.node).then(|| Gate::new(probe)),
            probing: AtomicBool::new(false),
            observer: Box::new(observer),
        })))
    }

    /// Returns the first address of the server.
    #[must_use]
    pub fn address(&self) -> &str {
        self.0.nodes.first().map_or("", |node| &node.address)
    }

    /// Returns a session in the root namespace.
    #[must_use]
    pub fn session(&self, identity: Identity) -> Session {
        Session::new(self.clone(), identity, NamespacePath::root())
    }

    /// Sends a request to a node that serves it, and retries during a failover. While the server is known to be down, returns
    /// the last fault at once.
    pub(crate) async fn send(&self, request: &Request) -> Result<Answer, Error> {
        match self.attempt(request).await {
            Ok(result) => result,
            Err(Refusal { outage, left }) => {
                // A server with too many requests is not down.
                if outage.fault != Fault::Busy {
                    self.probe_after(left);
                }
                Err(Error::Unreachable { address: outage.address, source: outage.fault })
            }
        }
    }

    /// Sends a request once, without a turn and even while the server is known to be down.
    pub(crate) async fn send_at_once(&self, request: &Request) -> Result<Answer, Error> {
        self.round(request, Limits::within(self.0.longest)).await
    }

    async fn attempt(&self, request: &Request) -> Result<Result<Answer, Error>, Refusal> {
        let limits = Limits::within(self.0.longest);
        let mut entry = self.entry(limits).await?;
        let started = Instant::now();
        for round in 0.. {
            let result = self.round(request, limits).await;
            self.heard(&result);
            let error = match result {
                Ok(answer) => return Ok(Ok(answer)),
                Err(error) => error,
            };
            let pause = pause(round);
            let final_ = hopeless(&error) || !(request.repeatable || is_unsent(&error));
            if final_ || started.elapsed() + pause > self.patience() || limits.left() < pause {
                self.0.down.store(is_down(&error), Ordering::Relaxed);
                if let Some(entry) = &entry {
                    entry.failed(started, &error);
                }
                return Ok(Err(error));
            }
            drop(entry);
            tokio::time::sleep(pause).await;
            entry = self.entry(limits).await?;
        }
        unreachable!("the loop ends by returning")
    }

    /// Returns how long a request is retried.
    fn patience(&self) -> Duration {
        if self.0.down.load(Ordering::Relaxed) { Duration::ZERO } else { self.0.patience }
    }

    /// Waits for the turn of a request.
    async fn entry(&self, limits: Limits) -> Result<Option<Entry<'_>>, Refusal> {
        let Some(gate) = &self.0.gate else {
            return Ok(None);
        };
        match tokio::time::timeout(limits.left(), gate.enter()).await {
            Ok(entered) => entered.map(Some),
            Err(_) => {
                let address = self.0.nodes.first().map(|node| node.address.clone()).unwrap_or_default();
                Err(Refusal { outage: Outage { address, fault: Fault::Busy }, left: Duration::ZERO })
            }
        }
    }

    /// Records a response, which may be an error. It closes the circuit.
    fn heard(&self, result: &Result<Answer, Error>) {
        if matches!(result, Err(Error::Unreachable { .. } | Error::Unanswered { .. })) {
            return;
        }
        if result.is_ok() {
            self.0.down.store(false, Ordering::Relaxed);
        }
        if self.0.gate.as_ref().is_some_and(Gate::answered) {
            self.0.observer.recovered();
        }
    }

    /// Schedules a probe for requests that were refused, and repeats it until the server answers. The callers of the
    /// requests learn from the observer that the server is back. An evicted client ends the probes.
    fn probe_after(&self, pause: Duration) {
        if self.0.probing.swap(true, Ordering::Relaxed) {
            return;
        }
        let client = Arc::downgrade(&self.0);
        let probes: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(async move {
            let mut next = Some(pause);
            while let Some(pause) = next {
                tokio::time::sleep(pause).await;
                let Some(inner) = client.upgrade() else { return };
                next = Self(inner).probe().await;
            }
        });
        tokio::spawn(probes);
    }

    /// Probes a server that is known to be down. Returns the time until the next probe, if it is still down. The probe
    /// needs no turn: silent requests can hold all of them.
    async fn probe(&self) -> Option<Duration> {
        let gate = self.0.gate.as_ref()?;
        let started = Instant::now();
        if gate.pause().is_some() {
            let limits = Limits::of_probe(self.0.longest);
            let result = self.round(&Request::get("sys/health"), limits).await;
            self.heard(&result);
            if let Err(error) = &result {
                gate.probe_failed(started, error);
            }
        }
        self.0.probing.store(false, Ordering::Relaxed);
        let pause = gate.pause()?;
        // A request that was refused meanwhile may have scheduled the next probe.
        (!self.0.probing.swap(true, Ordering::Relaxed)).then_some(pause)
    }

    /// Tries each node once until one serves the request. Returns the most specific of all errors.
    async fn round(&self, request: &Request, limits: Limits) -> Result<Answer, Error> {
        let count = self.0.nodes.len();
        let first = self.0.preferred.load(Ordering::Relaxed);
        let mut worst = None;
        for offset in 0..count {
            let index = (first + offset) % count;
            if limits.left().is_zero() && worst.is_some() {
                // The next request starts with the node that this one did not reach.
                self.0.preferred.store(index, Ordering::Relaxed);
                break;
            }
            match self.within(limits, &self.0.nodes[index], request).await {
                Ok(answer) => {
                    // A standby fails if it has to write first, such as the salt of a new audit device: the next
                    // request goes to another node.
                    let failed = usize::from(answer.status == reqwest::StatusCode::INTERNAL_SERVER_ERROR);
                    self.0.preferred.store((index + failed) % count, Ordering::Relaxed);
                    return Ok(answer);
                }
                Err(error) if !request.repeatable && !is_unsent(&error) => return Err(unrepeated(error)),
                Err(error) => worst = Some(more_telling(worst, error)),
            }
        }
        Err(worst.unwrap_or(Error::NoLeader))
    }

    /// Sends a request to a node, which must answer within the limits.
    async fn within(&self, limits: Limits, node: &Node, request: &Request) -> Result<Answer, Error> {
        let left = limits.left().min(limits.node);
        let answer = tokio::time::timeout(left, self.once(node, request)).await;
        answer.unwrap_or_else(|_| Err(node.error(request, Fault::Silent)))
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
        let class = request.class();
        self.0.observer.asked();
        if class == WRITE {
            self.0.observer.before_write(&request.namespace, &request.path);
        }
        let started = Instant::now();
        let answer = self.answer(node, request, leader).await;
        self.0.observer.ended(class, started.elapsed());
        answer
    }

    async fn answer(&self, node: &Node, request: &Request, leader: HeaderMap) -> Result<Answer, Error> {
        let fault = |fault| node.error(request, fault);
        let prepared = answer::prepared(&self.0.transport, &node.url, request).headers(leader);
        let mut response = self.0.transport.send(prepared).await.map_err(fault)?;
        let (status, headers) = (response.status(), std::mem::take(response.headers_mut()));
        let text = body::read(response, request.limit(status)).await.map_err(fault)?;
        Ok(Answer { status, headers, text })
    }
}
