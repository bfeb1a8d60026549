//! Functions, the types of their parameters, and access to arguments that have been checked.

use std::rc::Rc;

use crate::error::Fault;
use crate::item::{Dict, Item};
use crate::scope::Scope;
use crate::text::Text;

pub(crate) type Body = fn(&mut Scope, &[Item]) -> Result<Item, Fault>;

/// Go's type of a parameter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Parameter {
    String,
    Int,
    Float,
    Bool,
    /// `interface {}`
    Any,
    /// `map[string]interface {}`
    Dict,
    /// `reflect.Value`, which also accepts an absent value.
    Value,
}

impl Parameter {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Int => "int",
            Self::Float => "float64",
            Self::Bool => "bool",
            Self::Any => "interface {}",
            Self::Dict => "map[string]interface {}",
            Self::Value => "reflect.Value",
        }
    }
}

/// A function of templates.
pub(crate) struct Function {
    pub(crate) name: &'static str,
    pub(crate) parameters: &'static [Parameter],
    pub(crate) variadic: Option<Parameter>,
    pub(crate) body: Body,
}

impl Function {
    pub(super) const fn new(name: &'static str, parameters: &'static [Parameter], body: Body) -> Self {
        Self { name, parameters, variadic: None, body }
    }

    pub(super) const fn with(mut self, variadic: Parameter) -> Self {
        self.variadic = Some(variadic);
        self
    }

    /// Type of the argument at `index`.
    pub(crate) fn parameter(&self, index: usize) -> Option<Parameter> {
        self.parameters.get(index).copied().or(self.variadic)
    }
}

pub(super) fn text(args: &[Item], index: usize) -> &[u8] {
    match args.get(index) {
        Some(Item::String(text) | Item::Number(text)) => text,
        _ => b"",
    }
}

pub(super) fn shared(args: &[Item], index: usize) -> Text {
    match args.get(index) {
        Some(Item::String(text) | Item::Number(text)) => text.clone(),
        _ => Text::from(""),
    }
}

pub(super) fn lossy(args: &[Item], index: usize) -> String {
    String::from_utf8_lossy(text(args, index)).into_owned()
}

pub(super) fn int(args: &[Item], index: usize) -> i64 {
    match args.get(index) {
        Some(Item::Int(int) | Item::Int64(int)) => *int,
        _ => 0,
    }
}

pub(super) fn any(args: &[Item], index: usize) -> &Item {
    args.get(index).unwrap_or(&Item::Missing)
}

pub(super) fn dict(args: &[Item], index: usize) -> Result<Rc<Dict>, Fault> {
    match args.get(index) {
        Some(Item::Dict(dict)) => Ok(dict.clone()),
        _ => Err(Fault::new("expected a dict")),
    }
}

/// Arguments after the first `count`.
pub(super) fn rest(args: &[Item], count: usize) -> &[Item] {
    args.get(count..).unwrap_or_default()
}
