//! Parsed templates and filters, which turn a value into the data of a Secret.

use std::collections::BTreeMap;

use secrecy::{ExposeSecret, SecretSlice};
use steamer_core::Error;
use steamer_openbao::Json;
use steamer_template::{Limits, Templates, Value, texts};

use super::super::document::Document;
use super::super::foreseen::{Expected, Foreseen};
use super::definition::Definition;
use super::filter::Filter;
use super::input::Subject;
use super::metadata::Metadata;

/// Key of the whole answer of the KV engine.
const RAW: &str = "_raw";
/// Steps of all templates of one object. [`Limits`] bounds each of them.
const STEPS: u64 = 8_000_000;
/// Expressions that exclude every key.
const EVERY: &[&str] = &[".", ".*", ".+", "^.*$", "^.+$"];

/// Keys and bytes of a Secret.
type Data = BTreeMap<String, SecretSlice<u8>>;

/// Result of a transformation.
pub(crate) struct Rendered {
    /// Data of the Secret.
    pub(crate) data: Data,
    /// Labels and annotations of templates.
    pub(crate) metadata: Metadata,
}

/// Parsed templates and filters.
pub(crate) struct Program {
    templates: Templates,
    /// Origins by name of the template.
    origins: BTreeMap<String, String>,
    definition: Definition,
    filter: Filter,
}

impl Program {
    /// Parses templates and filters.
    ///
    /// # Errors
    /// [`Error::Invalid`] names the origin, the template and the position.
    pub(crate) fn parse(definition: &Definition) -> Result<Self, Error> {
        unique(definition)?;
        let (mut templates, mut origins) = (Templates::default(), BTreeMap::new());
        for template in &definition.templates {
            let added = templates.add(&template.name, &template.text);
            added.map_err(|error| Error::Invalid(format!("{}: {error}", template.origin)))?;
            origins.insert(template.name.clone(), template.origin.clone());
        }
        let filter = Filter::parse(&definition.includes, &definition.excludes)?;
        Ok(Self { templates, origins, definition: definition.clone(), filter })
    }

    /// The keys of the Secret, as far as they do not depend on the value.
    pub(crate) fn expected(&self, foreseen: &Foreseen) -> Expected {
        let Definition { keys, mappings, excludes, has_raw, .. } = &self.definition;
        let excludes_every = excludes.keys().any(|expression| EVERY.contains(&expression.as_str()));
        let foreseen = Foreseen { is_open: foreseen.is_open && !excludes_every, ..foreseen.clone() };
        let mut expected = Expected::of(&foreseen, |key| self.filter.accepts(key));
        keys.keys().for_each(|key| expected.add(key));
        if *has_raw {
            expected.add(RAW);
        }
        if !mappings.is_empty() {
            expected.unknown.push("the keys that keysAndValues writes".to_owned());
        }
        expected
    }

    /// The data and the metadata of a Secret. It can take seconds.
    ///
    /// # Errors
    /// [`Error::Invalid`] names the origin, the template and the position, and contains no value.
    pub(crate) fn run(&self, documents: &[Document], subject: &Subject) -> Result<Rendered, Error> {
        let mut data = plain(documents);
        let has_raw_key = data.contains_key(RAW);
        data.retain(|key, _| self.filter.accepts(key));
        if self.definition.has_raw {
            if has_raw_key {
                return Err(Error::Invalid(format!(
                    "the value has a key {RAW}, which excludeRaw: false replaces: rename it, or set excludeRaw: true"
                )));
            }
            data.insert(RAW.to_owned(), raw(documents).into_bytes().into());
        }
        let mut rendered = Rendered { data, metadata: Metadata::default() };
        if self.definition.has_templates() {
            let mut run =
                Run { program: self, input: subject.input(documents)?, subject, budget: Budget::default() };
            run.fill(&mut rendered)?;
        }
        Ok(rendered)
    }
}

/// One rendering of all templates.
struct Run<'a> {
    program: &'a Program,
    input: Value,
    subject: &'a Subject,
    budget: Budget,
}

