//! A lock that ignores poisoning.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// A mutex whose value stays usable after a panic of another thread: every change under the lock is complete before code
/// that can panic.
#[derive(Debug, Default)]
pub struct Locked<T>(Mutex<T>);

impl<T> Locked<T> {
    /// Returns a lock around a value.
    pub const fn new(value: T) -> Self {
        Self(Mutex::new(value))
    }

    /// Locks the value. Blocks while another thread holds the lock.
    pub fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
