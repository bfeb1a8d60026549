//! Decisions of the engine that are the same for every kind.

use std::time::Duration;

use jiff::Timestamp;
use steamer_api::{JWTIssuer, Kind, Lifecycle, Mode, SecretsTenant};
use steamer_core::error::Error;
use steamer_runtime::Action;

/// Pause before orphans that OpenBao is still deleting are checked again. OpenBao has no watch for them.
const ORPHANS: Duration = Duration::from_secs(2);
/// Added to the time of an expiration, so that the next reconcile is after it.
pub(crate) const AFTER_EXPIRATION: Duration = Duration::from_millis(50);

/// What a reconcile may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Course {
    /// Nothing: `suspend: true`.
    Suspend,
    /// The status only: `mode: Observe`.
    Observe,
    /// OpenBao.
    Enforce,
}

impl Course {
    pub(super) fn of(lifecycle: &Lifecycle) -> Self {
        match lifecycle.mode {
            _ if lifecycle.suspend => Self::Suspend,
            Mode::Observe => Self::Observe,
            Mode::Enforce => Self::Enforce,
        }
    }
}

/// Returns true if the error means that a right was revoked. This takes precedence over `suspend` and `mode`. A deleted
/// issuer or tenant grants nothing.
pub(super) fn is_revoked(error: &Error) -> bool {
    match error {
        Error::Denied { .. } | Error::NotAllowed(_) => true,
        Error::NotFound { kind, .. } => [JWTIssuer::KIND, SecretsTenant::KIND].contains(kind),
        _ => false,
    }
}

/// Access that other objects granted, after a reconcile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// All of it is removed.
    Revoke,
    /// The part that is no longer granted is removed.
    Withdraw,
    /// The reconcile has written the desired state, or OpenBao cannot be asked.
    Settled,
}

impl Access {
    /// Rights come before modes: access is removed in every mode, and after an error of any other part.
    pub(super) fn after(course: Course, error: Option<&Error>) -> Self {
        match error {
            Some(error) if is_revoked(error) => Self::Revoke,
            Some(error) if error.is_out_of_reach() => Self::Settled,
            Some(_) if course == Course::Enforce => Self::Withdraw,
            _ => Self::Settled,
        }
    }
}

/// What determines the next visit.
pub(super) struct Due {
    /// Interval at which drift is detected.
    pub(super) drift_interval: Duration,
    /// Time at which the desired state changes.
    pub(super) expires_at: Option<Timestamp>,
    /// True while orphans remain that a later reconcile can remove.
    pub(super) has_orphans: bool,
}

impl Due {
    /// Time until the next visit.
    pub(super) fn after(&self, now: Timestamp) -> Duration {
        let expiration = self
            .expires_at
            .map(|at| Duration::try_from(at.duration_since(now)).unwrap_or_default() + AFTER_EXPIRATION);
        let orphans = self.has_orphans.then_some(ORPHANS);
        [Some(self.drift_interval), expiration, orphans].into_iter().flatten().min().unwrap_or_default()
    }

