//! Control of proxies: what they do with requests, and what they have seen.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Bytes;
use axum::http::Method;
use tokio::sync::watch;

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
    cuts: watch::Sender<Cuts>,
    seen: Mutex<Vec<Asked>>,
    /// End of the path of the request whose response is lost.
    lost: Mutex<Option<String>>,
    /// Same, for requests that are no GET.
    lost_write: Mutex<Option<String>>,
}

#[derive(Clone, Copy, Default)]
struct Cut {
    /// Number of writes that are still forwarded.
    left: Option<usize>,
    /// Whether the next write has arrived.
    reached: bool,
}

/// Sorts requests into classes. Requests without a class are always forwarded.
type Class = fn(&Asked) -> Option<&'static str>;

/// A cut of each class of requests.
#[derive(Default)]
struct Cuts {
    /// Number of requests of each class that are forwarded and answered.
    each: Option<(usize, Class)>,
    /// Whether one more request is forwarded and not answered.
    executes: bool,
    passed: BTreeMap<&'static str, usize>,
    held: BTreeSet<&'static str>,
}

/// What a proxy does with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Passage {
    /// It is forwarded.
    Forwarded,
    /// It is forwarded, and its answer is held.
    Executed,
    /// It is not forwarded.
    Refused,
}

impl Cuts {
    /// Counts a request.
    fn take(&mut self, asked: &Asked) -> Passage {
        let Some((each, class)) = self.each else { return Passage::Forwarded };
        let Some(class) = class(asked) else { return Passage::Forwarded };
        let passed = self.passed.entry(class).or_default();
        if *passed < each {
            *passed += 1;
            return Passage::Forwarded;
        }
        if self.executes && *passed == each {
            *passed += 1;
            return Passage::Executed;
        }
        self.held.insert(class);
        Passage::Refused
    }
}

impl Default for Gate {
    fn default() -> Self {
        let (traffic, cut) = (watch::channel(Traffic::default()).0, watch::channel(Cut::default()).0);
        let cuts = watch::channel(Cuts::default()).0;
        let (peers, hung, seen) = (Mutex::default(), Mutex::default(), Mutex::default());
        let (lost, lost_write) = Default::default();
        Self(Arc::new(Inner { traffic, peers, hung, cut, cuts, seen, lost, lost_write }))
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

    /// Forwards a number of requests of each class, and holds the following ones of that class.
    pub fn cut_each_after(&self, requests: usize, class: Class) {
        self.0.cuts.send_replace(Cuts { each: Some((requests, class)), ..Cuts::default() });
    }

    /// Same as [`Self::cut_each_after`], and forwards one more request of each class, whose answer is held.
    pub fn lose_each_after(&self, requests: usize, class: Class) {
        self.0.cuts.send_replace(Cuts { each: Some((requests, class)), executes: true, ..Cuts::default() });
    }

    /// Waits until a request of the class, or its answer, is held.
    pub async fn holds(&self, class: &'static str) {
        let _ = self.0.cuts.subscribe().wait_for(|cuts| cuts.held.contains(class)).await;
    }

    /// Forwards all requests again.
    pub fn open(&self) {
        self.0.cut.send_replace(Cut::default());
        self.0.cuts.send_replace(Cuts::default());
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

    /// Same as [`Self::lose`], for the next request that is no GET.
    pub fn lose_write(&self, end: &str) {
        *locked(&self.0.lost_write) = Some(end.to_owned());
    }

    pub(super) fn loses(&self, method: &Method, path: &str) -> bool {
        let ends = |end: &mut String| path.ends_with(end.as_str());
        let is_lost_write = method != Method::GET && locked(&self.0.lost_write).take_if(ends).is_some();
        is_lost_write || locked(&self.0.lost).take_if(ends).is_some()
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
        // Without a copy of the list: tests count again and again while they wait.
        for kind in locked(&self.0.seen).iter().filter_map(kind) {
            *counts.entry(kind).or_default() += 1;
        }
        counts
    }

    /// Number of forwarded requests that meet a condition.
    #[must_use]
    pub fn number(&self, is_counted: impl Fn(&Asked) -> bool) -> usize {
        locked(&self.0.seen).iter().filter(|asked| is_counted(asked)).count()
    }

    /// Decides about a request. A held request is never forwarded, because its client was killed meanwhile.
    pub(super) async fn pass(&self, asked: Asked, peer: SocketAddr) -> Passage {
        locked(&self.0.peers).insert(peer);
        if asked.writes() {
            self.0.cut.send_modify(Cut::take);
        }
        if self.0.cut.borrow().reached {
            let _ = self.0.cut.subscribe().wait_for(|cut| !cut.reached).await;
            return Passage::Refused;
        }
        let mut passage = Passage::Forwarded;
        self.0.cuts.send_modify(|cuts| passage = cuts.take(&asked));
        if passage == Passage::Refused {
            self.opened().await;
            return passage;
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
        passage
    }

    /// Holds the answer to a request that was executed.
    pub(super) async fn executed(&self, asked: &Asked) {
        self.0.cuts.send_modify(|cuts| {
            let class = cuts.each.and_then(|(_, class)| class(asked));
            cuts.held.extend(class);
        });
        self.opened().await;
    }

    async fn opened(&self) {
        let _ = self.0.cuts.subscribe().wait_for(|cuts| cuts.each.is_none()).await;
    }

    pub(super) async fn flows(&self, peer: SocketAddr) {
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
