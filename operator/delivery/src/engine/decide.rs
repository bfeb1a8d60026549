//! The decision about one object: small named checks in order. The first that holds is the reason for the action.

use std::sync::Arc;

use jiff::Timestamp;
use steamer_api::RefreshPolicy;
use steamer_core::access::sessions::LoginKey;
use steamer_core::mac::Mac;

use super::due::{Due, Task};
use super::frame::Fit;
use super::stamp::Stamp;

/// What the engine does with an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    /// Nothing until the value is due.
    Nothing,
    /// Repairs labels, annotations and owner of the Secret. The value is not needed.
    Frame(Why),
    /// Writes the content again. A recent read of the value is sufficient.
    Render(Why),
    /// Renews the value. The Secret does not change.
    Renew,
    /// Looks for an issued value on a server at another address: it can be the same server, or another one.
    Verify,
    /// Obtains the value and writes it if it changed.
    Obtain(Why),
}

/// Reason for an action. It is shown in `status.lastSync.reason`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    NeverSynced,
    ReconcileRequested,
    SpecChanged,
    TransformationChanged,
    DestinationMissing,
    DestinationDrifted,
    RefreshDue,
    SourceWritten,
    RenewalDue,
    LeaseRevoked,
}

impl Why {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::NeverSynced => "NeverSynced",
            Self::ReconcileRequested => "ReconcileRequested",
            Self::SpecChanged => "SpecChanged",
            Self::TransformationChanged => "TransformationChanged",
            Self::DestinationMissing => "DestinationMissing",
            Self::DestinationDrifted => "DestinationDrifted",
            Self::RefreshDue => "RefreshDue",
            Self::SourceWritten => "SourceWritten",
            Self::RenewalDue => "RenewalDue",
            Self::LeaseRevoked => "LeaseRevoked",
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

impl Seen {
    /// The stamp of the Secret, if it is that of a value that was issued after the known one. Another client can edit the
    /// stamp and restore an older Secret, but cannot seal a stamp. Of two values of one second, the later one has a greater
    /// change.
    pub(crate) fn later(&self, known: Option<&Stamp>, mac: &Mac) -> Option<Stamp> {
        let stamp = self.stamp.as_ref().filter(|stamp| stamp.content == self.content)?;
        let issued = stamp.held.issued_at()?;
        let order = |stamp: &Stamp| stamp.held.issued_at().map(|issued| (issued, stamp.change));
        let is_later = known.and_then(order).is_none_or(|last| last < (issued, stamp.change));
        (is_later && stamp.is_sealed(mac)).then(|| stamp.clone())
    }
}

/// What the process knows about a synced object. After a restart it comes from the status.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    /// Stamp of the last sync.
    pub(crate) stamp: Stamp,
    /// Version of the value. It can be newer than the one in the stamp, with the same content.
    pub(crate) version: Option<i64>,
    /// ID of the mount of the value.
    pub(crate) mount: Option<String>,
    /// Login of the last read. None after a restart.
    pub(crate) login: Option<Arc<LoginKey>>,
    /// When OpenBao returned the value. After a restart: until when an operator was active.
    pub(crate) obtained: Timestamp,
}

/// Everything that a decision needs.
pub(crate) struct Inputs<'a> {
    /// Digest of the request of the spec.
    pub(crate) request: &'a str,
    /// Digest of the transformation of the spec.
    pub(crate) rendering: &'a str,
    /// Login of the spec.
    pub(crate) login: &'a LoginKey,
    /// Digest of the address of the server.
    pub(crate) server: &'a str,
    /// None for an object that was never synced, or whose last reconcile failed before a restart.
    pub(crate) known: Option<&'a Known>,
    /// When the known value is due by the current spec.
    pub(crate) due: Option<Due>,
    /// When the value is read again.
    pub(crate) policy: RefreshPolicy,
    /// The Secret, if it exists and belongs to the object.
    pub(crate) seen: Option<&'a Seen>,
    /// Whether the reconcile annotation has a new value.
    pub(crate) requested: bool,
    /// Whether a write of the value was reported after it was read.
    pub(crate) written: bool,
    /// Whether the spec changed since the last status.
    pub(crate) spec_changed: bool,
    pub(crate) now: Timestamp,
}

