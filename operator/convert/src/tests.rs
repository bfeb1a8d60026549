//! Tests of whole conversions: no field is dropped, no value is in a report, every object fits the schemas.

mod examples;
mod generators;
mod stores;

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::{Map, Value, json};
use steamer_api::KindId;

use crate::conversion::convert_for;
use crate::schema::fitted;
use crate::{Conversion, Settings, convert, objects};

const VSO: &str = include_str!("../fixtures/vso.yaml");
const ESO: &str = include_str!("../fixtures/eso.yaml");
const PARITY: &str = include_str!("../../../docs/parity.md");

type Object = Map<String, Value>;

fn fixtures() -> Vec<Object> {
    [VSO, ESO].into_iter().flat_map(|text| objects(text).unwrap()).collect()
}

fn converted(objects: Vec<Object>) -> Conversion {
    convert(objects, &Settings::default())
}

/// The pointers of all leaves below a value. An empty list or object is a leaf.
fn leaves(value: &Value, pointer: &str, found: &mut Vec<String>) {
    let escaped = |key: &str| key.replace('~', "~0").replace('/', "~1");
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            fields
                .iter()
                .for_each(|(key, value)| leaves(value, &format!("{pointer}/{}", escaped(key)), found));
        }
        Value::Array(items) if !items.is_empty() => {
            items
                .iter()
                .enumerate()
                .for_each(|(index, item)| leaves(item, &format!("{pointer}/{index}"), found));
        }
        _ => found.push(pointer.to_owned()),
    }
}

fn without(object: &Object, pointer: &str) -> Object {
    let mut object = Value::Object(object.clone());
    let (parent, last) = pointer.rsplit_once('/').unwrap();
    match object.pointer_mut(parent).unwrap() {
        Value::Object(fields) => drop(fields.remove(&last.replace("~1", "/").replace("~0", "~"))),
        Value::Array(items) => drop(items.remove(last.parse().unwrap())),
        _ => unreachable!(),
    }
    object.as_object().unwrap().clone()
}

/// Fields without an effect in the fixtures: their value is the default, Steamer does the same without them, or the object is
/// reported as a whole.
const KNOWN: &[(&str, &str)] = &[
    ("SecretStore", "/spec/provider/vault/version"),
    ("SecretStore", "/spec/provider/vault/tls/certSecretRef/key"),
    ("SecretStore", "/spec/provider/vault/tls/keySecretRef/key"),
    ("ExternalSecret", "/spec/secretStoreRef/kind"),
    ("PushSecret", "/spec/secretStoreRefs/0/kind"),
    ("PushSecret", "/spec/template/mergePolicy"),
    ("VaultStaticSecret", "/spec/destination/overwrite"),
    ("HCPVaultSecretsApp", "/spec"),
    ("ClusterPushSecret", "/spec"),
];

/// Returns true if a finding is about the field, or about a field that contains it.
fn is_reported(conversion: &Conversion, object: &Object, pointer: &str) -> bool {
    let name = format!(
        "{}/{}",
        object["metadata"]["namespace"].as_str().unwrap_or_default(),
        object["metadata"]["name"].as_str().unwrap()
    );
    let path = pointer.split('/').skip(1).fold(String::new(), |path, part| match part.parse::<usize>() {
        Ok(index) => format!("{path}[{index}]"),
        Err(_) if path.is_empty() => part.to_owned(),
        Err(_) => format!("{path}.{part}"),
    });
    conversion.report.findings.iter().any(|finding| {
        let is_of =
            finding.object.ends_with(&name) && finding.object.starts_with(object["kind"].as_str().unwrap());
        is_of
            && !finding.field.is_empty()
            && path
                .strip_prefix(&finding.field)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    })
}

#[test]
fn every_field_of_the_former_operators_is_converted_or_reported() {
    let all = fixtures();
    // Also kinds that this version does not have.
    let converted = |objects| convert_for(objects, &Settings::default(), |_| true);
    let whole = converted(all.clone());
    let mut dropped = Vec::new();
    for (index, object) in all.iter().enumerate() {
        let mut pointers = Vec::new();
        leaves(&object["spec"], "/spec", &mut pointers);
        for pointer in pointers {
            let mut changed = all.clone();
            changed[index] = without(object, &pointer);
            let is_known =
                KNOWN.iter().any(|(kind, field)| object["kind"] == *kind && pointer.starts_with(field));
            if !is_known && converted(changed) == whole && !is_reported(&whole, object, &pointer) {
                dropped.push(format!("{} {}: {pointer}", object["kind"], object["metadata"]["name"]));
            }
        }
    }
    assert_eq!(dropped, Vec::<String>::new());
}

