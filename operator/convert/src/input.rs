//! Documents of the input: YAML or JSON, single objects or lists.

use serde_json::{Map, Value};
use thiserror::Error;

/// Largest input, in bytes.
const MAX_BYTES: usize = 256 * 1024 * 1024;
/// Largest nesting of a document.
const MAX_DEPTH: usize = 100;

/// An input that cannot be read. It contains no text of the input.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InputError {
    /// The input is larger than the limit.
    #[error("the input has more than {} MiB: convert it in several parts", MAX_BYTES / 1024 / 1024)]
    TooLarge,
    /// A document is not valid YAML or JSON.
    #[error("document {document} is not valid YAML or JSON{place}: correct it")]
    Syntax {
        /// Position of the document, from 1.
        document: usize,
        /// Position in the document, if it is known.
        place: String,
    },
    /// A document is nested too deeply.
    #[error("document {0} is nested too deeply: an object of Kubernetes has at most {MAX_DEPTH} levels")]
    TooDeep(usize),
    /// A document is not an object of Kubernetes.
    #[error("{0} is not an object of Kubernetes: it needs the texts apiVersion, kind and metadata.name")]
    NoObject(String),
}

/// An object of the input.
pub(crate) type Object = Map<String, Value>;

/// Reads all objects of a text. Lists (`kind: List`, or any kind with `items`) become their elements.
///
/// # Errors
/// [`InputError`] for the first document that is not an object of Kubernetes.
pub fn objects(text: &str) -> Result<Vec<Map<String, Value>>, InputError> {
    if text.len() > MAX_BYTES {
        return Err(InputError::TooLarge);
    }
    let mut objects = Vec::new();
    for (value, document) in documents(text)?.into_iter().zip(1..) {
        if depth(&value) > MAX_DEPTH {
            return Err(InputError::TooDeep(document));
        }
        flatten(value, &format!("document {document}"), &mut objects)?;
    }
    Ok(objects)
}

fn documents(text: &str) -> Result<Vec<Value>, InputError> {
    if text.trim_start().starts_with(['{', '[']) {
        let values: Result<Vec<Value>, _> = serde_json::Deserializer::from_str(text).into_iter().collect();
        if let Ok(values) = values {
            return Ok(values);
        }
    }
    let parts = parts(text);
    let parsed = parts.iter().zip(1..).map(|(part, document)| yaml(part, document));
    parsed.filter(|value| !matches!(value, Ok(Value::Null))).collect()
}

/// The documents of a YAML stream.
fn parts(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    for line in text.lines() {
        let marker =
            line.strip_prefix("---").filter(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r']));
        let (Some(part), line) = (parts.last_mut(), marker.unwrap_or(line)) else { break };
        if marker.is_some() && !part.trim().is_empty() {
            parts.push(format!("{line}\n"));
        } else {
            part.push_str(line);
            part.push('\n');
        }
    }
    parts.retain(|part| !is_blank(part));
    parts
}

/// Returns true for a document that contains only comments and directives.
fn is_blank(part: &str) -> bool {
    part.lines().map(str::trim).all(|line| line.is_empty() || line.starts_with(['#', '%']) || line == "...")
}

fn yaml(part: &str, document: usize) -> Result<Value, InputError> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! { max_depth: MAX_DEPTH },
        with_snippet: false,
    };
    serde_saphyr::from_str_with_options(part, options).map_err(|error| InputError::Syntax {
        document,
        place: error.location().map(|at| format!(" at line {}", at.line())).unwrap_or_default(),
    })
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or_default(),
        Value::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or_default(),
        _ => 0,
    }
}

fn flatten(value: Value, place: &str, objects: &mut Vec<Object>) -> Result<(), InputError> {
    match value {
        Value::Object(mut fields) => match fields.remove("items") {
            Some(Value::Array(items)) => each(items, place, objects),
            _ if is_object(&fields) => {
                objects.push(fields);
                Ok(())
            }
            _ => Err(InputError::NoObject(place.to_owned())),
        },
        Value::Array(items) => each(items, place, objects),
        _ => Err(InputError::NoObject(place.to_owned())),
    }
}

fn each(items: Vec<Value>, place: &str, objects: &mut Vec<Object>) -> Result<(), InputError> {
    items
        .into_iter()
        .zip(1..)
        .try_for_each(|(item, index)| flatten(item, &format!("{place}, element {index}"), objects))
}

fn is_object(fields: &Object) -> bool {
    let is_text = |value: Option<&Value>| value.and_then(Value::as_str).is_some_and(|text| !text.is_empty());
    let name = fields.get("metadata").and_then(|metadata| metadata.get("name"));
    is_text(fields.get("apiVersion")) && is_text(fields.get("kind")) && is_text(name)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const A: &str = "apiVersion: v1\nkind: A\nmetadata: {name: a}\n";

    fn names(text: &str) -> Result<Vec<String>, String> {
        let name = |object: Object| object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let found = objects(text).map_err(|error| error.to_string())?;
        Ok(found.into_iter().map(name).collect())
    }

    #[rstest]
    #[case::nothing("", 0)]
    #[case::comments("# a\n---\n# b\n---\n", 0)]
    #[case::yaml(A, 1)]
    #[case::documents(&format!("---\n{A}--- # second\n{A}---\n\n---\n{A}"), 3)]
    #[case::json(r#"{"apiVersion": "v1", "kind": "A", "metadata": {"name": "a"}}"#, 1)]
    #[case::json_documents(r#"{"apiVersion":"v1","kind":"A","metadata":{"name":"a"}}{"apiVersion":"v1","kind":"A","metadata":{"name":"a"}}"#, 2)]
    #[case::flow_documents(&"{apiVersion: v1, kind: A, metadata: {name: a}}\n---\n".repeat(2), 2)]
    #[case::list(r#"{"apiVersion":"v1","kind":"List","items":[{"apiVersion":"v1","kind":"A","metadata":{"name":"a"}}]}"#, 1)]
    #[case::empty_list("kind: List\nitems: []\n", 0)]
    #[case::carriage_returns("apiVersion: v1\r\nkind: A\r\nmetadata: {name: a}\r\n---\r\n", 1)]
    fn objects_are_read_from_all_forms(#[case] text: &str, #[case] count: usize) {
        assert_eq!(names(text), Ok(vec!["a".to_owned(); count]));
    }

    #[rstest]
    #[case::text("canary", "document 1 is not an object")]
    #[case::no_name("apiVersion: v1\nkind: canary\n", "document 1 is not an object")]
    #[case::second(&format!("{A}---\na: b: canary\n"), "document 2 is not valid YAML or JSON at line")]
    #[case::element("kind: List\nitems: [{kind: canary}]\n", "document 1, element 1 is not an object")]
    #[case::json("{\"canary\": ", "document 1 is not valid")]
    #[case::deep_json(&format!("{}{}", "[".repeat(5000), "]".repeat(5000)), "document 1 is not valid")]
    #[case::nested_lists(&format!("{}1{}", "[".repeat(100), "]".repeat(100)), "document 1, element 1, element 1")]
    fn an_error_states_the_place_and_no_text_of_the_input(#[case] text: &str, #[case] start: &str) {
        let error = names(text).unwrap_err();
        assert!(error.starts_with(start), "{error}");
        assert!(!error.contains("canary"), "{error}");
    }
}
