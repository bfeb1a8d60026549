//! Syntax of templates: text to tokens to nodes.

mod delimiter;
pub(crate) mod lexer;
pub(crate) mod literal;
pub(crate) mod node;
pub(crate) mod number;
pub(crate) mod parser;
pub(crate) mod pipeline;
pub(crate) mod token;
