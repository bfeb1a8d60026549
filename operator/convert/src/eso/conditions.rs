//! Conditions of a ClusterSecretStore: the namespaces that it serves.
//!
//! A namespace is served if it meets any part of any condition. `allowedNamespaces` has one set of labels instead, and always allows
//! the namespace of the converted objects.

use serde_json::{Map, Value, json};

use super::namespaces::{NAME, of_name, required};
use super::search::is_everything;
use crate::cursor::Cursor;

/// Namespaces that a part of a condition selects.
#[derive(Clone, Debug, PartialEq)]
enum Choice {
    /// Those with all of these labels. Without labels: all.
    Labels(Map<String, Value>),
    /// Those that `allowedNamespaces` cannot state.
    Other,
}

/// Takes the conditions that `allowedNamespaces` can state. None: only the namespace of the converted objects. `own` is its name.
pub(super) fn allowed(spec: &mut Cursor, own: &str) -> Option<Value> {
    let conditions = match spec.peek("conditions") {
        None => return Some(consent(Map::new())),
        Some(Value::Array(conditions)) if conditions.is_empty() => return Some(consent(Map::new())),
        Some(conditions) => conditions.as_array()?,
    };
    let mut choices: Vec<Choice> = conditions.iter().flat_map(of_condition).collect();
    choices.retain(|choice| *choice != Choice::Labels(of_name(own)));
    if choices.contains(&Choice::Labels(Map::new())) {
        spec.take("conditions");
        return Some(consent(Map::new()));
    }
    match choices.split_first() {
        Some((Choice::Labels(labels), others)) if others.iter().all(|other| *other == choices[0]) => {
            spec.take("conditions");
            Some(consent(labels.clone()))
        }
        Some(_) => selected(spec, &choices),
        None => {
            spec.take("conditions");
            None
        }
    }
}

/// Takes the selector, if there is one besides names and expressions: its labels can be set on the other namespaces.
fn selected(spec: &mut Cursor, choices: &[Choice]) -> Option<Value> {
    let mut selectors = choices.iter().filter_map(|choice| match choice {
        Choice::Labels(labels) if !labels.contains_key(NAME) => Some(labels),
        _ => None,
    });
    let labels = selectors.next()?;
    selectors.all(|other| other == labels).then_some(())?;
    spec.each("conditions", |condition| {
        condition.take_if("namespaceSelector", |selector| required(selector).as_ref() == Some(labels))
    });
    Some(consent(labels.clone()))
}

fn consent(labels: Map<String, Value>) -> Value {
    if labels.is_empty() {
        return json!({"from": "All"});
    }
    json!({"from": "Selector", "selector": {"matchLabels": labels}})
}

fn of_condition(condition: &Value) -> Vec<Choice> {
    let Some(fields) = condition.as_object() else { return vec![Choice::Other] };
    fields.iter().flat_map(|(field, value)| of_part(field, value)).collect()
}

fn of_part(field: &str, value: &Value) -> Vec<Choice> {
    match (field, value) {
        (_, Value::Null) => Vec::new(),
        ("namespaceSelector", selector) => vec![choice(required(selector))],
        ("namespaces", Value::Array(names)) => {
            names.iter().map(|name| choice(name.as_str().map(of_name))).collect()
        }
        ("namespaceRegexes", Value::Array(all)) => {
            let is_all = |text: &Value| text.as_str().is_some_and(is_everything);
            all.iter().map(|text| choice(is_all(text).then(Map::new))).collect()
        }
        _ => vec![Choice::Other],
    }
}

fn choice(labels: Option<Map<String, Value>>) -> Choice {
    labels.map_or(Choice::Other, Choice::Labels)
}
