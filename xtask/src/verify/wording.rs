//! Wording of comments, messages, test names and documentation, checked against `xtask/wording.yaml`.

mod openings;
mod patterns;
mod prose;
mod rust;
mod text;

use std::path::{Path, PathBuf};

use anyhow::Result;
use steamer_testing::cache::checkout;

use super::sources;
use openings::Openings;
use patterns::{Match, Pattern};
use text::Text;

/// A line with this mark is not checked.
const EXEMPT: &str = "wording: ok";

/// Matches in the whole checkout, and too many doc comments that open with a question word. Prints their share.
pub(super) fn problems() -> Result<Vec<String>> {
    let root = checkout();
    let patterns = patterns::listed()?;
    let mut openings = Openings::default();
    let mut problems = Vec::new();
    for path in files(&root)? {
        let source = sources::text(&root, &path)?;
        let texts = texts(&path, &source);
        openings.count(&texts);
        let matches = matches(&source, &texts, &patterns);
        problems.extend(matches.into_iter().map(|found| format!("{}:{found}", path.display())));
    }
    println!("{openings}");
    problems.extend(openings.problem());
    Ok(problems)
}

/// Files with text for people. Generated files are checked where their text is written.
fn files(root: &Path) -> Result<Vec<PathBuf>> {
    let mut files = vec![PathBuf::from("Makefile")];
    for folder in ["operator", "tests", "xtask"] {
        files.extend(with_ending(sources::files(root, folder)?, "rs"));
    }
    files.extend(with_ending(sources::files(root, "docs")?, "md"));
    files.retain(|path| !path.starts_with("docs/reference"));
    files.extend(with_ending(sources::files(root, "config")?, "yaml"));
    let charts = sources::files(root, "charts")?;
    files.extend(charts.into_iter().filter(|path| path.ends_with("values.yaml")));
    for entry in std::fs::read_dir(root)? {
        files.extend(with_ending(vec![PathBuf::from(entry?.file_name())], "md"));
    }
    Ok(files)
}

fn with_ending(files: Vec<PathBuf>, ending: &str) -> impl Iterator<Item = PathBuf> {
    files.into_iter().filter(move |path| path.extension().is_some_and(|it| it == ending))
}

fn texts(path: &Path, source: &str) -> Vec<Text> {
    match path.extension().and_then(|ending| ending.to_str()) {
        Some("rs") => rust::texts(source),
        Some("md") => prose::markdown(source),
        _ => prose::comments(source),
    }
}

/// `line: "matched text": use ...` for every match outside exempt lines.
fn matches(source: &str, texts: &[Text], patterns: &[Pattern]) -> Vec<String> {
    let lines: Vec<&str> = source.lines().collect();
    let is_exempt = |line: usize| lines.get(line - 1).is_some_and(|line| line.contains(EXEMPT));
    let mut found: Vec<Match<'_>> = texts
        .iter()
        .flat_map(|text| patterns.iter().flat_map(|pattern| pattern.matches(text)))
        .filter(|found| !found.lines.clone().any(is_exempt))
        .collect();
    found.sort_by_key(|found| *found.lines.start());
    found.iter().map(Match::to_string).collect()
}

#[cfg(test)]
mod tests;
