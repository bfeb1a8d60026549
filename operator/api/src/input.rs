//! Tests of everything that is parsed from an object: no value of any field makes a parser panic.

use std::panic::catch_unwind;
use std::sync::{Arc, LazyLock};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::KindId;

macro_rules! parsers {
    ($($kind:ident $properties:tt),+ $(,)?) => {
        fn parse(kind: KindId, object: Value) -> Result<Value, String> {
            match kind {
                $(KindId::$kind => {
                    let object: crate::$kind = serde_json::from_value(object).map_err(|error| error.to_string())?;
                    serde_json::to_value(object).map_err(|error| error.to_string())
                })+
            }
        }
    };
}
crate::for_each_kind!(parsers);

/// Returns an object with every field that the schema declares, and the paths of its leaves.
fn complete(definition: &CustomResourceDefinition) -> (Value, Vec<String>) {
    let schema = serde_json::to_value(&definition.spec.versions[0].schema).unwrap();
    let mut leaves = Vec::new();
    let mut object = filled(&schema["openAPIV3Schema"], "", &mut leaves);
    object["metadata"] = json!({"name": "a", "namespace": "b"});
    (object, leaves)
}

fn filled(schema: &Value, path: &str, leaves: &mut Vec<String>) -> Value {
    if let Some(properties) = schema["properties"].as_object() {
        let field = |(name, inner): (&String, &Value)| {
            (name.clone(), filled(inner, &format!("{path}/{name}"), leaves))
        };
        return Value::Object(properties.iter().map(field).collect::<Map<_, _>>());
    }
    if schema["items"].is_object() {
        return json!([filled(&schema["items"], &format!("{path}/0"), leaves)]);
    }
    if schema["additionalProperties"].is_object() {
        return json!({"key": filled(&schema["additionalProperties"], &format!("{path}/key"), leaves)});
    }
    if schema["x-kubernetes-preserve-unknown-fields"] == true {
        leaves.push(format!("{path}/key"));
        return json!({"key": "1"});
    }
    leaves.push(path.to_owned());
    leaf(schema)
}

fn leaf(schema: &Value) -> Value {
    if let Some(first) = schema["enum"].get(0) {
        return first.clone();
    }
    let rules = schema["x-kubernetes-validations"].to_string();
    match (schema["type"].as_str(), schema["format"].as_str()) {
        (_, Some("date-time")) => json!("2026-01-02T03:04:05Z"),
        (Some("string"), _) if rules.contains("duration(self)") => json!("1m"),
        (Some("string"), _) => json!("1"),
        (Some("integer" | "number"), _) => json!(1),
        (Some("boolean"), _) => json!(true),
        _ if schema["x-kubernetes-int-or-string"] == true => json!("1"),
        _ => json!({}),
    }
}

#[test]
fn every_declared_field_is_read_and_written_again() {
    for (kind, definition) in KindId::ALL.iter().zip(crate::definitions()) {
        let (object, leaves) = complete(&definition);
        let parsed = parse(*kind, object.clone()).unwrap_or_else(|error| panic!("{kind}: {error}"));
        let written = |path: &&String| parsed.pointer(path).is_some();
        // `null` is not written.
        let lost: Vec<&String> = leaves.iter().filter(|path| !written(path)).collect();
        assert!(lost.is_empty(), "{kind}: {lost:?}");
    }
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "\\PC*",
        "[-+0-9.]{0,40}(ns|us|ms|s|m|h|d|Mi|Gi|E)?[-+0-9.]{0,10}(ms|s|m|h|Z)?",
        "[-+]?[0-9]{4,9}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]{1,12})?(Z|[-+][0-9]{2}:[0-9]{2})",
    ]
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        5 => text().prop_map(Value::from),
        1 => any::<i64>().prop_map(Value::from),
        1 => any::<f64>().prop_map(Value::from),
        1 => Just(json!(null)),
        1 => Just(json!([])),
        1 => Just(json!({})),
        1 => any::<bool>().prop_map(Value::from),
    ]
}

/// Every leaf of every kind, with the complete object that contains it.
static LEAVES: LazyLock<Vec<(KindId, Arc<Value>, String)>> = LazyLock::new(|| {
    let kinds = KindId::ALL.iter().zip(crate::definitions());
    let leaves = kinds.flat_map(|(kind, definition)| {
        let (object, leaves) = complete(&definition);
        let object = Arc::new(object);
        leaves.into_iter().map(move |path| (*kind, object.clone(), path))
    });
    leaves.collect()
});

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn no_value_of_a_field_makes_a_parser_panic(value in value(), leaf in any::<prop::sample::Index>()) {
        let (kind, object, path) = leaf.get(&LEAVES);
        let mut changed = Value::clone(object);
        *changed.pointer_mut(path).unwrap() = value.clone();
        let ended = catch_unwind(|| drop(parse(*kind, changed)));
        prop_assert!(ended.is_ok(), "{kind}{path}: {value}");
    }

    #[test]
    fn no_name_of_a_kind_makes_its_parser_panic(text in text()) {
        if let Some(kind) = KindId::parse(&text) {
            prop_assert_eq!(kind.as_str(), text);
        }
    }
}
