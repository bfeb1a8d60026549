//! Policies as HCL. OpenBao does not accept several lists as the values of one parameter in JSON.

use std::fmt::Write;

use serde_json::Value;

/// Access to one path.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Rule {
    /// The path.
    pub(super) path: String,
    /// Operations.
    pub(super) capabilities: Vec<&'static str>,
    /// The parameters that a request may contain, with their values. All parameters if the list is empty. A parameter without
    /// values may have any.
    pub(super) allowed: Vec<(&'static str, Vec<Value>)>,
    /// Parameters that a request must contain.
    pub(super) required: Vec<&'static str>,
}

impl Rule {
    /// Access without a limit of parameters.
    pub(super) fn new(path: impl Into<String>, capabilities: &[&'static str]) -> Self {
        Self { path: path.into(), capabilities: capabilities.to_vec(), ..Self::default() }
    }
}

/// The text of a policy.
pub(super) fn text(rules: &[Rule]) -> String {
    rules.iter().map(block).collect::<Vec<_>>().join("\n")
}

fn block(rule: &Rule) -> String {
    let mut text =
        format!("path {} {{\n  capabilities = {}\n", quoted(&rule.path), strings(&rule.capabilities));
    if !rule.allowed.is_empty() {
        text.push_str("  allowed_parameters = {\n");
        for (name, values) in &rule.allowed {
            // Writing to a string does not fail.
            let _ = writeln!(text, "    {} = {}", quoted(name), Value::from(values.clone()));
        }
        text.push_str("  }\n");
    }
    if !rule.required.is_empty() {
        let _ = writeln!(text, "  required_parameters = {}", strings(&rule.required));
    }
    text + "}\n"
}

/// A string, with the escapes of JSON, which are those of HCL.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

fn strings(list: &[&str]) -> String {
    Value::from(list.to_vec()).to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_parameter_can_have_several_lists() {
        let rule = Rule {
            allowed: vec![
                ("token_policies", vec![json!(["a", "b"]), json!(["b", "a"])]),
                ("token_ttl", Vec::new()),
            ],
            required: vec!["audience"],
            ..Rule::new("auth/kubernetes/role/web", &["create", "update"])
        };
        let other = Rule::new(r#"kv/"x""#, &["read"]);
        insta::assert_snapshot!(text(&[rule, other]));
    }
}
