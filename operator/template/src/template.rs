//! Parsed templates and sets of them.

use crate::error::{Error, Fault, Source};
use crate::execution::machine::{self, Definitions};
use crate::scope::Limits;
use crate::syntax::parser;
use crate::value::Value;

/// Templates that can call each other by name.
#[derive(Clone, Default)]
pub struct Templates {
    definitions: Definitions,
}

impl Templates {
    /// Adds a template and the templates that it defines.
    ///
    /// # Errors
    ///
    /// The text is not a template, or it defines a name that is already in use.
    pub fn add(&mut self, name: &str, text: &str) -> Result<(), Error> {
        let source = Source { name: name.to_owned(), text: text.to_owned() };
        for definition in parser::parse(source)? {
            let known = self.definitions.get(&definition.name).is_some_and(|known| !known.is_empty());
            if known && definition.is_empty() {
                continue;
            }
            if known {
                let message =
                    format!("template {:?} is already defined: rename one of them", definition.name);
                return Err(Fault::new(message).at(&definition.source, 0));
            }
            self.definitions.insert(definition.name.clone(), definition);
        }
        Ok(())
    }

    /// Names of all templates, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.definitions.keys().map(String::as_str)
    }

    /// Renders the template `name`. Every rendering has its own copy of `data`, so that `set` has no effect on the next.
    ///
    /// # Errors
    ///
    /// The template fails for this data, or exceeds a limit. The error contains no data.
    pub fn render_bytes(&self, name: &str, data: &Value, limits: &Limits) -> Result<Vec<u8>, Error> {
        self.render_counted(name, data, limits).map(|(bytes, _)| bytes)
    }

    /// Renders the template `name`. Returns the result and the steps that it needed, for several templates that share
    /// [`Limits::steps`].
    ///
    /// # Errors
    ///
    /// As [`Self::render_bytes`].
    pub fn render_counted(&self, name: &str, data: &Value, limits: &Limits) -> Result<(Vec<u8>, u64), Error> {
        machine::run(&self.definitions, name, data, limits)
    }

    /// Renders the template `name` as text.
    ///
    /// # Errors
    ///
    /// As [`Self::render_bytes`], or the result is not UTF-8.
    pub fn render(&self, name: &str, data: &Value, limits: &Limits) -> Result<String, Error> {
        let bytes = self.render_bytes(name, data, limits)?;
        String::from_utf8(bytes).map_err(|_| {
            let source = self.definitions.get(name).map(|definition| (*definition.source).clone());
            let source = source.unwrap_or(Source { name: name.to_owned(), text: String::new() });
            Fault::new("the result is not UTF-8 text").at(&source, 0)
        })
    }
}

/// One template, with the templates that its text defines.
#[derive(Clone)]
pub struct Template {
    name: String,
    templates: Templates,
}

impl Template {
    /// Parses a template.
    ///
    /// # Errors
    ///
    /// The text is not a template.
    pub fn parse(name: &str, text: &str) -> Result<Self, Error> {
        let mut templates = Templates::default();
        templates.add(name, text)?;
        Ok(Self { name: name.to_owned(), templates })
    }

    /// Renders the template as text.
    ///
    /// # Errors
    ///
    /// The template fails for this data, exceeds a limit, or its result is not UTF-8. The error contains no data.
    pub fn render(&self, data: &Value, limits: &Limits) -> Result<String, Error> {
        self.templates.render(&self.name, data, limits)
    }

    /// Renders the template. Returns the result and the steps that it needed.
    ///
    /// # Errors
    ///
    /// As [`Self::render_bytes`].
    pub fn render_counted(&self, data: &Value, limits: &Limits) -> Result<(Vec<u8>, u64), Error> {
        self.templates.render_counted(&self.name, data, limits)
    }

    /// Renders the template.
    ///
    /// # Errors
    ///
    /// The template fails for this data, or exceeds a limit. The error contains no data.
    pub fn render_bytes(&self, data: &Value, limits: &Limits) -> Result<Vec<u8>, Error> {
        self.templates.render_bytes(&self.name, data, limits)
    }
}
