//! IDs of the seal's keys that wrap the values in storage, read from OpenBao's wire format.
//!
//! A value is a message of Protocol Buffers: field 5 describes the key, and field 3 of that is the ID. Searching the bytes
//! for an ID instead would find `k1` in `k10`, and short IDs in ciphertext.

use steamer_core::error::Error;

/// The values that the seal wraps.
pub(super) const WRAPPED: &str = "
ARRAY(SELECT value FROM openbao_kv_store
      WHERE (path = '/core/hsm/' AND key = 'barrier-unseal-keys') OR (path = '/core/' AND key = 'recovery-key'))";

/// Field of the description of the key, and of the ID in it.
const KEY: u64 = 5;
const ID: u64 = 3;

/// ID of the key that wraps each value. None if a value is not in OpenBao's format, or its seal stores no ID.
pub(super) fn keys(values: &[Vec<u8>]) -> Option<Vec<String>> {
    values.iter().map(|value| key_id(value).map(str::to_owned)).collect()
}

/// Error of a database with a value that is not in OpenBao's format.
pub(crate) fn unknown_format(database: &str) -> Error {
    Error::Invalid(format!(
        "database `{database}` contains a sealed value in an unknown format: check that OpenBao wrote it"
    ))
}

/// ID of the key of a wrapped value.
fn key_id(value: &[u8]) -> Option<&str> {
    std::str::from_utf8(field(field(value, KEY)?, ID)?).ok()
}

/// Content of the first field with a number, if it is text, bytes or a message.
fn field(mut message: &[u8], number: u64) -> Option<&[u8]> {
    while !message.is_empty() {
        let (tag, rest) = varint(message)?;
        let (content, rest) = match tag & 7 {
            0 => (None, varint(rest)?.1),
            1 => (None, rest.get(8..)?),
            2 => {
                let (length, rest) = varint(rest)?;
                let (content, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
                (Some(content), rest)
            }
            5 => (None, rest.get(4..)?),
            _ => return None,
        };
        if content.is_some() && tag >> 3 == number {
            return content;
        }
        message = rest;
    }
    None
}

/// A number in groups of 7 bits, and the bytes behind it.
fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let length = 1 + bytes.iter().take(10).position(|byte| byte & 0x80 == 0)?;
    let (number, rest) = bytes.split_at(length);
    let value = number.iter().rev().fold(0_u64, |value, byte| value << 7 | u64::from(byte & 0x7f));
    Some((value, rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn encoded(mut number: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        while number >= 0x80 {
            bytes.push(0x80 | u8::try_from(number & 0x7f).unwrap());
            number >>= 7;
        }
        bytes.push(u8::try_from(number).unwrap());
        bytes
    }

    fn text(number: u8, content: &[u8]) -> Vec<u8> {
        [vec![number << 3 | 2], encoded(content.len()), content.to_vec()].concat()
    }

    #[test]
    fn a_value_in_another_format_makes_all_keys_unknown() {
        let value = wrapped(b"c", "k1");
        assert_eq!(keys(&[value.clone(), value.clone()]), Some(vec!["k1".to_owned(), "k1".to_owned()]));
        assert_eq!(keys(&[value, b"plain".to_vec()]), None);
    }

    /// A value as OpenBao stores it: ciphertext, initialization vector, and the description of the key.
    fn wrapped(ciphertext: &[u8], id: &str) -> Vec<u8> {
        let key = [vec![1 << 3, 0x80, 0x01], text(3, id.as_bytes()), text(5, b"wrapped")].concat();
        [text(1, ciphertext), text(2, b"vector"), text(5, &key)].concat()
    }

    #[rstest]
    #[case::one_letter(b"k1k1", "k")]
    #[case::prefix_of_another(b"", "k1")]
    #[case::longer_than_another(b"", "k10")]
    #[case::another_id_in_the_ciphertext(b"\x1a\x02k2", "k1")]
    fn the_id_is_that_of_the_key(#[case] ciphertext: &[u8], #[case] id: &str) {
        assert_eq!(key_id(&wrapped(ciphertext, id)), Some(id));
    }

    #[test]
    fn a_long_ciphertext_is_skipped() {
        assert_eq!(key_id(&wrapped(&[b'k'; 300], "k1")), Some("k1"));
    }

    proptest! {
        #[test]
        fn any_id_is_found(ciphertext in proptest::collection::vec(any::<u8>(), 0..400), id in "[a-z0-9-]{1,40}") {
            let value = wrapped(&ciphertext, &id);
            prop_assert_eq!(key_id(&value), Some(id.as_str()));
        }

        #[test]
        fn no_value_makes_the_parser_panic(value in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = key_id(&value);
        }

        #[test]
        fn a_truncated_value_has_no_other_id(id in "[a-z0-9]{1,9}", end in 0_usize..40) {
            let value = wrapped(b"c", &id);
            let found = key_id(&value[..end.min(value.len())]);
            prop_assert!(found.is_none() || found == Some(id.as_str()));
        }
    }
}
