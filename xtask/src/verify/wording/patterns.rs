//! The list of rejected words and phrases.

use std::fmt;
use std::ops::RangeInclusive;

use anyhow::{Context, Result, ensure};
use regex::{Regex, RegexBuilder};
use serde::Deserialize;

use super::text::{Kind, Text};

const LIST: &str = include_str!("../../../wording.yaml");

/// One entry of `xtask/wording.yaml`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    pattern: String,
    #[serde(rename = "use")]
    advice: String,
    /// A text that the pattern matches.
    pub(super) example: String,
    /// Limits the pattern to the first words of doc comments.
    #[serde(default)]
    pub(super) opening: bool,
}

pub(super) struct Pattern {
    expression: Regex,
    advice: String,
    opening: bool,
}

/// Rejected words in a file.
pub(super) struct Match<'a> {
    pub(super) lines: RangeInclusive<usize>,
    words: String,
    advice: &'a str,
}

impl fmt::Display for Match<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { lines, words, advice } = self;
        write!(f, "{}: \"{words}\": use {advice}", lines.start())
    }
}

pub(super) fn listed() -> Result<Vec<Pattern>> {
    entries()?.into_iter().map(Pattern::new).collect()
}

pub(super) fn entries() -> Result<Vec<Entry>> {
    serde_saphyr::from_str(LIST).context("cannot read xtask/wording.yaml")
}

impl Pattern {
    fn new(entry: Entry) -> Result<Self> {
        let Entry { pattern, advice, example, opening } = entry;
        let expression = RegexBuilder::new(&pattern.replace(' ', r"\s+"))
            .case_insensitive(true)
            .build()
            .with_context(|| format!("invalid pattern {pattern} in xtask/wording.yaml"))?;
        ensure!(expression.is_match(&example), "pattern {pattern} does not match its example: {example}");
        Ok(Self { expression, advice, opening })
    }

    pub(super) fn matches<'a>(&'a self, text: &'a Text) -> impl Iterator<Item = Match<'a>> {
        let applies = !self.opening || text.kind == Kind::Documentation;
        let words = if applies { text.words.as_str() } else { "" };
        self.expression.find_iter(words).map(|found| {
            let words: Vec<&str> = found.as_str().split_whitespace().collect();
            let lines = text.line_of(found.start())..=text.line_of(found.end());
            Match { lines, words: words.join(" "), advice: &self.advice }
        })
    }
}
