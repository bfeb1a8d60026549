//! YAML, as Kubernetes writes it: lists at the indentation of their key, and strings that could be another type in quotes.

mod encoder;
mod style;

use std::collections::BTreeMap;

pub(crate) use encoder::encode;

use crate::value::Value;

/// Levels of mappings and sequences of a document that is read.
const DEPTH: usize = 60;
/// Nodes of a document that is read, and of the copies that its anchors need.
pub(crate) const NODES: usize = 100_000;
/// Bytes of the texts of a document that is read, with the text of each alias.
const BYTES: usize = 8 << 20;
/// As [`BYTES`], of a document that becomes keys of a Secret.
const BYTES_OF_TEXTS: usize = 2 << 20;
/// As [`BYTES`], of a small document: aliases can repeat its texts.
const BYTES_OF_A_SMALL_DOCUMENT: usize = 64 << 10;

/// The mapping of a document. An empty document is an empty mapping.
pub(crate) fn decode(document: &[u8]) -> Option<Value> {
    match parsed::<serde_json::Value>(document, BYTES)? {
        serde_json::Value::Null => Some(Value::map::<String>([])),
        value @ serde_json::Value::Object(_) => Some(Value::from(value)),
        _ => None,
    }
}

/// The texts of a mapping.
pub(crate) fn texts(document: &[u8]) -> Option<BTreeMap<String, String>> {
    parsed::<Option<BTreeMap<String, String>>>(document, BYTES_OF_TEXTS).map(Option::unwrap_or_default)
}

