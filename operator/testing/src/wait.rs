//! Waits for a stated condition, with a deadline.

use std::fmt::Debug;
use std::future::Future;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// Deadline of every wait that does not set its own: far longer than a healthy run needs, so that a slow machine does
/// not fail a test.
pub const DEADLINE: Duration = Duration::from_secs(180);
/// Longest pause between two looks of a short wait.
pub(crate) const PAUSE: Duration = Duration::from_millis(50);
/// Longest pause between two looks of a long wait. Looks cost CPU time, which the waiting tests share.
const LONG_PAUSE: Duration = Duration::from_millis(500);

/// Calls `look` until it returns `Ok(value)`. `Err(seen)` is the observed state, which the error at the deadline
/// reports.
///
/// # Errors
/// When the deadline passes.
pub async fn eventually<T, S, F>(what: &str, mut look: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = Result<T, S>>,
    S: Debug,
{
    let (started, mut seen) = (Instant::now(), None);
    loop {
        let left = DEADLINE.saturating_sub(started.elapsed());
        match tokio::time::timeout(left, look()).await {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(now)) => seen = Some(now),
            Err(_) => {}
        }
        if started.elapsed() >= DEADLINE {
            bail!("timed out after {DEADLINE:?} waiting for: {what}; last observed: {}", text(seen));
        }
        tokio::time::sleep((started.elapsed() / 12).clamp(PAUSE, LONG_PAUSE)).await;
    }
}

/// Blocks like [`eventually`], for code that cannot await.
///
/// # Errors
/// When the deadline passes.
#[allow(clippy::disallowed_methods)]
pub fn blocking<T, S: Debug>(
    what: &str,
    deadline: Duration,
    mut look: impl FnMut() -> Result<T, S>,
) -> Result<T> {
    let (started, mut pause) = (Instant::now(), Duration::from_millis(1));
    loop {
        match look() {
            Ok(value) => return Ok(value),
            Err(seen) if started.elapsed() >= deadline => {
                bail!("timed out after {deadline:?} waiting for: {what}; last observed: {seen:?}")
            }
            Err(_) => std::thread::sleep(pause),
        }
        pause = (pause * 2).min(PAUSE);
    }
}

fn text<S: Debug>(seen: Option<S>) -> String {
    seen.map_or_else(|| "nothing".to_owned(), |seen| format!("{seen:?}"))
}
