//! Execution of parsed templates.

mod arguments;
mod commands;
mod fields;
pub(crate) mod machine;
mod state;
