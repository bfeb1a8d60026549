//! Nodes of a parsed template. Every `at` is an offset in the text of the template.

use std::sync::Arc;

use super::number::Number;
use crate::error::Source;
use crate::functions::Function;

/// A named template.
#[derive(Clone)]
pub(crate) struct Definition {
    pub(crate) name: String,
    /// The template that contains the definition.
    pub(crate) source: Arc<Source>,
    pub(crate) body: Vec<Node>,
}

impl Definition {
    /// Whether the body is only space, so that another definition may replace it.
    pub(crate) fn is_empty(&self) -> bool {
        self.body.iter().all(|node| matches!(node, Node::Text { text } if text.trim().is_empty()))
    }
}

#[derive(Clone)]
pub(crate) enum Node {
    Text { text: String },
    Action(Pipeline),
    If(Branch),
    With(Branch),
    Range(Branch),
    Template { at: usize, name: String, pipeline: Option<Pipeline> },
    Break,
    Continue,
}

/// `if`, `with` or `range`.
#[derive(Clone)]
pub(crate) struct Branch {
    pub(crate) pipeline: Pipeline,
    pub(crate) body: Vec<Node>,
    pub(crate) otherwise: Vec<Node>,
}

#[derive(Clone)]
pub(crate) struct Pipeline {
    pub(crate) at: usize,
    pub(crate) variables: Vec<String>,
    /// Whether the variables exist (`=`) or are declared here (`:=`).
    pub(crate) assigns: bool,
    pub(crate) commands: Vec<Command>,
}

/// An operand with its arguments.
#[derive(Clone)]
pub(crate) struct Command {
    pub(crate) first: Operand,
    pub(crate) arguments: Vec<Operand>,
}

#[derive(Clone)]
pub(crate) struct Operand {
    pub(crate) at: usize,
    pub(crate) term: Term,
}

#[derive(Clone)]
pub(crate) enum Term {
    Bool(bool),
    /// Bytes of a string constant.
    String(Vec<u8>),
    Number(Number),
    Nil,
    Dot,
    /// `.a.b`
    Field(Vec<String>),
    /// `$x.a.b`: the variable with its `$`, and fields.
    Variable(String, Vec<String>),
    Function(&'static Function),
    Pipeline(Box<Pipeline>),
    /// Fields of a pipeline or function.
    Chain(Box<Operand>, Vec<String>),
}

impl Term {
    /// Whether the term cannot take the result of a previous command.
    pub(crate) fn is_constant(&self) -> bool {
        matches!(self, Self::Bool(_) | Self::String(_) | Self::Number(_) | Self::Nil | Self::Dot)
    }
}
