//! Variables, output and limits of a running template.

use std::collections::BTreeMap;

use crate::error::{Error, Fault};
use crate::item::Item;
use crate::scope::{Limits, Scope};
use crate::syntax::node::Definition;

/// Levels of templates, blocks and parentheses.
const DEPTH: usize = 150;

/// Templates by name.
pub(crate) type Definitions = BTreeMap<String, Definition>;

pub(super) struct State<'a> {
    pub(super) definitions: &'a Definitions,
    /// The template that runs.
    pub(super) definition: &'a Definition,
    pub(super) scope: Scope,
    pub(super) output: Vec<u8>,
    limit: usize,
    depth: usize,
    variables: Vec<(&'a str, Item)>,
}

impl<'a> State<'a> {
    pub(super) fn new(definitions: &'a Definitions, definition: &'a Definition, limits: &Limits) -> Self {
        Self {
            definitions,
            definition,
            scope: Scope::new(limits),
            output: Vec::new(),
            limit: limits.output,
            depth: 0,
            variables: Vec::new(),
        }
    }

    pub(super) fn fail<T>(&self, at: usize, fault: Fault) -> Result<T, Error> {
        Err(fault.at(&self.definition.source, at))
    }

    /// Adds the position to a fault.
    pub(super) fn located<T>(&self, at: usize, result: Result<T, Fault>) -> Result<T, Error> {
        result.map_err(|fault| fault.at(&self.definition.source, at))
    }

    pub(super) fn step(&mut self, at: usize) -> Result<(), Error> {
        let paid = self.scope.step(1);
        self.located(at, paid)
    }

    pub(super) fn enter(&mut self, at: usize) -> Result<(), Error> {
        self.depth += 1;
        if self.depth <= DEPTH {
            return Ok(());
        }
        self.fail(at, Fault::Limit("too many nested templates, blocks or parentheses"))
    }

    pub(super) fn leave(&mut self) {
        self.depth -= 1;
    }

    pub(super) fn write(&mut self, at: usize, text: &[u8]) -> Result<(), Error> {
        if self.output.len() + text.len() > self.limit {
            return self.fail(at, Fault::Limit("the result is larger than is allowed"));
        }
        self.output.extend_from_slice(text);
        let paid = self.scope.step(text.len() / 256);
        self.located(at, paid)
    }

    pub(super) fn mark(&self) -> usize {
        self.variables.len()
    }

    pub(super) fn release(&mut self, mark: usize) {
        self.variables.truncate(mark);
    }

    pub(super) fn declare(&mut self, name: &'a str, value: Item) {
        self.variables.push((name, value));
    }

    /// Replaces the value of the `position`-th variable from the top.
    pub(super) fn set_top(&mut self, position: usize, value: Item) {
        let index = self.variables.len().checked_sub(position);
        if let Some(variable) = index.and_then(|index| self.variables.get_mut(index)) {
            variable.1 = value;
        }
    }

    pub(super) fn assign(&mut self, at: usize, name: &str, value: Item) -> Result<(), Error> {
        match self.variables.iter_mut().rev().find(|(known, _)| *known == name) {
            Some(variable) => variable.1 = value,
            None => return self.fail(at, Fault::new("undefined variable")),
        }
        Ok(())
    }

    pub(super) fn variable(&self, at: usize, name: &str) -> Result<Item, Error> {
        match self.variables.iter().rev().find(|(known, _)| *known == name) {
            Some((_, value)) => Ok(value.clone()),
            None => self.fail(at, Fault::new("undefined variable")),
        }
    }

    /// Variables of another template: only `$`.
    pub(super) fn swap_variables(&mut self, dot: &Item) -> Vec<(&'a str, Item)> {
        std::mem::replace(&mut self.variables, vec![("$", dot.clone())])
    }

    pub(super) fn restore_variables(&mut self, variables: Vec<(&'a str, Item)>) {
        self.variables = variables;
    }
}
