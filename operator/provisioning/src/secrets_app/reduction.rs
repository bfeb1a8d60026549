//! Reduction of a role or group to what both the spec and OpenBao state, so that it gives no access that only one of them states.

use serde_json::{Map, Value};

/// Lists of which a login must have one item. An empty one admits everyone.
const GATES: [&str; 3] =
    ["bound_service_account_names", "bound_service_account_namespaces", "bound_audiences"];
/// Lists of what is granted, and to whom.
const GRANTS: [&str; 3] = ["token_policies", "policies", "member_entity_ids"];
/// Claims that a token must have, each with one of its values.
const CLAIMS: &str = "bound_claims";
/// How the values of claims are compared.
const CLAIMS_TYPE: &str = "bound_claims_type";

/// The parameters. None if they would admit no login.
pub(super) fn parameters(
    desired: &Map<String, Value>,
    existing: &Map<String, Value>,
) -> Option<Map<String, Value>> {
    let has_texts = desired.get(CLAIMS_TYPE) == existing.get(CLAIMS_TYPE);
    let mut reduced = desired.clone();
    for (name, value) in &mut reduced {
        let found = existing.get(name);
        match name.as_str() {
            CLAIMS if has_texts => *value = claims(value, found)?,
            name if GATES.contains(&name) => *value = gate(value, found)?,
            name if GRANTS.contains(&name) => *value = Value::Array(common(value, found)),
            _ => {}
        }
    }
    Some(reduced)
}

/// The claims of both. None if one of them has no value left.
fn claims(desired: &Value, found: Option<&Value>) -> Option<Value> {
    let mut claims = found.and_then(Value::as_object).cloned().unwrap_or_default();
    for (claim, values) in desired.as_object().into_iter().flatten() {
        let values = gate(values, claims.get(claim))?;
        claims.insert(claim.clone(), values);
    }
    Some(Value::Object(claims))
}

/// The items of both. None if there are none.
fn gate(desired: &Value, found: Option<&Value>) -> Option<Value> {
    if items(found).is_empty() {
        return Some(desired.clone());
    }
    let common = common(desired, found);
    (!common.is_empty()).then_some(Value::Array(common))
}

fn common(desired: &Value, found: Option<&Value>) -> Vec<Value> {
    let found = items(found);
    let is_common = |item: &&Value| found.contains(&text(item));
    desired.as_array().into_iter().flatten().filter(is_common).cloned().collect()
}

/// The items of a list. OpenBao returns some lists as a text with commas, and a comma can be a part of the only item.
fn items(value: Option<&Value>) -> Vec<String> {
    match value {
        Some(Value::Array(items)) => items.iter().map(text).collect(),
        Some(Value::String(list)) if !list.is_empty() => {
            list.split(',').map(|item| item.trim().to_owned()).chain([list.clone()]).collect()
        }
        _ => Vec::new(),
    }
}

fn text(item: &Value) -> String {
    item.as_str().map_or_else(|| item.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    fn reduced(desired: Value, existing: Value) -> Option<Value> {
        let map = |value: Value| value.as_object().unwrap().clone();
        parameters(&map(desired), &map(existing)).map(Value::Object)
    }

    /// A role of type `kubernetes` of ServiceAccounts in a namespace.
    fn accounts(names: &[&str], policies: &[&str]) -> Value {
        json!({
            "bound_service_account_names": names, "bound_service_account_namespaces": ["web"], "audience": "vault",
            "token_policies": policies,
        })
    }

    #[rstest]
    #[case::same(accounts(&["a"], &["web"]), Some(accounts(&["a"], &["web"])))]
    #[case::removed_account(accounts(&["a", "bad"], &["web"]), Some(accounts(&["a"], &["web"])))]
    #[case::removed_policy(accounts(&["a"], &["web", "wide"]), Some(accounts(&["a"], &["web"])))]
    #[case::new_account(accounts(&["bad"], &["web"]), None)]
    #[case::new_policy(accounts(&["a"], &["other"]), Some(accounts(&["a"], &[])))]
    fn a_role_admits_what_the_spec_and_openbao_state(
        #[case] existing: Value,
        #[case] expected: Option<Value>,
    ) {
        assert_eq!(reduced(accounts(&["a"], &["web"]), existing), expected);
    }

    #[test]
    fn a_new_account_is_not_added_beside_the_others() {
        let (desired, existing) = (accounts(&["a", "new"], &["web"]), accounts(&["a", "bad"], &["web"]));
        assert_eq!(reduced(desired, existing), Some(accounts(&["a"], &["web"])));
    }

    fn jobs(claims: Value, type_: &str, audiences: Value) -> Value {
        json!({"bound_claims": claims, "bound_claims_type": type_, "bound_audiences": audiences})
    }

    #[rstest]
    #[case::removed_value(json!({"repo": ["a", "b"]}), json!({"repo": ["a"]}))]
    #[case::value_as_text(json!({"repo": "a"}), json!({"repo": ["a"]}))]
    #[case::removed_claim(json!({"repo": ["a"], "ref": "main"}), json!({"repo": ["a"], "ref": "main"}))]
    #[case::no_claims(json!(null), json!({"repo": ["a"]}))]
    fn a_job_needs_the_claims_of_both(#[case] existing: Value, #[case] expected: Value) {
        let desired = jobs(json!({"repo": ["a"]}), "string", json!(["x"]));
        let found = reduced(desired, jobs(existing, "string", json!(["x", "y"])));
        assert_eq!(found, Some(jobs(expected, "string", json!(["x"]))));
    }

    #[rstest]
    #[case::other_value(jobs(json!({"repo": ["b"]}), "string", json!(["x"])))]
    #[case::other_audience(jobs(json!({"repo": ["a"]}), "string", json!(["y"])))]
    fn a_role_without_anything_in_common_admits_no_login(#[case] existing: Value) {
        assert_eq!(reduced(jobs(json!({"repo": ["a"]}), "string", json!(["x"])), existing), None);
    }

    #[test]
    fn what_a_person_opened_is_closed() {
        let desired = jobs(json!({"repo": ["a"]}), "string", json!(["x"]));
        assert_eq!(reduced(desired.clone(), jobs(json!({"repo": ["*"]}), "glob", json!([]))), Some(desired));
    }

    #[rstest]
    #[case::members(json!(["x", "gone"]), json!(["x"]))]
    #[case::none(json!(null), json!([]))]
    fn a_group_gets_no_member(#[case] existing: Value, #[case] expected: Value) {
        let desired = json!({"policies": ["web-ops"], "member_entity_ids": ["x", "new"]});
        let existing = json!({"policies": ["web-ops", "default"], "member_entity_ids": existing});
        let expected = json!({"policies": ["web-ops"], "member_entity_ids": expected});
        assert_eq!(reduced(desired, existing), Some(expected));
    }
}
