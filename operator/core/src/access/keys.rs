//! Key sets that issuers publish (RFC 7517), and their PEM form for OpenBao.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde::Deserialize;
use serde_json::Value;

use crate::digest::digest;

/// The keys of an issuer: digest by key ID. A key that was replaced under the same ID has a different digest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeySet(pub BTreeMap<String, String>);

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
                .map_or_else(|| material[..16].to_owned(), str::to_owned);
            (id, material)
        });
        Ok(Self(named.collect()))
    }

    /// The key set of PEM keys.
    pub fn of_pem(keys: &[String]) -> Self {
        let digests = keys.iter().map(|key| digest(key.trim().as_bytes()));
        Self(digests.map(|digest| (digest[..16].to_owned(), digest)).collect())
    }

    /// Returns true if `next` lacks a key of `self`, or has a different key under the same ID.
    pub fn loses_to(&self, next: &Self) -> bool {
        self.0.iter().any(|(id, digest)| next.0.get(id) != Some(digest))
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
