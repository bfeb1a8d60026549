//! Text of values, as Go's `fmt` writes it.

pub(crate) mod directive;
pub(crate) mod flags;
pub(crate) mod float;
pub(crate) mod integer;
pub(crate) mod printer;
pub(crate) mod quote;
