//! Requests to the relays of one cluster: each one waits for the next writes.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use steamer_core::context::Context;
use steamer_core::error::Error;
use steamer_openbao::{Fault, KvWrites, Settings, Transport};
use steamer_runtime::{Locked, ObjectName, doubled};

use super::streams::{Stream, Streams};
use super::target::RelayTarget;

/// Timeout of a request. A relay answers within 5 s.
const TIMEOUT: Duration = Duration::from_secs(8);
/// Largest answer, in bytes.
const LARGEST: usize = 2 << 20;
/// Shortest and longest pause after a failure.
const PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// The relays of one cluster.
pub(super) struct Follower {
    context: Arc<Context>,
    cluster: ObjectName,
    transport: Transport,
    relays: Vec<(String, String)>,
    streams: Locked<Streams>,
}

/// Position after the last known write of a relay.
struct Position {
    epoch: String,
    next: u64,
}

impl Follower {
    /// Returns a follower. Does not connect yet.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the CA or the token cannot be used.
    pub(super) fn new(context: Arc<Context>, target: RelayTarget) -> Result<Self, Error> {
        let RelayTarget { cluster, relays, settings } = target;
        let addresses = relays.iter().map(|(_, url)| url.clone()).collect();
        let outgoing = context.sessions.outgoing;
        let settings = Settings { addresses, timeout: Some(TIMEOUT), outgoing, ..settings };
        let transport = Transport::new(&settings).map_err(|error| Error::Invalid(error.to_string()))?;
        let streams = Locked::new(Streams::new(relays.iter().map(|(name, _)| name.as_str())));
        Ok(Self { context, cluster, transport, relays, streams })
    }

    /// Follows all relays without end.
    pub(super) async fn run(self) {
        self.publish();
        let relays = (0..self.relays.len()).map(|position| self.follow(position));
        tokio::join!(futures::future::join_all(relays), self.tick());
    }

    /// Wakes objects of which a value was written again, once a second.
    async fn tick(&self) {
        let mut interval = tokio::time::interval(Duration::from_secs(1));
        loop {
            interval.tick().await;
            self.context.writes.tick(&self.cluster, Timestamp::now());
        }
    }

    async fn follow(&self, relay: usize) {
        let mut position = Position { epoch: "none".to_owned(), next: 0 };
        let mut failures = 0_u32;
        loop {
            match self.ask(relay, &position).await {
                Ok(answer) => {
                    failures = 0;
                    self.answered(relay, &mut position, answer);
                }
                Err(fault) => {
                    failures = failures.saturating_add(1);
                    if is_broken(&fault, failures) {
                        self.set(relay, Stream::Fails(fault.to_string()));
                    }
                    tokio::time::sleep(pause(failures)).await;
                }
            }
        }
    }

    async fn ask(&self, relay: usize, position: &Position) -> Result<KvWrites, Fault> {
        let url = &self.relays[relay].1;
        let url = format!("{url}/v1/writes/{}/{}", position.epoch, position.next);
        let answer = self.transport.get(&url, LARGEST).await?;
        serde_json::from_slice(&answer).map_err(|_| Fault::Protocol)
    }

    fn answered(&self, relay: usize, position: &mut Position, answer: KvWrites) {
        let KvWrites { epoch, next, lost, idle_milliseconds, writes } = answer;
        if lost {
            // Values that were read before this answer can be outdated.
            self.set(relay, Stream::Connecting);
            if position.epoch != "none" {
                self.context.runtime.metrics.writes_lost();
            }
        }
        if !writes.is_empty() {
            self.context.writes.add(&self.cluster, &writes, Timestamp::now());
        }
        *position = Position { epoch, next };
        self.set(relay, Stream::Answers(idle_milliseconds.map(Duration::from_millis)));
    }

    fn set(&self, relay: usize, stream: Stream) {
        self.streams.lock().set(relay, stream);
        self.publish();
    }

    fn publish(&self) {
        let (state, answering) = {
            let streams = self.streams.lock();
            (streams.state(), streams.answering())
        };
        self.context.runtime.metrics.relays(&self.cluster, i64::try_from(answering).unwrap_or_default());
        self.context.writes.observe(&self.cluster, state, Timestamp::now());
    }
}

/// A connection that ends once is replaced: a relay closes each one after some minutes.
fn is_broken(fault: &Fault, failures: u32) -> bool {
    failures > 1 || !matches!(fault, Fault::Closed)
}

fn pause(failures: u32) -> Duration {
    match failures.saturating_sub(2) {
        _ if failures < 2 => Duration::ZERO,
        doublings => doubled(PAUSE, doublings, LONGEST_PAUSE),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::closed_once(Fault::Closed, 1, false)]
    #[case::closed_again(Fault::Closed, 2, true)]
    #[case::refused(Fault::Refused, 1, true)]
    #[case::silent(Fault::Silent, 1, true)]
    fn a_connection_that_ends_once_is_not_broken(
        #[case] fault: Fault,
        #[case] failures: u32,
        #[case] broken: bool,
    ) {
        assert_eq!(is_broken(&fault, failures), broken);
    }

    #[rstest]
    #[case(1, 0)]
    #[case(2, 250)]
    #[case(3, 500)]
    #[case(7, 8000)]
    #[case(8, 10_000)]
    #[case(u32::MAX, 10_000)]
    fn a_relay_that_does_not_answer_is_asked_less_often(#[case] failures: u32, #[case] expected: u64) {
        assert_eq!(pause(failures), Duration::from_millis(expected));
    }
}
