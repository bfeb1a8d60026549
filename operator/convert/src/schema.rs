//! Structural validation of objects against the schemas of this version's CustomResourceDefinitions.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde_json::{Map, Value};

use crate::value::{described, joined};

/// Schemas of the specs by kind.
static SCHEMAS: LazyLock<BTreeMap<String, Value>> = LazyLock::new(|| {
    let schema = |definition: k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition| {
        let version = definition.spec.versions.into_iter().next()?;
        let schema = serde_json::to_value(version.schema).ok()?;
        let spec = schema.pointer("/openAPIV3Schema/properties/spec").cloned()?;
        Some((definition.spec.names.kind, spec))
    };
    steamer_api::definitions().into_iter().filter_map(schema).collect()
});

/// A part of a spec that the schema does not accept.
#[derive(Clone, Debug, PartialEq)]
pub struct Mistake {
    /// Path in the spec.
    pub path: String,
    /// Type of the value in words. Empty if the field is missing.
    pub value: String,
    /// What to do about it.
    pub problem: String,
}

/// Returns the schema of the spec of a kind, or `None` for an unknown kind.
#[must_use]
pub fn schema_of(kind: &str) -> Option<&'static Value> {
    SCHEMAS.get(kind)
}

/// Removes the fields that this version does not have from a spec, and returns them and all other mistakes. A spec of an
/// unknown kind is not checked.
#[must_use]
pub fn fitted(kind: &str, spec: &mut Map<String, Value>) -> Vec<Mistake> {
    let mut mistakes = Vec::new();
    if let Some(schema) = schema_of(kind) {
        fit_fields(schema, spec, "", &mut mistakes);
    }
    mistakes
}

/// Checks a value. Returns false if it must be removed.
fn fit(schema: &Value, value: &mut Value, path: &str, mistakes: &mut Vec<Mistake>) -> bool {
    let problem = type_problem(schema, value).or_else(|| enum_problem(schema, value));
    if let Some(problem) = problem {
        mistakes.push(Mistake { path: path.to_owned(), value: described(value), problem });
        return false;
    }
    if let Some(problem) = bound_problem(schema, value) {
        mistakes.push(Mistake { path: path.to_owned(), value: described(value), problem });
    }
    match value {
        Value::Object(fields) => fit_fields(schema, fields, path, mistakes),
        Value::Array(items) => fit_items(&schema["items"], items, path, mistakes),
        _ => {}
    }
    true
}

fn fit_fields(schema: &Value, fields: &mut Map<String, Value>, path: &str, mistakes: &mut Vec<Mistake>) {
    if schema["x-kubernetes-preserve-unknown-fields"] == Value::Bool(true) {
        return;
    }
    fields.retain(|name, value| {
        let path = joined(path, name);
        match field_schema(schema, name) {
            Some(schema) => fit(schema, value, &path, mistakes),
            None => {
                let problem =
                    "this version of Steamer does not have this field: remove it, or install a later version"
                        .to_owned();
                mistakes.push(Mistake { path, value: described(value), problem });
                false
            }
        }
    });
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if !fields.contains_key(name) {
            let problem = format!("{name} is required: set it");
            mistakes.push(Mistake { path: joined(path, name), value: String::new(), problem });
        }
    }
}

fn field_schema<'a>(schema: &'a Value, name: &str) -> Option<&'a Value> {
    let declared = schema["properties"].get(name);
    declared.or_else(|| schema.get("additionalProperties").filter(|schema| schema.is_object()))
}

fn fit_items(schema: &Value, items: &mut Vec<Value>, path: &str, mistakes: &mut Vec<Mistake>) {
    let mut index = 0;
    items.retain_mut(|item| {
        let path = format!("{path}[{index}]");
        index += 1;
        fit(schema, item, &path, mistakes)
    });
}

