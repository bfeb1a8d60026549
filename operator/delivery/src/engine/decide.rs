//! The decision about one object: small named checks in order. The first that holds is the reason for the action.

use std::time::Duration;

use jiff::Timestamp;

use super::frame::Fit;
use super::schedule::Schedule;
use super::stamp::Stamp;

/// What the engine does with an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    /// Nothing for that time.
    Nothing(Duration),
    /// Repairs labels, annotations and owner of the Secret. The value is not needed.
    Frame(Why),
    /// Writes the same value again.
    Render(Why),
    /// Obtains the value and writes it if it changed.
    Obtain(Why),
}

/// Reason for an action. It is shown in `status.lastSync.reason`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    NeverSynced,
    SpecChanged,
    DestinationMissing,
    DestinationDrifted,
    RefreshDue,
}

impl Why {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::NeverSynced => "NeverSynced",
            Self::SpecChanged => "SpecChanged",
            Self::DestinationMissing => "DestinationMissing",
            Self::DestinationDrifted => "DestinationDrifted",
            Self::RefreshDue => "RefreshDue",
        }
    }
}

/// The state of the Secret of an object.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// The stamp of the Secret.
    pub(crate) stamp: Option<Stamp>,
    /// Keyed digest of the data that the Secret contains now.
    pub(crate) content: String,
    /// How labels, annotations, owner and type fit.
    pub(crate) fit: Fit,
}

/// What the process knows from an earlier reconcile of the object.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    /// Stamp of the last write.
    pub(crate) stamp: Stamp,
    /// Version of the value. It can be newer than the one in the stamp, with the same content.
    pub(crate) version: Option<i64>,
    /// Login of the last read.
    pub(crate) login: String,
    /// When the value is due again.
    pub(crate) due: Timestamp,
}

/// Everything that a decision needs.
pub(crate) struct Inputs<'a> {
    /// Digest of the request of the spec.
    pub(crate) request: &'a str,
    /// Login of the spec.
    pub(crate) login: &'a str,
    /// None after a restart, and for a new object.
    pub(crate) known: Option<&'a Known>,
    /// The Secret, if it exists and belongs to the object.
    pub(crate) seen: Option<&'a Seen>,
    /// Digest of the content in the status. None if the status is not Ready: after a restart the object is then synced
    /// again.
    pub(crate) recorded: Option<&'a str>,
    /// Whether the spec changed since the last status.
    pub(crate) spec_changed: bool,
    pub(crate) schedule: Schedule,
    pub(crate) now: Timestamp,
}

type Check = fn(&Inputs<'_>) -> Option<Act>;

const CHECKS: &[Check] = &[missing, never_synced, other_request, other_data, other_frame, due];

/// The first action that is necessary.
pub(crate) fn decide(inputs: &Inputs<'_>) -> Act {
    let settled = || Act::Nothing(inputs.schedule.until(inputs.due(), inputs.now));
    CHECKS.iter().find_map(|check| check(inputs)).unwrap_or_else(settled)
}

impl Inputs<'_> {
    fn due(&self) -> Timestamp {
        self.known.map_or_else(|| self.schedule.next(self.now), |known| known.due)
    }
}

fn missing(inputs: &Inputs<'_>) -> Option<Act> {
    (inputs.known.is_some() && inputs.seen.is_none()).then_some(Act::Obtain(Why::DestinationMissing))
}

/// A Secret without a stamp, or one whose write the status does not confirm, counts as never synced.
fn never_synced(inputs: &Inputs<'_>) -> Option<Act> {
    let stamped = inputs.seen.is_some_and(|seen| seen.stamp.is_some());
    let never = !stamped || (inputs.known.is_none() && inputs.recorded.is_none());
    never.then_some(Act::Obtain(Why::NeverSynced))
}

fn other_request(inputs: &Inputs<'_>) -> Option<Act> {
    let stamp = inputs.seen?.stamp.as_ref()?;
    let same_login = inputs.known.is_none_or(|known| known.login == inputs.login);
    (stamp.request != inputs.request || !same_login).then_some(Act::Obtain(Why::SpecChanged))
}

/// The memory of the process and the status confirm the digest in the stamp: an editor of the Secret cannot change them.
fn other_data(inputs: &Inputs<'_>) -> Option<Act> {
    let seen = inputs.seen?;
    let expected = match inputs.known {
        Some(known) => Some(known.stamp.content.as_str()),
        None => inputs.recorded,
    };
    let stamped = seen.stamp.as_ref().map(|stamp| stamp.content.as_str());
    let right = [expected, stamped].into_iter().all(|content| content == Some(seen.content.as_str()));
    (!right).then_some(Act::Render(Why::DestinationDrifted))
}

fn other_frame(inputs: &Inputs<'_>) -> Option<Act> {
    let why = if inputs.spec_changed { Why::SpecChanged } else { Why::DestinationDrifted };
    match inputs.seen?.fit {
        Fit::Fits => None,
        Fit::Differs => Some(Act::Frame(why)),
        // The type of a Secret is immutable: the Secret is recreated with its value.
        Fit::OtherType => Some(Act::Render(why)),
    }
}

