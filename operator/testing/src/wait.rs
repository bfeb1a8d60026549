//! Waiting for a stated condition, with a deadline.

use std::fmt::Debug;
use std::future::Future;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// How long anything may take unless said otherwise: far more than it does, so that a slow machine changes nothing.
pub const DEADLINE: Duration = Duration::from_secs(180);

/// Looks until `look` gives `Ok(value)`; `Err(seen)` is what it last saw, told when the deadline passes.
///
/// # Errors
/// When the deadline passes.
pub async fn eventually<T, S, F>(what: &str, mut look: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = Result<T, S>>,
    S: Debug,
{
    let started = Instant::now();
    loop {
        match look().await {
            Ok(value) => return Ok(value),
            Err(seen) if started.elapsed() > DEADLINE => {
                bail!("waited {DEADLINE:?} in vain: {what}; last seen: {seen:?}")
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}
