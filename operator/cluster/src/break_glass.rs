//! Break-glass: a way to a root token with the recovery keys when every login is lost. Pure.
//!
//! OpenBao refuses the unauthenticated endpoints of `generate-root` unless a listener permits them. On request, one more
//! OpenBao process permits them on its loopback interface for a limited time. It follows the leader and forwards these requests
//! to it. Its database session is read-only, so it never leads, and the nodes stay as they are.

pub(crate) mod objects;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::StatefulSet;
use kube::ResourceExt;

use crate::cluster::BREAK_GLASS;
use crate::objects::API_PORT;

/// Time for which break-glass stays open.
const OPEN: SignedDuration = SignedDuration::from_mins(15);
/// Longest value of the annotation.
const LONGEST: usize = 63;
/// Annotation of the StatefulSet: time of the request, in seconds since the epoch.
const SINCE: &str = "steamer.dev/break-glass-since";

/// Break-glass that is open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Opened {
    /// Value of the annotation.
    pub(crate) request: String,
    pub(crate) pod: String,
    pub(crate) until: Timestamp,
}

/// State of break-glass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// It is not requested.
    None,
    /// It cannot be opened now.
    Refused(String),
    /// It is opened next.
    Due(String),
    Open(Opened),
    /// It is closed next, for this reason.
    Closing(String),
    /// The request was carried out, and is over.
    Over,
}

/// Facts that determine the state.
pub(crate) struct Facts<'a> {
    /// Value of the annotation.
    pub(crate) asked: Option<&'a str>,
    pub(crate) opened: Option<Opened>,
    /// The last request in the status.
    pub(crate) recorded: Option<&'a str>,
    /// Reason why it cannot be opened.
    pub(crate) obstacle: Option<String>,
    /// No process of the cluster may run.
    pub(crate) must_close: bool,
    pub(crate) now: Timestamp,
}

/// The state. The first rule that applies.
pub(crate) fn state(facts: Facts<'_>) -> State {
    let Facts { asked, opened, recorded, obstacle, must_close, now } = facts;
    match (opened, asked) {
        (Some(_), _) if must_close => State::Closing("no process of the cluster may run".to_owned()),
        (Some(_), None) => State::Closing(format!("the annotation {BREAK_GLASS} was removed")),
        (Some(opened), Some(asked)) if opened.request != asked => {
            State::Closing(format!("the annotation {BREAK_GLASS} has another value"))
        }
        (Some(opened), Some(asked)) if now >= opened.until && recorded == Some(asked) => {
            State::Closing(format!("{} minutes are over", OPEN.as_mins()))
        }
        // An expired one is closed once its request is recorded: otherwise it would be opened again.
        (Some(opened), Some(_)) => State::Open(opened),
        (None, None) => State::None,
        (None, Some(asked)) if asked.is_empty() || asked.len() > LONGEST => State::Refused(format!(
            "set the annotation {BREAK_GLASS} to a value of 1 to {LONGEST} characters that was not used before"
        )),
        (None, Some(asked)) if recorded == Some(asked) => State::Over,
        (None, Some(asked)) => match obstacle {
            Some(obstacle) => State::Refused(obstacle),
            None => State::Due(asked.to_owned()),
        },
    }
}

/// Break-glass that a StatefulSet opens.
pub(crate) fn opened(live: &StatefulSet) -> Option<Opened> {
    let note = |key| live.annotations().get(key);
    let since = Timestamp::from_second(note(SINCE)?.parse().ok()?).ok()?;
    Some(Opened {
        request: note(BREAK_GLASS)?.clone(),
        pod: format!("{}-0", live.name_any()),
        until: since.checked_add(OPEN).ok()?,
    })
}

impl State {
    /// Returns true if a step is due now.
    pub(crate) fn is_due(&self) -> bool {
        matches!(self, Self::Due(_) | Self::Closing(_))
    }

    /// Text for a status.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::None => String::new(),
            Self::Refused(why) => why.clone(),
            Self::Due(_) => "break-glass is being opened".to_owned(),
            Self::Open(Opened { pod, until, .. }) => format!(
                "generate-root is open without a login on the loopback interface of pod {pod}, port {API_PORT}, until {until}. \
                 Remove the annotation {BREAK_GLASS} to close it earlier"
            ),
            Self::Closing(why) => format!("break-glass is being closed: {why}"),
            Self::Over => {
                format!(
                    "break-glass is closed. Set the annotation {BREAK_GLASS} to another value to open it again"
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const NOW: i64 = 1_000_000;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn open(request: &str, until: i64) -> Opened {
        Opened { request: request.to_owned(), pod: "main-break-glass-0".to_owned(), until: at(until) }
    }

    /// `asked`, the open request and the second at which it ends, the recorded request.
    fn seen(asked: Option<&str>, opened: Option<(&str, i64)>, recorded: Option<&str>) -> State {
        let opened = opened.map(|(request, until)| open(request, until));
        state(Facts { asked, opened, recorded, obstacle: None, must_close: false, now: at(NOW) })
    }

    #[rstest]
    #[case::not_requested(None, None, None, "")]
    #[case::requested(Some("a"), None, None, "is being opened")]
    #[case::requested_again(Some("b"), None, Some("a"), "is being opened")]
    #[case::open(Some("a"), Some(("a", NOW + 1)), Some("a"), "until 1970-01-12T13:46:41Z")]
    #[case::expired(Some("a"), Some(("a", NOW)), Some("a"), "is being closed: 15 minutes are over")]
    #[case::expired_before_it_was_recorded(Some("a"), Some(("a", NOW)), None, "generate-root is open")]
    #[case::removed(None, Some(("a", NOW + 1)), Some("a"), "is being closed: the annotation")]
    #[case::another_value(Some("b"), Some(("a", NOW + 1)), Some("a"), "has another value")]
    #[case::over(Some("a"), None, Some("a"), "break-glass is closed")]
    #[case::empty(Some(""), None, None, "a value of 1 to 63 characters")]
    fn a_request_opens_once_and_for_a_limited_time(
        #[case] asked: Option<&str>,
        #[case] opened: Option<(&str, i64)>,
        #[case] recorded: Option<&str>,
        #[case] expected: &str,
    ) {
        let text = seen(asked, opened, recorded).text();
        assert!(text.contains(expected) && text.is_empty() == expected.is_empty(), "{text}");
    }

    #[test]
    fn an_obstacle_is_reported_and_a_stopped_cluster_closes() {
        let facts = |opened, must_close| Facts {
            asked: Some("a"),
            opened,
            recorded: None,
            obstacle: Some("no recovery keys".to_owned()),
            must_close,
            now: at(NOW),
        };
        assert_eq!(state(facts(None, false)), State::Refused("no recovery keys".to_owned()));
        assert!(matches!(state(facts(Some(open("a", NOW + 1)), false)), State::Open(_)), "it stays open");
        assert!(matches!(state(facts(Some(open("a", NOW + 1)), true)), State::Closing(_)));
    }
}
