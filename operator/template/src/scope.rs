//! State that all functions of one rendering share: limits, memory and random numbers.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use crate::error::Fault;
use crate::expression::Compiled;
use crate::item::{Dict, Element, Item, List};
use crate::text::Text;
use crate::value::Value;

/// Levels of lists and dicts that a function visits.
const NESTING: usize = 100;
/// Bytes that cost one step.
const BYTES_PER_STEP: usize = 256;
const TOO_DEEP: &str = "the value is nested too deeply, or a dict contains itself";

/// Bounds of one rendering.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Evaluated nodes of the template, visited values and processed bytes (256 bytes are one step).
    pub steps: u64,
    /// Bytes of all strings, lists and dicts that the template creates.
    pub memory: usize,
    /// Bytes of the result.
    pub output: usize,
    /// Seed of `shuffle`, `randInt`, `bcrypt`, `htpasswd` and of the salts of keystores. The same seed gives the same result,
    /// so that an unchanged secret renders to an unchanged result. Use the UID of the object.
    pub seed: Vec<u8>,
}

impl Default for Limits {
    fn default() -> Self {
        Self { steps: 2_000_000, memory: 32 << 20, output: 1 << 20, seed: Vec::new() }
    }
}

/// State of one rendering.
pub(crate) struct Scope {
    steps: u64,
    memory: usize,
    /// Every dict, because dicts that contain each other are never freed otherwise.
    dicts: Vec<Rc<Dict>>,
    regexes: HashMap<Text, Compiled>,
    seed: Vec<u8>,
    draws: u64,
}

impl Scope {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            steps: limits.steps,
            memory: limits.memory,
            dicts: Vec::new(),
            regexes: HashMap::new(),
            seed: limits.seed.clone(),
            draws: 0,
        }
    }

    /// Pays for `count` steps.
    pub(crate) fn step(&mut self, count: usize) -> Result<(), Fault> {
        let left = self.steps.checked_sub(count as u64);
        self.steps = left.ok_or(Fault::Limit("the template needs more steps than are allowed"))?;
        Ok(())
    }

    pub(crate) fn steps_left(&self) -> u64 {
        self.steps
    }

    /// Pays for memory before it is allocated.
    pub(crate) fn allocate(&mut self, bytes: usize) -> Result<(), Fault> {
        let left = self.memory.checked_sub(bytes);
        self.memory = left.ok_or(Fault::Limit("the template needs more memory than is allowed"))?;
        self.step(bytes / BYTES_PER_STEP)
    }

    /// Pays for `count` pieces of `size` bytes.
    pub(crate) fn allocate_many(&mut self, count: usize, size: usize) -> Result<(), Fault> {
        self.allocate(count.saturating_mul(size))
    }

    /// Refuses values that are nested too deeply.
    pub(crate) fn visit(&mut self, depth: usize) -> Result<(), Fault> {
        self.step(1)?;
        if depth > NESTING { Err(Fault::Limit(TOO_DEEP)) } else { Ok(()) }
    }

    pub(crate) fn string(&mut self, text: impl Into<Text>) -> Result<Item, Fault> {
        let text = text.into();
        self.allocate(text.len())?;
        Ok(Item::String(text))
    }

    pub(crate) fn list(&mut self, element: Element, items: Vec<Item>) -> Result<Item, Fault> {
        self.allocate_many(items.len() + 1, size_of::<Item>())?;
        let list = List::new(element, items);
        if list.depth() > NESTING {
            return Err(Fault::Limit(TOO_DEEP));
        }
        Ok(Item::List(Rc::new(list)))
    }

    pub(crate) fn strings<T: Into<Text>>(
        &mut self,
        texts: impl IntoIterator<Item = T>,
    ) -> Result<Item, Fault> {
        let items = texts.into_iter().map(|text| self.string(text)).collect::<Result<_, _>>()?;
        self.list(Element::String, items)
    }

    pub(crate) fn dict(
        &mut self,
        element: Element,
        entries: BTreeMap<Text, Item>,
    ) -> Result<Rc<Dict>, Fault> {
        self.grow(entries.len() + 1)?;
        let dict = Rc::new(Dict { element, nil: false, entries: RefCell::new(entries) });
        self.dicts.push(dict.clone());
        Ok(dict)
    }

    /// Go's nil map.
    pub(crate) fn nil_dict() -> Item {
        Item::Dict(Rc::new(Dict { element: Element::Any, nil: true, entries: RefCell::default() }))
    }

    /// Pays for new entries of a dict.
    pub(crate) fn grow(&mut self, entries: usize) -> Result<(), Fault> {
        self.allocate_many(entries, 2 * size_of::<Item>())
    }

    /// The data of a template.
    pub(crate) fn import(&mut self, value: &Value, depth: usize) -> Result<Item, Fault> {
        self.visit(depth)?;
        match value {
            Value::Null => Ok(Item::Nil),
            Value::Bool(bool) => Ok(Item::Bool(*bool)),
            Value::Number(number) => Ok(Item::Number(number.as_str().into())),
            Value::String(text) => self.string(text.as_str()),
            Value::List(items) => {
                let items =
                    items.iter().map(|item| self.import(item, depth + 1)).collect::<Result<_, _>>()?;
                self.list(Element::Any, items)
            }
            Value::Map(entries) => {
                let entries = entries
                    .iter()
                    .map(|(key, value)| Ok((key.as_str().into(), self.import(value, depth + 1)?)))
                    .collect::<Result<_, Fault>>()?;
                Ok(Item::Dict(self.dict(Element::Any, entries)?))
            }
        }
    }

    /// Compiled regular expressions of this rendering.
    pub(crate) fn regexes(&mut self) -> &mut HashMap<Text, Compiled> {
        &mut self.regexes
    }

    /// 32 bytes that depend on the seed, on `context` and on the number of previous calls. Salts are public, and so is the seed:
    /// `context` must not contain a password, because one digest would check a guess of it.
    pub(crate) fn random(&mut self, context: &[u8]) -> [u8; 32] {
        self.draws += 1;
        let mut digest = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
        for part in [&self.seed[..], &self.draws.to_be_bytes(), context] {
            digest.update(&(part.len() as u64).to_be_bytes());
            digest.update(part);
        }
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest.finish().as_ref());
        bytes
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        for dict in &self.dicts {
            dict.entries.borrow_mut().clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dicts_that_contain_themselves_are_freed() {
        let mut scope = Scope::new(&Limits::default());
        let dict = scope.dict(Element::Any, BTreeMap::new()).unwrap();
        dict.entries.borrow_mut().insert("self".into(), Item::Dict(dict.clone()));
        drop(scope);
        assert_eq!(Rc::strong_count(&dict), 1);
    }

    #[test]
    fn a_limit_is_an_error() {
        let limits = Limits { memory: 10, ..Limits::default() };
        assert!(matches!(Scope::new(&limits).string("more than ten bytes"), Err(Fault::Limit(_))));
    }
}