fn due(inputs: &Inputs<'_>) -> Option<Act> {
    let due = inputs.known.map(|known| known.due)?;
    inputs.schedule.until(due, inputs.now).is_zero().then_some(Act::Obtain(Why::RefreshDue))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::super::stamp::Held;
    use super::*;

    const NOW: i64 = 1_000_000;

    fn stamp(request: &str, content: &str) -> Stamp {
        let held = Held::Read { versions: vec![Some(1)] };
        Stamp { request: request.to_owned(), content: content.to_owned(), held }
    }

    fn seen(stamp: Option<Stamp>, content: &str, fit: Fit) -> Option<Seen> {
        Some(Seen { stamp, content: content.to_owned(), fit })
    }

    fn right(fit: Fit) -> Option<Seen> {
        seen(Some(stamp("r", "c")), "c", fit)
    }

    fn known(login: &str, due: i64) -> Option<Known> {
        let due = Timestamp::from_second(NOW + due).unwrap();
        Some(Known { stamp: stamp("r", "c"), version: Some(1), login: login.to_owned(), due })
    }

    const OBTAIN: fn(Why) -> Act = Act::Obtain;

    #[rstest]
    // A running operator.
    #[case::settled(known("l", 30), right(Fit::Fits), Act::Nothing(Duration::from_secs(30)))]
    #[case::due(known("l", 0), right(Fit::Fits), OBTAIN(Why::RefreshDue))]
    #[case::gone(known("l", 30), None, OBTAIN(Why::DestinationMissing))]
    #[case::another_login(known("x", 30), right(Fit::Fits), OBTAIN(Why::SpecChanged))]
    #[case::another_request(
        known("l", 30),
        seen(Some(stamp("x", "c")), "c", Fit::Fits),
        OBTAIN(Why::SpecChanged)
    )]
    #[case::edited_data(
        known("l", 30),
        seen(Some(stamp("r", "c")), "x", Fit::Fits),
        Act::Render(Why::DestinationDrifted)
    )]
    #[case::older_data_and_stamp(
        known("l", 30),
        seen(Some(stamp("r", "x")), "x", Fit::Fits),
        Act::Render(Why::DestinationDrifted)
    )]
    #[case::edited_stamp(
        known("l", 30),
        seen(Some(stamp("r", "x")), "c", Fit::Fits),
        Act::Render(Why::DestinationDrifted)
    )]
    #[case::stamp_removed(known("l", 30), seen(None, "c", Fit::Fits), OBTAIN(Why::NeverSynced))]
    #[case::edited_label(known("l", 30), right(Fit::Differs), Act::Frame(Why::DestinationDrifted))]
    #[case::other_type(known("l", 30), right(Fit::OtherType), Act::Render(Why::DestinationDrifted))]
    // After a restart.
    #[case::restarted_edited(
        None,
        seen(Some(stamp("r", "c")), "x", Fit::Fits),
        Act::Render(Why::DestinationDrifted)
    )]
    #[case::restarted_older_data(
        None,
        seen(Some(stamp("r", "x")), "x", Fit::Fits),
        Act::Render(Why::DestinationDrifted)
    )]
    #[case::restarted_label(None, right(Fit::Differs), Act::Frame(Why::DestinationDrifted))]
    #[case::restarted_spec(None, seen(Some(stamp("x", "c")), "c", Fit::Fits), OBTAIN(Why::SpecChanged))]
    #[case::restarted_gone(None, None, OBTAIN(Why::NeverSynced))]
    #[case::restarted_no_stamp(None, seen(None, "c", Fit::Fits), OBTAIN(Why::NeverSynced))]
    fn each_difference_has_one_action(
        #[case] known: Option<Known>,
        #[case] seen: Option<Seen>,
        #[case] expected: Act,
    ) {
        assert_eq!(decide(&inputs(known.as_ref(), seen.as_ref(), Some("c"))), expected);
    }

    fn inputs<'a>(known: Option<&'a Known>, seen: Option<&'a Seen>, recorded: Option<&'a str>) -> Inputs<'a> {
        Inputs {
            request: "r",
            login: "l",
            known,
            seen,
            recorded,
            spec_changed: false,
            schedule: Schedule::new(Duration::from_secs(60), &"path"),
            now: Timestamp::from_second(NOW).unwrap(),
        }
    }

    #[test]
    fn a_settled_secret_is_left_alone_until_it_is_due_after_a_restart() {
        let seen = right(Fit::Fits);
        let inputs = inputs(None, seen.as_ref(), Some("c"));
        let Act::Nothing(until) = decide(&inputs) else { panic!("{:?}", decide(&inputs)) };
        assert!(!until.is_zero() && until <= Duration::from_secs(60));
    }

    #[test]
    fn a_write_that_the_status_does_not_confirm_is_repeated() {
        let seen = right(Fit::Fits);
        assert_eq!(decide(&inputs(None, seen.as_ref(), None)), Act::Obtain(Why::NeverSynced));
    }

    #[test]
    fn a_new_label_in_the_spec_does_not_obtain_a_value() {
        let seen = right(Fit::Differs);
        let inputs = Inputs { spec_changed: true, ..inputs(None, seen.as_ref(), Some("c")) };
        assert_eq!(decide(&inputs), Act::Frame(Why::SpecChanged));
    }
}
