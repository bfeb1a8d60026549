//! Case of single characters.

use crate::text::is_space;

/// The only character of a mapping. Go maps a character to exactly one.
fn only(mut mapping: impl Iterator<Item = char>, char: char) -> char {
    match (mapping.next(), mapping.next()) {
        (Some(mapped), None) => mapped,
        _ => char,
    }
}

pub(super) fn upper(char: char) -> char {
    only(char.to_uppercase(), char)
}

pub(super) fn lower(char: char) -> char {
    if char == 'İ' { 'i' } else { only(char.to_lowercase(), char) }
}

pub(super) fn is_connector(char: char) -> bool {
    char == '-' || char == '_' || is_space(char)
}
