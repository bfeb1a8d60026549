//! Arguments and the types of parameters.

use std::rc::Rc;

use super::state::State;
use crate::error::{Error, Fault};
use crate::functions::Parameter;
use crate::item::{Element, Item};
use crate::scope::Scope;
use crate::syntax::node::{Operand, Term};
use crate::syntax::number::Number;
use crate::text::Text;

impl<'a> State<'a> {
    /// The value of an argument for a parameter.
    pub(super) fn argument(
        &mut self,
        dot: &Item,
        operand: &'a Operand,
        parameter: Parameter,
    ) -> Result<Item, Error> {
        self.step(operand.at)?;
        match &operand.term {
            Term::Bool(_) | Term::String(_) | Term::Number(_) | Term::Nil => {
                self.constant(operand, parameter)
            }
            _ => {
                let value = self.operand(dot, operand)?;
                self.validated(operand.at, value, parameter)
            }
        }
    }

    /// A constant for a parameter.
    pub(super) fn constant(&mut self, operand: &Operand, parameter: Parameter) -> Result<Item, Error> {
        let free = matches!(parameter, Parameter::Any | Parameter::Value);
        let item = match (&operand.term, parameter) {
            (Term::Nil, Parameter::Any) => Some(Item::Nil),
            (Term::Nil, Parameter::Value) => Some(Item::Missing),
            (Term::Nil, Parameter::Dict) => Some(Scope::nil_dict()),
            (Term::Bool(bool), Parameter::Bool) => Some(Item::Bool(*bool)),
            (Term::Bool(bool), _) if free => Some(Item::Bool(*bool)),
            (Term::String(bytes), Parameter::String) => Some(Item::String(Text::from(&bytes[..]))),
            (Term::String(bytes), _) if free => Some(Item::String(Text::from(&bytes[..]))),
            (Term::Number(number), Parameter::Int) => number.int.map(Item::Int),
            (Term::Number(number), Parameter::Float) => number.float.map(Item::Float),
            (Term::Number(number), _) if free => ideal(*number),
            _ => None,
        };
        match item {
            Some(item) => Ok(item),
            None => self.fail(operand.at, Fault::new(format!("expected {}", parameter.name()))),
        }
    }

    /// The value, if it can be passed to a parameter.
    pub(super) fn validated(&self, at: usize, value: Item, parameter: Parameter) -> Result<Item, Error> {
        match (&value, parameter) {
            (Item::Missing, Parameter::Any) => Ok(Item::Nil),
            (Item::Missing, Parameter::Dict) => Ok(Scope::nil_dict()),
            (_, Parameter::Any | Parameter::Value)
            | (Item::String(_), Parameter::String)
            | (Item::Int(_), Parameter::Int)
            | (Item::Float(_), Parameter::Float)
            | (Item::Bool(_), Parameter::Bool) => Ok(value),
            (Item::Dict(dict), Parameter::Dict) if dict.element == Element::Any => {
                Ok(Item::Dict(Rc::clone(dict)))
            }
            (Item::Missing, _) => {
                self.fail(at, Fault::new(format!("no value; expected {}", parameter.name())))
            }
            _ => {
                let (wanted, got) = (parameter.name(), value.type_name());
                self.fail(at, Fault::new(format!("wrong type for value; expected {wanted}; got {got}")))
            }
        }
    }
}

/// A number of free type.
fn ideal(number: Number) -> Option<Item> {
    match number {
        Number { prefers_float: true, float: Some(float), .. } => Some(Item::Float(float)),
        Number { int: Some(int), .. } => Some(Item::Int(int)),
        _ => None,
    }
}