/// The document, if its texts have at most `most` bytes and a multiple of its size.
fn parsed<T: serde::de::DeserializeOwned>(document: &[u8], most: usize) -> Option<T> {
    let text = std::str::from_utf8(document).ok()?;
    let bytes = document.len().saturating_mul(4).clamp(BYTES_OF_A_SMALL_DOCUMENT, most);
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: DEPTH,
            max_nodes: NODES,
            max_aliases: 100,
            max_total_scalar_bytes: bytes,
            max_recorded_anchor_events: NODES,
            max_recorded_anchor_bytes: bytes,
        },
        legacy_octal_numbers: true,
        with_snippet: false,
    };
    serde_saphyr::from_str_with_options(text, options).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;
    use crate::scope::Scope;
    use crate::{Limits, Template};

    fn rendered(template: &str, data: &Value) -> String {
        Template::parse("t", template).unwrap().render(data, &Limits::default()).unwrap()
    }

    fn to_yaml(value: serde_json::Value) -> String {
        rendered("{{ toYaml . }}", &Value::from(value))
    }

    #[rstest]
    #[case::mapping(serde_json::json!({"b": {"c": [1, {"d": "x", "e": []}, ["y", ["z"]]]}, "a": {}}),
        "a: {}\nb:\n  c:\n  - 1\n  - d: x\n    e: []\n  - - \"y\"\n    - - z")]
    #[case::text(serde_json::json!({"t": "one\n two\n", "u": "a\n\nb", "v": [" x\ny\n\n"]}),
        "t: |\n  one\n   two\nu: |-\n  a\n\n  b\nv:\n- |2+\n   x\n  y\n")]
    fn documents_have_the_form_of_kubernetes(#[case] value: serde_json::Value, #[case] expected: &str) {
        assert_eq!(to_yaml(value), expected);
    }

    #[rstest]
    #[case("text", "text")]
    #[case("", "\"\"")]
    #[case("yes", "\"yes\"")]
    #[case("1e3", "\"1e3\"")]
    #[case("0o17", "\"0o17\"")]
    #[case("1_000", "\"1_000\"")]
    #[case("2026-01-02", "\"2026-01-02\"")]
    #[case("10:20:30", "\"10:20:30\"")]
    #[case("1.2.3", "1.2.3")]
    #[case("a: b", "'a: b'")]
    #[case("@x", "'@x'")]
    #[case("it's #1", "'it''s #1'")]
    #[case("it's", "it's")]
    #[case("a\tb", "\"a\\tb\"")]
    #[case("-----BEGIN", "'-----BEGIN'")]
    #[case("- a", "'- a'")]
    #[case("-a", "-a")]
    #[case("Grüße", "Grüße")]
    fn a_string_is_quoted_where_yaml_requires_it(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(to_yaml(serde_json::json!(text)), expected);
    }

    #[test]
    fn plain_values_of_a_mapping_keep_their_text() {
        let text = b"a: 007\nb: 1.50\nc: yes\nd: \"x\\ny\"\ne: |\n  z\n";
        let expected = [("a", "007"), ("b", "1.50"), ("c", "yes"), ("d", "x\ny"), ("e", "z\n")];
        let expected = expected.map(|(key, value)| (key.to_owned(), value.to_owned()));
        assert_eq!(texts(text), Some(expected.into()));
        assert_eq!(texts(b""), Some(BTreeMap::new()));
        for document in ["a: [x]", "a: {b: c}", "- a", "a: 1\na: 2", "a: b: c"] {
            assert_eq!(texts(document.as_bytes()), None, "{document}");
        }
    }

    #[test]
    fn a_document_with_many_aliases_or_levels_is_refused() {
        let bomb = "a: &a [x, x, x, x, x, x, x, x]\n".to_owned()
            + &(b'b'..=b'j')
                .map(|name| {
                    let (name, before) = (char::from(name), char::from(name - 1));
                    format!("{name}: &{name} [{}]\n", vec![format!("*{before}"); 8].join(", "))
                })
                .collect::<String>();
        assert!(decode(bomb.as_bytes()).is_none());
        assert!(decode(("a: ".to_owned() + &"[".repeat(100) + &"]".repeat(100)).as_bytes()).is_none());
        assert!(decode(b"- a").is_none() && decode(b"a: [").is_none() && decode(b"\xff").is_none());
    }

    #[test]
    fn aliases_of_a_long_text_are_bounded() {
        let document = |length: usize, aliases: usize| {
            let names = (0..aliases).map(|alias| format!("k{alias}: *a\n"));
            format!("a: &a |\n  {}\n", "x".repeat(length)) + &names.collect::<String>()
        };
        let (few, many, large) = (document(300_000, 2), document(300_000, 20), document(900_000, 2));
        assert!(decode(few.as_bytes()).is_some() && texts(few.as_bytes()).is_some());
        assert!(decode(many.as_bytes()).is_none() && texts(many.as_bytes()).is_none());
        assert!(decode(large.as_bytes()).is_some() && texts(large.as_bytes()).is_none());
        assert!(texts(document(1000, 50).as_bytes()).is_some());
    }

    fn json() -> impl Strategy<Value = serde_json::Value> {
        let text = prop_oneof![
            "\\PC{0,6}",
            "[-a-z0-9:# '\"\\\\\n\t.,+_~|>%@&*!?{}\\[\\]=xobeETZ]{0,8}",
            "[ \n]{0,4}[a-z]?[ \n]{0,4}"
        ];
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(serde_json::Value::from),
            (-1000_i32..1000).prop_map(serde_json::Value::from),
            text.clone().prop_map(serde_json::Value::from),
        ];
        leaf.prop_recursive(4, 24, 4, move |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::from),
                proptest::collection::btree_map("[-a-z0-9:# \n]{0,4}", inner, 0..4)
                    .prop_map(|entries| serde_json::Value::Object(entries.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_value_is_read_as_it_was_written(value in json()) {
            let wrapped = Value::from(serde_json::json!({"v": value}));
            let mut scope = Scope::new(&Limits::default());
            let item = scope.import(&wrapped, 0).unwrap();
            let text = encode(&mut scope, &item).unwrap();
            prop_assert!(decode(text.as_bytes()) == Some(wrapped), "{text}");
        }
    }
}
