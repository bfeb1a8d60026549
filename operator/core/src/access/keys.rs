//! Key sets that issuers publish (RFC 7517), and their PEM form for OpenBao.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::Value;

use super::public_key::PublicKey;
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
            let material = PublicKey::of_jwk(&key).map_or_else(|| unknown(&key), |key| key.digest());
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
        let digests = keys.iter().map(|key| pem_digest(key));
        Self(digests.map(|digest| (digest[..16].to_owned(), digest)).collect())
    }

    /// Returns true if `next` lacks a key of `self`, whatever the IDs are.
    pub fn loses_to(&self, next: &Self) -> bool {
        let next: BTreeSet<&str> = next.0.iter().map(|(_, digest)| digest.as_str()).collect();
        self.0.iter().any(|(_, digest)| !next.contains(digest.as_str()))
    }
}

/// The digest of a key in PEM. The same key has the same digest in a JWKS.
#[must_use]
pub fn pem_digest(key: &str) -> String {
    PublicKey::of_pem(key).map_or_else(|_| digest(key.trim().as_bytes()), |key| key.digest())
}

/// The digest of a key of an unknown type.
fn unknown(key: &Value) -> String {
    let parts = ["kty", "n", "e", "crv", "x", "y"]
        .map(|part| key.get(part).and_then(Value::as_str).unwrap_or_default())
        .join(".");
    digest(parts.as_bytes())
}

/// The keys of a JWKS document in PEM, sorted. Key types that OpenBao does not support are omitted.
///
/// # Errors
/// When the document is not a JWKS.
pub fn pem_keys(document: &[u8]) -> Result<Vec<String>, serde_json::Error> {
    let Jwks { keys } = serde_json::from_slice(document)?;
    let mut pems: Vec<String> = keys.iter().filter_map(PublicKey::of_jwk).map(|key| key.pem()).collect();
    pems.sort();
    Ok(pems)
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

    #[test]
    fn a_rewrapped_key_is_the_same_key() {
        let jwks = br#"{"keys":[{"kid":"a","kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}"#;
        let pem = pem_keys(jwks).unwrap().remove(0);
        let body: String = pem.lines().filter(|line| !line.contains("-----")).collect();
        let lines = [&body[..20], &body[20..60], &body[60..]].join("\r\n");
        let rewrapped = format!("\n-----BEGIN PUBLIC KEY-----\r\n{lines}\r\n-----END PUBLIC KEY-----\r\n");
        assert_eq!(KeySet::of_pem(&[rewrapped]), KeySet::of_pem(std::slice::from_ref(&pem)));
        assert!(
            !KeySet::read(jwks).unwrap().loses_to(&KeySet::of_pem(&[pem])),
            "the same key in another form"
        );
    }
}
