//! Keys of an issuer, and whether a login with them can work.

use std::collections::BTreeSet;

use serde_json::Value;
use steamer_api::{Algorithm, JWTIssuer};
use steamer_core::access::keys::KeySet;
use x509_parser::pem::Pem;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::public_key::PublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;

/// Shortest RSA modulus that is accepted, in bits.
const SHORTEST_RSA: usize = 2048;
/// Length of the base64 text of that modulus.
const SHORTEST_RSA_TEXT: usize = SHORTEST_RSA.div_ceil(6);

/// Keys of an issuer.
#[derive(Debug)]
pub(crate) struct Published {
    pub(crate) keys: KeySet,
    /// Number of keys that a login can use.
    pub(crate) usable: usize,
    /// Reason why no login can work.
    pub(crate) mistake: Option<String>,
}

/// Use of a key in OpenBao.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Use {
    /// It verifies signatures of these algorithms.
    Verifies(Family),
    /// OpenBao ignores it.
    Ignored,
    /// OpenBao cannot read a key set with such a key.
    Unreadable,
}

/// Keys that can be used with the same algorithms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Family {
    Rsa,
    P256,
    P384,
    P521,
    Ed25519,
}

impl Family {
    fn of(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::ES256 => Self::P256,
            Algorithm::ES384 => Self::P384,
            Algorithm::ES512 => Self::P521,
            Algorithm::EdDSA => Self::Ed25519,
            _ => Self::Rsa,
        }
    }

    /// The algorithm that a message suggests.
    fn algorithm(self) -> Algorithm {
        match self {
            Self::Rsa => Algorithm::RS256,
            Self::P256 => Algorithm::ES256,
            Self::P384 => Algorithm::ES384,
            Self::P521 => Algorithm::ES512,
            Self::Ed25519 => Algorithm::EdDSA,
        }
    }
}

impl Published {
    /// Reads a key set. None: the document is not a key set.
    pub(crate) fn read(document: &[u8], issuer: &JWTIssuer) -> Option<Self> {
        let keys = KeySet::read(document).ok()?;
        let document: Value = serde_json::from_slice(document).ok()?;
        let published = document.get("keys")?.as_array()?;
        let uses: Vec<Use> = published.iter().map(of_jwk).collect();
        let unreadable = published.iter().zip(&uses).find(|(_, found)| **found == Use::Unreadable);
        let mistake = unreadable.map(|(key, _)| {
            format!(
                "OpenBao cannot read the key set, because it contains a key of type {}: remove the key from the key set, or \
                 set publicKeys and boundIssuer instead",
                described(key)
            )
        });
        Some(Self::judged(keys, &uses, mistake, issuer))
    }

    /// Parses keys in PEM.
    pub(crate) fn of_pem(pems: &[String], issuer: &JWTIssuer) -> Self {
        let uses: Vec<Use> = pems.iter().map(|pem| of_pem(pem).unwrap_or(Use::Unreadable)).collect();
        let unreadable = uses.iter().position(|found| *found == Use::Unreadable);
        let mistake = unreadable.map(|index| {
            format!(
                "publicKeys[{index}] is not one public key or certificate in PEM that OpenBao can read: copy exactly one \
                 complete block, from its BEGIN line to its END line"
            )
        });
        Self::judged(KeySet::of_pem(pems), &uses, mistake, issuer)
    }

    fn judged(keys: KeySet, uses: &[Use], mistake: Option<String>, issuer: &JWTIssuer) -> Self {
        let accepted: BTreeSet<Family> = issuer.spec.algorithms.iter().copied().map(Family::of).collect();
        let is_usable = |found: &&Use| matches!(found, Use::Verifies(family) if accepted.contains(family));
        let usable = uses.iter().filter(is_usable).count();
        let mistake = mistake.or_else(|| (usable == 0).then(|| without_usable_key(uses, issuer)));
        Self { keys, usable, mistake }
    }

    /// Message of the status.
    pub(crate) fn described(&self) -> String {
        match self.keys.0.len().saturating_sub(self.usable) {
            0 => format!("{} keys", self.usable),
            left_out => format!("{} keys; {left_out} other keys cannot be used for logins", self.usable),
        }
    }
}

