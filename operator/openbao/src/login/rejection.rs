//! Memory of a rejected login.

use std::time::{Duration, Instant};

use crate::Error;

/// A rejected login. All requests share its error until it is repeated.
pub(super) struct Rejected {
    at: Instant,
    pause: Duration,
    path: String,
    message: String,
    /// Number of rejections in a row.
    pub(super) times: u32,
}

impl Rejected {
    pub(super) fn new(times: u32, pause: Duration, (path, message): (&str, &str)) -> Self {
        let (path, message) = (path.to_owned(), message.to_owned());
        Self { at: Instant::now(), pause, path, message, times }
    }

    /// Returns the error while the login must not be repeated.
    pub(super) fn error(&self) -> Option<Error> {
        let error = || Error::Login { path: self.path.clone(), message: self.message.clone() };
        (self.at.elapsed() < self.pause).then(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_is_shared_until_the_end_of_the_pause() {
        let rejected = |pause| Rejected::new(1, pause, ("auth/jwt/login", "no"));
        assert!(matches!(rejected(Duration::from_secs(60)).error(), Some(Error::Login { .. })));
        assert!(rejected(Duration::ZERO).error().is_none());
    }
}
