//! Text of Markdown, YAML and Makefiles.

use super::text::{Kind, Text, joined};

/// Text of a Markdown file. In a code block, only comments count.
pub(super) fn markdown(source: &str) -> Vec<Text> {
    let mut texts = Vec::new();
    let mut in_code = false;
    for (number, line) in numbered(source) {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        } else if in_code {
            texts.extend(comment(number, line));
        } else {
            texts.push(Text::new(Kind::Prose, number, line));
        }
    }
    joined(texts)
}

/// Comments that start with `#`.
pub(super) fn comments(source: &str) -> Vec<Text> {
    joined(numbered(source).filter_map(|(number, line)| comment(number, line)).collect())
}

fn comment(number: usize, line: &str) -> Option<Text> {
    let starts_comment =
        |position: &usize| line[..*position].chars().next_back().is_none_or(char::is_whitespace);
    let start = line.match_indices('#').map(|(position, _)| position).find(starts_comment)?;
    Some(Text::new(Kind::Comment, number, line[start..].trim_start_matches('#').trim()))
}

fn numbered(source: &str) -> impl Iterator<Item = (usize, &str)> {
    (1..).zip(source.lines())
}
