//! Keys of an issuer, and whether a login with them can work.

use std::collections::BTreeSet;

use serde_json::Value;
use steamer_api::{Algorithm, JWTIssuer};
use steamer_core::access::keys::KeySet;
use steamer_core::access::public_key::{Family, PublicKey, Unreadable};

/// Shortest RSA modulus that is accepted, in bits.
const SHORTEST_RSA: usize = 2048;
/// Types of unreadable keys in a message.
const MOST_TYPES: usize = 3;

/// Keys of an issuer.
#[derive(Debug)]
pub(crate) struct Published {
    pub(crate) keys: KeySet,
    /// Keys that a login can use, in PEM.
    pub(crate) usable: Vec<String>,
    /// Types of the keys that OpenBao cannot read.
    pub(crate) unreadable: Vec<String>,
    /// Reason why no login can work.
    pub(crate) mistake: Option<String>,
}

/// Use of a key in OpenBao.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Use {
    /// It verifies signatures.
    Verifies(PublicKey),
    /// OpenBao ignores it.
    Ignored,
    /// OpenBao cannot read a key set with a key of this type.
    Unreadable(String),
}

fn family(algorithm: Algorithm) -> Family {
    match algorithm {
        Algorithm::ES256 => Family::P256,
        Algorithm::ES384 => Family::P384,
        Algorithm::ES512 => Family::P521,
        Algorithm::EdDSA => Family::Ed25519,
        _ => Family::Rsa,
    }
}

/// The algorithm that a message suggests.
fn algorithm(family: Family) -> Algorithm {
    match family {
        Family::Rsa => Algorithm::RS256,
        Family::P256 => Algorithm::ES256,
        Family::P384 => Algorithm::ES384,
        Family::P521 => Algorithm::ES512,
        Family::Ed25519 => Algorithm::EdDSA,
    }
}

impl Published {
    /// Reads a key set. None: the document is not a key set.
    pub(crate) fn read(document: &[u8], issuer: &JWTIssuer) -> Option<Self> {
        let keys = KeySet::read(document).ok()?;
        let document: Value = serde_json::from_slice(document).ok()?;
        let published = document.get("keys")?.as_array()?;
        let uses: Vec<Use> = published.iter().map(of_jwk).collect();
        Some(Self::judged(keys, &uses, issuer))
    }

    /// Parses keys in PEM.
    pub(crate) fn of_pem(pems: &[String], issuer: &JWTIssuer) -> Self {
        let mistake = pems.iter().position(|pem| PublicKey::of_pem(pem) == Err(Unreadable::Text)).map(|index| {
            format!(
                "publicKeys[{index}] is not one public key or certificate in PEM that OpenBao can read: copy exactly one \
                 complete block, from its BEGIN line to its END line"
            )
        });
        let uses: Vec<Use> = pems.iter().map(|pem| of_pem(pem)).collect();
        let judged = Self::judged(KeySet::of_pem(pems), &uses, issuer);
        Self { mistake: mistake.or(judged.mistake), ..judged }
    }

    fn judged(keys: KeySet, uses: &[Use], issuer: &JWTIssuer) -> Self {
        let accepted: BTreeSet<Family> = issuer.spec.algorithms.iter().copied().map(family).collect();
        let usable = uses.iter().filter_map(|found| match found {
            Use::Verifies(key) if accepted.contains(&key.family) => Some(key.pem()),
            _ => None,
        });
        let unreadable = uses.iter().filter_map(|found| match found {
            Use::Unreadable(kind) => Some(kind.clone()),
            _ => None,
        });
        let (usable, unreadable) = (usable.collect::<Vec<_>>(), unreadable.collect());
        let mistake = usable.is_empty().then(|| without_usable_key(uses, issuer));
        Self { keys, usable, unreadable, mistake }
    }

