//! Selectors of namespaces.

use serde_json::{Map, Value, json};

use crate::value::is_empty;

/// Label of each namespace. It contains its name.
pub(super) const NAME: &str = "kubernetes.io/metadata.name";

/// The label of the namespace with a name.
pub(super) fn of_name(name: &str) -> Map<String, Value> {
    Map::from_iter([(NAME.to_owned(), json!(name))])
}

/// The labels that a selector requires. Empty: it selects all namespaces. None if it has other requirements.
pub(super) fn required(selector: &Value) -> Option<Map<String, Value>> {
    let fields = selector.as_object()?;
    let is_known = |field: &String| field == "matchLabels" || field == "matchExpressions";
    fields.keys().all(is_known).then_some(())?;
    let mut labels = match fields.get("matchLabels") {
        Some(labels) => labels.as_object()?.clone(),
        None => Map::new(),
    };
    let expressions = match fields.get("matchExpressions") {
        Some(expressions) => expressions.as_array()?.as_slice(),
        None => &[],
    };
    expressions.iter().try_for_each(|expression| require(expression, &mut labels))?;
    labels.values().all(Value::is_string).then_some(labels)
}

/// Adds the label that a requirement states. None if it states another one.
fn require(expression: &Value, labels: &mut Map<String, Value>) -> Option<()> {
    let (key, operator) = (expression["key"].as_str()?, expression["operator"].as_str()?);
    let values = expression["values"].as_array().map(Vec::as_slice).unwrap_or_default();
    match (operator, values) {
        ("Exists", []) if key == NAME => {}
        ("In", [value]) if labels.get(key).is_none_or(|known| known == value) => {
            labels.insert(key.to_owned(), value.clone());
        }
        _ => return None,
    }
    Some(())
}

/// A selector that is not empty: Kubernetes sets the label on each namespace.
pub(super) fn not_empty(selector: Value) -> Value {
    if selector.is_object() && is_empty(&selector) {
        return json!({"matchExpressions": [{"key": NAME, "operator": "Exists"}]});
    }
    selector
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::empty(json!({}), Some(json!({})))]
    #[case::labels(json!({"matchLabels": {"a": "b"}}), Some(json!({"a": "b"})))]
    #[case::one_value(
        json!({"matchLabels": {"a": "b"}, "matchExpressions": [{"key": "c", "operator": "In", "values": ["d"]}]}),
        Some(json!({"a": "b", "c": "d"}))
    )]
    #[case::the_same_value(
        json!({"matchLabels": {"a": "b"}, "matchExpressions": [{"key": "a", "operator": "In", "values": ["b"]}]}),
        Some(json!({"a": "b"}))
    )]
    #[case::any_name(json!({"matchExpressions": [{"key": NAME, "operator": "Exists"}]}), Some(json!({})))]
    #[case::contradiction(
        json!({"matchLabels": {"a": "b"}, "matchExpressions": [{"key": "a", "operator": "In", "values": ["c"]}]}),
        None
    )]
    #[case::two_values(json!({"matchExpressions": [{"key": "a", "operator": "In", "values": ["b", "c"]}]}), None)]
    #[case::excluded(json!({"matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["b"]}]}), None)]
    #[case::any_value(json!({"matchExpressions": [{"key": "a", "operator": "Exists"}]}), None)]
    #[case::another_field(json!({"matchLabels": {"a": "b"}, "other": 1}), None)]
    #[case::another_type(json!({"matchLabels": {"a": 1}}), None)]
    fn the_labels_of_a_selector_are_found(#[case] selector: Value, #[case] expected: Option<Value>) {
        assert_eq!(required(&selector).map(Value::Object), expected);
    }
}