/// Fields of a kind in the tables of the documentation: `spec.a[].b`, `spec.map{}.c`.
fn documented(heading: &str) -> Vec<String> {
    let (_, section) = PARITY.split_once(&format!("## {heading}\n")).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let fields = section.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    fields
        .filter(|field| field.starts_with("spec.") || field.starts_with("destination."))
        .map(str::to_owned)
        .collect()
}

/// Fields of the fixtures of a kind, in the form of the documentation.
fn present(kind: &str) -> BTreeSet<String> {
    fn collect(value: &Value, path: &str, found: &mut BTreeSet<String>) {
        found.insert(path.to_owned());
        match value {
            Value::Object(fields) => fields.iter().for_each(|(key, value)| {
                collect(value, &format!("{path}.{key}"), found);
                // The key of a map.
                fields.values().for_each(|value| collect(value, &format!("{path}{{}}"), found));
            }),
            Value::Array(items) => items.iter().for_each(|item| collect(item, &format!("{path}[]"), found)),
            _ => drop(found.insert(format!("{path}[]"))),
        }
    }
    let mut found = BTreeSet::new();
    for object in fixtures().iter().filter(|object| object["kind"] == kind) {
        // The documentation lists shared fields once.
        let mut object = object.clone();
        let destination = object["spec"].as_object_mut().unwrap().remove("destination");
        collect(&object["spec"], "spec", &mut found);
        if let Some(destination) = destination {
            found.insert("spec.destination".to_owned());
            if kind == "VaultStaticSecret" {
                collect(&destination, "destination", &mut found);
            }
        }
    }
    found
}

