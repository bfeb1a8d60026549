//! Delimiters of actions, and their trim markers.

pub(super) const OPEN: &str = "{{";
pub(super) const CLOSE: &str = "}}";
pub(super) const SPACES: [char; 4] = [' ', '\t', '\r', '\n'];

/// Whether the text after `{{` is a trim marker.
pub(super) fn trims_left(after: &str) -> bool {
    after.strip_prefix('-').is_some_and(|rest| rest.starts_with(SPACES))
}

/// Length of a closing delimiter, with its trim marker.
pub(super) fn closing(text: &str) -> Option<usize> {
    let trimming = text.strip_prefix(SPACES).is_some_and(|rest| rest.starts_with("-}}"));
    if trimming {
        return Some(4);
    }
    text.starts_with(CLOSE).then_some(CLOSE.len())
}
