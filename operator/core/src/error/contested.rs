//! Errors of writes that another client undoes each time. They must not delay other work.

use std::time::Duration;

use super::Error;

impl Error {
    /// The error for a write that is not made again: its object is checked at each interval.
    #[must_use]
    pub fn stopped(text: String) -> Self {
        Self::Repeated(text, Duration::MAX)
    }

    /// Keeps the first [`Error::Repeated`] in `contested`, for a write that must not stop the rest of a reconcile. The value
    /// is the default one then.
    ///
    /// # Errors
    /// Any other error.
    pub fn set_aside<T: Default>(result: Result<T, Self>, contested: &mut Option<Self>) -> Result<T, Self> {
        match result {
            Err(error @ Self::Repeated(..)) => {
                contested.get_or_insert(error);
                Ok(T::default())
            }
            result => result,
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
    #[case::stopped(Error::stopped(String::new()), 60, Retry::After(Duration::from_secs(60)))]
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
        let mut contested = None;
        let value = Error::set_aside(result, &mut contested).ok();
        let found = value.map(|value| (value, contested.map(|error| error.reason())));
        assert_eq!(found, expected);
    }

    fn undone(text: &str) -> Error {
        Error::Repeated(text.to_owned(), Duration::ZERO)
    }

    #[rstest]
    #[case::written(vec![Ok(true), Ok(false)], None, None)]
    #[case::contested(vec![Err(undone("a")), Ok(true), Err(undone("b"))], None, Some("a"))]
    #[case::failed(vec![Err(undone("a")), Err(Error::Waiting("b".to_owned()))], Some("b"), Some("a"))]
    fn the_first_contested_write_of_several_is_kept(
        #[case] writes: Vec<Result<bool, Error>>,
        #[case] failed: Option<&str>,
        #[case] expected: Option<&str>,
    ) {
        let mut first = None;
        let result =
            writes.into_iter().try_for_each(|written| Error::set_aside(written, &mut first).map(drop));
        assert_eq!(result.err().map(|error| error.to_string()).as_deref(), failed);
        assert_eq!(first.map(|error| error.to_string()).as_deref(), expected);
    }
}