impl Run<'_> {
    fn fill(&mut self, rendered: &mut Rendered) -> Result<(), Error> {
        let definition = &self.program.definition;
        let mappings = self.mappings()?;
        rendered.data.extend(mappings);
        for (key, template) in &definition.keys {
            rendered.data.insert(key.clone(), self.render(template)?.into());
        }
        for (key, template) in &definition.labels {
            rendered.metadata.add_label(key, self.render(template)?)?;
        }
        for (key, template) in &definition.annotations {
            rendered.metadata.add_annotation(key, self.render(template)?)?;
        }
        Ok(())
    }

    /// Keys and values of all templates that have both.
    fn mappings(&mut self) -> Result<Data, Error> {
        let mut data = Data::new();
        for template in &self.program.definition.mappings {
            let text = self.render(template)?;
            for (key, value) in texts(&text).ok_or_else(|| self.no_mapping(template))? {
                if data.insert(key, value.into_bytes().into()).is_some() {
                    return Err(Error::Invalid(format!(
                        "two results of {}.keysAndValues have the same key: correct the templates",
                        self.program.definition.field
                    )));
                }
            }
        }
        Ok(data)
    }

    fn render(&mut self, template: &str) -> Result<Vec<u8>, Error> {
        let limits = self.budget.limits(self.subject);
        let rendered = self.program.templates.render_counted(template, &self.input, &limits);
        let (bytes, steps) = rendered.map_err(|error| {
            let origin = self.program.origins.get(&error.template).map(String::as_str).unwrap_or_default();
            Error::Invalid(format!("{origin}: {error}"))
        })?;
        self.budget.steps = self.budget.steps.saturating_sub(steps);
        self.budget.output = self.budget.output.saturating_sub(bytes.len());
        Ok(bytes)
    }

    /// The message contains no part of the result.
    fn no_mapping(&self, template: &str) -> Error {
        Error::Invalid(format!(
            "{}.keysAndValues: the result of the template `{template}` is not a YAML mapping of keys to texts (`key: value` in \
             each line): quote the values with `quote` or toJson",
            self.program.definition.field
        ))
    }
}

/// Steps and bytes that the templates of one object share.
struct Budget {
    steps: u64,
    output: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self { steps: STEPS, output: Limits::default().output }
    }
}

impl Budget {
    /// Limits of the next template.
    fn limits(&self, subject: &Subject) -> Limits {
        let limits = Limits::default();
        let seed = subject.uid.clone().into_bytes();
        Limits { steps: limits.steps.min(self.steps), output: self.output, seed, ..limits }
    }
}

/// The data without a transformation: strings as they are, other values as JSON.
pub(crate) fn plain(documents: &[Document]) -> Data {
    let values = documents.iter().flat_map(|document| &document.values.0);
    values.map(|(key, value)| (key.clone(), bytes(value))).collect()
}

fn bytes(value: &Json) -> SecretSlice<u8> {
    let text = || value.text().expose_secret().as_bytes().to_vec().into();
    value.decoded().cloned().unwrap_or_else(text)
}

/// Refuses two templates of one name.
fn unique(definition: &Definition) -> Result<(), Error> {
    let Some(name) = definition.repeated().into_iter().next() else {
        return Ok(());
    };
    let named = definition.templates.iter().filter(|template| template.name == name);
    let origins: Vec<&str> = named.map(|template| template.origin.as_str()).collect();
    Err(Error::Invalid(format!(
        "two templates have the name `{name}` ({}): rename one of them",
        origins.join(" and ")
    )))
}

/// The answer of the KV engine as JSON. With metadata it is that of KV v2. A list for several sources. The bytes are those of
/// Vault Secrets Operator, so that a Secret that it wrote can be taken over unchanged.
fn raw(documents: &[Document]) -> String {
    let answers: Vec<String> = documents.iter().map(raw_of).collect();
    as_go(&if let [answer] = &answers[..] { answer.clone() } else { format!("[{}]", answers.join(",")) })
}

/// JSON as Go writes it: the characters of HTML are escaped. They occur only in texts.
fn as_go(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for character in json.chars() {
        match character {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                text.push_str(&format!("\\u{:04x}", u32::from(character)))
            }
            _ => text.push(character),
        }
    }
    text
}

fn raw_of(document: &Document) -> String {
    let data = document.values.json().json().expose_secret().to_owned();
    if document.metadata.is_null() {
        return data;
    }
    format!(r#"{{"data":{data},"metadata":{}}}"#, document.metadata)
}
