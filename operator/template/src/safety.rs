//! No template can panic, run for long, use much memory or disclose data in an error.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use rstest::rstest;

use crate::{Error, Limits, Template, Value, decode, functions};

const CANARY: &str = "cAnArY";

fn canary_data() -> Value {
    let document = r#"{"a":"cAnArY","n":7,"l":["cAnArY",1],"m":{"cAnArYkey":"cAnArY"},"z":null}"#;
    decode(document.as_bytes()).unwrap()
}

fn render(text: &str) -> Result<Vec<u8>, Error> {
    Template::parse("app", text)?.render_bytes(&canary_data(), &Limits::default())
}

#[rstest]
#[case(r#"{{ repeat 1000000000 "x" }}"#)]
#[case("{{ range until 100000000 }}{{ end }}")]
#[case("{{ range 9000000000000000000 }}{{ end }}")]
#[case(r#"{{ define "a" }}{{ template "a" }}{{ end }}{{ template "a" }}"#)]
#[case(r#"{{ define "a" }}{{ template "b" }}{{ end }}{{ define "b" }}{{ template "a" }}{{ end }}{{ template "a" }}"#)]
#[case(r#"{{ $s := "x" }}{{ range 100 }}{{ $s = print $s $s }}{{ end }}"#)]
#[case(r#"{{ $s := repeat 30000 "x" }}{{ replace "x" $s $s }}"#)]
#[case(r#"{{ $s := repeat 30000 "x" }}{{ regexReplaceAll "x" $s $s }}"#)]
#[case(r#"{{ $s := repeat 100000 "a" }}{{ $r := repeat 5000 "$0" }}{{ regexReplaceAll "a+" $s $r }}"#)]
#[case("{{ $l := list 1 }}{{ range 60 }}{{ $l = list $l $l }}{{ end }}{{ $l }}")]
#[case("{{ $l := list 1 }}{{ range 60 }}{{ $l = list $l $l }}{{ end }}{{ toJson $l }}")]
#[case("{{ $l := list 1 }}{{ range 60 }}{{ $l = list $l $l }}{{ end }}{{ toToml $l }}")]
#[case("{{ $l := list 1 }}{{ range 60 }}{{ $l = list $l $l }}{{ end }}{{ deepEqual $l (deepCopy $l) }}")]
#[case("{{ $l := list }}{{ range 100000 }}{{ $l = list $l }}{{ end }}")]
#[case(r#"{{ $d := dict }}{{ $_ := set $d "self" $d }}{{ $d }}"#)]
#[case(r#"{{ $d := dict }}{{ $_ := set $d "self" $d }}{{ toJson $d }}"#)]
#[case(r#"{{ $d := dict }}{{ $_ := set $d "self" $d }}{{ toToml $d }}"#)]
#[case(r#"{{ $d := dict }}{{ $_ := set $d "self" (list 1 $d) }}{{ toToml $d }}"#)]
#[case(r#"{{ $d := dict }}{{ $_ := set $d "self" $d }}{{ merge $d $d }}{{ deepCopy $d }}"#)]
#[case(r#"{{ printf "%999999d%999999d" 1 1 }}"#)]
#[case(r#"{{ $s := repeat 100000 "a" }}{{ range 100000 }}{{ regexMatch "(a*)*b" $s }}{{ end }}"#)]
#[case(r#"{{ seq 1 100000000 }}"#)]
#[case(r#"{{ indent 100000000 "x" }}"#)]
#[case("{{ mulf 1e300 1e300 1e300 1e300 }}{{ range 100000 }}{{ divf 1e300 3 1e-300 }}{{ end }}")]
#[case(r#"{{ mustRegexFind "((a{100}){100}){100}" "a" }}"#)]
fn expensive_templates_are_stopped(#[case] text: &str) {
    let start = Instant::now();
    assert!(render(text).is_err());
    assert!(start.elapsed() < Duration::from_secs(120), "{:?}", start.elapsed());
}

