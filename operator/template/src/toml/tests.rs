use proptest::prelude::*;
use rstest::rstest;

use super::*;
use crate::json::encoder::{self, Style};
use crate::scope::Scope;
use crate::yaml::NODES;
use crate::{Limits, Template, Value};

fn rendered(template: &str, data: &Value) -> Result<String, crate::Error> {
    Template::parse("t", template)?.render(data, &Limits::default())
}

fn to_toml(value: serde_json::Value) -> String {
    rendered("{{ toToml . }}", &Value::from(value)).unwrap()
}

fn from_toml(document: &str) -> Result<String, crate::Error> {
    rendered("{{ fromToml .d | toJson }}", &Value::map([("d", Value::from(document))]))
}

#[rstest]
#[case::values_precede_tables(serde_json::json!({"b": {"d": {"e": 1}, "c": true}, "a": "x", "z": [1.5, 2]}),
    "a = \"x\"\nz = [1.5, 2]\n\n[b]\n  c = true\n  [b.d]\n    e = 1\n")]
#[case::only_tables(serde_json::json!({"a": {}, "b": {}}), "[a]\n\n[b]\n")]
#[case::lists_of_tables(serde_json::json!({"a": [{"b": 1, "c": [{"d": 2}]}, {}]}),
    "[[a]]\n  b = 1\n\n  [[a.c]]\n    d = 2\n\n[[a]]\n")]
#[case::mixed_lists(serde_json::json!({"a": [1, {"c": {"d": 2}, "b": [{"e": "f"}], "a": null}]}),
    "a = [1, {b = [{e = \"f\"}], c = {d = 2}}]\n")]
#[case::lists_of_lists(serde_json::json!({"a": [[], [["x"], [{"b": 1}]]]}), "a = [[], [[\"x\"], [{b = 1}]]]\n")]
#[case::nil_is_left_out(serde_json::json!({"a": null, "b": {"c": null}}), "[b]\n")]
#[case::keys(serde_json::json!({"a b": 1, "": 2, "é": {"x.y": {"p-q_1": 3}}}),
    "\"\" = 2\n\"a b\" = 1\n\n[\"é\"]\n  [\"é\".\"x.y\"]\n    p-q_1 = 3\n")]
#[case::numbers(serde_json::json!({"a": 1e21, "b": -0.5, "c": 12345678901234567890_u64, "d": 1e-7, "e": 7.0}),
    "a = 1000000000000000000000.0\nb = -0.5\nc = 12345678901234567000.0\nd = 0.0000001\ne = 7.0\n")]
#[case::texts(serde_json::json!({"a": "\"\\\u{8}\t\n\u{c}\r\u{1}\u{7f}é"}),
    "a = \"\\\"\\\\\\b\\t\\n\\f\\r\\u0001\\u007fé\"\n")]
#[case::text(serde_json::json!("a\nb"), "\"a\\nb\"")]
#[case::list(serde_json::json!([1, true, {"a": 1}]), "[1, true, {a = 1}]")]
#[case::empty(serde_json::json!({}), "")]
fn documents_have_the_form_of_helm(#[case] value: serde_json::Value, #[case] expected: &str) {
    assert_eq!(to_toml(value), expected);
}

#[rstest]
#[case("{{ toToml nil }}")]
#[case("{{ toToml .missing }}")]
#[case("{{ toToml (list (dict `a` 1)) }}")]
#[case("{{ toToml (dict `a` (list 1 nil)) }}")]
#[case("{{ toToml (dict `a` (list (list nil))) }}")]
#[case("{{ fromToml 1 }}")]
fn values_without_a_form_in_toml_are_refused(#[case] template: &str) {
    assert!(rendered(template, &Value::map::<String>([])).is_err());
}

