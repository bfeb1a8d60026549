//! When an object is reconciled again: when its value is due, when its restarts continue, or when a lease is renewed although its
//! sync fails.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use steamer_core::Error;
use steamer_runtime::{Action, Failure, Locked, ObjectName, Reason, Retry, doubled};

/// Pause after a step of the restarts that cannot be reported, and after the first failed sync.
const PAUSE: Duration = Duration::from_secs(5);
/// Longest pause after a failed sync.
const LONGEST: Duration = Duration::from_secs(300);

/// Results of one visit.
pub(super) struct Visit {
    pub(super) synced: Result<Action, Error>,
    /// Pause before the next step of the restarts, if restarts are owed.
    pub(super) restarts: Result<Option<Duration>, Error>,
    /// Pause before the next renewal of a lease, if the sync failed.
    pub(super) renewal: Option<Duration>,
    pub(super) at: Instant,
}

/// Failed syncs of objects with restarts that are owed, or with leases. Visits for them repeat the error and read no value.
#[derive(Default)]
pub(super) struct Pace(Locked<HashMap<ObjectName, Failed>>);

/// A failed sync.
struct Failed {
    error: Arc<Error>,
    failures: u32,
    /// When the value is read again.
    due: Instant,
    /// When the next visit is due. A change causes an earlier one, which reads the value.
    visit: Instant,
    state: State,
}

/// State of the current visit.
#[derive(PartialEq, Eq)]
enum State {
    MayRead,
    ForOthers,
    Refused,
}

impl Pace {
    /// Starts a visit.
    pub(super) fn start(&self, object: &ObjectName, now: Instant) {
        if let Some(failed) = self.0.lock().get_mut(object) {
            let is_for_others = failed.visit <= now && now < failed.due;
            failed.state = if is_for_others { State::ForOthers } else { State::MayRead };
        }
    }

    /// Admits the read of a value.
    ///
    /// # Errors
    /// The error of the last sync, if the visit is not for the value.
    pub(super) fn admit(&self, object: &ObjectName) -> Result<(), Error> {
        match self.0.lock().get_mut(object).filter(|failed| failed.state == State::ForOthers) {
            Some(failed) => {
                failed.state = State::Refused;
                let pause = failed.due.saturating_duration_since(Instant::now());
                Err(Error::other(Paced { error: failed.error.clone(), pause }))
            }
            None => Ok(()),
        }
    }

    /// The error of the last sync, if this visit was not for the value.
    pub(super) fn cause(&self, object: &ObjectName) -> Option<Arc<Error>> {
        let all = self.0.lock();
        all.get(object).filter(|failed| failed.state == State::Refused).map(|failed| failed.error.clone())
    }

    /// Joins the results of the sync and of the restarts. A sync that fails delays neither the restarts nor the renewal of
    /// leases.
    pub(super) fn joined(&self, object: &ObjectName, visit: Visit) -> Result<Action, Error> {
        let Visit { synced, restarts, renewal, at } = visit;
        let pause = restarts.as_ref().map_or(Some(PAUSE), |pause| *pause);
        let pause = pause.into_iter().chain(renewal).min();
        let synced = match (synced, pause) {
            (Err(error), Some(pause)) => return Err(self.failed(object, error, (at, pause))),
            (synced, _) => synced,
        };
        self.forget(object);
        match (synced?, restarts?) {
            (Action::AwaitChange, Some(pause)) => Ok(Action::After(pause)),
            (Action::After(due), Some(pause)) => Ok(Action::After(due.min(pause))),
            (action, None) => Ok(action),
        }
    }

    /// Discards the failures of an object.
    pub(super) fn forget(&self, object: &ObjectName) {
        self.0.lock().remove(object);
    }

    fn failed(&self, object: &ObjectName, error: Error, (now, pause): (Instant, Duration)) -> Error {
        let mut all = self.0.lock();
        let mut failed = match all.remove(object) {
            Some(failed) if failed.state == State::Refused => failed,
            former => Failed::new(error, former.map_or(1, |former| former.failures.saturating_add(1)), now),
        };
        let pause = pause.min(failed.due.saturating_duration_since(now));
        (failed.visit, failed.state) = (now + pause, State::MayRead);
        let paced = Paced { error: failed.error.clone(), pause };
        all.insert(object.clone(), failed);
        Error::other(paced)
    }
}

impl Failed {
    fn new(error: Error, failures: u32, now: Instant) -> Self {
        let pause = match error.retry() {
            Retry::After(pause) => pause,
            Retry::Backoff => doubled(PAUSE, failures.saturating_sub(1), LONGEST),
            Retry::OnChange => LONGEST,
        };
        // A change can coincide with a visit for restarts or leases, which does not read. The limit bounds its delay.
        let due = now + pause.min(LONGEST);
        Self { error: Arc::new(error), failures, due, visit: due, state: State::MayRead }
    }
}

/// An error of the sync of an object with restarts that are owed, or with leases.
#[derive(Debug)]
struct Paced {
    error: Arc<Error>,
    pause: Duration,
}

impl fmt::Display for Paced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl std::error::Error for Paced {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.error.source()
    }
}

impl Failure for Paced {
    fn reason(&self) -> Reason {
        self.error.reason()
    }

    fn retry(&self) -> Retry {
        Retry::After(self.pause)
    }