    /// Result of a visit. The pause of a contested write never delays the next visit. What follows the writes at once, with an
    /// expiration in the past, follows the contested one.
    ///
    /// # Errors
    /// The error of the contested write.
    pub(super) fn or_contested(&self, contested: Option<Error>, now: Timestamp) -> Result<Action, Error> {
        let Some(error) = contested else {
            return Ok(Action::After(self.after(now)));
        };
        let expires_at = self.expires_at.filter(|at| *at > now);
        Err(error.retried_within(Self { expires_at, ..*self }.after(now)))
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use steamer_api::KindId;
    use steamer_openbao::Error as OpenBao;
    use steamer_runtime::{Failure, ObjectName, Retry};

    use super::*;

    #[rstest]
    #[case(false, Mode::Enforce, Course::Enforce)]
    #[case(false, Mode::Observe, Course::Observe)]
    #[case(true, Mode::Enforce, Course::Suspend)]
    #[case(true, Mode::Observe, Course::Suspend)]
    fn suspend_takes_precedence_over_the_mode(
        #[case] suspend: bool,
        #[case] mode: Mode,
        #[case] expected: Course,
    ) {
        assert_eq!(Course::of(&Lifecycle { suspend, mode, ..Lifecycle::default() }), expected);
    }

    #[rstest]
    #[case::drift(None, false, 300_000)]
    #[case::expiration(Some(10), false, 10_050)]
    #[case::expired(Some(-10), false, 50)]
    #[case::late_expiration(Some(1000), false, 300_000)]
    #[case::orphans(None, true, 2_000)]
    #[case::orphans_and_expiration(Some(1), true, 1_050)]
    fn the_earliest_event_determines_the_next_visit(
        #[case] expires_in: Option<i64>,
        #[case] has_orphans: bool,
        #[case] milliseconds: u64,
    ) {
        let at = |second| Timestamp::from_second(second).unwrap();
        let expires_at = expires_in.map(|seconds| at(1_000 + seconds));
        let due = Due { drift_interval: Duration::from_secs(300), expires_at, has_orphans };
        assert_eq!(due.after(at(1_000)), Duration::from_millis(milliseconds));
    }

    #[rstest]
    #[case::short_pause(30, false, None, 30_000)]
    #[case::drift(3600, false, None, 300_000)]
    #[case::orphans(3600, true, None, 2_000)]
    #[case::follow_up(30, false, Some(0), 30_000)]
    #[case::expiration(30, false, Some(1_010), 10_050)]
    fn a_contested_write_does_not_delay_other_work(
        #[case] pause: u64,
        #[case] has_orphans: bool,
        #[case] follows: Option<i64>,
        #[case] milliseconds: u64,
    ) {
        let now = Timestamp::from_second(1_000).unwrap();
        let expires_at = follows.map(|second| Timestamp::from_second(second).unwrap());
        let due = Due { drift_interval: Duration::from_secs(300), expires_at, has_orphans };
        let contested = Error::Repeated(String::new(), Duration::from_secs(pause));
        let error = due.or_contested(Some(contested), now).unwrap_err();
        assert_eq!(error.retry(), Retry::After(Duration::from_millis(milliseconds)));
        assert!(due.or_contested(None, now).is_ok());
    }

    fn missing(kind: KindId) -> Error {
        Error::NotFound { kind: kind.as_str(), name: ObjectName::new("a", "b") }
    }

    fn denied(kind: KindId) -> Error {
        Error::Denied { kind: kind.as_str(), name: ObjectName::new("a", "b"), from: "c".to_owned() }
    }

    #[rstest]
    #[case::ready(None, Access::Settled)]
    #[case::deleted_issuer(Some(missing(KindId::JWTIssuer)), Access::Revoke)]
    #[case::deleted_tenant(Some(missing(KindId::SecretsTenant)), Access::Revoke)]
    #[case::unlisted(Some(Error::NotAllowed(String::new())), Access::Revoke)]
    #[case::issuer_denies(Some(denied(KindId::JWTIssuer)), Access::Revoke)]
    #[case::tenant_denies(Some(denied(KindId::SecretsTenant)), Access::Revoke)]
    #[case::cluster_denies(Some(denied(KindId::OpenBaoCluster)), Access::Revoke)]
    #[case::project_of_another_owner(Some(Error::Conflict(String::new())), Access::Withdraw)]
    #[case::sealed(Some(OpenBao::Sealed.into()), Access::Settled)]
    #[case::invalid_spec(Some(Error::Invalid(String::new())), Access::Withdraw)]
    #[case::missing_secret(Some(Error::Waiting(String::new())), Access::Withdraw)]
    fn access_is_removed_in_every_mode_and_despite_other_errors(
        #[case] error: Option<Error>,
        #[case] expected: Access,
    ) {
        assert_eq!(Access::after(Course::Enforce, error.as_ref()), expected);
        // Under the other modes, the part that is no longer granted is removed before anything else.
        for course in [Course::Observe, Course::Suspend] {
            let expected = if expected == Access::Withdraw { Access::Settled } else { expected };
            assert_eq!(Access::after(course, error.as_ref()), expected);
        }
    }

    #[rstest]
    #[case(Error::Denied { kind: KindId::SecretsTenant.as_str(), name: ObjectName::new("a", "b"), from: "c".to_owned() }, true)]
    #[case(Error::NotAllowed(String::new()), true)]
    #[case(missing(KindId::SecretsTenant), true)]
    #[case(missing(KindId::JWTIssuer), true)]
    #[case(missing(KindId::OpenBaoCluster), false)]
    #[case(Error::Conflict(String::new()), false)]
    #[case(Error::Waiting(String::new()), false)]
    fn only_a_missing_right_revokes_access(#[case] error: Error, #[case] expected: bool) {
        assert_eq!(is_revoked(&error), expected);
    }
}
