//! Errors of documents.

use crate::error::Fault;

/// The place at which a document is not TOML. It must not contain data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Problem {
    /// Offset in bytes.
    pub(super) at: usize,
    pub(super) message: &'static str,
    /// Whether the document exceeds a limit.
    pub(super) is_limit: bool,
}

impl Problem {
    pub(super) fn new(at: usize, message: &'static str) -> Self {
        Self { at, message, is_limit: false }
    }

    /// The error, with the position in the document.
    pub(super) fn fault(self, document: &[u8]) -> Fault {
        if self.is_limit {
            return Fault::Limit(self.message);
        }
        let before = &document[..self.at.min(document.len())];
        let line = before.split(|byte| *byte == b'\n').count();
        let start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
        let column = String::from_utf8_lossy(&before[start..]).chars().count() + 1;
        let message = self.message;
        Fault::new(format!("the argument is not a TOML document: line {line}, column {column}: {message}"))
    }
}
