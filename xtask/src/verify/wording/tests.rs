use std::sync::LazyLock;

use super::text::Kind;
use super::*;

static PATTERNS: LazyLock<Vec<Pattern>> = LazyLock::new(|| patterns::listed().unwrap());

fn found(source: &str) -> Vec<String> {
    matches(source, &rust::texts(source), &PATTERNS)
}

/// Each example, and its name as part of a function name.
fn examples() -> Vec<(String, String, bool)> {
    let entries = patterns::entries().unwrap().into_iter();
    entries
        .map(|entry| (entry.example.to_lowercase().replace(' ', "_"), entry.example, entry.opening))
        .map(|(name, example, opening)| (example, name, opening))
        .collect()
}

/// An example of two words, taken from the list, so that this file contains no rejected phrase.
fn example() -> String {
    examples().into_iter().map(|(example, ..)| example).find(|example| example.contains(' ')).unwrap()
}

#[test]
fn every_pattern_is_found_in_documentation() {
    for (example, ..) in examples() {
        let source = format!("/// {example} of it.\nfn f() {{}}");
        assert!(!found(&source).is_empty(), "{source}");
    }
}

#[test]
fn every_pattern_is_found_in_comments_literals_and_test_names() {
    for (example, name, _) in examples().into_iter().filter(|(.., opening)| !opening) {
        for source in [
            format!("// It is {example} here."),
            format!("/* It is {example} here. */"),
            format!("fn f() {{ bail!(\"it is {example} here\") }}"),
            format!("const TEXT: &str = r#\"it is \"{example}\" here\"#;"),
            format!("#[test]\nfn it_is_{name}_here() {{}}"),
            format!("#[rstest]\n#[case(\"a\")]\n#[tokio::test]\nasync fn it_is_{name}_here() {{}}"),
        ] {
            assert!(!found(&source).is_empty(), "{source}");
        }
    }
}

#[test]
fn code_and_programs_in_literals_are_not_checked() {
    for (example, name, _) in examples() {
        for source in [
            format!("fn it_is_{name}_here() {{}}"),
            format!("const SQL: &str = r#\"SELECT\n{example}\"#;"),
            format!("const SQL: &str = \"SELECT\n{example}\";"),
            format!("let {name} = '\"'; let other = '\\''; f::<'a>({name});"),
        ] {
            assert_eq!(found(&source), Vec::<String>::new(), "{source}");
        }
    }
}

#[test]
fn a_phrase_is_found_across_a_line_break_and_reported_at_its_first_line() {
    let example = example();
    let broken = example.replacen(' ', "\n    /// ", 1);
    let single = example.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(found(&format!("\n    /// It is {broken}"))[0].starts_with(&format!("2: \"{single}\": use ")));
    let continued = example.replacen(' ', " \\\n        ", 1);
    assert!(found(&format!("\nbail!(\"it is {continued}\")"))[0].starts_with(&format!("2: \"{single}\"")));
}

#[test]
fn a_line_with_the_mark_is_skipped() {
    let example = example();
    assert_eq!(found(&format!("// {example} (wording: ok)")), Vec::<String>::new());
    assert_eq!(found(&format!("f(\"{example}\"); // wording: ok")), Vec::<String>::new());
    assert_eq!(found(&format!("// wording: ok\n// {example}")).len(), 1);
}

#[test]
fn the_lexer_separates_comments_literals_and_code() {
    let source = r##"
        //! Module.
        /* a /* nested */ comment */
        fn f<'a>(it: &'a str) -> char { '"' } // "no literal"
        const URL: &str = "https://host"; const B: &[u8] = b"bytes\"";
        const RAW: &str = r#"raw "quoted""#; let r#type = br"//";
        "##;
    let texts: Vec<(Kind, String)> =
        rust::texts(source).into_iter().map(|text| (text.kind, text.words)).collect();
    let text = |kind, words: &str| (kind, words.to_owned());
    let expected = [
        text(Kind::Documentation, "Module."),
        text(Kind::Comment, "a /* nested */ comment\n\"no literal\""),
        text(Kind::Literal, "https://host"),
        text(Kind::Literal, "bytes\""),
        text(Kind::Literal, "raw \"quoted"),
        text(Kind::Literal, "//"),
    ];
    assert_eq!(texts, expected);
}

#[test]
fn comments_of_yaml_and_code_blocks_are_checked_but_values_are_not() {
    let example = example();
    let check = |texts: Vec<Text>, source: &str| matches(source, &texts, &PATTERNS).len();
    for (source, expected) in [
        (format!("key: value # {example}"), 1),
        (format!("# {}", example.replacen(' ', "\n# ", 1)), 1),
        (format!("key: {example}"), 0),
        (format!("key: 'a#{example}'"), 0),
    ] {
        assert_eq!(check(prose::comments(&source), &source), expected, "{source}");
        let block = format!("```yaml\n{source}\n```");
        assert_eq!(check(prose::markdown(&block), &block), expected, "{block}");
    }
}

#[test]
fn few_doc_comments_may_open_with_a_question_word() {
    let mut openings = Openings::default();
    openings.count(&rust::texts(&"/// Name of it.\nx\n".repeat(9)));
    openings.count(&rust::texts("/// Whether it is ready.\n/// How it is read, on a second line.\nx"));
    assert_eq!(openings.problem(), None);
    openings.count(&rust::texts("// How a comment opens does not count.\n//! Where it is."));
    let problem = openings.problem().unwrap();
    assert!(problem.starts_with("2 of 11 doc comments (18.1 %) open with What/"), "{problem}");
}
