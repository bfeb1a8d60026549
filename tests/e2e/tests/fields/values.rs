//! Values of OpenBao, and their comparison.

use serde_json::{Value, json};

use super::certificate;

/// Compares values in the forms in which OpenBao returns them. The order of a list does not matter. An object can have further
/// fields; an expected object without fields would compare nothing, and equals none.
pub fn same(expected: &Value, found: &Value) -> bool {
    match (expected, found) {
        (Value::Array(expected), Value::Array(found)) => are_same(expected, found),
        (Value::Object(expected), Value::Object(found)) => {
            let is_same =
                |(name, value): (&String, &Value)| found.get(name).is_some_and(|it| same(value, it));
            !expected.is_empty() && expected.iter().all(is_same)
        }
        (Value::Number(expected), Value::Number(found)) => expected.as_f64() == found.as_f64(),
        (Value::String(expected), Value::String(found)) => expected.trim() == found.trim(),
        (expected, found) => expected == found,
    }
}

/// Compares lists: each found item equals one expected item.
fn are_same(expected: &[Value], found: &[Value]) -> bool {
    let mut left: Vec<&Value> = found.iter().collect();
    let is_left = |item: &Value| {
        let position = left.iter().position(|other| same(item, other));
        position.map(|position| left.swap_remove(position)).is_some()
    };
    expected.len() == found.len() && expected.iter().all(is_left)
}

/// The value of a row. The text of a policy is read as JSON, and a certificate is parsed.
pub fn value(state: &Value, pointer: &str) -> Value {
    if let Some((place, part)) = pointer.split_once('?') {
        let place = place.trim_start_matches('/');
        return json!(text(&state[place]).contains(part));
    }
    let of = |document: &Value, inner: &str| document.pointer(inner).cloned().unwrap_or_default();
    if let Some(inner) = pointer.strip_prefix("policy#") {
        return of(&serde_json::from_str(&text(&state["policy"])).unwrap_or_default(), inner);
    }
    match pointer.strip_prefix("certificate#") {
        Some(inner) => of(&certificate::contents(&text(&state["certificate"])).unwrap_or_default(), inner),
        None => of(state, pointer),
    }
}

/// A text, or the texts of a list one below the other.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(text).collect::<Vec<_>>().join("\n"),
        _ => String::new(),
    }
}

#[test]
fn lists_and_objects_are_compared_completely() {
    for (expected, found, is_same) in [
        (json!(["a", "b"]), json!(["b", "a"]), true),
        (json!(["a", "a"]), json!(["a", "b"]), false),
        (json!(["a", "b"]), json!(["a", "a"]), false),
        (json!(["a"]), json!(["a", "a"]), false),
        (json!([]), json!([]), true),
        (json!({"a": 1}), json!({"a": 1.0, "b": 2}), true),
        (json!({"a": ["x", "x"]}), json!({"a": ["x", "y"]}), false),
        (json!({"a": 1, "b": 2}), json!({"a": 1}), false),
        (json!({}), json!({"a": 1}), false),
        (json!({}), json!({}), false),
    ] {
        assert_eq!(same(&expected, &found), is_same, "{expected} {found}");
    }
}

#[test]
fn a_pointer_names_a_value_or_a_part_of_a_text() {
    let state =
        json!({"policy": "{\"path\": {\"a\": 1}}", "statements": ["SELECT 1;", "SELECT 2;"], "ttl": 5});
    for (pointer, expected) in [
        ("/ttl", json!(5)),
        ("/statements/1", json!("SELECT 2;")),
        ("/absent", Value::Null),
        ("policy#/path/a", json!(1)),
        ("policy?path", json!(true)),
        ("policy?other", json!(false)),
        ("/statements?SELECT 2", json!(true)),
        ("/statements?SELECT 3", json!(false)),
        ("certificate#/hours", Value::Null),
    ] {
        assert_eq!(value(&state, pointer), expected, "{pointer}");
    }
}
