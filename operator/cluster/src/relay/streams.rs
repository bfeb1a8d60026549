//! What the relays of a cluster answer, and whether they report every write. Pure.

use std::time::Duration;

use steamer_core::writes::RelayState;

/// How long the nodes may send no audit entry. The operator sends requests that are logged every 10 s: without an entry, the
/// nodes do not send them to these relays.
const QUIET: Duration = Duration::from_secs(60);

/// State of a relay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stream {
    /// It has not answered yet.
    Connecting,
    /// It answers. The last audit entry came so long ago.
    Answers(Option<Duration>),
    /// It does not answer.
    Fails(String),
}

/// States of the relays of a cluster, by their names.
pub(super) struct Streams(Vec<(String, Stream)>);

impl Streams {
    pub(super) fn new<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        Self(names.map(|name| (name.to_owned(), Stream::Connecting)).collect())
    }

    /// Sets the state of the relay at a position.
    pub(super) fn set(&mut self, position: usize, stream: Stream) {
        if let Some((_, held)) = self.0.get_mut(position) {
            *held = stream;
        }
    }

    /// Number of relays that answer.
    pub(super) fn answering(&self) -> usize {
        self.0.iter().filter(|(_, stream)| matches!(stream, Stream::Answers(_))).count()
    }

    /// Every write is reported if all relays answer: any node can become the leader.
    pub(super) fn state(&self) -> RelayState {
        let silent = self.0.iter().filter_map(|(name, stream)| match stream {
            Stream::Connecting => Some(format!("{name}: connecting")),
            Stream::Fails(why) => Some(format!("{name}: {why}")),
            Stream::Answers(_) => None,
        });
        let silent: Vec<String> = silent.collect();
        if !silent.is_empty() {
            return RelayState::Incomplete(format!("not all relays answer: {}", silent.join("; ")));
        }
        let is_fed = |stream: &Stream| matches!(stream, Stream::Answers(Some(quiet)) if *quiet < QUIET);
        if self.0.iter().any(|(_, stream)| is_fed(stream)) {
            return RelayState::Complete;
        }
        RelayState::Incomplete(
            "no relay receives audit entries: add an audit device of type http for each relay".to_owned(),
        )
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn answers(seconds: u64) -> Stream {
        Stream::Answers(Some(Duration::from_secs(seconds)))
    }

    #[rstest]
    #[case::leader_and_standby(vec![answers(3), Stream::Answers(None)], "")]
    #[case::former_leader(vec![answers(3), answers(600)], "")]
    #[case::connecting(vec![answers(3), Stream::Connecting], "not all relays answer: main-1: connecting")]
    #[case::failing(
        vec![Stream::Fails("refused".to_owned()), answers(3)],
        "not all relays answer: main-0: refused"
    )]
    #[case::no_device(vec![Stream::Answers(None), Stream::Answers(None)], "no relay receives audit entries")]
    #[case::quiet(vec![answers(61), Stream::Answers(None)], "no relay receives audit entries")]
    fn every_write_is_reported_if_all_relays_answer_and_one_receives_entries(
        #[case] states: Vec<Stream>,
        #[case] expected: &str,
    ) {
        let mut streams = Streams::new(["main-0", "main-1"].into_iter());
        for (position, stream) in states.into_iter().enumerate() {
            streams.set(position, stream);
        }
        match streams.state() {
            RelayState::Complete => assert_eq!(expected, ""),
            RelayState::Incomplete(why) => {
                assert!(!expected.is_empty() && why.starts_with(expected), "{why}")
            }
        }
    }
}
