//! Controller runtime that is independent of Steamer's kinds: watches, queue, retries, dependencies between objects,
//! conditions and status, Events, leader election, admin server, logs and metrics.

pub mod admin;
pub mod conditions;
mod coverage;
mod events;
#[cfg(test)]
mod fake;
mod guarded;
mod index;
mod instant;
pub mod kubernetes;
mod lease;
mod listing;
mod locked;
pub mod logs;
mod metrics;
mod name;
mod namespaces;
mod object;
mod panic;
mod queue;
mod reason;
mod reconcile;
mod reviews;
mod runner;
mod scope;
mod shutdown;
mod status;
mod store;
mod thread;
mod watch;
pub mod write_limit;

pub use coverage::Coverage;
pub use events::Events;
pub use guarded::{Cause, Guarded, Unreadable};
pub use index::{Dependencies, Index, Key, Waiter};
pub use instant::after;
pub use lease::{Lease, LeaseSettings};
pub use listing::{Listings, Part};
pub use locked::Locked;
pub use metrics::Metrics;
pub use name::ObjectName;
pub use object::Object;
pub use panic::{Panicked, caught, caught_future, log_panics};
pub use queue::{Lane, Trigger, trigger};
pub use reason::Reason;
pub use reconcile::{Action, Failure, Reconcile, Retry, describe};
pub use reviews::Reviews;
pub use runner::{Limits, Runtime, run};
pub use scope::Scope;
pub use shutdown::terminated;
pub use status::{StatusError, Statuses};
pub use store::{Presence, Store};
pub use thread::{OwnThread, on_own_thread};
pub use watch::{Edges, Watch};
