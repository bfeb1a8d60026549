//! Policies of applications as HCL, because their rules have lists as the values of parameters.

use serde_json::Value;

use crate::policy_text::{self, Block};

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

/// Text of a policy without rules, which OpenBao requires to contain something.
const NO_RULES: &str =
    "# No rule of the spec is in force while something that the SecretsApp refers to is missing.\n";

/// The rules that an existing text has, and those that it has for the paths `kept`. Nothing else of the text is kept.
pub(super) fn reduced(existing: &str, rules: &[Rule], kept: &[String]) -> String {
    let stated = rules.iter().map(block).filter(|block| existing.contains(block.as_str()));
    let kept = kept.iter().filter_map(|path| block_of(existing, path));
    let mut blocks: Vec<String> = stated.chain(kept).collect();
    blocks.sort_by_key(|block| existing.find(block.as_str()));
    blocks.dedup();
    if blocks.is_empty() { NO_RULES.to_owned() } else { blocks.join("\n") }
}

/// The block of a path in a text that [`text`] returned.
fn block_of(existing: &str, path: &str) -> Option<String> {
    const END: &str = "\n}\n";
    let start = existing.find(&policy_text::start(path))?;
    let length = existing[start..].find(END)? + END.len();
    Some(existing[start..start + length].to_owned())
}

fn block(rule: &Rule) -> String {
    let mut block = Block::new(&rule.path).key("capabilities", &Value::from(rule.capabilities.clone()));
    if !rule.allowed.is_empty() {
        let allowed = rule.allowed.iter().map(|(name, values)| (*name, Value::from(values.clone())));
        block = block.parameters("allowed_parameters", allowed);
    }
    if !rule.required.is_empty() {
        block = block.key("required_parameters", &Value::from(rule.required.clone()));
    }
    block.finish()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    fn reads(paths: &[&str]) -> Vec<Rule> {
        paths.iter().map(|path| Rule::new(*path, &["read"])).collect()
    }

    #[rstest]
    #[case::unchanged(&["a", "b"], &["a", "b"], &[], &["a", "b"])]
    #[case::removed(&["a", "b"], &["b"], &[], &["b"])]
    #[case::added(&["a"], &["a", "b"], &[], &["a"])]
    #[case::kept(&["a", "b", "c"], &["a", "c"], &["b"], &["a", "b", "c"])]
    #[case::kept_twice(&["a", "b"], &["a", "b"], &["b"], &["a", "b"])]
    #[case::kept_and_missing(&["a"], &["a"], &["b"], &["a"])]
    fn a_policy_keeps_the_rules_that_the_spec_still_states(
        #[case] existing: &[&str],
        #[case] stated: &[&str],
        #[case] kept: &[&str],
        #[case] expected: &[&str],
    ) {
        let kept: Vec<String> = kept.iter().map(|path| (*path).to_owned()).collect();
        let reduced = reduced(&text(&reads(existing)), &reads(stated), &kept);
        assert_eq!(reduced, text(&reads(expected)));
    }

    #[rstest]
    #[case::wider("path \"*\" {\n  capabilities = [\"read\"]\n}\n")]
    #[case::other_operations("path \"a\" {\n  capabilities = [\"read\",\"list\"]\n}\n")]
    #[case::nothing("")]
    fn a_policy_without_a_rule_of_the_spec_gives_no_right(#[case] existing: &str) {
        assert_eq!(reduced(existing, &reads(&["a"]), &[]), NO_RULES);
    }

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
