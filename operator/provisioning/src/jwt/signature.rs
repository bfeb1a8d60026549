//! Signatures of tokens.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ECDSA_P521_SHA512_FIXED, ED25519, ParsedPublicKey,
    RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY, RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY,
    RSA_PKCS1_2048_8192_SHA384, RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512,
    VerificationAlgorithm,
};
use serde_json::Value;
use steamer_core::access::public_key::PublicKey;

use crate::jwt::token::Token;

/// A key of an issuer.
#[derive(Clone, Debug)]
pub struct Key {
    /// ID in the key set. None for a key in PEM.
    pub id: Option<String>,
    /// The key.
    pub key: PublicKey,
}

/// Result of a verification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verification {
    /// One of the keys made the signature.
    Valid,
    /// No key made the signature.
    Invalid,
    /// The keys of the issuer are not known.
    Unknown,
}

/// The keys of a key set (RFC 7517) that OpenBao can read.
#[must_use]
pub fn keys_of_set(set: &Value) -> Vec<Key> {
    let keys = set["keys"].as_array().into_iter().flatten();
    let key = |jwk: &Value| {
        let id = jwk["kid"].as_str().map(str::to_owned);
        PublicKey::of_jwk(jwk).map(|key| Key { id, key })
    };
    keys.filter_map(key).collect()
}

/// Verifies the signature of a token. As in OpenBao, the ID in the header selects the keys of a key set.
#[must_use]
pub fn verified(token: &Token, keys: Option<&[Key]>) -> Verification {
    let Some(keys) = keys else { return Verification::Unknown };
    let Some(algorithm) = algorithm(token.header("alg")) else { return Verification::Invalid };
    let id = token.header("kid");
    let mut chosen = keys.iter().filter(|key| id.is_empty() || key.id.as_deref().is_none_or(|it| it == id));
    let signs = |key: &Key| {
        let parsed = ParsedPublicKey::new(algorithm, key.key.der());
        parsed.is_ok_and(|parsed| parsed.verify_sig(token.signed.as_bytes(), &token.signature).is_ok())
    };
    if chosen.any(signs) { Verification::Valid } else { Verification::Invalid }
}

fn algorithm(name: &str) -> Option<&'static dyn VerificationAlgorithm> {
    Some(match name {
        "RS256" => &RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY,
        "RS384" => &RSA_PKCS1_2048_8192_SHA384,
        "RS512" => &RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY,
        "PS256" => &RSA_PSS_2048_8192_SHA256,
        "PS384" => &RSA_PSS_2048_8192_SHA384,
        "PS512" => &RSA_PSS_2048_8192_SHA512,
        "ES256" => &ECDSA_P256_SHA256_FIXED,
        "ES384" => &ECDSA_P384_SHA384_FIXED,
        "ES512" => &ECDSA_P521_SHA512_FIXED,
        "EdDSA" => &ED25519,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256,
    };
    use data_encoding::{BASE64, BASE64URL_NOPAD};
    use serde_json::json;

    use super::*;

    fn pem(der: &[u8]) -> PublicKey {
        let text = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", BASE64.encode(der));
        PublicKey::of_pem(&text).unwrap()
    }

    fn input(algorithm: &str, id: &str) -> String {
        let part = |value: Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
        format!("{}.{}", part(json!({"alg": algorithm, "kid": id})), part(json!({"sub": "a"})))
    }

    /// A token and its key, for each kind of key.
    fn signed(algorithm: &str) -> (Token, PublicKey) {
        let text = input(algorithm, "k");
        let (key, signature) = match algorithm {
            "RS256" => {
                let pair = aws_lc_rs::rsa::KeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).unwrap();
                let der = AsDer::<PublicKeyX509Der<'_>>::as_der(pair.public_key()).unwrap();
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text.as_bytes(), &mut signature).unwrap();
                (pem(der.as_ref()), signature)
            }
            "ES256" => {
                let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
                let der = AsDer::<PublicKeyX509Der<'_>>::as_der(pair.public_key()).unwrap();
                let signature = pair.sign(&SystemRandom::new(), text.as_bytes()).unwrap();
                (pem(der.as_ref()), signature.as_ref().to_vec())
            }
            _ => {
                let pair = Ed25519KeyPair::generate().unwrap();
                let der = AsDer::<PublicKeyX509Der<'_>>::as_der(pair.public_key()).unwrap();
                (pem(der.as_ref()), pair.sign(text.as_bytes()).as_ref().to_vec())
            }
        };
        (Token::parse(&format!("{text}.{}", BASE64URL_NOPAD.encode(&signature))).unwrap(), key)
    }

    #[test]
    fn only_the_key_of_a_token_verifies_it() {
        for algorithm in ["RS256", "ES256", "EdDSA"] {
            let (token, key) = signed(algorithm);
            let (_, other) = signed(algorithm);
            let known =
                |id: Option<&str>, key: &PublicKey| Key { id: id.map(str::to_owned), key: key.clone() };
            let result = |keys: &[Key]| verified(&token, Some(keys));
            assert_eq!(result(&[known(Some("k"), &key)]), Verification::Valid, "{algorithm}");
            assert_eq!(result(&[known(None, &other), known(None, &key)]), Verification::Valid);
            assert_eq!(result(&[known(Some("other"), &key)]), Verification::Invalid, "the ID selects keys");
            assert_eq!(result(&[known(Some("k"), &other)]), Verification::Invalid);
            assert_eq!(verified(&token, None), Verification::Unknown);
        }
    }

    #[test]
    fn a_token_without_a_signature_is_invalid() {
        let (_, key) = signed("EdDSA");
        for algorithm in ["none", "HS256", ""] {
            let token = Token::parse(&format!("{}.", input(algorithm, ""))).unwrap();
            assert_eq!(verified(&token, Some(&[Key { id: None, key: key.clone() }])), Verification::Invalid);
        }
    }
}