fn type_problem(schema: &Value, value: &Value) -> Option<String> {
    let type_ = schema["type"].as_str().filter(|_| schema["x-kubernetes-int-or-string"].is_null())?;
    let fits = match type_ {
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => true,
    };
    (!fits).then(|| format!("the value must have the type {type_}: write it again"))
}

fn enum_problem(schema: &Value, value: &Value) -> Option<String> {
    let values = schema["enum"].as_array().filter(|values| !values.contains(value))?;
    let names: Vec<&str> = values.iter().filter_map(Value::as_str).collect();
    Some(format!("this version of Steamer does not have this value: write one of {}", names.join(", ")))
}

fn bound_problem(schema: &Value, value: &Value) -> Option<String> {
    let (size, minimum, maximum, unit) = match value {
        Value::String(text) => (text.chars().count() as f64, "minLength", "maxLength", "characters"),
        Value::Array(items) => (items.len() as f64, "minItems", "maxItems", "elements"),
        Value::Object(fields) => (fields.len() as f64, "minProperties", "maxProperties", "entries"),
        Value::Number(number) => (number.as_f64()?, "minimum", "maximum", ""),
        Value::Null | Value::Bool(_) => return None,
    };
    let bound = |name: &str| schema[name].as_f64();
    let is_outside =
        bound(minimum).is_some_and(|bound| size < bound) || bound(maximum).is_some_and(|bound| size > bound);
    is_outside.then(|| {
        let text =
            |name: &str| schema[name].as_f64().map_or_else(|| "any".to_owned(), |bound| bound.to_string());
        let range = format!("{} to {} {unit}", text(minimum), text(maximum));
        format!("Steamer accepts {}: change the value", range.trim_end())
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn checked(kind: &str, spec: &Value) -> (Value, Vec<String>) {
        let mut spec = spec.as_object().cloned().unwrap_or_default();
        let mistakes = fitted(kind, &mut spec);
        (
            Value::Object(spec),
            mistakes.into_iter().map(|mistake| format!("{}: {}", mistake.path, mistake.problem)).collect(),
        )
    }

    #[test]
    fn a_valid_spec_is_unchanged() {
        let spec = json!({
            "mount": "kv", "path": "app", "type": "kv-v2", "refreshAfter": "1m",
            "destination": {"name": "app", "create": true, "labels": {"a": "b"}, "transformation": {"templates": {"x": {"text": "y"}}}},
            "rolloutRestartTargets": [{"kind": "Deployment", "name": "web"}],
        });
        assert_eq!(checked("BaoStaticSecret", &spec), (spec, Vec::new()));
    }

    #[test]
    fn unknown_fields_values_and_types_are_removed_and_reported() {
        let spec = json!({
            "mount": 5, "type": "kv-v3", "other": 1, "version": -1,
            "destination": {"create": true, "labels": {"a": 1}},
            "rolloutRestartTargets": [{"kind": "Job", "name": "web"}, "x"],
        });
        let (spec, mistakes) = checked("BaoStaticSecret", &spec);
        let left = json!({
            "version": -1, "destination": {"create": true, "labels": {}}, "rolloutRestartTargets": [{"name": "web"}],
        });
        assert_eq!(spec, left);
        let starts = [
            "destination.labels.a: the value must have the type string",
            "destination.name: name is required",
            "mount: the value must have the type string",
            "other: this version of Steamer does not have this field",
            "rolloutRestartTargets[0].kind: this version of Steamer does not have this value: write one of Deployment",
            "rolloutRestartTargets[0].kind: kind is required",
            "rolloutRestartTargets[1]: the value must have the type object",
            "type: this version of Steamer does not have this value: write one of kv-v1, kv-v2",
            "version: Steamer accepts 0 to any",
        ];
        assert_eq!(mistakes.len(), starts.len(), "{mistakes:#?}");
        for (mistake, start) in mistakes.iter().zip(starts) {
            assert!(mistake.starts_with(start), "{mistake}");
        }
    }
}
