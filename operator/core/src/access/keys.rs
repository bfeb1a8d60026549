//! Key sets that issuers publish (RFC 7517), and their PEM form for OpenBao.

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde::Deserialize;
use serde_json::Value;

use crate::digest::digest;

/// Longest key ID that is kept, in characters.
const LONGEST_ID: usize = 256;

/// The keys of an issuer: ID and digest of each. The digest identifies a key, because several keys can have one ID.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeySet(pub BTreeSet<(String, String)>);

#[derive(Deserialize)]
struct Jwks {
    keys: Vec<Value>,
}

impl KeySet {
    /// Reads a JWKS document.
    ///
    /// # Errors
    /// When the document is not a JWKS.
    pub fn read(document: &[u8]) -> Result<Self, serde_json::Error> {
        let Jwks { keys } = serde_json::from_slice(document)?;
        let named = keys.into_iter().map(|key| {
            let material = digest(material(&key).as_bytes());
            let id = key
                .get("kid")
                .and_then(Value::as_str)
                .map_or_else(|| material[..16].to_owned(), |id| id.chars().take(LONGEST_ID).collect());
            (id, material)
        });
        Ok(Self(named.collect()))
    }

    /// The key set of PEM keys.
    pub fn of_pem(keys: &[String]) -> Self {
        let digests = keys.iter().map(|key| digest(key.trim().as_bytes()));
        Self(digests.map(|digest| (digest[..16].to_owned(), digest)).collect())
    }

    /// Returns true if `next` lacks a key of `self`, whatever the IDs are.
    pub fn loses_to(&self, next: &Self) -> bool {
        let next: BTreeSet<&str> = next.0.iter().map(|(_, digest)| digest.as_str()).collect();
        self.0.iter().any(|(_, digest)| !next.contains(digest.as_str()))
    }
}

/// The parameters that identify a key, as one text.
fn material(key: &Value) -> String {
    ["kty", "n", "e", "crv", "x", "y"]
        .map(|part| key.get(part).and_then(Value::as_str).unwrap_or_default())
        .join(".")
}

/// The keys of a JWKS document in PEM, sorted. Key types that OpenBao does not support are omitted.
///
/// # Errors
/// When the document is not a JWKS.
pub fn pem_keys(document: &[u8]) -> Result<Vec<String>, serde_json::Error> {
    let Jwks { keys } = serde_json::from_slice(document)?;
    let mut pems: Vec<String> = keys.iter().filter_map(subject_public_key).map(|der| pem(&der)).collect();
    pems.sort();
    Ok(pems)
}

fn pem(der: &[u8]) -> String {
    let encoded = STANDARD.encode(der);
    let lines: Vec<&str> =
        encoded.as_bytes().chunks(64).filter_map(|line| std::str::from_utf8(line).ok()).collect();
    format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n"))
}

/// SubjectPublicKeyInfo (RFC 5280) of an RSA or P-256 key.
fn subject_public_key(key: &Value) -> Option<Vec<u8>> {
    const RSA: &[u8] =
        &[0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00];
    const P256: &[u8] = &[
        0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
        0x3d, 0x03, 0x01, 0x07,
    ];
    let part = |name: &str| URL_SAFE_NO_PAD.decode(key.get(name)?.as_str()?.trim_end_matches('=')).ok();
    let (algorithm, public) = match (key.get("kty")?.as_str()?, key.get("crv").and_then(Value::as_str)) {
        ("RSA", _) => (RSA, der(0x30, &[integer(&part("n")?), integer(&part("e")?)].concat())),
        ("EC", Some("P-256")) => (P256, [vec![4], part("x")?, part("y")?].concat()),
        _ => return None,
    };
    let bits = der(0x03, &[vec![0], public].concat());
    Some(der(0x30, &[algorithm.to_vec(), bits].concat()))
}

fn integer(bytes: &[u8]) -> Vec<u8> {
    let mut value = bytes.to_vec();
    // DER integers are signed: a leading 1 bit would make the value negative.
    if value.first().is_some_and(|first| first & 0x80 != 0) {
        value.insert(0, 0);
    }
    der(0x02, &value)
}

fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let mut out = vec![tag];
    if length < 128 {
        out.push(u8::try_from(length).unwrap_or_default());
    } else {
        let bytes: Vec<u8> = length.to_be_bytes().into_iter().skip_while(|byte| *byte == 0).collect();
        out.push(0x80 | u8::try_from(bytes.len()).unwrap_or_default());
        out.extend(bytes);
    }
    out.extend(content);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_removed_or_replaced_key_is_lost_and_an_added_one_is_not() {
        let set = |keys: &str| KeySet::read(format!(r#"{{"keys":[{keys}]}}"#).as_bytes()).unwrap();
        let (a, b) = (r#"{"kid":"a","kty":"RSA","n":"1"}"#, r#"{"kid":"b","kty":"RSA","n":"2"}"#);
        let replaced = r#"{"kid":"a","kty":"RSA","n":"3"}"#;
        assert!(!set(a).loses_to(&set(&format!("{a},{b}"))));
        assert!(set(&format!("{a},{b}")).loses_to(&set(b)));
        assert!(set(a).loses_to(&set(replaced)));
        let both = set(&format!("{a},{replaced}"));
        assert_eq!(both.0.len(), 2, "two keys with one ID");
        assert!(both.loses_to(&set(replaced)) && both.loses_to(&set(a)));
        let renamed = r#"{"kid":"c","kty":"RSA","n":"1"}"#;
        assert!(!set(a).loses_to(&set(renamed)), "the same key under another ID");
    }

    #[test]
    fn a_long_id_is_shortened_and_the_key_keeps_its_digest() {
        let set = |id: usize| {
            let key = serde_json::json!({"kid": "x".repeat(id), "kty": "RSA", "n": "1"});
            KeySet::read(serde_json::json!({"keys": [key]}).to_string().as_bytes()).unwrap()
        };
        let (long, short) = (set(300), set(256));
        assert_eq!(long, short);
        assert_eq!(long.0.first().map(|(id, _)| id.len()), Some(256));
    }

    #[test]
    fn a_key_is_converted_to_standard_pem() {
        let jwks = br#"{"keys":[{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}"#;
        assert_eq!(
            pem_keys(jwks).unwrap(),
            [
                "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEf83OJ3D2xF1Bg8vub9tLe1gHMzV7\n6e8Tus9uPHvRVEXH8UTNG72bfocs3+257rn0s2ldbqkLJK2KRiMohYjlrQ==\n-----END PUBLIC KEY-----\n"
            ]
        );
    }
}
