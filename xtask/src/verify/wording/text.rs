//! A text for people, and its place in a file.

#[derive(Debug, PartialEq)]
pub(super) struct Text {
    pub(super) kind: Kind,
    /// Number of its first line, from 1.
    pub(super) line: usize,
    /// One line for each line of the file that it spans.
    pub(super) words: String,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kind {
    Comment,
    Documentation,
    Literal,
    Prose,
    TestName,
}

impl Text {
    pub(super) fn new(kind: Kind, line: usize, words: impl Into<String>) -> Self {
        Self { kind, line, words: words.into() }
    }

    /// Number of the line that contains the byte at `position`.
    pub(super) fn line_of(&self, position: usize) -> usize {
        self.line + self.words[..position].matches('\n').count()
    }
}

/// Joins comments and prose on consecutive lines, so that a phrase is found across a line break.
pub(super) fn joined(texts: Vec<Text>) -> Vec<Text> {
    let mut joined: Vec<Text> = Vec::new();
    for text in texts {
        match joined.last_mut() {
            Some(last)
                if text.kind != Kind::Literal
                    && text.kind == last.kind
                    && last.line_of(last.words.len()) + 1 == text.line =>
            {
                last.words.push('\n');
                last.words.push_str(&text.words);
            }
            _ => joined.push(text),
        }
    }
    joined
}
