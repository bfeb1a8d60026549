//! Break-glass: a way to a root token with the recovery keys when every login is lost. Pure.
//!
//! OpenBao refuses the unauthenticated endpoints of `generate-root` unless a listener permits them. On request, one more
//! OpenBao process permits them on its loopback interface for a limited time. It follows the leader and forwards these requests
//! to it. Its database session is read-only, so it never leads, and the nodes stay as they are.

pub(crate) mod objects;

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Secret;
use kube::{Resource, ResourceExt};

use crate::cluster::BREAK_GLASS;
use crate::objects::API_PORT;

/// Time for which break-glass stays open.
const OPEN: SignedDuration = SignedDuration::from_mins(15);
/// Longest value of the annotation.
const LONGEST: usize = 63;
/// Annotation of the StatefulSet and of the Secret: time of the request, in seconds since the epoch.
const SINCE: &str = "steamer.dev/break-glass-since";

/// Break-glass that is open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Opened {
    /// Value of the annotation.
    pub(crate) request: String,
    pub(crate) pod: String,
    pub(crate) since: Timestamp,
    pub(crate) until: Timestamp,
}

/// Objects of break-glass that exist. The Secret is created first and deleted last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Live {
    None,
    /// Only the Secret: an opening or a closing was interrupted.
    Begun(Opened),
    Open(Opened),
    /// The annotations that limit the time are missing.
    Unlimited,
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
    pub(crate) live: Live,
    /// The last request that was carried out.
    pub(crate) recorded: Option<&'a str>,
    /// Reason why it cannot be opened.
    pub(crate) obstacle: Option<String>,
    /// No process of the cluster may run.
    pub(crate) must_close: bool,
    pub(crate) now: Timestamp,
}

/// The state. The first rule that applies.
pub(crate) fn state(facts: Facts<'_>) -> State {
    let Facts { asked, live, recorded, obstacle, must_close, now } = facts;
    if let Some(why) = closing(&live, asked, must_close, now) {
        return State::Closing(why);
    }
    match (live, asked) {
        (Live::Open(opened), _) => State::Open(opened),
        (_, None) => State::None,
        (Live::None, Some(asked)) if asked.is_empty() || asked.len() > LONGEST => State::Refused(format!(
            "set the annotation {BREAK_GLASS} to a value of 1 to {LONGEST} characters, other than the last one"
        )),
        (Live::None, Some(asked)) if recorded == Some(asked) => State::Over,
        (_, Some(asked)) => match obstacle {
            Some(obstacle) => State::Refused(obstacle),
            None => State::Due(asked.to_owned()),
        },
    }
}

/// Reason why the objects of break-glass are deleted now. It depends on no server: nothing may keep break-glass open.
pub(crate) fn closing(live: &Live, asked: Option<&str>, must_close: bool, now: Timestamp) -> Option<String> {
    let opened = match live {
        Live::None => return None,
        Live::Unlimited => return Some("the annotations that limit its time are missing".to_owned()),
        Live::Begun(opened) | Live::Open(opened) => opened,
    };
    match asked {
        _ if must_close => Some("no process of the cluster may run".to_owned()),
        None => Some(format!("the annotation {BREAK_GLASS} was removed")),
        Some(asked) if opened.request != asked => {
            Some(format!("the annotation {BREAK_GLASS} has another value"))
        }
        Some(_) if now >= opened.until => Some(format!("{} minutes are over", OPEN.as_mins())),
        Some(_) => None,
    }
}

/// Annotations of the objects of break-glass.
pub(crate) fn notes(request: &str, since: Timestamp) -> BTreeMap<String, String> {
    let notes = [(BREAK_GLASS, request.to_owned()), (SINCE, since.as_second().to_string())];
    notes.map(|(key, value)| (key.to_owned(), value)).into()
}

/// Break-glass that an object opens.
pub(crate) fn opened<K: Resource>(live: &K) -> Option<Opened> {
    let note = |key| live.annotations().get(key);
    let since = Timestamp::from_second(note(SINCE)?.parse().ok()?).ok()?;
    Some(Opened {
        request: note(BREAK_GLASS)?.clone(),
        pod: format!("{}-0", live.name_any()),
        since,
        until: since.checked_add(OPEN).ok()?,
    })
}

impl Live {
    /// The objects that exist.
    pub(crate) fn of(set: Option<&StatefulSet>, settings: Option<&Secret>) -> Self {
        match (set, settings) {
            (Some(set), _) => opened(set).map_or(Self::Unlimited, Self::Open),
            (None, Some(settings)) => opened(settings).map_or(Self::Unlimited, Self::Begun),
            (None, None) => Self::None,
        }
    }

