//! Watches the leader of each cluster and replaces a lost one. A guard is faster than the expiry of the lock, and safer
//! than OpenBao's own fence, which is a statement separate from the write that it protects.

mod case;
mod fence;
mod judge;
mod memory;
pub(crate) mod registry;
mod renewal;
pub(crate) mod takeover;
pub(crate) mod target;
#[cfg(test)]
mod tests;
mod watcher;
