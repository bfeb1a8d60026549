//! What a spec and its source state about a secret.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use steamer_api::Generator;
use steamer_core::ownership::Mark;
use steamer_openbao::Values;

use super::entry::{Entry, time};
use super::keys::{Custom, ROTATED_AT};

/// Longest time until a scheduled deletion, 100 years. OpenBao counts in nanoseconds.
const LONGEST: u64 = 3_155_760_000;

/// Source of a value. It has no `Debug`.
#[derive(Clone)]
pub(super) enum Source {
    /// A person or another client writes it.
    Person,
    /// A Secret of Kubernetes.
    Secret {
        values: Values,
        /// The metadata about this value.
        origin: String,
    },
    /// A generator.
    Generated(Generator),
    /// The value does not follow its source now, because it is expired or rolled back.
    Kept,
}

/// What a spec and its source state.
pub(super) struct Wanted {
    /// Mark, description and the like.
    pub(super) described: Custom,
    pub(super) source: Source,
    pub(super) rollback_to: Option<i64>,
    pub(super) expires_at: Option<Timestamp>,
    /// 0: as many as the engine keeps.
    pub(super) max_versions: i64,
    pub(super) rotation: Option<Rotation>,
    /// Digest of the request for a rotation.
    pub(super) request: Option<String>,
    /// Digest of the request that the status records as carried out.
    pub(super) handled: Option<String>,
    /// True if the status records a version: a generated value that is missing was lost.
    pub(super) had_value: bool,
}

/// Rotation of a value.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rotation {
    pub(super) interval: Duration,
    /// True if another value is generated.
    pub(super) regenerates: bool,
    pub(super) destroys_previous: bool,
}

impl Wanted {
    pub(super) fn is_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }

    /// Seconds until the expiration, rounded up, at most [`LONGEST`]. 0: none.
    pub(super) fn remaining(&self, now: Timestamp) -> u64 {
        let Some(left) = self.expires_at.map(|at| at.duration_since(now)) else { return 0 };
        let rounded = left.as_secs() + i64::from(left.subsec_nanos() > 0);
        u64::try_from(rounded).unwrap_or_default().clamp(1, LONGEST)
    }

    /// Returns true if the value exists and does not belong to the object yet.
    pub(super) fn adopts(&self, entry: &Entry) -> bool {
        entry.current() > 0 && entry.mark() != Mark::of_metadata(&self.described)
    }

    /// Returns true if a rotation is requested that was not carried out yet. The status remembers it for an entry that is gone.
    pub(super) fn is_requested(&self, entry: &Entry) -> bool {
        let is_handled =
            |request: &String| entry.request() == Some(request) || self.handled.as_ref() == Some(request);
        self.request.as_ref().is_some_and(|request| !is_handled(request))
    }

    /// Returns true if another value must be generated because of its age, which counts from the adoption.
    pub(super) fn must_regenerate(&self, entry: &Entry, now: Timestamp) -> bool {
        if self.adopts(entry) {
            return false;
        }
        let due = self.rotation.filter(|it| it.regenerates).and_then(|it| it.due(rotated(entry)?));
        due.is_some_and(|due| due <= now)
    }
}

impl Rotation {
    /// Time from which a value is due.
    pub(super) fn due(&self, rotated: Timestamp) -> Option<Timestamp> {
        rotated.checked_add(SignedDuration::try_from(self.interval).ok()?).ok()
    }
}

/// Time of the last rotation of the current value. A version that another client wrote was rotated at its creation.
pub(super) fn rotated(entry: &Entry) -> Option<Timestamp> {
    let recorded = time(entry.custom(), ROTATED_AT).filter(|_| entry.recorded() == entry.current());
    recorded.or_else(|| entry.created(entry.current()))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn wanted(expires_at: Option<Timestamp>) -> Wanted {
        Wanted {
            described: Custom::new(),
            source: Source::Person,
            rollback_to: None,
            expires_at,
            max_versions: 0,
            rotation: None,
            request: None,
            handled: None,
            had_value: false,
        }
    }

    #[rstest]
    #[case::never(None, false, 0)]
    #[case::whole(Some(110_000), false, 10)]
    #[case::rounded_up(Some(110_001), false, 11)]
    #[case::soon(Some(100_001), false, 1)]
    #[case::now(Some(100_000), true, 1)]
    #[case::passed(Some(1_000), true, 1)]
    #[case::in_the_year_9999(Some(253_402_207_200_000), false, LONGEST)]
    fn a_value_is_scheduled_for_its_expiration_and_never_before(
        #[case] milliseconds: Option<i64>,
        #[case] expired: bool,
        #[case] remaining: u64,
    ) {
        let at = |milliseconds| Timestamp::from_millisecond(milliseconds).unwrap();
        let (wanted, now) = (wanted(milliseconds.map(at)), at(100_000));
        assert_eq!((wanted.is_expired(now), wanted.remaining(now)), (expired, remaining));
    }
}
