//! When an object is reconciled again: when its value is due, or when its restarts continue.

use std::fmt;
use std::time::Duration;

use steamer_core::Error;
use steamer_runtime::{Action, Failure, Reason, Retry};

/// Pause after a step of the restarts that cannot be reported.
const PAUSE: Duration = Duration::from_secs(5);

/// Joins the results of the sync and of the restarts. A sync that fails does not delay the restarts.
pub(super) fn paced(
    synced: Result<Action, Error>,
    restarts: Result<Option<Duration>, Error>,
) -> Result<Action, Error> {
    match (synced, restarts) {
        (synced, Ok(None)) => synced,
        (Ok(Action::AwaitChange), Ok(Some(pause))) => Ok(Action::After(pause)),
        (Ok(Action::After(due)), Ok(Some(pause))) => Ok(Action::After(due.min(pause))),
        (Ok(_), Err(error)) => Err(error),
        (Err(error), restarts) => {
            let pause = restarts.ok().flatten().unwrap_or(PAUSE);
            Err(Error::other(Paced { error, pause }))
        }
    }
}

/// An error of the sync of an object with restarts that are owed.
#[derive(Debug)]
struct Paced {
    error: Error,
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
        match self.error.retry() {
            Retry::After(due) => Retry::After(due.min(self.pause)),
            Retry::Backoff | Retry::OnChange => Retry::After(self.pause),
        }
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
        let next = match paced(synced, restarts) {
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
        let error = paced(Err(invalid()), Ok(Some(SECOND))).unwrap_err();
        assert_eq!(
            (error.reason(), error.stalled(), error.to_string()),
            (Reason::Invalid, true, "wrong".to_owned())
        );
    }
}