#[rstest]
#[case(
    r#"{{ toToml (dict "i" (float64 "nan") "j" (float64 "inf") "k" (float64 "-inf")) }}"#,
    "i = nan\nj = inf\nk = -inf\n"
)]
#[case(
    r#"{{ toToml (dict "a" (semver "1.2.3") "b" (mustToDate "2006" "2024")) }}"#,
    "a = \"1.2.3\"\nb = 2024-01-01T00:00:00Z\n"
)]
#[case(r#"{{ (fromToml "a = 1").a | typeOf }} {{ (fromToml "a = 1.0").a | typeOf }}"#, "int64 float64")]
#[case(r#"{{ (fromToml "a = 2024-02-29").a | typeOf }}"#, "string")]
#[case(r#"{{ range (fromToml "[[a]]\nb = 1\n[[a]]\nb = 2").a }}{{ .b }}{{ end }}"#, "12")]
fn values_have_the_types_of_go(#[case] template: &str, #[case] expected: &str) {
    assert_eq!(rendered(template, &Value::Null).unwrap(), expected);
}

#[rstest]
#[case("", "{}")]
#[case("\u{feff}# c\r\n\r\n", "{}")]
#[case("a = 1 # c\nb=2\n\n", r#"{"a":1,"b":2}"#)]
#[case("\"a b\" = 1\n'' = 2\n1.2 = 3\na . \"b.c\" = 4", r#"{"":2,"1":{"2":3},"a":{"b.c":4},"a b":1}"#)]
#[case("[a.b]\n[a]\nc = 1", r#"{"a":{"b":{},"c":1}}"#)]
#[case("[ a . 'b' ] # c\nc = 1", r#"{"a":{"b":{"c":1}}}"#)]
#[case("[a]\nb.c = 1\n[a.b.d]\ne = 1", r#"{"a":{"b":{"c":1,"d":{"e":1}}}}"#)]
#[case("[a.b.c]\nz = 1\n[a]\nb.t = 2", r#"{"a":{"b":{"c":{"z":1},"t":2}}}"#)]
#[case("[[a]]\n[[a.b]]\nc = 1\n[[a.b]]\nc = 2\n[[a]]", r#"{"a":[{"b":[{"c":1},{"c":2}]},{}]}"#)]
#[case("[[a]]\n[a.b]\nc = 1\n[[a]]\n[a.b]\nc = 2", r#"{"a":[{"b":{"c":1}},{"b":{"c":2}}]}"#)]
#[case(
    "a = [\n1, # x\n\n'x', [true], {b = 1, c.d = 2, c.e = 3},\n]",
    r#"{"a":[1,"x",[true],{"b":1,"c":{"d":2,"e":3}}]}"#
)]
#[case("a = []\nb = {}\nc = { }", r#"{"a":[],"b":{},"c":{}}"#)]
#[case(r#"a = "\b\t\n\f\r\"\\\u00e9\U0001F600""#, r#"{"a":"\b\t\n\f\r\"\\é😀"}"#)]
#[case("a = 'x\\y'\nb = ''\nc = \"\"", r#"{"a":"x\\y","b":"","c":""}"#)]
#[case("a = \"\"\"\nx\\\n   \n  y\r\nz\"\"\"", r#"{"a":"xy\r\nz"}"#)]
#[case("a = \"\"\"x\"y\"\"z\"\"\"\"\"\nb = ''''x'''", r#"{"a":"x\"y\"\"z\"\"","b":"'x"}"#)]
#[case("a = '''\n\nx\n'''\nb = ''''''", r#"{"a":"\nx\n","b":""}"#)]
#[case(
    "a = [0, +1, -1, -0, 1_000, 0x1F, 0xDEAD_beef, 0o17, 0b101]",
    r#"{"a":[0,1,-1,0,1000,31,3735928559,15,5]}"#
)]
#[case("a = [1.5, -1.5e3, 1E+3, 1e-03, 1_0.5_0e1_0]", r#"{"a":[1.5,-1500,1000,0.001,105000000000]}"#)]
#[case(
    "a = 9223372036854775807\nb = -9223372036854775808",
    r#"{"a":9223372036854775807,"b":-9223372036854775808}"#
)]
#[case(
    "a = 1979-05-27T07:32:00Z\nb = 1979-05-27 07:32:00.5-07:00",
    r#"{"a":"1979-05-27T07:32:00Z","b":"1979-05-27T07:32:00.5-07:00"}"#
)]
#[case(
    "a = 1979-05-27t07:32:00z\nb = 1979-05-27 # c\nc = 07:32:00.123",
    r#"{"a":"1979-05-27T07:32:00Z","b":"1979-05-27","c":"07:32:00.123"}"#
)]
fn documents_are_read_as_helm_reads_them(#[case] document: &str, #[case] expected: &str) {
    assert_eq!(from_toml(document).unwrap(), expected, "{document}");
}

