//! Rules as the text of a policy.

use serde_json::{Map, Value, json};
use steamer_api::{ParameterValue, PolicyRule};
use steamer_core::error::Error;

use crate::policy_text::Block;

/// The rules as a policy: in JSON, and in HCL if a value of a parameter is not a text, which OpenBao does not read in JSON. Comments
/// are part of the text, so a changed comment changes the policy.
///
/// # Errors
/// [`Error::Invalid`] for a value that OpenBao does not compare as it is written.
pub(super) fn text(rules: &[PolicyRule]) -> Result<String, Error> {
    rules.iter().try_for_each(check)?;
    Ok(if rules.iter().flat_map(values).all(|value| value.0.is_string()) { json(rules) } else { hcl(rules) })
}

fn json(rules: &[PolicyRule]) -> String {
    let paths: Map<String, Value> =
        rules.iter().map(|it| (it.path.clone(), Value::Object(keys(it)))).collect();
    format!("{:#}\n", json!({"path": paths}))
}

fn hcl(rules: &[PolicyRule]) -> String {
    rules.iter().map(block).collect::<Vec<_>>().join("\n")
}

fn block(rule: &PolicyRule) -> String {
    let add = |block: Block, (name, value): (&String, &Value)| match value {
        Value::Object(parameters) => {
            block.parameters(name, parameters.iter().map(|(name, values)| (name.as_str(), values.clone())))
        }
        value => block.key(name, value),
    };
    keys(rule).iter().fold(Block::new(&rule.path), add).finish()
}

/// The keys of a rule, with their names in OpenBao.
fn keys(rule: &PolicyRule) -> Map<String, Value> {
    let mut keys = Map::from_iter([("capabilities".to_owned(), json!(rule.capabilities))]);
    let mut add = |name: &str, value: Value, is_set: bool| {
        if is_set {
            keys.insert(name.to_owned(), value);
        }
    };
    add("allowed_parameters", json!(rule.allowed_parameters), !rule.allowed_parameters.is_empty());
    add("denied_parameters", json!(rule.denied_parameters), !rule.denied_parameters.is_empty());
    add("required_parameters", json!(rule.required_parameters), !rule.required_parameters.is_empty());
    add("min_wrapping_ttl", json!(rule.min_wrapping_ttl), rule.min_wrapping_ttl.is_some());
    add("max_wrapping_ttl", json!(rule.max_wrapping_ttl), rule.max_wrapping_ttl.is_some());
    add("pagination_limit", json!(rule.pagination_limit), rule.pagination_limit.is_some());
    let filter = &rule.list_scan_response_keys_filter_path;
    add("list_scan_response_keys_filter_path", json!(filter), filter.is_some());
    add("expiration", json!(rule.expiration), rule.expiration.is_some());
    add("comment", json!(rule.comment), rule.comment.is_some());
    keys
}

/// All values of parameters of a rule.
fn values(rule: &PolicyRule) -> impl Iterator<Item = &ParameterValue> {
    rule.allowed_parameters.values().chain(rule.denied_parameters.values()).flatten()
}

/// CEL rules do not reach values without a type.
fn check(rule: &PolicyRule) -> Result<(), Error> {
    let (path, allowed, denied) = (&rule.path, &rule.allowed_parameters, &rule.denied_parameters);
    if allowed.len() > 1 && allowed.contains_key("*") {
        return Err(Error::Invalid(format!(
            "rules: {path}: allowedParameters with '*' allows every value of every parameter that is not listed: remove '*', and list \
             each allowed parameter"
        )));
    }
    for (field, parameters) in [("allowedParameters", allowed), ("deniedParameters", denied)] {
        if parameters.get("*").is_some_and(|values| !values.is_empty()) {
            return Err(Error::Invalid(format!(
                "rules: {path}: {field}: OpenBao ignores the values of '*', which applies to every value: write '*': [], or list the \
                 parameters"
            )));
        }
        for (name, values) in parameters {
            if let Some((value, problem)) = values.iter().find_map(|it| Some((&it.0, problem(&it.0)?))) {
                return Err(Error::Invalid(format!("rules: {path}: {field}.{name}: {value}: {problem}")));
            }
        }
    }
    Ok(())
}

