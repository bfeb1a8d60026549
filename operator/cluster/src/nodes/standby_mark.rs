//! Mark that shows whether standbys follow the leader: written at the leader in one reconcile, read at the standbys in
//! the next. Standbys answer with the policy in their cache, so a standby that misses changes answers with an old mark.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use reqwest::Method;
use serde_json::{Value, json};
use steamer_openbao::{Client, Identity, Session};
use steamer_runtime::Locked;

use crate::nodes::members::Member;
use crate::paths::STANDBY_MARK;

/// Time within which a standby must have received a mark, and interval between two marks.
pub(crate) const DELAY: Duration = Duration::from_secs(4);

/// A mark that was written at the leader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StandbyMark {
    text: String,
    written: Instant,
}

impl StandbyMark {
    fn is_due(&self, now: Instant) -> bool {
        now.duration_since(self.written) >= DELAY
    }
}

/// Returns true if it is time for another mark.
pub(crate) fn is_due(mark: &Locked<Option<StandbyMark>>, now: Instant) -> bool {
    mark.lock().as_ref().is_none_or(|mark| mark.is_due(now))
}

/// Writes another mark. A failure leaves the last one in force.
pub(crate) async fn write(session: &Session, mark: &Locked<Option<StandbyMark>>) {
    let text = text(Timestamp::now());
    let body = json!({"policy": text});
    match session.request_any(Method::POST, STANDBY_MARK, Some(body)).await {
        Ok(_) => *mark.lock() = Some(StandbyMark { text, written: Instant::now() }),
        Err(error) => tracing::debug!(%error, "the mark for the standbys is not written"),
    }
}

fn text(now: Timestamp) -> String {
    format!("# {}\npath \"steamer-mark\" {{ capabilities = [\"deny\"] }}\n", now.as_microsecond())
}

/// Reads the last mark at each standby, once it must have arrived.
pub(crate) async fn observe(
    members: &mut [Member],
    mark: &Locked<Option<StandbyMark>>,
    identity: &Identity,
    client: impl Fn(&str) -> Option<Client>,
) {
    let Some(mark) = mark.lock().clone().filter(|mark| mark.is_due(Instant::now())) else { return };
    let standbys = members.iter_mut().filter(|member| member.answer.is_standby() && !member.is_ending());
    let asked = standbys.map(|member| {
        let session = client(&member.name()).map(|client| client.session(identity.clone()));
        async {
            let Some(session) = session else { return };
            // An error says nothing about the age of the node's data.
            let Ok(answer) = session.request_any(Method::GET, STANDBY_MARK, None).await else { return };
            member.is_stale = is_older(&answer, &mark.text);
            member.is_current = !member.is_stale && is_mark(&answer);
        }
    });
    futures::future::join_all(asked).await;
}

/// Returns true if an answer contains an earlier mark. A later one was written although its response was lost.
fn is_older(answer: &Value, expected: &str) -> bool {
    policy(answer).is_some_and(|policy| time(policy) < time(expected))
}

/// Returns true if an answer contains a mark.
fn is_mark(answer: &Value) -> bool {
    policy(answer).and_then(time).is_some()
}

fn policy(answer: &Value) -> Option<&str> {
    answer.pointer("/data/policy").and_then(Value::as_str)
}

/// The time of a mark in microseconds. None if the text is no mark.
fn time(text: &str) -> Option<i64> {
    text.trim_start().strip_prefix("# ")?.lines().next()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(json!({"data": {"policy": "# 2\n"}}), false)]
    #[case(json!({"data": {"policy": "# 2"}}), false)]
    #[case(json!({"data": {"policy": "# 1\n"}}), true)]
    #[case(json!({"data": {"policy": "# 3\n"}}), false)]
    #[case(json!({"data": {"policy": ""}}), true)]
    #[case(json!({"data": {}}), false)]
    #[case(json!({}), false)]
    fn only_an_earlier_mark_is_stale(#[case] answer: Value, #[case] expected: bool) {
        assert_eq!(is_older(&answer, "# 2\n"), expected);
    }

    #[rstest]
    #[case(json!({"data": {"policy": "# 2\n"}}), true)]
    #[case(json!({"data": {"policy": "path"}}), false)]
    #[case(json!({}), false)]
    fn only_a_mark_proves_that_a_standby_follows(#[case] answer: Value, #[case] expected: bool) {
        assert_eq!(is_mark(&answer), expected);
    }

    #[test]
    fn a_mark_has_its_time_to_arrive() {
        let now = Instant::now();
        let slot = Locked::default();
        assert!(is_due(&slot, now), "without a mark, one is written");
        *slot.lock() = Some(StandbyMark { text: text(Timestamp::now()), written: now });
        assert!(!is_due(&slot, now + DELAY / 2));
        assert!(is_due(&slot, now + DELAY));
    }

    #[test]
    fn two_marks_differ() {
        let now = Timestamp::now();
        assert_ne!(text(now), text(now + Duration::from_micros(1)));
    }
}
