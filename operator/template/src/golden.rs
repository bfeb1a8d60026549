//! Every template of `golden.jsonl` and `golden-documents.jsonl` has the result of Go, or fails as it does in Go. `make golden`
//! writes the files.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use crate::{Limits, Template, Value, decode};

/// Deliberate differences from Go: part of a template, and part of the result of Go. The docs of the crate have a table
/// with the reasons.
const DIFFERENCES: &[(&str, &str)] = &[
    ("b64dec", "illegal base64 data"),
    ("b64dec .html | typeOf", "string"),
    ("b32dec", "illegal base32 data"),
    ("htpasswd", "invalid username"),
    ("1i", "i)"),
    ("1+2i", "i)"),
    ("0i", "i)"),
    (r#"fromJson "[1e400]""#, "[<nil>]"),
    ("hunk -", "[]"),
    ("(?P<n>a)(?P<n>b)", "ab"),
    (r"egexFindAll", "\u{fffd}"),
    ("kebabcase", "\u{fffd}"),
    ("snakecase", "\u{fffd}"),
    ("egexSplit \"(?s).+\" \"\\xff", ""),
];

/// Functions that always fail here, those whose results are compared with OpenSSL, and those whose results `make golden` has not
/// written yet.
const NOT_OF_GO: &[&str] = &[
    "ago",
    "buildCustomCert",
    "filterCertChain",
    "fromToml",
    "fullPemToPkcs12",
    "fullPemToPkcs12Pass",
    "jwkPrivateKeyPem",
    "jwkPublicKeyPem",
    "pemToPkcs12",
    "pemToPkcs12Pass",
    "pemTruststoreToPKCS12",
    "pemTruststoreToPKCS12Pass",
    "pkcs12cert",
    "pkcs12certPass",
    "pkcs12key",
    "pkcs12keyPass",
    "rsaDecrypt",
    "toToml",
];

const GOLDEN: &str = include_str!("../golden.jsonl");
const DOCUMENTS: &str = include_str!("../golden-documents.jsonl");

/// Result of Go.
enum Expected {
    Bytes(Vec<u8>),
    Error,
}

fn cases() -> impl Iterator<Item = (String, Expected)> {
    GOLDEN.lines().skip(1).map(case)
}

fn case(line: &str) -> (String, Expected) {
    let record: Vec<serde_json::Value> = serde_json::from_str(line).unwrap();
    let text = record[0].as_str().unwrap().to_owned();
    let expected = match (record.get(1), record.get(2)) {
        (None, _) => Expected::Error,
        (_, Some(encoded)) => Expected::Bytes(BASE64_STANDARD.decode(encoded.as_str().unwrap()).unwrap()),
        (Some(result), None) => Expected::Bytes(result.as_str().unwrap().into()),
    };
    (text, expected)
}

fn data() -> Value {
    decode(GOLDEN.lines().next().unwrap().as_bytes()).unwrap()
}

fn problem(text: &str, expected: &Expected, data: &Value) -> Option<String> {
    let found = Template::parse("golden", text).and_then(|it| it.render_bytes(data, &Limits::default()));
    match (found, expected) {
        (Err(_), Expected::Error) => None,
        (Ok(found), Expected::Bytes(expected)) if found == *expected => None,
        (Ok(found), Expected::Error) => {
            Some(format!("{text}\n  go:   an error\n  here: {:?}", String::from_utf8_lossy(&found)))
        }
        (Ok(found), Expected::Bytes(expected)) => {
            let (found, expected) = (String::from_utf8_lossy(&found), String::from_utf8_lossy(expected));
            Some(format!("{text}\n  go:   {expected:?}\n  here: {found:?}"))
        }
        (Err(error), Expected::Bytes(expected)) => {
            Some(format!("{text}\n  go:   {:?}\n  here: {error}", String::from_utf8_lossy(expected)))
        }
    }
}

/// Whether a difference covers this result.
fn covers(difference: &(&str, &str), text: &str, expected: &Expected) -> bool {
    let result = match expected {
        Expected::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Expected::Error => return false,
    };
    text.contains(difference.0) && result.contains(difference.1)
}

#[test]
fn templates_have_the_results_of_go() {
    let data = data();
    let problems: Vec<String> = cases()
        .filter(|(text, expected)| !DIFFERENCES.iter().any(|difference| covers(difference, text, expected)))
        .filter_map(|(text, expected)| problem(&text, &expected, &data))
        .collect();
    assert!(problems.is_empty(), "{} differences:\n{}", problems.len(), problems.join("\n"));
}

/// Deliberate differences of YAML and TOML: a template, and the reason.
const DIFFERENT_DOCUMENTS: &[(&str, &str)] = &[
    (r##"{{ toYaml (dict "a\nb" "c" "d e" 1 "f:" 2 "yes" 3 "1" 4 "" 5 "#x" 6) }}"##, "a key has one line"),
    ("{{ .map | toYaml | fromYaml | toYaml }}", "a block without a line break at its end has one"),
    (r#"{{ fromYaml "a: 1\na: 2" }}"#, "a key must not occur twice"),
    ("{{ toYaml (index .texts 56) }}", "<< is quoted"),
    (r#"{{ toYaml (dict "k" (index .texts 56)) }}"#, "<< is quoted"),
    ("{{ toYaml (index .texts 57) }}", "= is quoted"),
    (r#"{{ toYaml (dict "k" (index .texts 57)) }}"#, "= is quoted"),
    ("{{ toYaml (index .texts 71) }}", "U+00A0 is escaped"),
    (r#"{{ toYaml (dict "k" (index .texts 71)) }}"#, "U+00A0 is escaped"),
    ("{{ toYaml (index .texts 72) }}", "U+2028 is escaped"),
    (r#"{{ toYaml (dict "k" (index .texts 72)) }}"#, "U+2028 is escaped"),
    ("{{ toYaml (index .texts 74) }}", "an emoji is not escaped"),
    (r#"{{ toYaml (dict "k" (index .texts 74)) }}"#, "an emoji is not escaped"),
    (r#"{{ fromToml "a.b = 1\n[a]" | toJson }}"#, "a table must not be defined twice"),
    (r#"{{ fromToml "[a]\nb.c = 1\n[a.b]" | toJson }}"#, "a table must not be defined twice"),
    (r#"{{ fromToml "[a.b.c]\nz = 1\n[a]\nb.c.t = 2" | toJson }}"#, "a table must not be defined twice"),
    (r#"{{ fromToml "a = {b = 1}\na.c = 2" | toJson }}"#, "an inline table is complete"),
    (r#"{{ fromToml "a = {b = 1}\n[a.c]" | toJson }}"#, "an inline table is complete"),
];

#[test]
fn yaml_toml_and_pem_have_the_results_of_go() {
    let data = decode(include_bytes!("../golden/keys.json")).unwrap();
    let problems: Vec<String> = DOCUMENTS
        .lines()
        .map(case)
        .filter(|(text, _)| !DIFFERENT_DOCUMENTS.iter().any(|(different, _)| different == text))
        .filter_map(|(text, expected)| problem(&text, &expected, &data))
        .collect();
    assert!(problems.is_empty(), "{} differences:\n{}", problems.len(), problems.join("\n"));
}

#[test]
fn every_listed_difference_exists() {
    let data = data();
    for difference in DIFFERENCES {
        let exists = cases().any(|(text, expected)| {
            covers(difference, &text, &expected) && problem(&text, &expected, &data).is_some()
        });
        assert!(exists, "{difference:?} does not differ");
    }
}

#[test]
fn golden_templates_call_every_function() {
    let count = cases().count();
    assert!(count >= 2000, "{count}");
    let texts: Vec<String> = cases().chain(DOCUMENTS.lines().map(case)).map(|(text, _)| text).collect();
    for name in crate::functions().into_iter().filter(|name| !NOT_OF_GO.contains(name)) {
        assert!(texts.iter().any(|text| text.contains(name)), "{name}");
    }
}
