//! Text of policies in HCL. OpenBao does not read lists, `true` and `false` among the values of a parameter in JSON: it takes the
//! first item of a list, accepts any value instead of `true`, and refuses several lists.

use std::fmt::Write;

use serde_json::Value;

/// The rule of a path, key by key.
pub(crate) struct Block {
    text: String,
}

impl Block {
    /// A rule without keys.
    pub(crate) fn new(path: &str) -> Self {
        Self { text: start(path) }
    }

    /// Adds a key.
    pub(crate) fn key(mut self, name: &str, value: &Value) -> Self {
        // Writing to a string does not fail.
        let _ = writeln!(self.text, "  {name} = {}", literal(value));
        self
    }

    /// Adds a key with parameters and their values.
    pub(crate) fn parameters<'a>(
        mut self,
        name: &str,
        parameters: impl IntoIterator<Item = (&'a str, Value)>,
    ) -> Self {
        let _ = writeln!(self.text, "  {name} = {{");
        for (parameter, values) in parameters {
            let _ = writeln!(self.text, "    {} = {}", literal(&Value::from(parameter)), literal(&values));
        }
        self.text.push_str("  }\n");
        self
    }

    /// The text of the rule.
    pub(crate) fn finish(self) -> String {
        self.text + "}\n"
    }
}

/// The first line of the rule of a path.
pub(crate) fn start(path: &str) -> String {
    format!("path {} {{\n", literal(&Value::from(path)))
}

/// A value other than an object. The escapes of JSON are those of HCL, which also gives `${` in a text a meaning.
fn literal(value: &Value) -> String {
    value.to_string().replace("${", r"\u0024{")
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[rstest]
    #[case::text(json!("a"), r#""a""#)]
    #[case::escapes(json!("a\"\\\n\u{1}"), r#""a\"\\\n\u0001""#)]
    #[case::template(json!("${\"a\"}"), r#""\u0024{\"a\"}""#)]
    #[case::dollar(json!("$a {"), r#""$a {""#)]
    #[case::boolean(json!(true), "true")]
    #[case::number(json!(5), "5")]
    #[case::lists(json!([["a", "${b}"], []]), r#"[["a","\u0024{b}"],[]]"#)]
    fn a_value_is_written_in_hcl(#[case] value: Value, #[case] expected: &str) {
        assert_eq!(literal(&value), expected);
    }

    #[test]
    fn a_rule_has_a_line_for_each_key_and_parameter() {
        let parameters = [("a", json!([["x"]])), ("b", json!([]))];
        let block = Block::new("kv/${a}")
            .key("capabilities", &json!(["read"]))
            .parameters("allowed_parameters", parameters);
        let lines = [
            r#"path "kv/\u0024{a}" {"#,
            r#"  capabilities = ["read"]"#,
            "  allowed_parameters = {",
            r#"    "a" = [["x"]]"#,
            r#"    "b" = []"#,
            "  }",
            "}",
            "",
        ];
        assert_eq!(block.finish(), lines.join("\n"));
    }
}
