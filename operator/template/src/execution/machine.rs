//! Nodes to output.

pub(crate) use super::state::Definitions;
use super::state::State;
use crate::error::{Error, Fault, Source};
use crate::format::printer;
use crate::item::Item;
use crate::scope::Limits;
use crate::syntax::node::{Branch, Node, Pipeline};
use crate::value::Value;

/// The result of template `name`, and the steps that it needed.
pub(crate) fn run(
    definitions: &Definitions,
    name: &str,
    data: &Value,
    limits: &Limits,
) -> Result<(Vec<u8>, u64), Error> {
    let Some(definition) = definitions.get(name) else {
        let source = Source { name: name.to_owned(), text: String::new() };
        return Err(Fault::new("no template has this name").at(&source, 0));
    };
    let mut state = State::new(definitions, definition, limits);
    let imported = state.scope.import(data, 0);
    let dot = state.located(0, imported)?;
    state.swap_variables(&dot);
    state.walk(&dot, &definition.body)?;
    let steps = limits.steps.saturating_sub(state.scope.steps_left());
    Ok((state.output, steps))
}

/// How the execution continues after a list of nodes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flow {
    Next,
    Break,
    Continue,
}

impl<'a> State<'a> {
    fn walk(&mut self, dot: &Item, nodes: &'a [Node]) -> Result<Flow, Error> {
        for node in nodes {
            let flow = self.node(dot, node)?;
            if flow != Flow::Next {
                return Ok(flow);
            }
        }
        Ok(Flow::Next)
    }

    fn node(&mut self, dot: &Item, node: &'a Node) -> Result<Flow, Error> {
        match node {
            Node::Text { text } => self.write(0, text.as_bytes())?,
            Node::Action(pipeline) => self.action(dot, pipeline)?,
            Node::If(branch) => return self.branch(dot, branch, Target::Dot),
            Node::With(branch) => return self.branch(dot, branch, Target::Value),
            Node::Range(branch) => return self.range(dot, branch),
            Node::Template { at, name, pipeline } => self.template(dot, *at, (name, pipeline.as_ref()))?,
            Node::Break => return Ok(Flow::Break),
            Node::Continue => return Ok(Flow::Continue),
        }
        Ok(Flow::Next)
    }

    fn action(&mut self, dot: &Item, pipeline: &'a Pipeline) -> Result<(), Error> {
        let value = self.pipeline(dot, pipeline)?;
        if !pipeline.variables.is_empty() {
            return Ok(());
        }
        match value {
            Item::Missing | Item::Nil => self.write(pipeline.at, b"<no value>"),
            Item::String(text) | Item::Number(text) => self.write(pipeline.at, &text),
            other => {
                let text = printer::display(&mut self.scope, &other);
                let text = self.located(pipeline.at, text)?;
                self.write(pipeline.at, &text)
            }
        }
    }

    fn branch(&mut self, dot: &Item, branch: &'a Branch, target: Target) -> Result<Flow, Error> {
        self.enter(branch.pipeline.at)?;
        let mark = self.mark();
        let value = self.pipeline(dot, &branch.pipeline)?;
        let flow = match (value.is_true(), target) {
            (true, Target::Value) => self.walk(&value, &branch.body)?,
            (true, Target::Dot) => self.walk(dot, &branch.body)?,
            (false, _) => self.walk(dot, &branch.otherwise)?,
        };
        self.release(mark);
        self.leave();
        Ok(flow)
    }

    fn range(&mut self, dot: &Item, branch: &'a Branch) -> Result<Flow, Error> {
        let at = branch.pipeline.at;
        self.enter(at)?;
        let mark = self.mark();
        let value = self.pipeline(dot, &branch.pipeline)?;
        let ran = match value {
            Item::Missing | Item::Nil => false,
            Item::Int(count) => self.count(branch, count, Item::Int)?,
            Item::Int64(count) => self.count(branch, count, Item::Int64)?,
            Item::Byte(count) => self.count(branch, i64::from(count), |n| Item::Byte(n as u8))?,
            Item::List(list) => {
                let indexed = (0..).map(Item::Int).zip(list.items.iter().cloned());
                self.iterate(branch, indexed)?
            }
            Item::Dict(dict) => {
                let pairs = dict.pairs().into_iter().map(|(key, value)| (Item::String(key), value));
                self.iterate(branch, pairs)?
            }
            other => {
                return self.fail(at, Fault::new(format!("range can't iterate over {}", other.type_name())));
            }
        };
        let flow = if ran { Flow::Next } else { self.walk(dot, &branch.otherwise)? };
        self.release(mark);
        self.leave();
        Ok(flow)
    }

    fn count(&mut self, branch: &'a Branch, count: i64, item: fn(i64) -> Item) -> Result<bool, Error> {
        if branch.pipeline.variables.len() > 1 {
            let message = "an integer cannot be iterated over with two variables";
            return self.fail(branch.pipeline.at, Fault::new(message));
        }
        self.iterate(branch, (0..count).map(|number| (Item::Missing, item(number))))
    }

    /// Runs the body for each pair of key and value. Returns whether there was one.
    fn iterate(
        &mut self,
        branch: &'a Branch,
        pairs: impl Iterator<Item = (Item, Item)>,
    ) -> Result<bool, Error> {
        let mut ran = false;
        for (key, value) in pairs {
            self.step(branch.pipeline.at)?;
            self.bind(&branch.pipeline, key, &value)?;
            let mark = self.mark();
            let flow = self.walk(&value, &branch.body)?;
            self.release(mark);
            ran = true;
            if flow == Flow::Break {
                break;
            }
        }
        Ok(ran)
    }

    /// Sets the variables of a range.
    fn bind(&mut self, pipeline: &'a Pipeline, key: Item, value: &Item) -> Result<(), Error> {
        match &pipeline.variables[..] {
            [] => {}
            [only] if pipeline.assigns => self.assign(pipeline.at, only, value.clone())?,
            [_] => self.set_top(1, value.clone()),
            [first, second, ..] if pipeline.assigns => {
                self.assign(pipeline.at, first, key)?;
                self.assign(pipeline.at, second, value.clone())?;
            }
            [_, _, ..] => {
                self.set_top(1, value.clone());
                self.set_top(2, key);
            }
        }
        Ok(())
    }

    fn template(&mut self, dot: &Item, at: usize, call: (&str, Option<&'a Pipeline>)) -> Result<(), Error> {
        let (name, pipeline) = call;
        let definitions = self.definitions;
        let Some(definition) = definitions.get(name) else {
            return self.fail(at, Fault::new(format!("template {name:?} is not defined")));
        };
        self.enter(at)?;
        self.step(at)?;
        let dot = match pipeline {
            Some(pipeline) => self.pipeline(dot, pipeline)?,
            None => Item::Missing,
        };
        let variables = self.swap_variables(&dot);
        let caller = std::mem::replace(&mut self.definition, definition);
        self.walk(&dot, &definition.body)?;
        self.definition = caller;
        self.restore_variables(variables);
        self.leave();
        Ok(())
    }
}

/// The dot of a block.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Target {
    /// The dot stays.
    Dot,
    /// The value of the pipeline.
    Value,
}