#[rstest]
#[case::no_value("a =", "line 1, column 4")]
#[case::no_key("\n = 1", "line 2, column 2")]
#[case::key_of_other_letters("é = 1", "line 1, column 1")]
#[case::line_break_before_value("a =\n1", "line 1, column 4")]
#[case::two_values_in_a_line("a = 1 b = 2", "line 1, column 7")]
#[case::key_twice("a = 1\n  a = 2", "line 2, column 3")]
#[case::list_twice("a = [1]\na = [2]", "line 2, column 1")]
#[case::table_twice("[a]\n[a]", "line 2, column 2")]
#[case::dotted_table_twice("a.b = 1\n[a]", "line 2, column 2")]
#[case::key_as_table("[a]\nb = 1\n[a.b]", "line 3, column 2")]
#[case::defined_table_as_dotted_key("[a.b.c]\nz = 1\n[a]\nb.c.t = 2", "line 4, column 1")]
#[case::list_of_tables_as_table("[[a]]\n[a]", "line 2, column 2")]
#[case::list_as_list_of_tables("a = []\n[[a]]", "line 2, column 3")]
#[case::inline_table_is_complete("a = {b = 1}\n[a.c]", "line 2, column 2")]
#[case::inline_table_with_comma_at_its_end("a = {b = 1,}", "line 1, column 12")]
#[case::inline_table_of_two_lines("a = {b = 1\n}", "line 1, column 11")]
#[case::only_a_comma("a = [,]", "line 1, column 6")]
#[case::list_without_comma("a = [1 2]", "line 1, column 8")]
#[case::header_without_end("[[a]", "line 1, column 4")]
#[case::string_of_two_lines("a = 'x\ny'", "line 1, column 7")]
#[case::string_without_end("a = \"\"\"x", "line 1, column 9")]
#[case::six_quotes("a = \"\"\"x\"\"\"\"\"\"", "line 1, column 14")]
#[case::surrogate(r#"a = "\ud800""#, "line 1, column 7")]
#[case::escape(r#"a = "\x41""#, "line 1, column 7")]
#[case::control_character("a = 1\n# \u{1}", "line 2, column 3")]
#[case::carriage_return("a = 1 \r b = 2", "line 1, column 7")]
#[case::leading_zero("a = 01", "line 1, column 5")]
#[case::too_large("a = 9223372036854775808", "line 1, column 5")]
#[case::too_large_float("a = 1e999", "line 1, column 5")]
#[case::underscores("a = 1__0", "line 1, column 5")]
#[case::no_digit_after_point("a = 1.", "line 1, column 5")]
#[case::sign_of_hexadecimal("a = +0x1", "line 1, column 5")]
#[case::capital_boolean("a = True", "line 1, column 5")]
#[case::no_such_day("a = 2023-02-29", "line 1, column 5")]
#[case::time_without_seconds("a = 07:32", "line 1, column 5")]
#[case::local_time_with_offset("a = 07:32:00Z", "line 1, column 5")]
fn an_error_names_the_position_in_the_document(#[case] document: &str, #[case] position: &str) {
    let message = from_toml(document).unwrap_err().message;
    assert!(message.contains(&format!(": {position}: ")), "{message}");
}

