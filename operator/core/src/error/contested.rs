//! Errors of writes that another client undoes each time. They must not delay other work.

use std::time::Duration;

use super::Error;

impl Error {
    /// Separates [`Error::Repeated`] from the result, for a write that must not stop the rest of a reconcile.
    ///
    /// # Errors
    /// Any other error.
    pub fn set_aside<T: Default>(result: Result<T, Self>) -> Result<(T, Option<Self>), Self> {
        match result {
            Err(error @ Self::Repeated(..)) => Ok((T::default(), Some(error))),
            result => result.map(|value| (value, None)),
        }
    }

    /// Limits the time until the next attempt after [`Error::Repeated`].
    #[must_use]
    pub fn retried_within(self, longest: Duration) -> Self {
        match self {
            Self::Repeated(text, pause) => Self::Repeated(text, pause.min(longest)),
            error => error,
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use steamer_runtime::{Failure, Reason, Retry};

    use super::*;

    fn repeated(seconds: u64) -> Error {
        Error::Repeated("undone".to_owned(), Duration::from_secs(seconds))
    }

    #[rstest]
    #[case::short(repeated(30), 60, Retry::After(Duration::from_secs(30)))]
    #[case::drift_interval(repeated(3600), 60, Retry::After(Duration::from_secs(60)))]
    #[case::long_drift_interval(repeated(3600), 7200, Retry::After(Duration::from_secs(300)))]
    #[case::other_pause(
        Error::SourceMissing(String::new(), Duration::from_secs(3600)),
        60,
        Retry::After(Duration::from_secs(3600))
    )]
    #[case::other(Error::Conflict(String::new()), 60, Retry::Backoff)]
    fn a_contested_write_does_not_delay_the_next_visit(
        #[case] error: Error,
        #[case] longest: u64,
        #[case] expected: Retry,
    ) {
        assert_eq!(error.retried_within(Duration::from_secs(longest)).retry(), expected);
    }

    #[rstest]
    #[case::written(Ok(true), Some((true, None)))]
    #[case::contested(Err(repeated(30)), Some((false, Some(Reason::Conflict))))]
    #[case::conflict(Err(Error::Conflict(String::new())), None)]
    fn only_a_contested_write_is_set_aside(
        #[case] result: Result<bool, Error>,
        #[case] expected: Option<(bool, Option<Reason>)>,
    ) {
        let separated = Error::set_aside(result).ok();
        let found = separated.map(|(value, error)| (value, error.map(|error| error.reason())));
        assert_eq!(found, expected);
    }
}