type Check = fn(&Inputs<'_>) -> Option<Act>;

/// A frame that differs comes last: a full write repairs it too.
const CHECKS: &[Check] = &[
    requested,
    created_once,
    never_synced,
    other_request,
    missing,
    other_rendering,
    other_data,
    other_type,
    other_metadata,
    written,
    other_server,
    due,
    other_frame,
    other_stamp,
];

/// The first action that is necessary.
pub(crate) fn decide(inputs: &Inputs<'_>) -> Act {
    CHECKS.iter().find_map(|check| check(inputs)).unwrap_or(Act::Nothing)
}

fn requested(inputs: &Inputs<'_>) -> Option<Act> {
    inputs.requested.then_some(Act::Obtain(Why::ReconcileRequested))
}

/// A Secret that is written once: only its labels and annotations follow the spec.
fn created_once(inputs: &Inputs<'_>) -> Option<Act> {
    let seen = inputs.seen.filter(|seen| is_created(inputs.policy, seen))?;
    Some(if seen.fit == Fit::Differs { Act::Frame(inputs.frame_reason()) } else { Act::Nothing })
}

/// Returns true if the Secret exists and its data is never written again.
fn is_created(policy: RefreshPolicy, seen: &Seen) -> bool {
    // Without keys of the object in a Secret of another client, there is no digest.
    policy == RefreshPolicy::CreatedOnce && !seen.content.is_empty()
}

/// The state of a Secret that is written once and exists. It holds even if the status was lost.
pub(crate) fn created(policy: RefreshPolicy, seen: &Seen, now: Timestamp) -> Option<Known> {
    let written = || Stamp { content: seen.content.clone(), ..Stamp::default() };
    let stamp = seen.stamp.clone().unwrap_or_else(written);
    let known = Known { version: stamp.held.version(), stamp, mount: None, login: None, obtained: now };
    is_created(policy, seen).then_some(known)
}

fn never_synced(inputs: &Inputs<'_>) -> Option<Act> {
    inputs.known.is_none().then_some(Act::Obtain(Why::NeverSynced))
}

fn other_request(inputs: &Inputs<'_>) -> Option<Act> {
    let known = inputs.known?;
    // Another login reads the same value, but would be issued another one.
    let same_login =
        known.stamp.held.is_issued() || known.login.as_deref().is_none_or(|login| login == inputs.login);
    (known.stamp.request != inputs.request || !same_login).then_some(Act::Obtain(Why::SpecChanged))
}

fn missing(inputs: &Inputs<'_>) -> Option<Act> {
    inputs.seen.is_none().then_some(Act::Obtain(Why::DestinationMissing))
}

/// Another transformation. A value that can be read is rendered again; an issued one cannot be read, and is issued again.
fn other_rendering(inputs: &Inputs<'_>) -> Option<Act> {
    let other = inputs.known?.stamp.rendering != inputs.rendering;
    other.then_some(Act::Render(Why::TransformationChanged))
}

/// The stamp of the Secret must equal the known one: an editor of the Secret can change the former, but not the latter.
fn other_data(inputs: &Inputs<'_>) -> Option<Act> {
    let (known, seen) = (inputs.known?, inputs.seen?);
    // An issued value cannot be obtained again: its data suffices.
    let stamped = known.stamp.held.is_issued() || inputs.is_stamped();
    let right = stamped && seen.content == known.stamp.content;
    (!right).then_some(Act::Render(Why::DestinationDrifted))
}

/// The type and the immutability of a Secret cannot be changed: the Secret is recreated with its value.
fn other_type(inputs: &Inputs<'_>) -> Option<Act> {
    let is_fixed = matches!(inputs.seen?.fit, Fit::OtherType | Fit::Frozen);
    is_fixed.then_some(Act::Render(inputs.frame_reason()))
}

/// Labels and annotations of templates are rendered with the value. An issued value cannot be read again: they are written with
/// the next one.
fn other_metadata(inputs: &Inputs<'_>) -> Option<Act> {
    let is_read = !inputs.known?.stamp.held.is_issued();
    (is_read && inputs.seen?.fit == Fit::Unrendered).then_some(Act::Render(inputs.frame_reason()))
}

fn written(inputs: &Inputs<'_>) -> Option<Act> {
    let is_read = inputs.known?.stamp.held.is_read();
    (inputs.written && is_read).then_some(Act::Obtain(Why::SourceWritten))
}

/// A server at another address does not know an issued value, unless it is the same server.
fn other_server(inputs: &Inputs<'_>) -> Option<Act> {
    let stamp = &inputs.known?.stamp;
    let is_other = !stamp.server.is_empty() && stamp.server != inputs.server;
    (is_other && stamp.held.is_issued()).then_some(Act::Verify)
}

fn due(inputs: &Inputs<'_>) -> Option<Act> {
    let (due, held) = (inputs.due?, &inputs.known?.stamp.held);
    let action = match due.task {
        Task::Renew if !held.has_ended(inputs.now) => Act::Renew,
        Task::Renew => Act::Obtain(Why::RenewalDue),
        Task::Obtain if held.is_issued() => Act::Obtain(Why::RenewalDue),
        Task::Obtain => Act::Obtain(Why::RefreshDue),
    };
    due.is_now(inputs.now).then_some(action)
}

fn other_frame(inputs: &Inputs<'_>) -> Option<Act> {
    (inputs.seen?.fit == Fit::Differs).then_some(Act::Frame(inputs.frame_reason()))
}

/// The stamp of an issued value was edited, but not its data.
fn other_stamp(inputs: &Inputs<'_>) -> Option<Act> {
    (inputs.seen.is_some() && !inputs.is_stamped()).then_some(Act::Frame(Why::DestinationDrifted))
}

impl Inputs<'_> {
    /// Whether the Secret has the stamp of the known value.
    fn is_stamped(&self) -> bool {
        let stamp = self.seen.and_then(|seen| seen.stamp.as_ref());
        stamp.zip(self.known).is_some_and(|(stamp, known)| stamp.is_same_value(&known.stamp))
    }

    fn frame_reason(&self) -> Why {
        if self.spec_changed { Why::SpecChanged } else { Why::DestinationDrifted }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rstest::rstest;

    use super::super::held::{Held, LeaseHeld};
    use super::super::sample;
    use super::super::schedule::Schedule;
    use super::*;

    const NOW: i64 = 1_000_000;

    fn stamp(request: &str, content: &str) -> Stamp {
        let held = Held::Read { versions: vec![Some(1)] };
        Stamp { request: request.to_owned(), content: content.to_owned(), held, ..Stamp::default() }
    }

    fn seen(stamp: Option<Stamp>, content: &str, fit: Fit) -> Option<Seen> {
        Some(Seen { stamp, content: content.to_owned(), fit })
    }

    fn right(fit: Fit) -> Option<Seen> {
        seen(Some(stamp("r", "c")), "c", fit)
    }

    fn login(role: &str) -> Arc<LoginKey> {
        sample::login(role, false)
    }

    fn known(login: Option<Arc<LoginKey>>, due: i64) -> Option<(Known, Due)> {
        let (obtained, due) = (at(-30), Due::on(&schedule(RefreshPolicy::Periodic), at(due)));
        Some((Known { stamp: stamp("r", "c"), version: Some(1), mount: None, login, obtained }, due))
    }

    fn schedule(policy: RefreshPolicy) -> Schedule {
        Schedule::new(Duration::from_secs(60), &"path").with(policy)
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(NOW + second).unwrap()
    }

    /// What a running operator knows about an object that is due in 30 s.
    fn running() -> Option<(Known, Due)> {
        known(Some(login("role")), 30)
    }

    fn inputs<'a>(
        login: &'a LoginKey,
        known: Option<&'a (Known, Due)>,
        seen: Option<&'a Seen>,
    ) -> Inputs<'a> {
        Inputs {
            request: "r",
            rendering: "",
            login,
            server: "",
            known: known.map(|(known, _)| known),
            due: known.map(|(_, due)| *due),
            policy: RefreshPolicy::Periodic,
            seen,
            requested: false,
            written: false,
            spec_changed: false,
            now: at(0),
        }
    }

    #[test]
    fn a_value_that_was_read_before_a_reported_write_is_read_again() {
        let (login, known, seen) = (login("role"), running(), right(Fit::Fits));
        let inputs = inputs(&login, known.as_ref(), seen.as_ref());
        assert_eq!(decide(&inputs), Act::Nothing);
        assert_eq!(decide(&Inputs { written: true, ..inputs }), Act::Obtain(Why::SourceWritten));
        let once = Inputs { written: true, policy: RefreshPolicy::CreatedOnce, ..inputs };
        assert_eq!(decide(&once), Act::Nothing);
    }

    #[rstest]
    #[case::settled(running(), right(Fit::Fits), Act::Nothing)]
    #[case::settled_after_a_restart(known(None, 30), right(Fit::Fits), Act::Nothing)]
    #[case::due(known(None, 0), right(Fit::Fits), Act::Obtain(Why::RefreshDue))]
    #[case::overdue(known(None, -100), right(Fit::Fits), Act::Obtain(Why::RefreshDue))]
    #[case::due_with_an_edited_label(known(None, 0), right(Fit::Differs), Act::Obtain(Why::RefreshDue))]
    #[case::new(None, None, Act::Obtain(Why::NeverSynced))]
    #[case::new_with_an_existing_secret(None, right(Fit::Fits), Act::Obtain(Why::NeverSynced))]
    #[case::deleted(running(), None, Act::Obtain(Why::DestinationMissing))]
    #[case::another_login(known(Some(login("other")), 30), right(Fit::Fits), Act::Obtain(Why::SpecChanged))]
    #[case::edited_data(
        running(),
        seen(Some(stamp("r", "c")), "x", Fit::Fits),
        Act::Render(Why::DestinationDrifted)
    )]
    #[case::older_data_with_its_stamp(
        running(),
        seen(Some(stamp("r", "x")), "x", Fit::Fits),
        Act::Render(Why::DestinationDrifted)
    )]
    #[case::edited_stamp(
        running(),
        seen(Some(stamp("x", "c")), "c", Fit::Fits),
        Act::Render(Why::DestinationDrifted)
    )]
    #[case::no_stamp(running(), seen(None, "c", Fit::Fits), Act::Render(Why::DestinationDrifted))]
    #[case::edited_label(running(), right(Fit::Differs), Act::Frame(Why::DestinationDrifted))]
    #[case::other_type(running(), right(Fit::OtherType), Act::Render(Why::DestinationDrifted))]
    #[case::label_of_a_template(running(), right(Fit::Unrendered), Act::Render(Why::DestinationDrifted))]
    #[case::no_longer_immutable(running(), right(Fit::Frozen), Act::Render(Why::DestinationDrifted))]
    fn each_difference_has_one_action(
        #[case] known: Option<(Known, Due)>,
        #[case] seen: Option<Seen>,
        #[case] expected: Act,
    ) {
        assert_eq!(decide(&inputs(&login("role"), known.as_ref(), seen.as_ref())), expected);
    }

    #[rstest]
    #[case::label(right(Fit::Differs), Act::Frame(Why::SpecChanged))]
    #[case::type_(right(Fit::OtherType), Act::Render(Why::SpecChanged))]
    fn a_changed_spec_with_the_same_request_does_not_obtain_a_value(
        #[case] seen: Option<Seen>,
        #[case] expected: Act,
    ) {
        let (login, known) = (login("role"), running());
        let inputs = Inputs { spec_changed: true, ..inputs(&login, known.as_ref(), seen.as_ref()) };
        assert_eq!(decide(&inputs), expected);
    }

    #[rstest]
    #[case::with_a_secret(right(Fit::Fits))]
    #[case::renamed(None)]
    fn another_request_obtains_a_value(#[case] seen: Option<Seen>) {
        let (login, known) = (login("role"), running());
        let inputs = Inputs { request: "other", ..inputs(&login, known.as_ref(), seen.as_ref()) };
        assert_eq!(decide(&inputs), Act::Obtain(Why::SpecChanged));
    }

    #[rstest]
    #[case::settled(right(Fit::Fits), Act::Render(Why::TransformationChanged))]
    #[case::edited_data(seen(Some(stamp("r", "c")), "x", Fit::Fits), Act::Render(Why::TransformationChanged))]
    #[case::deleted(None, Act::Obtain(Why::DestinationMissing))]
    fn an_edited_transformation_renders_the_value_and_does_not_obtain_another_one(
        #[case] seen: Option<Seen>,
        #[case] expected: Act,
    ) {
        let (login, known) = (login("role"), running());
        let inputs = Inputs {
            rendering: "other",
            spec_changed: true,
            ..inputs(&login, known.as_ref(), seen.as_ref())
        };
        assert_eq!(decide(&inputs), expected);
    }

    /// A lease with 30 s of 60 s left, which is due in `due` seconds.
    fn leased(task: Task, due: i64) -> Option<(Known, Due)> {
        let (issued, ends) = (at(-30), at(30));
        let lease = LeaseHeld {
            id: "l".to_owned(),
            namespace: None,
            server: String::new(),
            issued,
            at: issued,
            ends,
            seconds: 60,
            renewable: true,
            token: None,
            accessor: None,
        };
        let due = match task {
            Task::Renew => Due::renew(issued, at(due)),
            Task::Obtain => Due::obtain(issued, at(due)),
        };
        let (known, _) = known(Some(login("role")), 0)?;
        Some((Known { stamp: Stamp { held: Held::Lease(lease), ..known.stamp }, ..known }, due))
    }

    #[rstest]
    #[case::settled(leased(Task::Renew, 10), right(Fit::Fits), Act::Nothing)]
    #[case::edited_label(leased(Task::Renew, 10), right(Fit::Differs), Act::Frame(Why::DestinationDrifted))]
    #[case::edited_stamp(
        leased(Task::Renew, 10),
        seen(Some(stamp("x", "c")), "c", Fit::Fits),
        Act::Frame(Why::DestinationDrifted)
    )]
    #[case::no_stamp(
        leased(Task::Renew, 10),
        seen(None, "c", Fit::Fits),
        Act::Frame(Why::DestinationDrifted)
    )]
    #[case::renewal(leased(Task::Renew, 0), right(Fit::Fits), Act::Renew)]
    #[case::late_renewal(leased(Task::Renew, -20), right(Fit::Differs), Act::Renew)]
    #[case::replacement(leased(Task::Obtain, 0), right(Fit::Fits), Act::Obtain(Why::RenewalDue))]
    #[case::edited_data(
        leased(Task::Renew, 10),
        seen(Some(stamp("r", "c")), "x", Fit::Fits),
        Act::Render(Why::DestinationDrifted)
    )]
    #[case::deleted(leased(Task::Renew, 10), None, Act::Obtain(Why::DestinationMissing))]
    fn an_issued_value_is_obtained_again_only_if_its_data_is_lost_or_ends(
        #[case] known: Option<(Known, Due)>,
        #[case] seen: Option<Seen>,
        #[case] expected: Act,
    ) {
        // Another login: an edited BaoAuth, or a lost token.
        let login = login("other");
        assert_eq!(decide(&inputs(&login, known.as_ref(), seen.as_ref())), expected);
    }

    #[rstest]
    #[case::same_address("a", 10, Act::Nothing)]
    #[case::another_address("b", 10, Act::Verify)]
    #[case::another_address_before_the_renewal("b", 0, Act::Verify)]
    #[case::stamp_of_an_earlier_version("", 10, Act::Nothing)]
    fn an_issued_value_is_looked_for_on_a_server_at_another_address(
        #[case] server: &str,
        #[case] due: i64,
        #[case] expected: Act,
    ) {
        let (login, seen) = (login("role"), right(Fit::Fits));
        let known = leased(Task::Renew, due).map(|(mut known, due)| {
            server.clone_into(&mut known.stamp.server);
            (known, due)
        });
        let inputs = Inputs { server: "a", ..inputs(&login, known.as_ref(), seen.as_ref()) };
        assert_eq!(decide(&inputs), expected);
    }

    #[rstest]
    #[case::killed_before_the_first_status(None, (10, 1), true)]
    #[case::killed_before_the_next_status(Some((0, 0)), (10, 1), true)]
    #[case::killed_within_the_second_of_the_former_value(Some((10, 0)), (10, 1), true)]
    #[case::settled(Some((10, 1)), (10, 1), false)]
    #[case::restored_from_a_backup(Some((10, 1)), (0, 0), false)]
    #[case::restored_within_a_second(Some((10, 1)), (10, 0), false)]
    fn a_value_that_was_issued_before_a_crash_is_not_issued_again(
        #[case] known: Option<(i64, i64)>,
        #[case] issued: (i64, i64),
        #[case] expected: bool,
    ) {
        let (mac, other) = (Mac::new(&[7; 32]), Mac::new(&[8; 32]));
        let at = |second| Timestamp::from_second(NOW + second).unwrap();
        let stamp = |(second, change): (i64, i64)| {
            let held = Held::Certificate {
                namespace: None,
                serial: "0a".to_owned(),
                mount: "pki".to_owned(),
                at: at(second),
                not_after: at(60),
            };
            Stamp { held, change, ..stamp("r", "c") }.sealed(&mac)
        };
        let (known, written) = (known.map(stamp), stamp(issued));
        let later = |stamp: &Stamp, content: &str, mac: &Mac| {
            seen(Some(stamp.clone()), content, Fit::Fits).and_then(|seen| seen.later(known.as_ref(), mac))
        };
        assert_eq!(later(&written, "c", &mac), expected.then(|| written.clone()));
        assert_eq!(later(&written, "edited", &mac), None);
        assert_eq!(later(&written, "c", &other), None, "a stamp that Steamer did not write");
    }

    #[test]
    fn a_lease_that_ended_while_openbao_was_unreachable_is_not_renewed() {
        let (login, known, seen) = (login("role"), leased(Task::Renew, -20), right(Fit::Fits));
        let inputs = Inputs { now: at(31), ..inputs(&login, known.as_ref(), seen.as_ref()) };
        assert_eq!(decide(&inputs), Act::Obtain(Why::RenewalDue));
    }

    #[rstest]
    #[case::due(RefreshPolicy::OnChange, "", "r", right(Fit::Fits), Act::Nothing)]
    #[case::another_request(
        RefreshPolicy::OnChange,
        "",
        "q",
        right(Fit::Fits),
        Act::Obtain(Why::SpecChanged)
    )]
    #[case::another_template(
        RefreshPolicy::OnChange,
        "t",
        "r",
        right(Fit::Fits),
        Act::Render(Why::TransformationChanged)
    )]
    #[case::deleted(RefreshPolicy::OnChange, "", "r", None, Act::Obtain(Why::DestinationMissing))]
    #[case::due_once(RefreshPolicy::CreatedOnce, "", "r", right(Fit::Fits), Act::Nothing)]
    #[case::another_request_once(RefreshPolicy::CreatedOnce, "t", "q", right(Fit::Fits), Act::Nothing)]
    #[case::edited_once(RefreshPolicy::CreatedOnce, "", "r", seen(None, "x", Fit::Fits), Act::Nothing)]
    #[case::other_type_once(RefreshPolicy::CreatedOnce, "", "r", right(Fit::OtherType), Act::Nothing)]
    #[case::edited_label_once(
        RefreshPolicy::CreatedOnce,
        "",
        "r",
        right(Fit::Differs),
        Act::Frame(Why::DestinationDrifted)
    )]
    #[case::deleted_once(RefreshPolicy::CreatedOnce, "", "q", None, Act::Obtain(Why::SpecChanged))]
    #[case::keys_deleted_once(
        RefreshPolicy::CreatedOnce,
        "",
        "r",
        seen(None, "", Fit::Fits),
        Act::Render(Why::DestinationDrifted)
    )]
    fn a_policy_limits_the_reads(
        #[case] policy: RefreshPolicy,
        #[case] rendering: &str,
        #[case] request: &str,
        #[case] seen: Option<Seen>,
        #[case] expected: Act,
    ) {
        let (login, due) = (login("role"), Due::on(&schedule(policy), at(-100)));
        let known = known(None, 0).map(|(known, _)| (known, due));
        let inputs = inputs(&login, known.as_ref(), seen.as_ref());
        assert_eq!(decide(&Inputs { request, rendering, policy, ..inputs }), expected);
        let requested = Inputs { requested: true, policy, ..inputs };
        assert_eq!(decide(&requested), Act::Obtain(Why::ReconcileRequested));
    }

    #[test]
    fn a_secret_that_is_written_once_is_known_from_its_digest() {
        let once = RefreshPolicy::CreatedOnce;
        let seen = seen(None, "c", Fit::Fits).unwrap();
        assert_eq!(created(once, &seen, at(0)).unwrap().stamp.content, "c");
        assert!(created(RefreshPolicy::Periodic, &seen, at(0)).is_none());
        let without_keys = Seen { content: String::new(), ..seen };
        assert!(created(once, &without_keys, at(0)).is_none());
    }

    #[test]
    fn a_requested_reconcile_always_obtains_the_value() {
        let login = login("role");
        let inputs = Inputs { requested: true, ..inputs(&login, None, None) };
        assert_eq!(decide(&inputs), Act::Obtain(Why::ReconcileRequested));
    }
}