fn without_usable_key(uses: &[Use], issuer: &JWTIssuer) -> String {
    let other = uses.iter().find_map(|found| match found {
        Use::Verifies(family) => Some(family.algorithm()),
        _ => None,
    });
    let algorithms = &issuer.spec.algorithms;
    match other {
        Some(algorithm) => format!(
            "no login can work: none of the {} keys can be used with algorithms {algorithms:?}; add the algorithm of the \
             issuer, such as {algorithm:?}, to spec.algorithms",
            uses.len()
        ),
        None if uses.is_empty() => "no login can work: the key set contains no key".to_owned(),
        None => format!(
            "no login can work: none of the {} keys is a public signature key that OpenBao accepts; RSA keys need at least \
             {SHORTEST_RSA} bits",
            uses.len()
        ),
    }
}

/// Type and curve of a key, as a message shows them.
fn described(key: &Value) -> String {
    let part = |name: &str| key.get(name).and_then(Value::as_str).unwrap_or_default();
    let text = format!("{} {}", part("kty"), part("crv"));
    text.trim().chars().filter(|character| !character.is_control()).take(64).collect()
}

fn of_jwk(key: &Value) -> Use {
    let part = |name: &str| key.get(name).and_then(Value::as_str).unwrap_or_default();
    let family = match (part("kty"), part("crv")) {
        ("RSA", _) if part("n").trim_end_matches('=').len() < SHORTEST_RSA_TEXT => return Use::Ignored,
        ("RSA", _) => Family::Rsa,
        ("EC", "P-256") => Family::P256,
        ("EC", "P-384") => Family::P384,
        ("EC", "P-521") => Family::P521,
        ("OKP", "Ed25519") => Family::Ed25519,
        ("oct", _) => return Use::Ignored,
        _ => return Use::Unreadable,
    };
    if part("use") == "enc" { Use::Ignored } else { Use::Verifies(family) }
}

/// None: the text is not one block of PEM.
fn of_pem(text: &str) -> Option<Use> {
    let blocks: Vec<Pem> = Pem::iter_from_buffer(text.trim().as_bytes()).collect::<Result<_, _>>().ok()?;
    let [block] = blocks.as_slice() else { return None };
    match block.label.as_str() {
        "PUBLIC KEY" => {
            let (rest, key) = SubjectPublicKeyInfo::from_der(&block.contents).ok()?;
            rest.is_empty().then(|| of_public_key(&key))
        }
        "CERTIFICATE" => {
            let (_, certificate) = X509Certificate::from_der(&block.contents).ok()?;
            Some(of_public_key(certificate.public_key()))
        }
        _ => None,
    }
}