    fn stalled(&self) -> bool {
        self.error.stalled()
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn invalid() -> Error {
        Error::Invalid("wrong".to_owned())
    }

    fn object() -> ObjectName {
        ObjectName::new("web", "app")
    }

    fn missing() -> Error {
        Error::SourceMissing("no value".to_owned(), 3 * SECOND)
    }

    #[rstest]
    #[case::nothing_owed(Ok(Action::After(9 * SECOND)), Ok(None), Some(9))]
    #[case::restart_first(Ok(Action::After(9 * SECOND)), Ok(Some(5 * SECOND)), Some(5))]
    #[case::value_first(Ok(Action::After(2 * SECOND)), Ok(Some(5 * SECOND)), Some(2))]
    #[case::no_value_due(Ok(Action::AwaitChange), Ok(Some(5 * SECOND)), Some(5))]
    #[case::a_spec_that_waits_for_a_change(Err(Error::Waiting("x".to_owned())), Ok(Some(5 * SECOND)), Some(5))]
    #[case::an_earlier_retry(Err(missing()), Ok(Some(5 * SECOND)), Some(3))]
    #[case::a_later_retry(Err(missing()), Ok(Some(SECOND)), Some(1))]
    #[case::both_failed(Err(Error::Waiting("x".to_owned())), Err(invalid()), Some(5))]
    #[case::without_restarts(Err(Error::Waiting("x".to_owned())), Ok(None), None)]
    fn the_next_reconcile_is_the_earlier_one(
        #[case] synced: Result<Action, Error>,
        #[case] restarts: Result<Option<Duration>, Error>,
        #[case] seconds: Option<u64>,
    ) {
        let visit = Visit { synced, restarts, renewal: None, at: Instant::now() };
        let next = match Pace::default().joined(&object(), visit) {
            Ok(Action::After(pause)) => Some(pause),
            Ok(Action::AwaitChange) => None,
            Err(error) => match error.retry() {
                Retry::After(pause) => Some(pause),
                Retry::OnChange | Retry::Backoff => None,
            },
        };
        assert_eq!(next.map(|pause| pause.as_secs()), seconds);
    }

    #[test]
    fn the_error_of_the_sync_is_reported_as_it_is() {
        let visit =
            Visit { synced: Err(invalid()), restarts: Ok(Some(SECOND)), renewal: None, at: Instant::now() };
        let error = Pace::default().joined(&object(), visit).unwrap_err();
        assert_eq!(
            (error.reason(), error.stalled(), error.to_string()),
            (Reason::Invalid, true, "wrong".to_owned())
        );
    }

    #[rstest]
    #[case::alone(None, 7)]
    #[case::before_the_restarts(Some(9), 7)]
    #[case::after_the_restarts(Some(5), 5)]
    fn a_failed_sync_does_not_delay_a_renewal(#[case] restarts: Option<u64>, #[case] seconds: u64) {
        let restarts = Ok(restarts.map(Duration::from_secs));
        let synced = Err(Error::Waiting("x".to_owned()));
        let visit = Visit { synced, restarts, renewal: Some(7 * SECOND), at: Instant::now() };
        let error = Pace::default().joined(&object(), visit).unwrap_err();
        assert_eq!(error.retry(), Retry::After(Duration::from_secs(seconds)));
    }

    /// Visits an object every 5 seconds for a restart that does not end. Returns the seconds of its reads.
    fn reads(fail: impl Fn() -> Error, changed: u64) -> Vec<u64> {
        let (pace, start) = (Pace::default(), Instant::now());
        let (mut second, mut reads) = (0, Vec::new());
        while second <= 60 {
            let at = start + Duration::from_secs(second);
            pace.start(&object(), at);
            let synced = pace.admit(&object()).and_then(|()| {
                reads.push(second);
                Err(fail())
            });
            let error = pace
                .joined(&object(), Visit { synced, restarts: Ok(Some(5 * SECOND)), renewal: None, at })
                .unwrap_err();
            assert_eq!((error.reason(), error.to_string()), (fail().reason(), fail().to_string()));
            let pause = match error.retry() {
                Retry::After(pause) => pause.as_secs(),
                Retry::OnChange | Retry::Backoff => 1000,
            };
            let next = second + pause;
            second = if second < changed { next.min(changed) } else { next };
        }
        reads
    }

    #[test]
    fn visits_for_the_restarts_do_not_read_the_value() {
        let backoff = || Error::internal(std::io::Error::other("down"));
        assert_eq!(backoff().retry(), Retry::Backoff);
        assert_eq!(reads(backoff, 0), [0, 5, 15, 35]);
        assert_eq!(reads(|| Error::SourceMissing("no value".to_owned(), 23 * SECOND), 0), [0, 23, 46]);
        let waiting = || Error::Waiting("x".to_owned());
        assert_eq!(reads(waiting, 0), [0]);
        assert_eq!(reads(waiting, 12), [0, 12], "a change reads the value");
    }

    #[test]
    fn a_sync_without_restarts_keeps_its_retry() {
        let pace = Pace::default();
        let visit = |restarts| Visit {
            synced: Err(Error::Waiting("x".to_owned())),
            restarts: Ok(restarts),
            renewal: None,
            at: Instant::now(),
        };
        assert!(pace.joined(&object(), visit(Some(SECOND))).is_err());
        assert_eq!(pace.joined(&object(), visit(None)).unwrap_err().retry(), Retry::OnChange);
        pace.start(&object(), Instant::now() + 2 * SECOND);
        assert!(pace.admit(&object()).is_ok(), "the failure is discarded");
    }
}
