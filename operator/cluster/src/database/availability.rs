//! What is known about the PostgreSQL servers. All clusters at one server share it: while it does not answer, their reconciles
//! get the last error at once, and one of them tests the server after each of the growing pauses. The connections of guards,
//! fences, restores and deletions are never refused, and an answer to one of them ends the outage for all clusters.
//!
//! Limit: while open sessions still get answers and new connections time out, each answer closes the circuit, and each
//! cluster without a session waits for its own timeout.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use steamer_openbao::circuit::{Circuit, Failure, Purpose, jitter};
use steamer_runtime::Locked;

/// Longest pause between two tests of a server.
const LONGEST: Duration = Duration::from_secs(5);

/// The servers that are in use, by address.
#[derive(Default)]
pub(crate) struct Servers(Locked<HashMap<String, Weak<Server>>>);

impl Servers {
    /// The server at an address.
    pub(crate) fn at(&self, address: &str) -> Arc<Server> {
        let mut servers = self.0.lock();
        servers.retain(|_, server| server.strong_count() > 0);
        if let Some(known) = servers.get(address).and_then(Weak::upgrade) {
            return known;
        }
        let server = Arc::<Server>::default();
        servers.insert(address.to_owned(), Arc::downgrade(&server));
        server
    }
}

/// A server.
pub(crate) struct Server(Locked<State>);

struct State {
    circuit: Circuit<String>,
    /// A request that tests the server is under way.
    is_tested: bool,
}

impl Default for Server {
    fn default() -> Self {
        Self(Locked::new(State { circuit: Circuit::new(LONGEST), is_tested: false }))
    }
}

/// One use of a server.
pub(crate) struct Entry<'a> {
    server: &'a Server,
    purpose: Purpose,
    started: Instant,
}

impl Server {
    /// Permits the use of the server.
    ///
    /// # Errors
    /// The text of the last error, while the server is known not to answer.
    pub(crate) fn enter(&self, now: Instant) -> Result<Entry<'_>, String> {
        let mut state = self.0.lock();
        let purpose = match state.circuit.refusal(now) {
            None => Purpose::Regular,
            Some(refusal) if state.is_tested || !refusal.left.is_zero() => return Err(refusal.outage),
            Some(_) => {
                state.is_tested = true;
                Purpose::Probe
            }
        };
        Ok(Entry { server: self, purpose, started: now })
    }

    /// Records an answer.
    pub(crate) fn answered(&self, now: Instant) {
        self.0.lock().circuit.answered(now);
    }
}