    /// Message of the status.
    pub(crate) fn described(&self) -> String {
        let (usable, unreadable) = (self.usable.len(), self.unreadable.len());
        let mut text = format!("{usable} keys");
        match self.keys.0.len().saturating_sub(usable + unreadable) {
            0 => {}
            others => text.push_str(&format!("; {others} other keys cannot be used for logins")),
        }
        if unreadable > 0 {
            let kinds: BTreeSet<&str> = self.unreadable.iter().map(String::as_str).collect();
            let kinds = kinds.into_iter().take(MOST_TYPES).collect::<Vec<_>>().join(", ");
            text.push_str(&format!(
                "; {unreadable} keys are left out, because OpenBao cannot read them ({kinds}): auth mounts contain the usable \
                 keys, and a new key works after the next fetch"
            ));
        }
        text
    }
}

fn without_usable_key(uses: &[Use], issuer: &JWTIssuer) -> String {
    let other = uses.iter().find_map(|found| match found {
        Use::Verifies(key) => Some(algorithm(key.family)),
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
    match PublicKey::of_jwk(key).filter(|_| has_texts(key)) {
        None if part("kty") == "oct" => Use::Ignored,
        None => Use::Unreadable(described(key)),
        Some(_) if part("use") == "enc" => Use::Ignored,
        Some(key) => of_key(key),
    }
}

/// OpenBao rejects a key set with a member of another type.
fn has_texts(key: &Value) -> bool {
    ["kid", "use", "alg"].iter().all(|name| key.get(name).is_none_or(Value::is_string))
}

fn of_pem(text: &str) -> Use {
    PublicKey::of_pem(text).map_or_else(|_| Use::Unreadable("PEM".to_owned()), of_key)
}

fn of_key(key: PublicKey) -> Use {
    let is_short = key.family == Family::Rsa && key.modulus_bits < SHORTEST_RSA;
    if is_short { Use::Ignored } else { Use::Verifies(key) }
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

    /// A key with the generator of P-256.
    fn curve(kty: &str, crv: &str) -> Value {
        let (x, y) =
            ("axfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpY", "T-NC4v4af5uO5-tKfA-eFivOM1drMV7Oy7ZAaDe_UfU");
        json!({"kty": kty, "crv": crv, "x": x, "y": y})
    }

    fn with(mut key: Value, member: &str, value: Value) -> Value {
        key[member] = value;
        key
    }

    const NONE: &str = "no login can work: the key set contains no key";
    const OTHER: &str = r#"none of the 1 keys can be used with algorithms [RS256]; add the algorithm of the issuer, such as ES256"#;
    const WEAK: &str = "RSA keys need at least 2048 bits";
    const CURVE: &str =
        "1 keys; 1 keys are left out, because OpenBao cannot read them (EC secp256k1): auth mounts contain";
    const ONLY_CURVE: &str = "none of the 1 keys is a public signature key that OpenBao accepts";

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
    #[case::new_type(vec![rsa(256), json!({"kty": "AKP", "alg": "ML-DSA-44"})], &["RS256"], "1 keys; 1 keys are left out, because OpenBao cannot read them (AKP)")]
    #[case::key_agreement(vec![rsa(256), curve("OKP", "X25519")], &["RS256"], "1 keys; 1 keys are left out, because OpenBao cannot read them (OKP X25519)")]
    #[case::only_unreadable(vec![curve("EC", "secp256k1")], &["RS256"], ONLY_CURVE)]
    #[case::two_unreadable(vec![curve("EC", "A"), rsa(256), with(curve("EC", "A"), "x", json!("x")), rsa(128)], &["RS256"], "1 keys; 1 other keys cannot be used for logins; 2 keys are left out, because OpenBao cannot read them (EC A)")]
    #[case::no_coordinate(vec![rsa(256), with(curve("EC", "P-256"), "y", Value::Null)], &["RS256"], "1 keys; 1 keys are left out")]
    #[case::off_the_curve(vec![rsa(256), with(curve("EC", "P-256"), "y", json!("A".repeat(43)))], &["RS256"], "1 keys; 1 keys are left out")]
    #[case::numeric_id(vec![rsa(256), with(curve("EC", "P-256"), "kid", json!(7))], &["RS256"], "1 keys; 1 keys are left out")]
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
        assert!(published.usable.iter().all(|pem| PublicKey::of_pem(pem).is_ok()), "{published:?}");
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
