//! Parsed templates and filters, which turn a value into the data of a Secret.

use std::collections::BTreeMap;

use secrecy::{ExposeSecret, SecretSlice};
use steamer_core::Error;
use steamer_openbao::Json;
use steamer_template::{Limits, Templates, Value};

use super::super::document::Document;
use super::definition::Definition;
use super::filter::Filter;
use super::input::Subject;

/// Key of the whole answer of the KV engine.
const RAW: &str = "_raw";
/// Steps of all templates of one object. [`Limits`] bounds each of them.
const STEPS: u64 = 8_000_000;

/// Keys and bytes of a Secret.
type Data = BTreeMap<String, SecretSlice<u8>>;

/// Parsed templates and filters.
pub(crate) struct Program {
    templates: Templates,
    /// Origins by name of the template.
    origins: BTreeMap<String, String>,
    /// Keys of the Secret, and the template of each.
    keys: BTreeMap<String, String>,
    filter: Filter,
    has_raw: bool,
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
        Ok(Self { templates, origins, keys: definition.keys.clone(), filter, has_raw: definition.has_raw })
    }

    /// The data of a Secret. It can take seconds.
    ///
    /// # Errors
    /// [`Error::Invalid`] names the origin, the template and the position, and contains no value.
    pub(crate) fn run(&self, documents: &[Document], subject: &Subject) -> Result<Data, Error> {
        let mut data = plain(documents);
        let has_raw_key = data.contains_key(RAW);
        data.retain(|key, _| self.filter.accepts(key));
        if self.has_raw {
            if has_raw_key {
                return Err(Error::Invalid(format!(
                    "the value has a key {RAW}, which excludeRaw: false replaces: rename it, or set excludeRaw: true"
                )));
            }
            data.insert(RAW.to_owned(), raw(documents).into_bytes().into());
        }
        data.extend(self.rendered(documents, subject)?);
        Ok(data)
    }

    fn rendered(&self, documents: &[Document], subject: &Subject) -> Result<Data, Error> {
        if self.keys.is_empty() {
            return Ok(Data::new());
        }
        let input = subject.input(documents)?;
        let (mut budget, mut data) = (Budget::default(), Data::new());
        for (key, template) in &self.keys {
            let bytes = self.render(template, &input, &mut budget, subject)?;
            data.insert(key.clone(), bytes.into());
        }
        Ok(data)
    }

    fn render(
        &self,
        template: &str,
        input: &Value,
        budget: &mut Budget,
        subject: &Subject,
    ) -> Result<Vec<u8>, Error> {
        let limits = budget.limits(subject);
        let (bytes, steps) = self.templates.render_counted(template, input, &limits).map_err(|error| {
            let origin = self.origins.get(&error.template).map(String::as_str).unwrap_or_default();
            Error::Invalid(format!("{origin}: {error}"))
        })?;
        budget.steps = budget.steps.saturating_sub(steps);
        budget.output = budget.output.saturating_sub(bytes.len());
        Ok(bytes)
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
