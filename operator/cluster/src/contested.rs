//! Objects that another client changes each time.

use steamer_core::error::Error;

/// Keeps the first error of a contested object, which does not prevent other writes. Returns any other error.
pub(crate) fn set_aside<T>(written: Result<T, Error>, contested: &mut Option<Error>) -> Result<(), Error> {
    match written {
        Err(error @ Error::Repeated(..)) => {
            contested.get_or_insert(error);
            Ok(())
        }
        written => written.map(drop),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rstest::rstest;

    use super::*;

    fn contested(text: &str) -> Error {
        Error::Repeated(text.to_owned(), Duration::ZERO)
    }

    #[rstest]
    #[case::written(vec![Ok(true), Ok(false)], None, None)]
    #[case::contested(vec![Err(contested("a")), Ok(true), Err(contested("b"))], None, Some("a"))]
    #[case::failed(vec![Err(contested("a")), Err(Error::Waiting("b".to_owned()))], Some("b"), Some("a"))]
    fn only_a_contested_object_is_set_aside(
        #[case] writes: Vec<Result<bool, Error>>,
        #[case] failed: Option<&str>,
        #[case] expected: Option<&str>,
    ) {
        let mut first = None;
        let result = writes.into_iter().try_for_each(|written| set_aside(written, &mut first));
        assert_eq!(result.err().map(|error| error.to_string()).as_deref(), failed);
        assert_eq!(first.map(|error| error.to_string()).as_deref(), expected);
    }
}