#[test]
fn a_document_that_is_not_utf8_is_refused() {
    let message = rendered(r#"{{ fromToml "a = 1\nb = '\xff'" }}"#, &Value::Null).unwrap_err().message;
    assert!(message.contains("line 2, column 6"), "{message}");
}

#[test]
fn the_levels_of_a_document_are_bounded() {
    for document in [
        format!("a = {}1{}", "[".repeat(59), "]".repeat(59)),
        format!("[{}a]", "a.".repeat(59)),
        format!("{}a = 1", "a.".repeat(59)),
    ] {
        assert!(from_toml(&document).is_ok(), "{document}");
    }
    for document in [
        format!("a = {}", "[".repeat(100_000)),
        format!("a = {}", "{a = ".repeat(100_000)),
        format!("a = {}1", "{a.a.a.a.a = ".repeat(20)),
        format!("[{}a]", "a.".repeat(100_000)),
        format!("{}a = 1", "a.".repeat(100_000)),
        format!("[{}a]\n{}a = 1", "a.".repeat(40), "a.".repeat(40)),
    ] {
        assert!(from_toml(&document).is_err());
    }
}

#[test]
fn the_tables_of_a_document_are_bounded() {
    let table = format!("{{{}a=1}},", "a.".repeat(50));
    let document = |count: usize| format!("a = [{}]", table.repeat(count));
    assert!(from_toml(&document(100)).is_ok());
    let large = document(6_700);
    assert!(large.len() > 700_000, "{}", large.len());
    let error = from_toml(&large).unwrap_err();
    assert!(error.limit && error.message.contains("more memory"), "{}", error.message);
    let headers = "[[a]]\n".repeat(120_000);
    assert!(from_toml(&headers).unwrap_err().limit);
    let values = format!("a = [{}]", "1,".repeat(NODES));
    let error = from_toml(&values).unwrap_err();
    assert!(error.limit && error.message.contains("more keys and values"), "{}", error.message);
}

fn json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(serde_json::Value::from),
        any::<i64>().prop_map(serde_json::Value::from),
        (-1e9_f64..1e9).prop_map(serde_json::Value::from),
        "\\PC{0,6}".prop_map(serde_json::Value::from),
        "[\"'\\\\\r\n\t\u{1} a]{0,6}".prop_map(serde_json::Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::from),
            proptest::collection::btree_map("[-a-z0-9.# \"\n]{0,3}", inner, 0..4)
                .prop_map(|entries| serde_json::Value::Object(entries.into_iter().collect())),
        ]
    })
}

fn shown(scope: &mut Scope, item: &crate::item::Item) -> String {
    String::from_utf8(encoder::encode(scope, item, Style::Raw).unwrap()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_value_is_read_as_it_was_written(value in json()) {
        let mut scope = Scope::new(&Limits::default());
        let item = scope.import(&Value::from(serde_json::json!({"v": value})), 0).unwrap();
        let document = encode(&mut scope, &item).unwrap();
        let read = decode(&mut scope, &document).unwrap();
        // Numbers of a secret keep their text: `1.0` and `1` are compared as the numbers that TOML has.
        let again = encode(&mut scope, &read).unwrap();
        prop_assert_eq!(String::from_utf8(again).unwrap(), String::from_utf8(document).unwrap());
        let is_object = shown(&mut scope, &read).starts_with("{\"v\":");
        prop_assert!(is_object);
    }

    #[test]
    fn random_documents_do_not_panic(pieces in proptest::collection::vec(proptest::sample::select(vec![
        "a", "b", ".", "=", " = ", "\n", "\r\n", "[", "]", "[[", "]]", "{", "}", ",", "\"", "\"\"\"", "'", "'''", "\\", "\\u00e9",
        "1", "-", "0x", "1e9", "_", "2024-02-29", "T", "07:32:00", "Z", "#", "é", "true", "inf", "\t",
    ]), 0..24)) {
        let _ = from_toml(&pieces.concat());
        let _ = from_toml(&format!("a = {}", pieces.concat()));
    }

    #[test]
    fn random_text_does_not_panic(text in "\\PC{0,40}") {
        let _ = from_toml(&text);
    }
}

/// Each dot of a key creates a table, which needs much more memory than its text.
#[test]
fn a_document_of_many_small_tables_is_refused() {
    let chain = "a.".repeat(50);
    let lines: String = (0..7_000).map(|number| format!("x{number}.{chain}a = 1\n")).collect();
    let mut scope = Scope::new(&Limits::default());
    assert!(decode(&mut scope, lines.as_bytes()).is_err());
}
