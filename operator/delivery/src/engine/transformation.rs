//! Transformation of a value: templates and filters, from the spec to the data of a Secret. Nothing here performs I/O.

mod definition;
mod filter;
mod input;
mod program;
#[cfg(test)]
mod tests;

pub(crate) use definition::Definition;
pub(crate) use input::Subject;
pub(crate) use program::{Program, plain};
