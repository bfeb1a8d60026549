//! JSON, as Go's `encoding/json` reads and writes it.

pub(crate) mod decoder;
pub(crate) mod encoder;
