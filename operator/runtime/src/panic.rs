//! Isolation of panics: a fault in the handling of one object must not end the process.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, set_hook};

use futures::FutureExt;
use tracing::error;

/// A panic that was caught. It has no text: a payload can quote a secret value.
#[derive(Debug, PartialEq, Eq)]
pub struct Panicked;

impl fmt::Display for Panicked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a panic, which is a fault of Steamer; the log of the operator contains its position")
    }
}

impl std::error::Error for Panicked {}

/// Runs a function and catches its panic.
///
/// # Errors
/// [`Panicked`] if the function panics.
pub fn caught<T>(run: impl FnOnce() -> T) -> Result<T, Panicked> {
    catch_unwind(AssertUnwindSafe(run)).map_err(discarded)
}

/// Polls a future and catches its panic.
///
/// # Errors
/// [`Panicked`] if the future panics.
pub async fn caught_future<T>(future: impl Future<Output = T>) -> Result<T, Panicked> {
    AssertUnwindSafe(future).catch_unwind().await.map_err(discarded)
}

/// Drops the payload of a panic. Its drop could panic again.
fn discarded(payload: Box<dyn Any + Send>) -> Panicked {
    std::mem::forget(payload);
    Panicked
}

/// Logs every panic of the process with its position. A text is logged only if it is a literal.
pub fn log_panics() {
    set_hook(Box::new(|panic: &PanicHookInfo<'_>| {
        let position = panic.location().map(ToString::to_string).unwrap_or_default();
        let text = panic.payload().downcast_ref::<&'static str>().copied().unwrap_or_default();
        error!(position, text, "panic");
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(clippy::panic)]
    fn a_panic_is_caught_without_its_text() {
        assert_eq!(caught(|| 1), Ok(1));
        let problem = caught(|| panic!("hunter2")).unwrap_err();
        assert!(!problem.to_string().contains("hunter2"));
    }
}
