//! Comparison of connection URLs.

use serde_json::Value;

use crate::general::Resource;

/// Parameter with the URL of the database.
const NAME: &str = "connection_url";

/// Gives the URL that OpenBao returned the form of the desired one if both mean the same. OpenBao returns a URL that it can
/// parse in an escaped form, for example `host=db%20user=%7B%7Busername%7D%7D` for `host=db user={{username}}`.
pub(super) fn unify(resource: &mut Resource) {
    let desired = resource.body.parameters.get(NAME).and_then(Value::as_str);
    let found = resource.found().and_then(|found| found.get(NAME)).and_then(Value::as_str);
    let same = desired.zip(found).filter(|(desired, found)| are_same(desired, found));
    if let Some(desired) = same.map(|(desired, _)| desired.to_owned()) {
        resource.add_fact(NAME, Value::from(desired));
    }
}

/// Returns true if two URLs differ only in their escapes. OpenBao returns `xxxxx` for a password in a URL, which is therefore
/// not the same as a placeholder.
fn are_same(desired: &str, found: &str) -> bool {
    desired == found || decoded(desired) == decoded(found)
}

/// The bytes of a text whose escapes `%XX` are replaced.
fn decoded(text: &str) -> Vec<u8> {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let Some((byte, after)) = first(rest) {
        bytes.push(byte);
        rest = after;
    }
    bytes
}

/// The first byte and the rest after it.
fn first(text: &[u8]) -> Option<(u8, &[u8])> {
    let (byte, after) = text.split_first()?;
    let escaped = match text {
        [b'%', high, low, after @ ..] => {
            digit(*high).zip(digit(*low)).map(|(high, low)| (high * 16 + low, after))
        }
        _ => None,
    };
    Some(escaped.unwrap_or((*byte, after)))
}

fn digit(byte: u8) -> Option<u8> {
    u8::try_from(char::from(byte).to_digit(16)?).ok()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::url(
        "postgresql://{{username}}:{{password}}@db/app",
        "postgresql://{{username}}:{{password}}@db/app",
        true
    )]
    #[case::key_and_value(
        "host=db user={{username}} password={{password}}",
        "host=db%20user=%7B%7Busername%7D%7D%20password=%7B%7Bpassword%7D%7D",
        true
    )]
    #[case::other_host("host=db user={{username}}", "host=other%20user=%7B%7Busername%7D%7D", false)]
    #[case::escape_in_both("postgresql://db/app?options=%2Dc", "postgresql://db/app?options=%2Dc", true)]
    #[case::escape_in_the_spec("postgresql://db/a%20b", "postgresql://db/a%20b", true)]
    #[case::text_outside_of_ascii("host=dé", "host=d%C3%A9", true)]
    #[case::percent_without_digits("host=db a=%z", "host=db a=%z", true)]
    #[case::plus_is_no_blank("host=a b", "host=a+b", false)]
    #[case::password_in_openbao(
        "postgresql://app:{{password}}@db/app",
        "postgresql://app:xxxxx@db/app",
        false
    )]
    fn urls_are_compared_without_their_escapes(
        #[case] desired: &str,
        #[case] found: &str,
        #[case] expected: bool,
    ) {
        assert_eq!(are_same(desired, found), expected);
    }
}
