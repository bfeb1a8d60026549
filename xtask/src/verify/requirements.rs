//! The page of requirements: every row exists, and every test that it names.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result};
use steamer_testing::cache::checkout;

/// Letters of the rows, and how many each has.
const ROWS: [(char, usize); 5] = [('A', 12), ('B', 108), ('C', 8), ('D', 20), ('E', 41)];

pub(super) fn problems() -> Result<Vec<String>> {
    let page = checkout().join("docs/requirements.md");
    let text = std::fs::read_to_string(&page).with_context(|| page.display().to_string())?;
    let tests = checkout().join("tests/e2e/tests");
    let mut problems = missing_rows(&text);
    problems.extend(named_tests(&text).into_iter().filter_map(|test| unknown(&tests, test)));
    Ok(problems)
}

fn missing_rows(text: &str) -> Vec<String> {
    let rows = ROWS.iter().flat_map(|(letter, count)| (1..=*count).map(move |it| format!("{letter}{it:02}")));
    let found = |row: &String| text.lines().filter(|line| line.starts_with(&format!("| {row} |"))).count();
    let counted = rows.map(|row| (found(&row), row)).filter(|(count, _)| *count != 1);
    counted
        .map(|(count, row)| format!("docs/requirements.md has {count} rows {row}, instead of one"))
        .collect()
}

/// Texts of the form `file::test` in backticks.
fn named_tests(text: &str) -> BTreeSet<&str> {
    let quoted = text.split('`').skip(1).step_by(2);
    quoted.filter(|quoted| quoted.contains("::")).collect()
}

/// The problem of a test that does not exist.
fn unknown(tests: &Path, named: &str) -> Option<String> {
    let (file, test) = named.rsplit_once("::")?;
    let path = tests.join(format!("{}.rs", file.replace("::", "/")));
    let exists =
        std::fs::read_to_string(&path).is_ok_and(|text| text.contains(&format!("async fn {test}()")));
    (!exists).then(|| format!("docs/requirements.md names the test {named}, which does not exist"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_row_and_an_unknown_test_are_problems() {
        let text = "| A01 | x | `pipelines::no_such_test` |\n| A01 | x | `enabled: false` |";
        let problems = missing_rows(text);
        assert_eq!(problems.len(), 12 + 108 + 8 + 20 + 41);
        assert_eq!(problems[0], "docs/requirements.md has 2 rows A01, instead of one");
        assert_eq!(named_tests(text), BTreeSet::from(["pipelines::no_such_test"]));
        let tests = checkout().join("tests/e2e/tests");
        assert!(unknown(&tests, "pipelines::no_such_test").is_some());
        let known = "pipelines::the_claim_matrix_accepts_only_the_intended_tokens";
        assert_eq!(unknown(&tests, known), None);
    }

    #[test]
    fn every_requirement_has_a_row_and_every_named_test_exists() {
        assert_eq!(problems().unwrap(), Vec::<String>::new());
    }
}
