//! The table is complete, and its rows can fail.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use steamer_api::{KindId, Property};

use super::elsewhere::ELSEWHERE;
use super::samples::{Change, Part, Row, Sample, Sources, samples};
use super::values::same;

/// The fields of a spec, as `tune.maxLeaseTTL` or `rules[].path`, and their defaults. Null: the schema has none.
fn fields(schema: &Value, path: &str, found: &mut BTreeMap<String, Value>) {
    let items = &schema["items"];
    let (inner, path) = if items["properties"].is_object() {
        (items, format!("{path}[]"))
    } else {
        (schema, path.to_owned())
    };
    let Some(properties) = inner["properties"].as_object() else {
        found.insert(path, schema["default"].clone());
        return;
    };
    for (name, schema) in properties {
        let separator = if path.is_empty() { "" } else { "." };
        fields(schema, &format!("{path}{separator}{name}"), found);
    }
}

fn declared(kind: &str) -> BTreeMap<String, Value> {
    let definition = steamer_api::definitions().into_iter().find(|it| it.spec.names.kind == kind);
    let definition = serde_json::to_value(definition).unwrap_or_default();
    let schema = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
    let mut found = BTreeMap::new();
    fields(schema, "", &mut found);
    found
}

/// The values of a field in a spec.
fn values<'a>(spec: &'a Value, field: &str) -> Vec<&'a Value> {
    let (first, rest) = field.split_once('.').map_or((field, None), |(first, rest)| (first, Some(rest)));
    let found: Vec<&Value> = match first.strip_suffix("[]") {
        Some(list) => spec[list].as_array().into_iter().flatten().collect(),
        None => vec![&spec[first]],
    };
    match rest {
        Some(rest) => found.into_iter().flat_map(|it| values(it, rest)).collect(),
        None => found.into_iter().filter(|it| !it.is_null()).collect(),
    }
}

/// Returns true for a value that a field without a default in the schema has in OpenBao, unless the row states another.
fn is_nothing(value: &Value) -> bool {
    [json!(false), json!(0), json!(""), json!([]), json!({})].contains(value)
}

/// Returns true if one of the values is in a path, as one or more of its segments.
fn is_part(path: &str, values: &[&Value]) -> bool {
    let path = format!("/{path}/");
    values.iter().filter_map(|it| it.as_str()).any(|value| path.contains(&format!("/{value}/")))
}

/// Why a row proves nothing: OpenBao would have the value without the field, or the row compares nothing.
fn mistake(sample: &Sample, (part, row): (&Part, &Row), default: &Value) -> Option<&'static str> {
    let values = values(&sample.spec, row.field);
    if values.is_empty() {
        return Some("is not set");
    }
    if let Some(default) = &row.default {
        if same(&row.value, default) {
            return Some("has the value that it has without the field");
        }
    } else if values.iter().all(|it| if default.is_null() { is_nothing(it) } else { *it == default }) {
        return Some("has its default");
    }
    if !matches!(row.change, Change::Place) {
        return (row.pointer.is_empty() && !row.value.is_null()).then_some("compares nothing");
    }
    let is_name = values.iter().any(|it| **it == sample.name);
    (is_name || !is_part(part.read, &values)).then_some("is no part of the path, or the name of the object")
}

#[test]
fn every_field_of_every_general_kind_has_a_row_or_a_test_of_its_own() {
    let samples = samples(&Sources::example());
    let mut problems = Vec::new();
    let kinds = KindId::ALL.iter().copied().filter(|it| it.is(Property::Owning)).map(KindId::as_str);
    let kinds: BTreeSet<&str> = kinds.collect();
    for kind in &kinds {
        let declared = declared(kind);
        assert!(declared.len() > 5, "{kind} has no schema");
        let rows: BTreeSet<&str> =
            samples.iter().filter(|it| it.kind == *kind).flat_map(Sample::fields).collect();
        let listed: BTreeSet<&str> = ELSEWHERE
            .iter()
            .filter(|(of, _, _)| of == kind || *of == "*")
            .flat_map(|(_, fields, _)| fields.iter().copied())
            .collect();
        for field in declared.keys() {
            if !rows.contains(&**field) && !listed.contains(&**field) {
                problems.push(format!("{kind}: {field} has neither a row nor a test of its own"));
            }
        }
        let unknown = rows.iter().filter(|it| !declared.contains_key(**it));
        problems.extend(unknown.map(|field| format!("{kind}: no field {field}")));
    }
    let sampled = samples.iter().map(|it| it.kind).chain(ELSEWHERE.iter().map(|(kind, _, _)| *kind));
    let others = sampled.filter(|kind| *kind != "*" && !kinds.contains(kind));
    problems.extend(others.map(|kind| format!("{kind} owns no resources in OpenBao")));
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn no_row_has_a_value_that_openbao_has_without_the_field() {
    let mut problems = Vec::new();
    for sample in samples(&Sources::example()) {
        let declared = declared(sample.kind);
        let rows = sample.parts.iter().flat_map(|part| part.rows.iter().map(move |row| (part, row)));
        for (part, row) in rows {
            let default = declared.get(row.field).unwrap_or(&Value::Null);
            if let Some(mistake) = mistake(&sample, (part, row), default) {
                problems.push(format!("{} {}: {} {mistake}", sample.kind, sample.name, row.field));
            }
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn a_field_has_the_values_of_all_entries() {
    let spec = json!({"rules": [{"path": "a"}, {"path": "b"}, {}], "tune": {"ttl": 5}});
    assert_eq!(values(&spec, "rules[].path"), [&json!("a"), &json!("b")]);
    assert_eq!(values(&spec, "tune.ttl"), [&json!(5)]);
    assert_eq!(values(&spec, "tune.other"), Vec::<&Value>::new());
}

#[test]
fn a_place_is_a_part_of_the_path() {
    let path = "auth/f/users/role/web";
    for (value, expected) in [("f/users", true), ("web", true), ("we", false), ("users/web", false)] {
        assert_eq!(is_part(path, &[&json!(value)]), expected, "{value}");
    }
}