/// Why no request can have a value.
fn problem(value: &Value) -> Option<&'static str> {
    match value {
        Value::String(_) | Value::Bool(_) => None,
        Value::Array(items) => items.iter().find_map(problem),
        Value::Number(_) => Some(
            "OpenBao never finds a number equal to one in a request: write a text, and let clients send a text",
        ),
        Value::Null | Value::Object(_) => Some("write a text, true, false, or a list of them"),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn rules(rules: Value) -> Vec<PolicyRule> {
        serde_json::from_value(rules).unwrap()
    }

    fn with(field: &str, values: Value) -> Vec<PolicyRule> {
        rules(json!([{"path": "kv/a", "capabilities": ["update"], field: {"p": values}}]))
    }

    #[test]
    fn rules_become_a_policy() {
        let rules = rules(json!([
            {"path": "kv/data/web/*", "capabilities": ["read", "list"], "comment": "values of web"},
            {"path": "auth/token/create", "capabilities": ["update"], "allowedParameters": {"ttl": [], "policies": ["web"]},
             "requiredParameters": ["ttl"], "maxWrappingTTL": "5m"},
        ]));
        insta::assert_snapshot!(text(&rules).unwrap());
    }

    #[test]
    fn rules_with_lists_become_a_policy_in_hcl() {
        let rules = rules(json!([
            {"path": "auth/kubernetes/role/web", "capabilities": ["create", "update"],
             "allowedParameters": {"token_policies": [["default", "web"], ["web"]], "token_ttl": []},
             "deniedParameters": {"token_no_default_policy": [true]}, "requiredParameters": ["token_policies"],
             "minWrappingTTL": "1m", "comment": "roles of ${web}", "expiration": "2030-01-02T03:04:05Z"},
            {"path": "kv/metadata/web/", "capabilities": ["list"], "paginationLimit": 10,
             "listScanResponseKeysFilterPath": "{{ .path }}{{ .key }}"},
        ]));
        insta::assert_snapshot!(text(&rules).unwrap());
    }

    #[rstest]
    #[case::texts(json!(["a", "b"]), true)]
    #[case::none(json!([]), true)]
    #[case::list(json!(["a", ["b"]]), false)]
    #[case::empty_list(json!([[]]), false)]
    #[case::boolean(json!([false]), false)]
    fn only_texts_are_written_in_json(#[case] values: Value, #[case] is_json: bool) {
        for field in ["allowedParameters", "deniedParameters"] {
            let text = text(&with(field, values.clone())).unwrap();
            assert_eq!(serde_json::from_str::<Value>(&text).is_ok(), is_json, "{text}");
            assert_eq!(text.starts_with("path \"kv/a\" {\n"), !is_json, "{text}");
        }
    }

    #[rstest]
    #[case(json!([60, "1m"]), "p: 60: OpenBao never finds a number")]
    #[case(json!(["a", ["b", 1.5]]), r#"p: ["b",1.5]: OpenBao never finds a number"#)]
    #[case(json!([null]), "p: null: write a text, true, false, or a list of them")]
    #[case(json!([{"a": "b"}]), r#"p: {"a":"b"}: write a text"#)]
    #[case(json!([["a", {}]]), "write a text")]
    fn a_value_that_no_request_can_have_is_refused(#[case] values: Value, #[case] expected: &str) {
        for field in ["allowedParameters", "deniedParameters"] {
            let error = text(&with(field, values.clone())).unwrap_err().to_string();
            assert!(
                error.contains(expected) && error.contains(&format!("rules: kv/a: {field}.p: ")),
                "{error}"
            );
        }
    }

    #[rstest]
    #[case::beside_others("allowedParameters", json!({"*": [], "ttl": ["1h"]}), Some("remove '*', and list each allowed parameter"))]
    #[case::with_values_beside_others("allowedParameters", json!({"*": ["a"], "ttl": ["1h"]}), Some("remove '*'"))]
    #[case::alone("allowedParameters", json!({"*": []}), None)]
    #[case::with_values("allowedParameters", json!({"*": ["a"]}), Some("OpenBao ignores the values of '*'"))]
    #[case::absent("allowedParameters", json!({"ttl": []}), None)]
    #[case::denied("deniedParameters", json!({"*": [], "ttl": ["1h"]}), None)]
    #[case::denied_with_values("deniedParameters", json!({"*": ["a"]}), Some("OpenBao ignores the values of '*'"))]
    fn a_star_that_means_more_than_it_says_is_refused(
        #[case] field: &str,
        #[case] parameters: Value,
        #[case] problem: Option<&str>,
    ) {
        let rules = rules(json!([{"path": "a", "capabilities": ["update"], field: parameters}]));
        let error = text(&rules).err().map(|error| error.to_string());
        assert_eq!(error.is_some(), problem.is_some(), "{error:?}");
        assert!(error.unwrap_or_default().contains(problem.unwrap_or_default()));
    }
}
