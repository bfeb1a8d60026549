//! Tests of transformations: the cases of Vault Secrets Operator, and messages without values.

use std::collections::BTreeMap;

use proptest::prelude::*;
use rstest::rstest;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use steamer_api::{SecretTransformationSpec, Transformation};
use steamer_core::Error;
use steamer_openbao::Values;
use steamer_runtime::ObjectName;

use super::super::document::Document;
use super::super::foreseen::Foreseen;
use super::*;

/// The value in all cases, and its metadata.
fn document(secrets: &Value) -> Document {
    let metadata = json!({"version": 3, "custom_metadata": {"team": "web"}});
    Document { values: Values::from(secrets), metadata }
}

fn subject() -> Subject {
    let annotations = [("note", "a"), ("steamer.dev/reconcile", "now")];
    let texts = |pairs: &[(&str, &str)]| {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    };
    Subject::new("uid".to_owned(), &texts(&[("app", "shop")]), &texts(&annotations))
}

fn transformation(spec: Value) -> Transformation {
    serde_json::from_value(spec).unwrap()
}

/// Shared templates: SecretTransformation `web/shared`.
fn shared() -> SecretTransformationSpec {
    serde_json::from_value(json!({
        "templates": {
            "url": {"name": "url", "text": "postgres://{{ template \"login\" . }}@{{ .Secrets.host }}"},
            "user": {"text": "{{ .Secrets.user | upper }}"},
        },
        "sourceTemplates": [
            {"name": "helpers", "text": r#"{{ define "login" }}{{ .Secrets.user }}:{{ .Secrets.password | urlquery }}{{ end }}"#},
        ],
        "excludes": ["^host$"],
        "includes": ["^user$", "^host$"],
    }))
    .unwrap()
}

fn defined(spec: &Value) -> Result<Definition, Error> {
    let transformation = transformation(spec.clone());
    let mut definition = Definition::inline(&transformation, DELIVERED);
    for reference in &transformation.transformation_refs {
        definition.refer(reference, &ObjectName::new("web", &reference.name), &shared())?;
    }
    Ok(definition)
}

fn run(spec: &Value, secrets: Value) -> Result<BTreeMap<String, String>, String> {
    let program = defined(spec).and_then(|definition| Program::parse(&definition));
    let data = program.and_then(|program| program.run(&[document(&secrets)], &subject()));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let data = data.map_err(|error| error.to_string())?.data;
    Ok(data.iter().map(|(key, value)| (key.clone(), text(value.expose_secret()))).collect())
}

fn login() -> Value {
    json!({"user": "app", "password": "p/w", "host": "db", "port": 5432})
}

/// The labels and annotations of templates, or the error.
fn metadata(spec: &Value, secrets: &Value) -> Result<Vec<(String, String)>, String> {
    let program = defined(spec).and_then(|definition| Program::parse(&definition));
    let rendered = program.and_then(|program| program.run(&[document(secrets)], &subject()));
    let Metadata { labels, annotations } = rendered.map_err(|error| error.to_string())?.metadata;
    Ok(labels.into_iter().chain(annotations).collect())
}

#[test]
fn templates_write_labels_and_annotations() {
    let spec = json!({
        "labels": {"team": "{{ .Metadata.custom_metadata.team }}", "empty": ""},
        "annotations": {"url": "https://{{ .Secrets.host }}/?a b"},
    });
    let expected = [("empty", ""), ("team", "web"), ("url", "https://db/?a b")];
    let expected = expected.map(|(key, text)| (key.to_owned(), text.to_owned()));
    assert_eq!(metadata(&spec, &login()).unwrap(), expected);
}

#[rstest]
#[case::slash(json!({"labels": {"team": "{{ .Secrets.password }}/"}}), "the result of the template of `team` is not the value of a label")]
#[case::long(json!({"labels": {"team": "{{ repeat 64 .Secrets.a }}"}}), "is not the value of a label")]
#[case::bytes(json!({"annotations": {"note": "{{ printf \"\\xff\" }}{{ .Secrets.a }}"}}), "the result of the template of `note` is not UTF-8")]
#[case::large(json!({"annotations": {"a": "{{ repeat 40000 \"x\" }}", "b": "{{ repeat 40000 \"x\" }}"}}), "of `b`")]
#[case::no_mapping(json!({"keysAndValues": [{"text": "{{ .Secrets.a }}"}]}), "template `keysAndValues/0` is not a YAML mapping")]
#[case::nested(json!({"keysAndValues": [{"name": "n", "text": "a: [{{ .Secrets.a }}]"}]}), "template `n` is not a YAML mapping")]
#[case::twice(json!({"keysAndValues": [{"text": "{{ .Secrets.a }}: x"}, {"text": "{{ .Secrets.a }}: y"}]}), "have the same key")]
fn a_mistake_in_metadata_or_keys_is_named_without_values(#[case] spec: Value, #[case] expected: &str) {
    let error = metadata(&spec, &json!({"a": "canary", "password": "canary"})).unwrap_err();
    assert!(error.contains(expected) && !error.contains("canary"), "{error}");
}

#[test]
fn a_definition_without_metadata_has_the_digest_of_earlier_versions() {
    let text = serde_json::to_string(&defined(&json!({"templates": {"a": {"text": "x"}}})).unwrap()).unwrap();
    assert!(["labels", "annotations", "mappings"].iter().all(|field| !text.contains(field)), "{text}");
}

#[rstest]
#[case::nothing(json!({}), json!({"user": "app", "password": "p/w", "host": "db", "port": "5432"}))]
#[case::template_beside_the_value(
    json!({"templates": {"a": {"text": "{{ .Secrets.port }}"}}, "excludes": ["^[hpu]"]}),
    json!({"a": "5432"})
)]
#[case::template_replaces_a_key(
    json!({"templates": {"user": {"text": "x"}}, "includes": ["user"]}),
    json!({"user": "x"})
)]
#[case::filters_do_not_apply_to_templates(
    json!({"templates": {"z": {"text": "x"}}, "includes": ["^user$"], "excludes": ["z"]}),
    json!({"z": "x", "user": "app"})
)]
#[case::includes(json!({"includes": ["^p"]}), json!({"password": "p/w", "port": "5432"}))]
#[case::excludes(json!({"excludes": ["^p"]}), json!({"user": "app", "host": "db"}))]
#[case::both(json!({"includes": ["^p"], "excludes": ["word$"]}), json!({"port": "5432"}))]
#[case::mutually_exclusive(json!({"includes": ["^p"], "excludes": ["^p"]}), json!({}))]
#[case::exclude_all(json!({"excludes": [".*"]}), json!({}))]
#[case::metadata_labels_and_annotations(
    json!({"excludes": [".*"], "templates": {
        "a": {"text": "{{ .Metadata.version }} {{ .Metadata.custom_metadata.team }} {{ .Labels.app }} {{ .Annotations.note }}"},
        "b": {"text": "{{ len .Annotations }}"},
    }}),
    json!({"a": "3 web shop a", "b": "1"})
)]
#[case::keys_and_values(
    json!({"excludes": [".*"], "templates": {"app_host": {"text": "wins"}}, "keysAndValues": [
        {"text": "{{ range $k, $v := .Secrets }}app_{{ $k }}: {{ $v | quote }}\n{{ end }}"}, {"text": "code: 007\n"}, {"text": ""}]}),
    json!({"app_host": "wins", "app_password": "p/w", "app_port": "5432", "app_user": "app", "code": "007"})
)]
#[case::absent_key(json!({"excludes": [".*"], "templates": {"a": {"text": "{{ .Secrets.x }}"}}}), json!({"a": "<no value>"}))]
#[case::templates_call_each_other(
    json!({"excludes": [".*"], "templates": {
        "a": {"name": "first", "text": "<{{ template \"b\" . }}>"}, "b": {"text": "{{ .Secrets.user }}"},
    }}),
    json!({"a": "<app>", "b": "app"})
)]
#[case::reference(
    json!({"transformationRefs": [{"name": "shared"}]}),
    json!({"url": "postgres://app:p%2Fw@db", "user": "APP"})
)]
#[case::reference_without_filters(
    json!({"transformationRefs": [{"name": "shared", "ignoreExcludes": true, "ignoreIncludes": true}]}),
    json!({"url": "postgres://app:p%2Fw@db", "user": "APP", "password": "p/w", "host": "db", "port": "5432"})
)]
#[case::reference_without_excludes(
    json!({"transformationRefs": [{"name": "shared", "ignoreExcludes": true}]}),
    json!({"url": "postgres://app:p%2Fw@db", "user": "APP", "host": "db"})
)]
#[case::one_template_under_another_key(
    json!({"excludes": [".*"], "transformationRefs": [
        {"name": "shared", "templateRefs": [{"name": "url", "keyOverride": "DATABASE_URL"}]}]}),
    json!({"DATABASE_URL": "postgres://app:p%2Fw@db"})
)]
#[case::inline_has_precedence(
    json!({"excludes": [".*"], "templates": {"user": {"text": "mine"}}, "transformationRefs": [{"name": "shared"}]}),
    json!({"url": "postgres://app:p%2Fw@db", "user": "mine"})
)]
#[case::inline_uses_a_source_template(
    json!({"excludes": [".*"], "templates": {"a": {"text": "{{ template \"login\" . }}"}},
        "transformationRefs": [{"name": "shared", "templateRefs": [{"name": "user"}]}]}),
    json!({"a": "app:p%2Fw", "user": "APP"})
)]
#[case::the_same_reference_twice(
    json!({"excludes": [".*"], "transformationRefs": [
        {"name": "shared", "templateRefs": [{"name": "user"}]},
        {"name": "shared", "templateRefs": [{"name": "user", "keyOverride": "again"}]}]}),
    json!({"user": "APP", "again": "APP"})
)]
#[case::raw(
    json!({"excludes": [".*"], "excludeRaw": false}),
    json!({"_raw": r#"{"data":{"host":"db","password":"p/w","port":5432,"user":"app"},"metadata":{"custom_metadata":{"team":"web"},"version":3}}"#})
)]
fn a_value_is_transformed_as_by_vault_secrets_operator(#[case] spec: Value, #[case] expected: Value) {
    assert_eq!(json!(run(&spec, login()).unwrap()), expected);
}

