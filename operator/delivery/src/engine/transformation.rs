//! Transformation of a value: templates and filters, from the spec to the data of a Secret. Nothing here performs I/O.

mod definition;
mod filter;
mod input;
mod metadata;
mod program;
#[cfg(test)]
mod tests;

pub(crate) use definition::{DELIVERED, Definition};
pub(crate) use input::Subject;
pub(crate) use metadata::Metadata;
pub(crate) use program::{Program, Rendered, plain};
