//! Values that are stored in Base64.

use base64::Engine as _;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use secrecy::ExposeSecret;
use steamer_api::Decoding;
use steamer_openbao::Json;

const ANY_PADDING: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const PADDED: GeneralPurposeConfig = GeneralPurposeConfig::new();

/// The value with its decoded bytes. `None` if it is not encoded in this way.
pub(super) fn decoded(value: &Json, decoding: Decoding) -> Option<Json> {
    let bytes = match decoding {
        Decoding::None => return Some(value.clone()),
        _ if !value.is_string() => None,
        Decoding::Base64 => GeneralPurpose::new(&STANDARD, ANY_PADDING).decode(compact(value)).ok(),
        Decoding::Base64Url => GeneralPurpose::new(&URL_SAFE, ANY_PADDING).decode(compact(value)).ok(),
        Decoding::Auto => [STANDARD, URL_SAFE]
            .iter()
            .find_map(|alphabet| GeneralPurpose::new(alphabet, PADDED).decode(compact(value)).ok()),
    };
    match bytes {
        Some(bytes) => Some(value.with_bytes(bytes.into())),
        None if decoding == Decoding::Auto => Some(value.clone()),
        None => None,
    }
}

/// The text without line breaks.
fn compact(value: &Json) -> Vec<u8> {
    let text = value.text();
    text.expose_secret().bytes().filter(|byte| !matches!(byte, b'\r' | b'\n')).collect()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};
    use steamer_openbao::Values;

    use super::*;

    #[rstest]
    #[case::unchanged(Decoding::None, json!("YQ=="), Some(None))]
    #[case::padded(Decoding::Base64, json!("YQ=="), Some(Some(&b"a"[..])))]
    #[case::unpadded(Decoding::Base64, json!("YQ"), Some(Some(&b"a"[..])))]
    #[case::lines(Decoding::Base64, json!("YW\nJj\r\n"), Some(Some(&b"abc"[..])))]
    #[case::binary(Decoding::Base64, json!("/+8="), Some(Some(&b"\xff\xef"[..])))]
    #[case::url(Decoding::Base64Url, json!("_-8"), Some(Some(&b"\xff\xef"[..])))]
    #[case::url_in_base64(Decoding::Base64, json!("_-8"), None)]
    #[case::text(Decoding::Base64, json!("no base64"), None)]
    #[case::number(Decoding::Base64, json!(1234), None)]
    #[case::auto(Decoding::Auto, json!("YQ=="), Some(Some(&b"a"[..])))]
    #[case::auto_url(Decoding::Auto, json!("_-8="), Some(Some(&b"\xff\xef"[..])))]
    #[case::auto_text(Decoding::Auto, json!("p/w"), Some(None))]
    #[case::auto_number(Decoding::Auto, json!(1234), Some(None))]
    fn a_value_is_decoded(
        #[case] decoding: Decoding,
        #[case] value: Value,
        #[case] expected: Option<Option<&[u8]>>,
    ) {
        let values = Values::from(&json!({"v": value}));
        let seen = decoded(&values.0["v"], decoding);
        let bytes = seen.as_ref().map(|value| value.decoded().map(|bytes| bytes.expose_secret().to_vec()));
        assert_eq!(bytes, expected.map(|bytes| bytes.map(<[u8]>::to_vec)));
    }
}