#[rstest]
#[case::syntax(
    json!({"templates": {"a": {"text": "x\n{{ if }}"}}}),
    &["destination.transformation: template \"a\", line 2"]
)]
#[case::unknown_function(json!({"templates": {"a": {"text": "{{ env \"HOME\" }}"}}}), &["template \"a\", line 1", "env"])]
#[case::include(json!({"includes": ["(a"]}), &["`(a` in includes is not a regular expression"])]
#[case::exclude(json!({"excludes": ["(?=a)"]}), &["`(?=a)` in excludes is not"])]
#[case::missing_template(
    json!({"transformationRefs": [{"name": "shared", "templateRefs": [{"name": "x"}]}]}),
    &["SecretTransformation web/shared has no template `x`"]
)]
#[case::one_key_twice(
    json!({"templates": {"user": {"text": ""}}, "transformationRefs": [{"name": "shared", "templateRefs": [{"name": "user"}]}]}),
    &["defines the key `user` twice", "keyOverride"]
)]
#[case::one_name_twice(
    json!({"templates": {"a": {"name": "url", "text": ""}}, "transformationRefs": [{"name": "shared"}]}),
    &["two templates have the name `url` (destination.transformation and SecretTransformation web/shared)"]
)]
#[case::a_defined_name_twice(
    json!({"templates": {"login": {"text": "x"}}, "transformationRefs": [{"name": "shared"}]}),
    &["SecretTransformation web/shared: template \"helpers\"", "already defined"]
)]
#[case::failure(
    json!({"templates": {"a": {"text": "{{ upper .Secrets.port }}"}}}),
    &["destination.transformation: template \"a\", line 1, column"]
)]
#[case::failure_in_a_reference(
    json!({"templates": {"a": {"text": "{{ template \"login\" 1 }}"}}, "transformationRefs": [{"name": "shared"}]}),
    &["SecretTransformation web/shared: template \"helpers\", line 1"]
)]
#[case::missing_name(json!({"templates": {"a": {"text": "{{ template \"x\" }}"}}}), &["template \"x\" is not defined"])]
#[case::endless(
    json!({"templates": {"a": {"text": "{{ range until 100000000 }}{{ . }}{{ end }}"}}}),
    &["template \"a\", line 1", "than is allowed"]
)]
fn an_error_names_origin_template_and_position(#[case] spec: Value, #[case] parts: &[&str]) {
    let error = run(&spec, login()).unwrap_err();
    assert!(parts.iter().all(|part| error.contains(part)), "{error}");
}

