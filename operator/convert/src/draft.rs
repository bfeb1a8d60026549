//! An object of Steamer in the making.

use serde_json::{Map, Value, json};

use crate::cursor::Cursor;
use crate::metadata::Metadata;
use crate::schema::{Mistake, fitted};
use crate::value::{get, set};

/// An object of Steamer in the making, and the fields of the source that its fields come from.
pub(crate) struct Draft {
    pub(crate) kind: &'static str,
    pub(crate) namespace: Option<String>,
    pub(crate) name: String,
    pub(crate) metadata: Metadata,
    spec: Map<String, Value>,
    /// Path in the spec, and path in the source.
    origins: Vec<(String, String)>,
}

impl Draft {
    pub(crate) fn new(kind: &'static str, namespace: Option<String>, name: &str) -> Self {
        let (metadata, spec, origins) = (Metadata::default(), Map::new(), Vec::new());
        Self { kind, namespace, name: name.to_owned(), metadata, spec, origins }
    }

    /// Sets a field. `from` is the path of the source.
    pub(crate) fn put(&mut self, to: &str, value: impl Into<Value>, from: impl Into<String>) {
        set(&mut self.spec, to, value.into());
        self.origins.push((to.to_owned(), from.into()));
    }

    /// States the path of the source of a field whose parts are set one by one.
    pub(crate) fn trace(&mut self, to: &str, from: String) {
        self.origins.push((to.to_owned(), from));
    }

    /// Moves a field.
    pub(crate) fn rename(&mut self, source: &mut Cursor, from: &str, to: &str) {
        let path = source.path(from);
        if let Some(value) = source.take(from).filter(|value| *value != json!("")) {
            self.put(to, value, path);
        }
    }

    /// Moves fields to fields of the same names.
    pub(crate) fn copy(&mut self, source: &mut Cursor, fields: &[&str]) {
        for field in fields {
            self.rename(source, field, field);
        }
    }

    pub(crate) fn get(&self, path: &str) -> Option<&Value> {
        get(&self.spec, path)
    }

    /// Suspends the object: it changes nothing before a user reviewed it.
    pub(crate) fn hold(&mut self) {
        set(&mut self.spec, "suspend", Value::Bool(true));
    }

    /// Removes fields that this version does not have. Returns them and other mistakes, with the path of the source where it
    /// is known.
    pub(crate) fn fit(&mut self) -> Vec<Mistake> {
        let mistakes = fitted(self.kind, &mut self.spec);
        mistakes.into_iter().map(|mistake| Mistake { path: self.origin(&mistake.path), ..mistake }).collect()
    }

    /// The path of the source of a field, or else the path in the converted object.
    pub(crate) fn origin(&self, path: &str) -> String {
        let source = |(to, from): &(String, String)| {
            let rest = path.strip_prefix(to.as_str())?;
            let is_below = rest.is_empty() || rest.starts_with(['.', '[']);
            is_below.then(|| (to.len(), format!("{from}{rest}")))
        };
        let longest = self.origins.iter().filter_map(source).max_by_key(|(length, _)| *length);
        longest.map_or_else(|| format!("spec.{path} of the {}", self.kind), |(_, path)| path)
    }

    /// The object.
    pub(crate) fn object(self) -> Value {
        let mut metadata = json!({"name": self.name});
        let Metadata { labels, annotations } = self.metadata;
        if let Some(namespace) = self.namespace {
            metadata["namespace"] = json!(namespace);
        }
        for (field, values) in [("labels", labels), ("annotations", annotations)] {
            if !values.is_empty() {
                metadata[field] = Value::Object(values);
            }
        }
        let version = format!("{}/{}", steamer_api::GROUP, steamer_api::VERSION);
        json!({"apiVersion": version, "kind": self.kind, "metadata": metadata, "spec": self.spec})
    }
}