#[test]
fn a_search_in_bytes_takes_linear_time() {
    let text = r#"{{ $s := print (repeat 400000 "a") "\xff" }}{{ $n := print (repeat 200000 "a") "\xfe" }}{{ contains $n $s }}"#;
    let start = Instant::now();
    assert_eq!(render(text).unwrap(), b"false");
    assert!(start.elapsed() < Duration::from_secs(60), "{:?}", start.elapsed());
}

#[test]
fn a_rendering_can_afford_few_password_hashes() {
    let limits = Limits { steps: 250_000, ..Limits::default() };
    let template = Template::parse("app", r#"{{ range 3 }}{{ bcrypt "x" }}{{ end }}"#).unwrap();
    assert!(template.render(&Value::Null, &limits).unwrap_err().limit);
}

#[test]
fn long_chains_of_dicts_are_removed_from_memory() {
    let chain = r#"{{ $d := dict }}{{ $c := $d }}{{ range 20000 }}{{ $n := dict }}{{ $_ := set $c "n" $n }}{{ $c = $n }}{{ end }}"#;
    assert!(render(chain).is_ok());
}

#[test]
fn nested_syntax_does_not_overflow_the_stack() {
    for text in [
        format!("{{{{ {} }}}}", "(".repeat(100_000)),
        format!("{{{{ {}1{} }}}}", "(".repeat(5000), ")".repeat(5000)),
        "{{ if true }}".repeat(100_000),
        format!("{}{}", "{{ if true }}".repeat(5000), "{{ end }}".repeat(5000)),
        "{{ block \"a\" . }}".repeat(10_000),
        format!("{{{{ if false }}}}{}{{{{ end }}}}", "{{ else if false }}".repeat(10_000)),
        format!(
            "{{{{ fromJson `{}` }}}}{{{{ mustFromJson `{}` }}}}",
            "[".repeat(100_000),
            "[".repeat(100_000)
        ),
        format!("{{{{ mustRegexFind `{}` `a` }}}}", "(".repeat(100_000)),
    ] {
        assert!(render(&text).is_err());
    }
}

#[test]
fn the_result_is_bounded() {
    let limits = Limits { output: 10, ..Limits::default() };
    let template = Template::parse("app", "{{ range 20 }}x{{ end }}").unwrap();
    assert!(template.render(&Value::Null, &limits).unwrap_err().limit);
}

#[rstest]
#[case("{{ .a.x }}")]
#[case("{{ fail .a }}")]
#[case("{{ fail (print .a .l .m) }}")]
#[case("{{ range .a }}{{ end }}")]
#[case("{{ index .l 9 .a }}")]
#[case("{{ index .l .a }}")]
#[case("{{ index .m .l }}")]
#[case("{{ lt .a .l }}")]
#[case("{{ eq .l .l }}")]
#[case("{{ b64dec .a | b64dec | b32dec }}")]
#[case("{{ mustFromJson .a }}")]
#[case("{{ fromToml .a }}")]
#[case("{{ fromToml (print .a ` = [` .a) }}")]
#[case("{{ toToml (list .m) }}")]
#[case("{{ toToml (dict `x` (list .a nil)) }}")]
#[case("{{ mustRegexFind (print `(` .a) .a }}")]
#[case("{{ semver .a }}")]
#[case("{{ urlParse (print `%zz` .a) }}")]
#[case("{{ mustToDate `2006` .a }}")]
#[case("{{ htpasswd (print .a `:`) .a }}")]
#[case("{{ dig `cAnArYkey` `x` .a .m }}")]
#[case("{{ call .a }}")]
#[case("{{ .a 1 }}")]
#[case("{{ repeat -1 .a }}")]
#[case("{{ substr 50 90 .a }}")]
#[case("{{ urlJoin (dict `host` .l) }}")]
#[case("{{ template .a }}")]
#[case("{{ $x := .a }}{{ add $x | upper }}")]
#[case("{{ with .a }}{{ .b }}{{ end }}")]
#[case("{{ repeat 100000000 .a }}")]
fn errors_contain_no_data(#[case] text: &str) {
    let error = render(text).unwrap_err();
    // The text of the template is no secret.
    let shown = error.to_string().replace(&error.action, "") + &format!("{:?}", error.message);
    assert!(!shown.contains(CANARY), "{shown}");
}

/// Calls of every function with every kind of value fail without data, or succeed.
#[test]
fn no_function_discloses_its_arguments_in_an_error() {
    let values = [".a", ".n", ".l", ".m", ".z", "3", "`x`", "(fromJson `[1]`)", "(semver `1.2.3`)", "-1"];
    for name in functions() {
        for first in values {
            for second in values {
                for text in [
                    format!("{{{{ {name} {first} {second} }}}}"),
                    format!("{{{{ {name} {first} {second} .a }}}}"),
                    format!("{{{{ {name} {first} }}}}"),
                ] {
                    if name.contains("crypt") || name.contains("passwd") {
                        continue;
                    }
                    if let Err(error) = render(&text) {
                        assert!(!error.to_string().contains(CANARY), "{error}");
                    }
                }
            }
        }
    }
}

#[test]
fn a_seed_determines_random_results() {
    let template =
        Template::parse("app", r#"{{ shuffle "abcdefghijkl" }}{{ randInt 0 1000000 }}{{ bcrypt "x" }}"#)
            .unwrap();
    let with = |seed: &str| {
        template.render(&Value::Null, &Limits { seed: seed.into(), ..Limits::default() }).unwrap()
    };
    assert_eq!(with("one"), with("one"));
    assert_ne!(with("one"), with("two"));
}

#[test]
fn the_salt_of_a_hash_does_not_depend_on_the_password() {
    let [one, two] =
        ["x", "y"].map(|password| render(&format!("{{{{ htpasswd \"u\" \"{password}\" }}}}")).unwrap());
    let salt = "u:$2a$10$".len() + 22;
    assert!(one[..salt] == two[..salt] && one != two);
}

#[test]
fn one_rendering_does_not_change_the_data_of_the_next() {
    let template = Template::parse("app", r#"{{ .m.new }}{{ $_ := set .m "new" 1 }}"#).unwrap();
    let data = canary_data();
    for _ in 0..2 {
        assert_eq!(template.render(&data, &Limits::default()).unwrap(), "<no value>");
    }
}

/// Pieces of templates, so that random texts often parse.
fn piece() -> impl Strategy<Value = String> {
    let names: Vec<String> = functions().into_iter().map(str::to_owned).collect();
    let fixed = [
        "{{",
        "}}",
        "{{-",
        "-}}",
        "(",
        ")",
        "|",
        ".",
        ".a",
        ".l",
        ".m",
        ".n",
        "$",
        "$x",
        ":=",
        "=",
        ",",
        "\"%v\"",
        "`x`",
        "'c'",
        "0",
        "-1",
        "7",
        "1e9",
        "0x7fffffffffffffff",
        "nil",
        "true",
        "if",
        "else",
        "end",
        "range",
        "with",
        "define",
        "template",
        "block",
        "break",
        "continue",
        "\"a\"",
        "\n",
        "é",
        "\"%-08.3[2]*d\"",
        "/*",
        "*/",
        "\\",
    ];
    prop_oneof![
        4 => proptest::sample::select(fixed.map(str::to_owned).to_vec()),
        2 => proptest::sample::select(names),
        1 => "\\PC{0,4}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_pieces_do_not_panic(pieces in proptest::collection::vec(piece(), 0..14)) {
        let _ = render(&pieces.join(" "));
        let _ = render(&format!("{{{{ {} }}}}", pieces.join(" ")));
    }

    #[test]
    fn random_text_does_not_panic(text in "\\PC{0,40}") {
        let _ = render(&text);
        let _ = render(&format!("{{{{ {text} }}}}"));
    }

    #[test]
    fn random_calls_do_not_panic(
        name in proptest::sample::select(functions()),
        args in proptest::collection::vec(proptest::sample::select(vec![".a", ".l", ".m", ".z", "0", "-9223372036854775808",
            "9223372036854775807", "3", "``", "`é\u{301}`", "`%s%d`", "`(a|b)+`", "(list 1 2)", "nil", "1e308", "`1.2.3`"]), 0..5),
    ) {
        if !name.contains("crypt") && !name.contains("passwd") {
            let _ = render(&format!("{{{{ {name} {} }}}}", args.join(" ")));
        }
    }
}