#[test]
fn a_raw_key_of_the_value_is_not_replaced() {
    let error = run(&json!({"excludeRaw": false}), json!({"_raw": "x"})).unwrap_err();
    assert!(error.contains("the value has a key _raw"), "{error}");
    assert_eq!(run(&json!({}), json!({"_raw": "x"})).unwrap()["_raw"], "x");
}

#[test]
fn many_templates_share_their_steps() {
    let slow = json!({"text": "{{ range until 300000 }}{{ end }}"});
    let templates: BTreeMap<String, Value> = (0..64).map(|n| (format!("k{n}"), slow.clone())).collect();
    assert_eq!(run(&json!({"templates": {"one": slow}, "excludes": [".*"]}), login()).unwrap().len(), 1);
    let error = run(&json!({"templates": templates}), login()).unwrap_err();
    assert!(error.contains("more steps than are allowed"), "{error}");
}

#[test]
fn a_random_result_depends_on_the_object_only() {
    let spec = json!({"excludes": [".*"], "templates": {"a": {"text": "{{ randInt 0 1000000000 }}"}}});
    let program = Program::parse(&defined(&spec).unwrap()).unwrap();
    let of = |uid: &str| {
        let subject = Subject { uid: uid.to_owned(), ..subject() };
        program.run(&[document(&login())], &subject).unwrap().data["a"].expose_secret().to_vec()
    };
    assert_eq!(of("u"), of("u"));
    assert_ne!(of("u"), of("v"));
}

