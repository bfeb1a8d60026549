//! The data of a Secret.

use std::collections::BTreeMap;

use secrecy::{ExposeSecret, SecretSlice};
use steamer_core::Error;
use steamer_core::mac::Mac;
use steamer_runtime::ObjectName;

use super::document::Document;

/// Largest data of a Secret that the API server accepts, in bytes: values without their keys.
const MAX_BYTES: usize = 1024 * 1024;

/// Keys and bytes of a Secret. It has no `Debug`.
#[derive(Clone, Default)]
pub(crate) struct Content(pub(crate) BTreeMap<String, SecretSlice<u8>>);

impl Content {
    /// The content that documents render to: strings as they are, other values as JSON.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a key or a size that the API server does not accept.
    pub(crate) fn render(documents: &[Document]) -> Result<Self, Error> {
        let values = documents.iter().flat_map(|document| &document.values.0);
        let bytes = |text: &str| SecretSlice::from(text.as_bytes().to_vec());
        let content: BTreeMap<_, _> =
            values.map(|(key, value)| (key.clone(), bytes(value.text().expose_secret()))).collect();
        if let Some(key) = content.keys().find(|key| !is_key(key)) {
            return Err(Error::Invalid(format!(
                "key `{key}` cannot be a key of a Secret, which allows letters, digits, -, _ and ., at most 253 characters, \
                 and no .. at the start: rename it in OpenBao"
            )));
        }
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

/// Returns true if the API server accepts the text as a key of a Secret.
fn is_key(key: &str) -> bool {
    let allowed = |character: char| character.is_ascii_alphanumeric() || "-._".contains(character);
    (1..=253).contains(&key.len()) && key.chars().all(allowed) && key != "." && !key.starts_with("..")
}

#[cfg(test)]
mod tests {
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
    #[case("a", true)]
    #[case(".dockerconfigjson", true)]
    #[case("A-b_c.d", true)]
    #[case("", false)]
    #[case(".", false)]
    #[case("..a", false)]
    #[case("a b", false)]
    #[case("a/b", false)]
    #[case("ä", false)]
    #[case(&"k".repeat(253), true)]
    #[case(&"k".repeat(254), false)]
    fn a_key_follows_the_rules_of_the_api_server(#[case] key: &str, #[case] accepted: bool) {
        assert_eq!(is_key(key), accepted);
    }
}
