//! Errors of parsing and rendering. They name the template, the position and the action, and never contain data.

use std::borrow::Cow;

use thiserror::Error;

/// Longest part of an action that an error quotes, in characters.
const QUOTED: usize = 80;

/// A template that cannot be parsed or rendered.
///
/// The message consists of the text of the template and of static texts. It never contains a value of the data.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("template {template:?}, line {line}, column {column}, in {action}: {message}")]
pub struct Error {
    /// Name of the template.
    pub template: String,
    /// Line of the action, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// The action that failed, shortened.
    pub action: String,
    /// The problem. It names types and functions, but no values.
    pub message: String,
    /// Whether the template exceeded one of its [`crate::Limits`].
    pub limit: bool,
}

/// A problem before its position is known. It must not contain data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The template is wrong for its data.
    Failed(Cow<'static, str>),
    /// The template exceeds a limit.
    Limit(&'static str),
}

impl Fault {
    pub(crate) fn new(message: impl Into<Cow<'static, str>>) -> Self {
        Self::Failed(message.into())
    }

    /// The error at a position of a template.
    pub(crate) fn at(self, source: &Source, offset: usize) -> Error {
        let (line, column) = source.position(offset);
        let (message, limit) = match self {
            Self::Failed(message) => (message.into_owned(), false),
            Self::Limit(message) => (message.to_owned(), true),
        };
        let (template, action) = (source.name.clone(), source.action(offset));
        Error { template, line, column, action, message, limit }
    }
}

/// Name and text of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Source {
    pub(crate) name: String,
    pub(crate) text: String,
}

impl Source {
    fn position(&self, offset: usize) -> (usize, usize) {
        let before = &self.text[..self.text.floor_char_boundary(offset)];
        let line = before.matches('\n').count() + 1;
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        (line, before[start..].chars().count() + 1)
    }

    /// The action around `offset`.
    fn action(&self, offset: usize) -> String {
        let offset = self.text.floor_char_boundary(offset);
        let inside = self.text.ceil_char_boundary((offset + 2).min(self.text.len()));
        let start = self.text[..inside].rfind("{{").unwrap_or(offset);
        let end = self.text[offset..].find("}}").map_or(self.text.len(), |found| offset + found + 2);
        let action = &self.text[start..end.max(start)];
        match action.char_indices().nth(QUOTED) {
            Some((cut, _)) => format!("{}...", &action[..cut]),
            None if action.is_empty() => "the end of the template".to_owned(),
            None => action.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_shows_line_column_and_action() {
        let source = Source { name: "app".into(), text: "a: {{ .a }}\nü: {{ upper .b }}".into() };
        let error = Fault::new("wrong").at(&source, source.text.find("upper").unwrap());
        let expected = "template \"app\", line 2, column 7, in {{ upper .b }}: wrong";
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn a_position_outside_of_the_text_is_its_end() {
        let source = Source { name: "app".into(), text: "{{ é".into() };
        for offset in 0..20 {
            assert!(!Fault::new("wrong").at(&source, offset).action.is_empty());
        }
    }
}
