//! The tests that the list of other fields names.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};

use super::elsewhere::ELSEWHERE;

/// A function or constant of a file, as rustfmt formats it.
struct Item<'a> {
    name: &'a str,
    lines: Vec<&'a str>,
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

/// Name of the function or constant that starts in a line, and true for a function.
fn start(line: &str) -> Option<(&str, bool)> {
    let mut words = words(line);
    let (mut is_constant, mut word) = (false, words.next()?);
    while ["pub", "crate", "super", "async", "const"].contains(&word) {
        is_constant = word == "const";
        word = words.next()?;
    }
    match word {
        "fn" => Some((words.next()?, true)),
        "static" => Some((words.next()?, false)),
        name if is_constant => Some((name, false)),
        _ => None,
    }
}

/// Returns true for the last line of a function, which is the brace below its start, or of a constant.
fn is_end(line: &str, depth: usize, is_function: bool) -> bool {
    if is_function { indent(line) == depth && line.trim() == "}" } else { line.ends_with(';') }
}

/// The functions with their attributes, and the constants.
fn items(text: &str) -> Vec<Item<'_>> {
    let lines: Vec<&str> = text.lines().filter(|it| !it.trim_start().starts_with("//")).collect();
    let mut found = Vec::new();
    for (first, line) in lines.iter().copied().enumerate() {
        let Some((name, is_function)) = start(line) else { continue };
        let depth = indent(line);
        let last = lines[first..].iter().position(|it| is_end(it, depth, is_function)).unwrap_or_default();
        let is_attribute = |it: &str| {
            is_function && !it.trim().is_empty() && indent(it) >= depth && !is_end(it, depth, true)
        };
        let attributes = lines[..first].iter().rev().take_while(|it| is_attribute(it)).count();
        found.push(Item { name, lines: lines[first - attributes..=first + last].to_vec() });
    }
    found
}

fn is_inside(character: char) -> bool {
    character.is_ascii_alphanumeric() || character == '_'
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|character: char| !is_inside(character)).filter(|it| !it.is_empty())
}

/// The words in the string literals of a function, and of all functions and constants of its file that it uses. None without the
/// function.
fn literals(text: &str, name: &str) -> Option<BTreeSet<String>> {
    let items = items(text);
    if !items.iter().any(|it| it.name == name) {
        return None;
    }
    let mut used = BTreeSet::from([name]);
    loop {
        let lines = items.iter().filter(|it| used.contains(it.name)).flat_map(|it| &it.lines);
        let named: BTreeSet<&str> = lines.flat_map(|line| words(line)).collect();
        let next: BTreeSet<&str> =
            items.iter().map(|it| it.name).filter(|it| named.contains(it) || used.contains(it)).collect();
        if next.len() == used.len() {
            break;
        }
        used = next;
    }
    let lines = items.iter().filter(|it| used.contains(it.name)).flat_map(|it| &it.lines);
    let mut found = BTreeSet::new();
    for line in lines {
        let line = line.replace("\\\"", " ");
        // Every second part is between quotation marks.
        found.extend(line.split('"').skip(1).step_by(2).flat_map(words).map(str::to_owned));
    }
    Some(found)
}

/// Returns true if the words contain each part of the path of a field.
fn contain(words: &BTreeSet<String>, field: &str) -> bool {
    field.split('.').all(|part| words.contains(part.trim_end_matches("[]")))
}

#[test]
fn every_test_of_a_field_exists_and_mentions_the_field() -> Result<()> {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut problems = Vec::new();
    for (kind, fields, test) in ELSEWHERE {
        let (file, name) = test.split_once(' ').context("no test")?;
        let text = std::fs::read_to_string(root.join(file)).with_context(|| format!("{kind}: {file}"))?;
        let Some(literals) = literals(&text, name) else {
            problems.push(format!("{kind}: {file} has no function {name}"));
            continue;
        };
        let missing = fields.iter().filter(|field| !contain(&literals, field));
        problems.extend(missing.map(|field| format!("{kind}: {name} of {file} does not mention {field}")));
    }
    ensure!(problems.is_empty(), "{}", problems.join("\n"));
    Ok(())
}

#[test]
fn a_field_is_in_the_function_or_in_what_it_uses() {
    let text = r#"
const SPEC: &str = "mount";

fn issuer() -> Value {
    json!({"intermediate": {"parentRef": {"name": SPEC}}})
}

// "comment"
fn other() -> Value {
    json!({"role": 1})
}

mod tests {
    #[rstest]
    #[case::one(
        json!({"case": 1})
    )]
    async fn signs() {
        let namespace = issuer();
    }
}
"#;
    let literals = literals(text, "signs").unwrap_or_default();
    for (field, expected) in [
        ("intermediate.parentRef.name", true),
        ("intermediate.parentRef.namespace", false),
        ("mount", true),
        ("case", true),
        ("role", false),
        ("comment", false),
        ("parent", false),
    ] {
        assert_eq!(contain(&literals, field), expected, "{field}");
    }
    assert_eq!(self::literals(text, "absent"), None);
}
