//! The next reconcile of a cluster after an error: in time to close break-glass, and with a timer while it waits for something
//! that is not watched, such as a database.

use std::fmt;
use std::time::Duration;

use steamer_core::error::Error;
use steamer_runtime::{Action, Failure, Reason, Retry};

/// Interval between two attempts to close break-glass that is over.
const SOON: Duration = Duration::from_secs(1);
/// Interval between two attempts after an error with a backoff.
const BACKOFF: Duration = Duration::from_secs(5);
/// Interval while a cluster waits for something that is not watched.
const WAITING: Duration = Duration::from_secs(10);

/// The result of a reconcile. `closed` is that of closing break-glass, with the time for which it stays open.
pub(super) fn punctual(
    closed: Result<Option<Duration>, Error>,
    result: Result<Action, Error>,
) -> Result<Action, Error> {
    match (closed, result) {
        // Break-glass is still open.
        (Err(error), Ok(_)) | (Err(_), Err(error)) => Err(Error::other(Punctual { error, pause: SOON })),
        (Ok(None), Err(error)) if is_unwatched(&error) => {
            Err(Error::other(Punctual { error, pause: WAITING }))
        }
        (Ok(None), result) => result,
        (Ok(Some(pause)), Ok(Action::After(next))) => Ok(Action::After(next.min(pause))),
        (Ok(Some(pause)), Ok(Action::AwaitChange)) => Ok(Action::After(pause)),
        (Ok(Some(pause)), Err(error)) => Err(Error::other(Punctual { error, pause })),
    }
}

/// Returns true if no event announces the end of a wait.
fn is_unwatched(error: &Error) -> bool {
    error.reason() == Reason::Waiting && error.retry() == Retry::OnChange
}

/// An error of a reconcile that is retried in time.
#[derive(Debug)]
struct Punctual {
    error: Error,
    pause: Duration,
}

impl fmt::Display for Punctual {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl std::error::Error for Punctual {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.error.source()
    }
}

impl Failure for Punctual {
    fn reason(&self) -> Reason {
        self.error.reason()
    }

    fn retry(&self) -> Retry {
        // An error with a shorter time of its own keeps it. A backoff starts with a second.
        match self.error.retry() {
            Retry::After(own) => Retry::After(own.min(self.pause)),
            Retry::Backoff => Retry::After(BACKOFF.min(self.pause)),
            Retry::OnChange => Retry::After(self.pause),
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

    fn after(seconds: u32) -> Retry {
        Retry::After(SECOND * seconds)
    }

    #[rstest]
    #[case::waits(Error::Waiting("a Secret".to_owned()), 300, after(300))]
    #[case::backoff(Error::Invalid("spec".to_owned()), 300, after(5))]
    #[case::nearly_over(Error::Invalid("spec".to_owned()), 2, after(2))]
    #[case::own_pause(Error::SourceMissing(String::new(), SECOND), 300, after(1))]
    fn an_error_is_retried_before_break_glass_is_over(
        #[case] error: Error,
        #[case] remaining: u32,
        #[case] expected: Retry,
    ) {
        let (text, stalled) = (error.to_string(), error.stalled());
        let error = punctual(Ok(Some(SECOND * remaining)), Err(error)).unwrap_err();
        assert_eq!((error.retry(), error.to_string(), error.stalled()), (expected, text, stalled));
    }

    #[rstest]
    #[case::waits(Error::Waiting("another session uses the database".to_owned()), after(10))]
    #[case::invalid(Error::Invalid("spec".to_owned()), Retry::Backoff)]
    fn a_cluster_that_waits_is_reconciled_again_without_an_event(
        #[case] error: Error,
        #[case] expected: Retry,
    ) {
        assert_eq!(punctual(Ok(None), Err(error)).unwrap_err().retry(), expected);
    }

    #[test]
    fn a_visit_is_not_later_than_the_end_of_break_glass() {
        let visit = |closed, action| punctual(Ok(closed), Ok(action)).unwrap();
        assert_eq!(visit(None, Action::AwaitChange), Action::AwaitChange);
        assert_eq!(visit(Some(SECOND), Action::AwaitChange), Action::After(SECOND));
        assert_eq!(visit(Some(SECOND), Action::After(9 * SECOND)), Action::After(SECOND));
        assert_eq!(visit(Some(9 * SECOND), Action::After(SECOND)), Action::After(SECOND));
    }

    #[test]
    fn a_failed_closing_is_reported_and_retried() {
        let failed = || Err(Error::Invalid("closing".to_owned()));
        let error = punctual(failed(), Ok(Action::AwaitChange)).unwrap_err();
        assert_eq!(error.to_string(), "closing");
        let both = punctual(failed(), Err(Error::Waiting("a Secret".to_owned()))).unwrap_err();
        assert_eq!((both.retry(), both.to_string()), (after(1), "a Secret".to_owned()));
    }
}