#[test]
fn the_fixtures_contain_every_documented_field() {
    let kinds = [
        ("VSO: ", "SecretTransformation"),
        ("VSO: ", "VaultAuthGlobal"),
        ("VSO: ", "VaultAuth"),
        ("VSO: ", "VaultConnection"),
        ("VSO: ", "VaultDynamicSecret"),
        ("VSO: ", "VaultPKISecret"),
        ("VSO: ", "VaultStaticSecret"),
        ("ESO: ", "ExternalSecret"),
        ("ESO: ", "PushSecret"),
        ("ESO: ", "SecretStore"),
        ("ESO: ", "ClusterSecretStore"),
        ("ESO: ", "ClusterExternalSecret"),
        ("ESO: ", "ClusterPushSecret"),
    ];
    for (operator, kind) in kinds {
        let present = present(kind);
        let listed = documented(&format!("{operator}{kind}"));
        assert!(listed.len() >= 4, "{kind}: {listed:?}");
        let missing: Vec<&String> = listed.iter().filter(|field| !present.contains(*field)).collect();
        assert!(missing.is_empty(), "{kind}: {missing:?}");
    }
    let present = present("VaultStaticSecret");
    let shared = documented("VSO: fields that its kinds share");
    let missing: Vec<&String> = shared.iter().filter(|field| !present.contains(*field)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn every_row_of_the_documented_tables_has_three_cells() {
    let separators = |line: &str| line.replace("\\|", "").matches('|').count();
    let rows = PARITY.lines().filter(|line| line.starts_with('|'));
    let wrong: Vec<&str> = rows.filter(|line| separators(line) != 4).collect();
    assert_eq!(wrong, Vec::<&str>::new());
}

macro_rules! parsers {
    ($($kind:ident $properties:tt),+ $(,)?) => {
        fn parse(kind: KindId, object: Value) -> Result<(), String> {
            match kind {
                $(KindId::$kind => serde_json::from_value::<steamer_api::$kind>(object).map(drop).map_err(|error| error.to_string()),)+
            }
        }
    };
}
steamer_api::for_each_kind!(parsers);

/// Mistakes of the output in the schemas.
fn mistakes(conversion: &Conversion) -> Vec<String> {
    let mut found = Vec::new();
    for object in conversion.objects.iter().filter(|object| object["kind"] != "Secret") {
        let kind = KindId::parse(object["kind"].as_str().unwrap());
        let mut spec = object["spec"].as_object().unwrap().clone();
        let kind = kind.unwrap();
        found.extend(
            fitted(kind.as_str(), &mut spec)
                .into_iter()
                .map(|it| format!("{kind} {}: {}", it.path, it.problem)),
        );
        if let Err(error) = parse(kind, object.clone()) {
            found.push(format!("{kind}: {error}"));
        }
    }
    found
}

#[test]
fn every_converted_object_fits_the_schema_of_its_kind() {
    let conversion = converted(fixtures());
    assert!(conversion.objects.len() >= 8, "{:#?}", conversion.objects);
    assert_eq!(mistakes(&conversion), Vec::<String>::new());
}

#[test]
fn a_kind_that_this_version_does_not_have_is_reported_and_not_written() {
    let conversion = converted(fixtures());
    for kind in
        ["BaoAuthGlobal", "BaoDynamicSecret", "BaoPKISecret", "BaoPushSecret", "ClusterBaoStaticSecret"]
    {
        let text = format!("{kind} is not available in this version of Steamer");
        let reported = conversion.report.findings.iter().any(|finding| finding.action.starts_with(&text));
        let written = conversion.objects.iter().any(|object| object["kind"] == kind);
        assert_eq!(
            (reported, written),
            (KindId::parse(kind).is_none(), KindId::parse(kind).is_some()),
            "{kind}"
        );
    }
}

/// Replaces every text below a value.
fn with_canaries(value: &mut Value) {
    match value {
        Value::String(text) => *text = format!("{text}{{{{canary"),
        Value::Array(items) => items.iter_mut().for_each(with_canaries),
        Value::Object(fields) => fields.values_mut().for_each(with_canaries),
        _ => {}
    }
}

#[test]
fn a_report_contains_no_value() {
    let mut all = fixtures();
    all.iter_mut().for_each(|object| with_canaries(&mut object["spec"]));
    all.iter_mut().for_each(|object| drop(object.insert("data".to_owned(), json!({"password": "canary"}))));
    for objects in [all, fixtures()] {
        let report = converted(objects).report;
        let text = format!("{report}{}", serde_json::to_string(&report).unwrap());
        assert!(report.findings.len() > 20, "{text}");
        assert!(!text.contains("canary"), "{text}");
        assert!(!text.contains("(string): value"), "{text}");
    }
}

/// Any JSON, with fields of the former operators.
fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[a-z/.$]{0,8}".prop_map(Value::from),
        "canary\\PC{0,8}".prop_map(Value::from),
    ];
    let names = prop_oneof![
        "[a-z]{1,4}",
        proptest::sample::select(vec![
            "name",
            "key",
            "destination",
            "provider",
            "vault",
            "auth",
            "data",
            "target",
            "template"
        ])
        .prop_map(str::to_owned),
    ];
    leaf.prop_recursive(5, 48, 6, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map(names.clone(), inner, 0..6)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn any_value_in_any_field_is_reported_or_fits_and_is_never_printed(
        index in 0_usize..100, leaf in 0_usize..1000, value in json_value()
    ) {
        let mut all = fixtures();
        let count = all.len();
        let object = &mut all[index % count];
        let mut pointers = Vec::new();
        leaves(&object["spec"], "/spec", &mut pointers);
        let mut whole = Value::Object(object.clone());
        // A leaf, or an object or list that contains it.
        let pointer = pointers[leaf % pointers.len()].clone();
        let end = pointer.match_indices('/').map(|(at, _)| at).chain([pointer.len()]).nth(1 + leaf % 3).unwrap_or(pointer.len());
        if let Some(place) = whole.pointer_mut(&pointer[..end]) {
            *place = value;
        }
        *object = whole.as_object().unwrap().clone();
        let conversion = converted(all);
        let text = format!("{}{}", conversion.report, serde_json::to_string(&conversion.report).unwrap());
        prop_assert!(!text.contains("canary"), "{}", text);
        prop_assert!(conversion.report.findings.len() < 1000);
        // The schema reports missing fields and values out of bounds, and removes everything else.
        for mistake in mistakes(&conversion) {
            let is_known = mistake.contains("is required") || mistake.contains("Steamer accepts")
                || mistake.contains("missing field") || mistake.contains("duration");
            prop_assert!(is_known, "{}", mistake);
        }
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in "\\PC{0,200}|([a-z]{1,3}: ?[a-z{\\[\"&*!-]{0,4}\n ?){0,12}|(---|\\{|\\[|\"|,|:|a|\n){0,60}") {
        if let Err(error) = objects(&text) {
            let error = error.to_string();
            prop_assert!(error.contains("document") && error.len() < 200, "{}", error);
        }
    }

    #[test]
    fn any_document_is_an_error_or_a_report(value in json_value()) {
        let text = serde_json::to_string(&json!({"apiVersion": "external-secrets.io/v1", "kind": "ExternalSecret",
            "metadata": {"name": "a", "labels": value}, "spec": value, "other": value})).unwrap();
        let conversion = converted(objects(&text).unwrap());
        let text = conversion.report.to_string();
        prop_assert!(!text.contains("canary") && text.len() < 100_000, "{}", text);
    }
}
