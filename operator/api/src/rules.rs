//! Rules that fields of several kinds share. Each is a CEL rule for the admission, with its message. Rules that protect
//! other users are also functions, for objects that were admitted before the rule existed.

mod addresses;
mod apps;
mod immutable;
mod mounts;
mod places;
mod rule;
mod secrets;

pub(crate) use immutable::immutable;

pub use addresses::*;
pub use apps::*;
pub use mounts::*;
pub use places::*;
pub use secrets::*;
