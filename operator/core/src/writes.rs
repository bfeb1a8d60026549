//! Writes of KV values that relays beside OpenBao report: the objects that read these values are woken.
//!
//! A record is only a reason to read. A record that is lost or forged delays or wakes an object.

mod coverage;
mod location;
mod reported;

pub use coverage::{Coverage, Polling};
pub use location::KvEngine;
pub use reported::{RelayState, ReportedWrites, coverage_key, relays_key};
