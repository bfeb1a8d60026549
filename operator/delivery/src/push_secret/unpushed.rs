//! Selected Secrets that are not pushed.

use std::collections::BTreeMap;
use std::time::Duration;

use steamer_api::FailedSecret;
use steamer_core::Error;
use steamer_runtime::{Failure, Reason, Retry, describe};

/// Longest message of a Secret, in characters.
const LONGEST: usize = 1024;

/// Why a Secret is not pushed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cause {
    reason: Reason,
    retry: Retry,
    is_stalled: bool,
    text: String,
}

impl Cause {
    pub(super) fn of(error: &Error) -> Self {
        let (reason, retry, is_stalled) = (error.reason(), error.retry(), error.stalled());
        Self { reason, retry, is_stalled, text: describe(error) }
    }
}

/// Secrets that are not pushed, by name. The first cause of each counts.
#[derive(Clone, Default)]
pub(super) struct Unpushed(BTreeMap<String, Cause>);

impl Unpushed {
    pub(super) fn add(&mut self, secret: &str, cause: Cause) {
        self.0.entry(secret.to_owned()).or_insert(cause);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The Secrets for the status.
    pub(super) fn listed(&self) -> Vec<FailedSecret> {
        let entry = |(name, cause): (&String, &Cause)| FailedSecret {
            name: name.clone(),
            reason: cause.reason.as_str().to_owned(),
            message: cause.text.chars().take(LONGEST).collect(),
        };
        self.0.iter().map(entry).collect()
    }

    /// The error of an object that selects that many Secrets. None if all are pushed. It names a Secret that needs a change, if
    /// there is one. `refresh`: when the entries of the others are checked again.
    pub(super) fn error(&self, selected: usize, refresh: Duration) -> Option<Error> {
        let (name, cause) = self.0.iter().min_by_key(|(_, cause)| !cause.is_stalled)?;
        Some(Error::other(Incomplete {
            count: self.0.len(),
            selected,
            name: name.clone(),
            retry: self.retry(refresh),
            cause: cause.clone(),
        }))
    }

    /// The earliest retry of all Secrets.
    fn retry(&self, refresh: Duration) -> Retry {
        let pause = |cause: &Cause| match cause.retry {
            Retry::Backoff => None,
            Retry::After(pause) => Some(pause.min(refresh)),
            Retry::OnChange => Some(refresh),
        };
        let pauses: Option<Vec<Duration>> = self.0.values().map(pause).collect();
        pauses.map_or(Retry::Backoff, |pauses| Retry::After(pauses.into_iter().min().unwrap_or(refresh)))
    }
}

/// Some of the selected Secrets are not pushed.
#[derive(Debug, thiserror::Error)]
#[error("{count} of {selected} selected Secrets are not pushed, see status.failed; Secret {name}: {}", cause.text)]
struct Incomplete {
    count: usize,
    selected: usize,
    name: String,
    retry: Retry,
    cause: Cause,
}

impl Failure for Incomplete {
    fn reason(&self) -> Reason {
        self.cause.reason
    }

    fn retry(&self) -> Retry {
        self.retry
    }

    fn stalled(&self) -> bool {
        self.cause.is_stalled
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const REFRESH: Duration = Duration::from_secs(300);

    fn waits() -> Error {
        Error::Waiting("no key".to_owned())
    }

    fn conflict() -> Error {
        Error::Conflict("exists".to_owned())
    }

    fn missing(seconds: u64) -> Error {
        Error::SourceMissing("lost".to_owned(), Duration::from_secs(seconds))
    }

    fn unpushed(errors: &[(&str, Error)]) -> Unpushed {
        let mut unpushed = Unpushed::default();
        errors.iter().for_each(|(name, error)| unpushed.add(name, Cause::of(error)));
        unpushed
    }

    #[rstest]
    #[case::one(vec![("a", waits())], "Waiting", false, Retry::After(REFRESH))]
    #[case::a_change_is_needed(vec![("a", waits()), ("b", conflict())], "Conflict", true, Retry::Backoff)]
    #[case::the_earliest_retry(vec![("a", waits()), ("b", missing(20))], "Waiting", false, Retry::After(Duration::from_secs(20)))]
    #[case::never_later_than_the_others(vec![("a", missing(3600))], "SourceMissing", false, Retry::After(REFRESH))]
    fn an_object_states_how_many_secrets_are_not_pushed_and_one_cause(
        #[case] errors: Vec<(&str, Error)>,
        #[case] reason: &str,
        #[case] is_stalled: bool,
        #[case] retry: Retry,
    ) {
        let unpushed = unpushed(&errors);
        let error = unpushed.error(5, REFRESH).unwrap();
        assert_eq!((error.reason().as_str(), error.stalled(), error.retry()), (reason, is_stalled, retry));
        let count = errors.len();
        let text = format!("{count} of 5 selected Secrets are not pushed, see status.failed; Secret ");
        assert!(error.to_string().starts_with(&text), "{error}");
        assert_eq!(unpushed.listed().len(), count);
    }

    #[test]
    fn the_first_cause_of_a_secret_is_listed_with_a_bounded_message() {
        let long = Error::Conflict("x".repeat(5000));
        let unpushed = unpushed(&[("b", long), ("b", waits()), ("a", waits())]);
        let listed = unpushed.listed();
        assert_eq!(listed.iter().map(|it| it.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!((listed[1].reason.as_str(), listed[1].message.len()), ("Conflict", LONGEST));
        assert!(Unpushed::default().error(5, REFRESH).is_none());
    }
}