const ACTIONS: [&str; 12] = [
    "upper .Secrets.s",
    "add .Secrets.s 1",
    "atoi .Secrets.s",
    "b64dec .Secrets.s",
    "fromJson .Secrets.s",
    "mustFromJson .Secrets.s",
    "index .Secrets.s 9",
    "fail .Secrets.s",
    "mustToDate .Secrets.s .Secrets.s",
    "regexMatch .Secrets.s .Secrets.s",
    "htpasswd .Secrets.s .Secrets.s",
    "semver .Secrets.s",
];

proptest! {
    #[test]
    fn no_template_error_contains_a_value(
        value in "[({:\\[]{0,2}canary[)}\"a-z ]{0,8}", action in proptest::sample::select(&ACTIONS[..]),
    ) {
        let spec = json!({"templates": {"a": {"text": format!("{{{{ {action} }}}}")}}});
        if let Err(error) = run(&spec, json!({"s": value})) {
            prop_assert!(!error.contains("canary"), "{error}");
        }
    }
}

/// Every value has the keys `a` and `b`, some have `c`, and others can have any keys.
#[rstest]
#[case::filter(json!({"excludes": ["^b"]}), &["a"], &["c", "the keys of the value"])]
#[case::only_templates(json!({"excludes": [".*"], "templates": {"url": {"text": "x"}}}), &["url"], &[])]
#[case::raw(json!({"excludes": [".*"], "excludeRaw": false}), &["_raw"], &[])]
#[case::possible_key(json!({"templates": {"c": {"text": "x"}}}), &["a", "b", "c"], &["the keys of the value"])]
#[case::mapping(
    json!({"excludes": [".*"], "keysAndValues": [{"text": "k: v"}]}), &[], &["the keys that keysAndValues writes"]
)]
fn the_keys_of_an_unknown_value_are_known_as_far_as_the_transformation_determines_them(
    #[case] spec: Value,
    #[case] keys: &[&str],
    #[case] unknown: &[&str],
) {
    let program = Program::parse(&defined(&spec).unwrap()).unwrap();
    let foreseen = Foreseen { path: String::new(), keys: &["a", "b"], possible: &["c"], is_open: true };
    let expected = program.expected(&foreseen);
    assert_eq!(expected.keys.iter().map(String::as_str).collect::<Vec<_>>(), keys);
    assert_eq!(expected.unknown, unknown);
}