impl Entry<'_> {
    /// Records that the server did not answer, unless it has answered another request in the meantime.
    pub(crate) fn failed(&self, outage: String, now: Instant) {
        let failure = Failure { purpose: self.purpose, outage, started: self.started, jitter: jitter() };
        self.server.0.lock().circuit.failed(failure, now);
    }
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        if self.purpose == Purpose::Probe {
            self.server.0.lock().is_tested = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use rstest::rstest;
    use steamer_api::DatabaseTlsMode;
    use steamer_runtime::{Metrics, describe};
    use tokio::net::TcpListener;

    use super::*;
    use crate::database::login::Login;
    use crate::database::{Database, DatabaseError};
    use crate::tests::owner_login;

    fn refused(server: &Server, now: Instant) -> bool {
        server.enter(now).is_err()
    }

    #[test]
    fn fifty_clusters_share_one_timeout_and_one_test_at_a_time() {
        let (servers, start) = (Servers::default(), Instant::now());
        let clusters: Vec<_> = (0..50).map(|_| servers.at("pg:5432")).collect();
        let at = |millis| start + Duration::from_millis(millis);
        clusters[0].enter(start).ok().unwrap().failed("no answer".to_owned(), at(100));
        for cluster in &clusters {
            assert_eq!(cluster.enter(at(200)).err().as_deref(), Some("no answer"));
        }
        // The pause is over.
        let test = clusters[7].enter(at(1200)).ok().unwrap();
        assert!(clusters.iter().all(|cluster| refused(cluster, at(1200))), "a second test beside the first");
        test.failed("no route".to_owned(), at(1300));
        drop(test);
        assert_eq!(clusters[0].enter(at(2500)).err().as_deref(), Some("no route"), "the pause has doubled");
        let test = clusters[0].enter(at(3400)).ok().unwrap();
        clusters[0].answered(at(3500));
        drop(test);
        assert!(clusters.iter().all(|cluster| !refused(cluster, at(3500))), "all clusters go on");
    }

    #[test]
    fn a_test_that_is_given_up_permits_another_one() {
        let (server, start) = (Server::default(), Instant::now());
        server.enter(start).ok().unwrap().failed("no answer".to_owned(), start);
        let later = start + Duration::from_secs(2);
        drop(server.enter(later));
        assert!(!refused(&server, later));
    }

    #[test]
    fn no_pause_is_longer_than_the_longest() {
        let (server, mut now) = (Server::default(), Instant::now());
        for _ in 0..20 {
            server.enter(now).ok().unwrap().failed("no answer".to_owned(), now);
            now += LONGEST;
        }
        assert!(!refused(&server, now));
    }

    #[test]
    fn servers_at_other_addresses_are_independent() {
        let (servers, now) = (Servers::default(), Instant::now());
        let (one, other) = (servers.at("a:5432"), servers.at("b:5432"));
        one.enter(now).ok().unwrap().failed("no answer".to_owned(), now);
        assert!(refused(&servers.at("a:5432"), now) && !refused(&other, now));
        drop(one);
        assert!(!refused(&servers.at("a:5432"), now), "no cluster uses it anymore");
    }

    /// A server that accepts connections and never answers, and the number of its connections.
    async fn silent() -> (Login, Arc<AtomicUsize>) {
        answering(&[]).await
    }

    /// A server that gives every connection one answer, and the number of its connections.
    async fn answering(reply: &'static [u8]) -> (Login, Arc<AtomicUsize>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (port, count) = (listener.local_addr().unwrap().port(), Arc::<AtomicUsize>::default());
        let counted = count.clone();
        tokio::spawn(async move {
            let mut held = Vec::new();
            while let Ok((stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                // At once: the buffer of a new connection is empty.
                stream.writable().await.unwrap();
                stream.try_write(reply).unwrap();
                held.push(stream);
            }
        });
        let (host, tls) = ("127.0.0.1".to_owned(), DatabaseTlsMode::Disable);
        (Login { host, port, tls, ..owner_login() }, count)
    }

    async fn error(database: &Database) -> DatabaseError {
        database.client().await.err().unwrap()
    }

    #[rstest]
    #[case::without_tls(DatabaseTlsMode::Require, b"N")]
    #[case::unknown_authentication(DatabaseTlsMode::Disable, &[b'R', 0, 0, 0, 8, 0, 0, 0, 7])]
    #[tokio::test]
    async fn an_answer_that_one_cluster_cannot_use_is_no_outage(
        #[case] tls: DatabaseTlsMode,
        #[case] reply: &'static [u8],
    ) {
        let (login, count) = answering(reply).await;
        let (server, login) = (Arc::<Server>::default(), Login { tls, ..login });
        for number in 1..3 {
            error(&Database::new(login.clone(), server.clone(), Arc::new(Metrics::default()))).await;
            assert_eq!(count.load(Ordering::SeqCst), number);
        }
    }

    #[tokio::test]
    async fn an_error_of_the_settings_says_nothing_about_the_server() {
        let (login, count) = silent().await;
        let (server, now) = (Arc::<Server>::default(), Instant::now());
        server.enter(now).ok().unwrap().failed("no answer".to_owned(), now);
        let (tls, ca) = (DatabaseTlsMode::VerifyFull, "no certificate".to_owned());
        let login = Login { tls, ca, ..login };
        let guard = Database::new(login, server.clone(), Arc::new(Metrics::default())).urgent();
        assert!(matches!(error(&guard).await, DatabaseError::Certificate { .. }));
        assert!(refused(&server, now) && count.load(Ordering::SeqCst) == 0);
    }

    #[tokio::test]
    async fn a_server_that_never_answers_delays_one_of_fifty_clusters_and_no_guard() {
        let ((login, count), servers) = (silent().await, Servers::default());
        let patience = Duration::from_millis(100);
        let database = || {
            let server = servers.at(&login.address());
            Database { patience, ..Database::new(login.clone(), server, Arc::new(Metrics::default())) }
        };
        let clusters: Vec<Database> = (0..50).map(|_| database()).collect();
        let first = describe(&error(&clusters[0]).await);
        let started = Instant::now();
        for cluster in &clusters {
            let next = error(cluster).await;
            assert!(matches!(next, DatabaseError::Unreachable { .. }));
            assert_eq!(describe(&next), first, "a condition must not change");
        }
        assert!(started.elapsed() < 10 * patience, "the clusters wait for each other");
        assert_eq!(count.load(Ordering::SeqCst), 1);
        let guard = database().urgent();
        error(&guard).await;
        error(&guard).await;
        assert_eq!(count.load(Ordering::SeqCst), 3, "a guard was refused");
        guard.heard();
        error(&clusters[1]).await;
        assert_eq!(count.load(Ordering::SeqCst), 4, "the answer to a guard ends the outage");
    }
}
