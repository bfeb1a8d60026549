//! The data of a Secret.

use std::collections::BTreeMap;

use secrecy::{ExposeSecret, SecretSlice};
use steamer_core::Error;
use steamer_core::mac::Mac;
use steamer_runtime::ObjectName;

/// Largest data of a Secret that the API server accepts, in bytes: values without their keys.
const MAX_BYTES: usize = 1024 * 1024;

/// Keys and bytes of a Secret. It has no `Debug`.
#[derive(Clone, Default)]
pub(crate) struct Content(pub(crate) BTreeMap<String, SecretSlice<u8>>);

impl Content {
    /// Checks the keys and bytes of a Secret.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a key or a size that the API server does not accept.
    pub(crate) fn new(content: BTreeMap<String, SecretSlice<u8>>) -> Result<Self, Error> {
        check_keys(&content)?;
        let size: usize = content.values().map(|value| value.expose_secret().len()).sum();
        if size > MAX_BYTES {
            return Err(Error::Invalid(format!(
                "the value has {size} bytes; a Secret takes {MAX_BYTES} at most"
            )));
        }
        Ok(Self(content))
    }

    /// Keyed digest of the content of a Secret.
    pub(crate) fn mac(&self, mac: &Mac, secret: &ObjectName) -> String {
        data_mac(mac, secret, self.0.iter().map(|(key, value)| (key.as_str(), value.expose_secret())))
    }
}

/// Keyed digest of the data of a Secret. It is different for every Secret, so that equal digests of two Secrets do not
/// reveal equal values.
pub(super) fn data_mac<'a>(
    mac: &Mac,
    secret: &ObjectName,
    data: impl IntoIterator<Item = (&'a str, &'a [u8])>,
) -> String {
    let of_data = mac.of(data);
    mac.of([(secret.to_string().as_str(), of_data.as_bytes())])
}

/// Refuses keys that the API server does not accept. The message contains no key: a key can be secret, too.
fn check_keys<T>(content: &BTreeMap<String, T>) -> Result<(), Error> {
    let mut mistakes = content.keys().zip(1..).filter_map(|(key, position)| Some((position, mistake(key)?)));
    let Some((position, mistake)) = mistakes.next() else {
        return Ok(());
    };
    let more = mistakes.count();
    let others = if more == 0 { String::new() } else { format!(" (and {more} more)") };
    Err(Error::Invalid(format!(
        "key {position} of {} in alphabetical order {mistake}{others}: a key of a Secret consists of letters, digits, -, _ and \
         ., has at most 253 characters, and does not start with ..: rename it in OpenBao, or exclude it with destination.transformation.excludes",
        content.len()
    )))
}

/// States why the API server does not accept a text as a key of a Secret.
fn mistake(key: &str) -> Option<&'static str> {
    let allowed = |character: char| character.is_ascii_alphanumeric() || "-._".contains(character);
    match key {
        "" => Some("is empty"),
        _ if key.len() > 253 => Some("is too long"),
        _ if !key.chars().all(allowed) => Some("contains another character"),
        _ if key == "." || key.starts_with("..") => Some("is . or starts with .."),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[test]
    fn equal_data_of_two_secrets_has_different_digests() {
        let (mac, content) = (Mac::new(&[7; 32]), Content::default());
        let of = |name| content.mac(&mac, &ObjectName::new("web", name));
        assert_eq!(of("a"), of("a"));
        assert_ne!(of("a"), of("b"));
    }

    #[rstest]
    #[case("a", None)]
    #[case(".dockerconfigjson", None)]
    #[case("A-b_c.d", None)]
    #[case("", Some("is empty"))]
    #[case(".", Some("is . or starts with .."))]
    #[case("..a", Some("is . or starts with .."))]
    #[case("a b", Some("another character"))]
    #[case("a/b", Some("another character"))]
    #[case("ä", Some("another character"))]
    #[case(&"k".repeat(253), None)]
    #[case(&"k".repeat(254), Some("is too long"))]
    fn a_key_follows_the_rules_of_the_api_server(#[case] key: &str, #[case] expected: Option<&str>) {
        let content = BTreeMap::from([("0".to_owned(), ()), (key.to_owned(), ())]);
        let text = check_keys(&content).err().map(|error| error.to_string());
        match (text, expected) {
            (None, None) => {}
            (Some(text), Some(expected)) => assert!(text.contains(expected), "{text}"),
            other => panic!("{other:?}"),
        }
    }

    proptest! {
        #[test]
        fn an_error_does_not_contain_a_key(keys in proptest::collection::btree_set("[a-z]{0,3}canary.{0,300}", 1..5)) {
            let content = keys.into_iter().map(|key| (key, ())).collect();
            if let Err(error) = check_keys(&content) {
                prop_assert!(!error.to_string().contains("canary"));
            }
        }
    }

    #[test]
    fn an_error_states_the_position_of_the_key() {
        let content = ["b", "c d", "a", "e f"].map(|key| (key.to_owned(), ())).into();
        let text = check_keys(&content).unwrap_err().to_string();
        assert!(
            text.starts_with("key 3 of 4 in alphabetical order contains another character (and 1 more)"),
            "{text}"
        );
    }
}