fn of_public_key(key: &SubjectPublicKeyInfo<'_>) -> Use {
    let parameter = key.algorithm.parameters.as_ref().and_then(|found| found.as_oid().ok());
    let parameter = parameter.map(|oid| oid.to_id_string()).unwrap_or_default();
    let algorithm = key.algorithm.algorithm.to_id_string();
    match (algorithm.as_str(), parameter.as_str()) {
        ("1.2.840.113549.1.1.1", _) => match key.parsed() {
            Ok(PublicKey::RSA(rsa)) if rsa.key_size() < SHORTEST_RSA => Use::Ignored,
            Ok(PublicKey::RSA(_)) => Use::Verifies(Family::Rsa),
            _ => Use::Unreadable,
        },
        ("1.2.840.10045.2.1", "1.2.840.10045.3.1.7") => Use::Verifies(Family::P256),
        ("1.2.840.10045.2.1", "1.3.132.0.34") => Use::Verifies(Family::P384),
        ("1.2.840.10045.2.1", "1.3.132.0.35") => Use::Verifies(Family::P521),
        ("1.3.101.112", _) => Use::Verifies(Family::Ed25519),
        _ => Use::Unreadable,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    fn issuer(algorithms: &[&str]) -> JWTIssuer {
        let spec = json!({"jwksUrl": "https://gitlab/keys", "boundIssuer": "i", "algorithms": algorithms});
        JWTIssuer::new("gitlab", serde_json::from_value(spec).unwrap())
    }

    fn rsa(bytes: usize) -> Value {
        json!({"kty": "RSA", "n": "x".repeat((bytes * 4).div_ceil(3)), "e": "AQAB"})
    }

    fn with_use(mut key: Value, purpose: &str) -> Value {
        key["use"] = json!(purpose);
        key
    }

    fn curve(kty: &str, crv: &str) -> Value {
        json!({"kty": kty, "crv": crv, "x": crv, "y": "y"})
    }

    const NONE: &str = "no login can work: the key set contains no key";
    const OTHER: &str = r#"none of the 1 keys can be used with algorithms [RS256]; add the algorithm of the issuer, such as ES256"#;
    const WEAK: &str = "RSA keys need at least 2048 bits";
    const CURVE: &str = "it contains a key of type EC secp256k1: remove the key";

    #[rstest]
    #[case::rsa(vec![rsa(256)], &["RS256"], "1 keys")]
    #[case::pss(vec![rsa(512)], &["PS512"], "1 keys")]
    #[case::empty(vec![], &["RS256"], NONE)]
    #[case::another_algorithm(vec![curve("EC", "P-256")], &["RS256"], OTHER)]
    #[case::both(vec![curve("EC", "P-256"), rsa(256)], &["RS256", "ES256"], "2 keys")]
    #[case::left_out(vec![curve("EC", "P-256"), rsa(256)], &["RS256"], "1 keys; 1 other keys cannot be used for logins")]
    #[case::ed25519(vec![curve("OKP", "Ed25519")], &["EdDSA"], "1 keys")]
    #[case::weak(vec![rsa(128)], &["RS256"], WEAK)]
    #[case::symmetric(vec![json!({"kty": "oct", "k": "x"})], &["RS256"], WEAK)]
    #[case::encryption(vec![with_use(rsa(256), "enc")], &["RS256"], WEAK)]
    #[case::signature(vec![with_use(rsa(256), "sig")], &["RS256"], "1 keys")]
    #[case::secp256k1(vec![rsa(256), curve("EC", "secp256k1")], &["RS256"], CURVE)]
    #[case::new_type(vec![rsa(256), json!({"kty": "AKP", "alg": "ML-DSA-44"})], &["RS256"], "a key of type AKP")]
    #[case::key_agreement(vec![rsa(256), curve("OKP", "X25519")], &["RS256"], "a key of type OKP X25519")]
    fn a_key_set_must_contain_a_key_that_a_login_can_use(
        #[case] keys: Vec<Value>,
        #[case] algorithms: &[&str],
        #[case] expected: &str,
    ) {
        let document = json!({"keys": keys}).to_string();
        let published = Published::read(document.as_bytes(), &issuer(algorithms)).unwrap();
        let text = published.mistake.clone().unwrap_or_else(|| published.described());
        assert!(text.contains(expected), "{text}");
        assert_eq!(published.mistake.is_none(), expected.starts_with(|c: char| c.is_ascii_digit()), "{text}");
    }

    /// A P-256 key.
    const PEM: &str = "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEf83OJ3D2xF1Bg8vub9tLe1gHMzV7\n6e8Tus9uPHvRVEXH8UTNG72bfocs3+257rn0s2ldbqkLJK2KRiMohYjlrQ==\n-----END PUBLIC KEY-----\n";
    const UNREADABLE: &str = "publicKeys[0] is not one public key";

    #[rstest]
    #[case::key(PEM.to_owned(), "")]
    #[case::line_ends(PEM.replace('\n', "\r\n"), "")]
    #[case::junk(PEM.replace("MFkw", "junk"), UNREADABLE)]
    #[case::cut(PEM.replace("-----END PUBLIC KEY-----\n", ""), UNREADABLE)]
    #[case::shortened(PEM.replace("6e8Tus9uPHvRVEXH8UTNG72bfocs3+257rn0s2ldbqkLJK2KRiMohYjlrQ==\n", ""), UNREADABLE)]
    #[case::two_blocks(PEM.repeat(2), UNREADABLE)]
    #[case::private(PEM.replace("PUBLIC", "PRIVATE"), UNREADABLE)]
    #[case::no_pem("key".to_owned(), UNREADABLE)]
    fn a_public_key_is_parsed(#[case] pem: String, #[case] expected: &str) {
        let published = Published::of_pem(&[pem], &issuer(&["ES256"]));
        let text = published.mistake.unwrap_or_default();
        assert!(text.starts_with(expected) && text.is_empty() == expected.is_empty(), "{text}");
    }
}
