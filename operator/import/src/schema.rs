//! Fields of the kinds, as their schemas declare them.

use serde_json::Value;
use steamer_convert::schema_of;

/// A field of a spec.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Declared {
    pub(crate) name: &'static str,
    pub(crate) schema: &'static Value,
}

/// Finds the field below `section` (a path in the spec, empty for the spec) for a parameter of OpenBao: `max_ttl` is `maxTTL`.
pub(crate) fn field(kind: &str, section: &str, parameter: &str) -> Option<Declared> {
    let mut schema = schema_of(kind)?;
    for part in section.split('.').filter(|part| !part.is_empty()) {
        schema = schema["properties"].get(part)?;
    }
    let wanted = folded(parameter);
    let properties = schema["properties"].as_object()?;
    let (name, schema) = properties.iter().find(|(name, _)| folded(name) == wanted)?;
    Some(Declared { name, schema })
}

/// A name without case and separators.
pub(crate) fn folded(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|it| it.to_ascii_lowercase()).collect()
}

/// The value in the type that a field declares: seconds become a duration, a text becomes a list or a number, and the case of a
/// value of an enumeration is corrected. `None` if the value does not fit.
pub(crate) fn formed(schema: &Value, value: &Value) -> Option<Value> {
    match (schema["type"].as_str()?, value) {
        ("string", Value::Number(seconds)) => duration(seconds.as_u64()?, longest(schema)).map(Value::from),
        ("string", Value::String(text)) => enumerated(schema, text),
        ("array", Value::String(text)) => Some(text.split(',').map(str::trim).collect()),
        ("integer", Value::String(text)) => text.parse::<i64>().ok().map(Value::from),
        ("integer", Value::Number(number)) => number.as_i64().map(Value::from),
        ("number", Value::Number(_))
        | ("boolean", Value::Bool(_))
        | ("array", Value::Array(_))
        | ("object", Value::Object(_)) => Some(value.clone()),
        _ => None,
    }
}

fn enumerated(schema: &Value, text: &str) -> Option<Value> {
    let Some(values) = schema["enum"].as_array() else { return Some(Value::from(text)) };
    values.iter().find(|value| value.as_str().is_some_and(|value| folded(value) == folded(text))).cloned()
}

/// The longest duration that a field accepts, in hours. None for a field with another rule, such as a pattern.
fn longest(schema: &Value) -> Option<u64> {
    let rules = schema["x-kubernetes-validations"].as_array().into_iter().flatten();
    let bound = |rule: &Value| {
        let text = rule["rule"].as_str()?.strip_prefix("duration(self) <= duration('")?;
        text.strip_suffix("h')")?.parse().ok()
    };
    rules.filter_map(bound).max()
}

/// Seconds as text, in the largest units. `None` for a duration that a field of at most `longest` hours refuses.
fn duration(seconds: u64, longest: Option<u64>) -> Option<String> {
    let parts = [(seconds / 3600, "h"), (seconds / 60 % 60, "m"), (seconds % 60, "s")];
    let text: String =
        parts.iter().filter(|(count, _)| *count > 0).map(|(count, unit)| format!("{count}{unit}")).collect();
    let text = if text.is_empty() { "0s".to_owned() } else { text };
    longest.is_none_or(|hours| seconds <= hours * 3600).then_some(text)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    fn bounded(hours: u64) -> Value {
        let rule = format!("duration(self) <= duration('{hours}h')");
        json!({"type": "string", "x-kubernetes-validations": [{"rule": rule}]})
    }

    #[test]
    fn a_parameter_finds_its_field_regardless_of_case_and_separators() {
        let name =
            |section: &str, parameter: &str| field("BaoPKISecret", section, parameter).map(|it| it.name);
        assert_eq!(name("", "common_name"), Some("commonName"));
        assert_eq!(name("destination", "deletion_policy"), Some("deletionPolicy"));
        assert_eq!(name("", "deletion_policy"), None);
        assert_eq!(name("nothing", "name"), None);
        assert!(field("Unknown", "", "name").is_none());
    }

    #[rstest]
    #[case(bounded(8760), json!(90), Some(json!("1m30s")))]
    #[case(bounded(8760), json!(2_764_800), Some(json!("768h")))]
    #[case(bounded(8760), json!(0), Some(json!("0s")))]
    #[case(bounded(8760), json!(-1), None)]
    #[case(bounded(8760), json!(315_360_000), None)]
    #[case(bounded(876_000), json!(315_360_000), Some(json!("87600h")))]
    #[case(json!({"type": "string"}), json!(315_360_000), Some(json!("87600h")))]
    #[case(json!({"type": "string", "enum": ["Internal", "External"]}), json!("external"), Some(json!("External")))]
    #[case(json!({"type": "string", "enum": ["Internal"]}), json!("other"), None)]
    #[case(json!({"type": "array"}), json!("a, b"), Some(json!(["a", "b"])))]
    #[case(json!({"type": "integer"}), json!("5"), Some(json!(5)))]
    #[case(json!({"type": "integer"}), json!(5), Some(json!(5)))]
    #[case(json!({"type": "boolean"}), json!("5"), None)]
    #[case(json!({"type": "object"}), json!({"a": 1}), Some(json!({"a": 1})))]
    fn a_value_takes_the_type_of_its_field(
        #[case] schema: Value,
        #[case] value: Value,
        #[case] expected: Option<Value>,
    ) {
        assert_eq!(formed(&schema, &value), expected);
    }
}
