//! Pipelines, commands and calls.

use super::state::State;
use crate::error::{Error, Fault};
use crate::functions::{Function, Parameter};
use crate::item::Item;
use crate::syntax::node::{Command, Operand, Pipeline, Term};

impl<'a> State<'a> {
    /// The value of a pipeline. Its variables stay declared.
    pub(super) fn pipeline(&mut self, dot: &Item, pipeline: &'a Pipeline) -> Result<Item, Error> {
        let mut last = None;
        for command in &pipeline.commands {
            let value = self.command(dot, command, last)?;
            last = Some(if matches!(value, Item::Nil) { Item::Missing } else { value });
        }
        let value = last.unwrap_or(Item::Missing);
        for variable in &pipeline.variables {
            if pipeline.assigns {
                self.assign(pipeline.at, variable, value.clone())?;
            } else {
                self.declare(variable, value.clone());
            }
        }
        Ok(value)
    }

    /// The value of a command. `last` is the result of the previous command of the pipeline.
    fn command(&mut self, dot: &Item, command: &'a Command, last: Option<Item>) -> Result<Item, Error> {
        let first = &command.first;
        self.step(first.at)?;
        if let Term::Function(function) = &first.term {
            return self.call(dot, (first.at, function), (&command.arguments, last));
        }
        if !command.arguments.is_empty() || last.is_some() {
            return self
                .fail(first.at, Fault::new("can't give an argument to something that is no function"));
        }
        match &first.term {
            Term::Nil => self.fail(first.at, Fault::new("nil is not a command")),
            _ => self.operand(dot, first),
        }
    }

    /// The value of an operand of free type.
    pub(super) fn operand(&mut self, dot: &Item, operand: &'a Operand) -> Result<Item, Error> {
        let at = operand.at;
        match &operand.term {
            Term::Dot => Ok(dot.clone()),
            Term::Field(names) => self.fields(at, dot.clone(), names),
            Term::Variable(name, names) => {
                let value = self.variable(at, name)?;
                self.fields(at, value, names)
            }
            Term::Function(function) => self.call(dot, (at, function), (&[], None)),
            Term::Pipeline(pipeline) => self.nested(dot, pipeline),
            Term::Chain(inner, names) => {
                let value = self.operand(dot, inner)?;
                let value = if matches!(value, Item::Nil) { Item::Missing } else { value };
                self.fields(at, value, names)
            }
            Term::Bool(_) | Term::String(_) | Term::Number(_) | Term::Nil => {
                self.constant(operand, Parameter::Any)
            }
        }
    }

    fn nested(&mut self, dot: &Item, pipeline: &'a Pipeline) -> Result<Item, Error> {
        self.enter(pipeline.at)?;
        let value = self.pipeline(dot, pipeline)?;
        self.leave();
        Ok(value)
    }

    fn call(
        &mut self,
        dot: &Item,
        (at, function): (usize, &'static Function),
        (arguments, last): (&'a [Operand], Option<Item>),
    ) -> Result<Item, Error> {
        self.check_count(at, function, arguments.len() + usize::from(last.is_some()))?;
        if matches!(function.name, "and" | "or") {
            return self.logic(dot, function, (arguments, last));
        }
        let mut values = Vec::with_capacity(arguments.len() + 1);
        for (index, argument) in arguments.iter().enumerate() {
            let parameter = function.parameter(index).unwrap_or(Parameter::Any);
            values.push(self.argument(dot, argument, parameter)?);
        }
        if let Some(last) = last {
            let parameter = function.parameter(values.len()).unwrap_or(Parameter::Any);
            values.push(self.validated(at, last, parameter)?);
        }
        let result = (function.body)(&mut self.scope, &values);
        result.map_err(|fault| named(fault, function.name).at(&self.definition.source, at))
    }

    fn check_count(&self, at: usize, function: &Function, given: usize) -> Result<(), Error> {
        let wanted = function.parameters.len();
        let (accepted, qualifier) = match function.variadic {
            Some(_) => (given >= wanted, "at least "),
            None => (given == wanted, ""),
        };
        if accepted {
            return Ok(());
        }
        let name = function.name;
        self.fail(
            at,
            Fault::new(format!("wrong number of args for {name}: want {qualifier}{wanted} got {given}")),
        )
    }

    /// `and` and `or` evaluate their arguments up to the first that decides.
    fn logic(
        &mut self,
        dot: &Item,
        function: &Function,
        (arguments, last): (&'a [Operand], Option<Item>),
    ) -> Result<Item, Error> {
        let mut value = Item::Missing;
        for argument in arguments {
            value = self.argument(dot, argument, Parameter::Value)?;
            if value.is_true() == (function.name == "or") {
                return Ok(value);
            }
        }
        Ok(last.unwrap_or(value))
    }
}

/// The fault with the name of the function in front.
fn named(fault: Fault, name: &str) -> Fault {
    match fault {
        Fault::Failed(message) => Fault::new(format!("error calling {name}: {message}")),
        limit @ Fault::Limit(_) => limit,
    }
}