    /// Time after which the objects have to be deleted.
    pub(crate) fn remaining(&self, now: Timestamp) -> Option<Duration> {
        match self {
            Self::None | Self::Unlimited => None,
            Self::Begun(opened) | Self::Open(opened) => {
                Some(Duration::try_from(opened.until.duration_since(now)).unwrap_or_default())
            }
        }
    }
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
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
    use rstest::rstest;

    use super::*;

    const NOW: i64 = 1_000_000;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn open(request: &str, until: i64) -> Opened {
        let until = at(until);
        Opened {
            request: request.to_owned(),
            pod: "main-break-glass-0".to_owned(),
            since: until - OPEN,
            until,
        }
    }

    /// The state for the value of the annotation, the objects and the recorded request.
    fn seen(asked: Option<&str>, live: Live, recorded: Option<&str>) -> State {
        state(Facts { asked, live, recorded, obstacle: None, must_close: false, now: at(NOW) })
    }

    #[rstest]
    #[case::not_requested(None, Live::None, None, "")]
    #[case::requested(Some("a"), Live::None, None, "is being opened")]
    #[case::requested_again(Some("b"), Live::None, Some("a"), "is being opened")]
    #[case::open(Some("a"), Live::Open(open("a", NOW + 1)), Some("a"), "until 1970-01-12T13:46:41Z")]
    #[case::expired(Some("a"), Live::Open(open("a", NOW)), Some("a"), "is being closed: 15 minutes are over")]
    #[case::expired_and_not_recorded(Some("a"), Live::Open(open("a", NOW)), None, "15 minutes are over")]
    #[case::removed(None, Live::Open(open("a", NOW + 1)), Some("a"), "is being closed: the annotation")]
    #[case::another_value(Some("b"), Live::Open(open("a", NOW + 1)), Some("a"), "has another value")]
    #[case::interrupted_opening(Some("a"), Live::Begun(open("a", NOW + 1)), Some("a"), "is being opened")]
    #[case::interrupted_opening_has_expired(Some("a"), Live::Begun(open("a", NOW)), None, "are over")]
    #[case::interrupted_closing(None, Live::Begun(open("a", NOW + 1)), Some("a"), "is being closed")]
    #[case::no_limit(Some("a"), Live::Unlimited, None, "is being closed: the annotations that limit")]
    #[case::over(Some("a"), Live::None, Some("a"), "break-glass is closed")]
    #[case::empty(Some(""), Live::None, None, "a value of 1 to 63 characters")]
    fn a_request_opens_once_and_for_a_limited_time(
        #[case] asked: Option<&str>,
        #[case] live: Live,
        #[case] recorded: Option<&str>,
        #[case] expected: &str,
    ) {
        let text = seen(asked, live, recorded).text();
        assert!(text.contains(expected) && text.is_empty() == expected.is_empty(), "{text}");
    }

    #[test]
    fn an_obstacle_is_reported_and_a_stopped_cluster_closes() {
        let facts = |live, must_close| Facts {
            asked: Some("a"),
            live,
            recorded: None,
            obstacle: Some("no recovery keys".to_owned()),
            must_close,
            now: at(NOW),
        };
        let open = |until| Live::Open(open("a", until));
        assert_eq!(state(facts(Live::None, false)), State::Refused("no recovery keys".to_owned()));
        assert!(matches!(state(facts(open(NOW + 1), false)), State::Open(_)), "it stays open");
        assert!(matches!(state(facts(open(NOW), false)), State::Closing(_)), "an obstacle keeps it open");
        assert!(matches!(state(facts(open(NOW + 1), true)), State::Closing(_)));
    }

    #[test]
    fn the_secret_alone_has_to_be_closed_too() {
        let metadata = |notes| ObjectMeta {
            name: Some("main-break-glass".to_owned()),
            annotations: Some(notes),
            ..ObjectMeta::default()
        };
        let secret = Secret { metadata: metadata(notes("a", at(NOW))), ..Secret::default() };
        let set = StatefulSet { metadata: metadata(BTreeMap::new()), ..StatefulSet::default() };
        let expected = open("a", NOW + OPEN.as_secs());
        let begun = Live::of(None, Some(&secret));
        assert_eq!(begun, Live::Begun(expected));
        assert_eq!(begun.remaining(at(NOW + 60)), Some(Duration::from_secs(14 * 60)));
        assert_eq!(begun.remaining(at(NOW + 3600)), Some(Duration::ZERO));
        assert_eq!(Live::of(Some(&set), Some(&secret)), Live::Unlimited);
        assert_eq!(Live::of(None, None).remaining(at(NOW)), None);
    }
}
