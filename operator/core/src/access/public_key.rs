//! Public keys that OpenBao can read. A key is identified by its material, which is the same in a JWK, a PEM block and a
//! certificate.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P384_SHA384_ASN1, ECDSA_P521_SHA512_ASN1, EcdsaVerificationAlgorithm,
    ParsedPublicKey,
};
use base64::Engine;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use serde_json::Value;
use x509_parser::pem::Pem;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::public_key::PublicKey as Parsed;
use x509_parser::x509::SubjectPublicKeyInfo;

use crate::digest::digest;

/// Base64url as OpenBao reads it.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::URL_SAFE,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);
/// Longest RSA modulus and exponent, in bytes.
const LONGEST_RSA: (usize, usize) = (2048, 4);

/// Keys that can be used with the same algorithms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// RSA.
    Rsa,
    /// Elliptic curve P-256.
    P256,
    /// Elliptic curve P-384.
    P384,
    /// Elliptic curve P-521.
    P521,
    /// Ed25519.
    Ed25519,
}

/// A public key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    /// Its family.
    pub family: Family,
    /// Length of the RSA modulus, in bits. 0 for other families.
    pub modulus_bits: usize,
    /// SubjectPublicKeyInfo (RFC 5280).
    der: Vec<u8>,
}

/// Reason why a PEM text contains no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// It is not exactly one complete block of a public key or certificate.
    Text,
    /// OpenBao does not support the key.
    Key,
}

impl Family {
    /// AlgorithmIdentifier in DER.
    fn algorithm(self) -> &'static [u8] {
        match self {
            Self::Rsa => &[0x30, 13, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 13, 1, 1, 1, 5, 0],
            Self::P256 => &[
                0x30, 19, 6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1,
                7,
            ],
            Self::P384 => &[0x30, 16, 6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 5, 0x2b, 0x81, 4, 0, 0x22],
            Self::P521 => &[0x30, 16, 6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 5, 0x2b, 0x81, 4, 0, 0x23],
            Self::Ed25519 => &[0x30, 5, 6, 3, 0x2b, 0x65, 0x70],
        }
    }

    /// Verification on the elliptic curve. None for other families.
    fn verification(self) -> Option<&'static EcdsaVerificationAlgorithm> {
        match self {
            Self::P256 => Some(&ECDSA_P256_SHA256_ASN1),
            Self::P384 => Some(&ECDSA_P384_SHA384_ASN1),
            Self::P521 => Some(&ECDSA_P521_SHA512_ASN1),
            Self::Rsa | Self::Ed25519 => None,
        }
    }

    /// Length of a coordinate, in bytes. 0 for RSA.
    fn coordinate(self) -> usize {
        match self {
            Self::Rsa => 0,
            Self::P256 | Self::Ed25519 => 32,
            Self::P384 => 48,
            Self::P521 => 66,
        }
    }
}

impl PublicKey {
    /// Parses a key of a key set (RFC 7517). None: OpenBao cannot read it.
    #[must_use]
    pub fn of_jwk(key: &Value) -> Option<Self> {
        let text = |name: &str| key.get(name).and_then(Value::as_str).unwrap_or_default();
        let part = |name: &str| BASE64.decode(text(name)).ok();
        match (text("kty"), text("crv")) {
            ("RSA", _) => Self::rsa(&part("n")?, &part("e")?),
            ("EC", "P-256") => Self::elliptic(Family::P256, &part("x")?, &part("y")?),
            ("EC", "P-384") => Self::elliptic(Family::P384, &part("x")?, &part("y")?),
            ("EC", "P-521") => Self::elliptic(Family::P521, &part("x")?, &part("y")?),
            ("OKP", "Ed25519") => Self::raw(Family::Ed25519, part("x")?),
            _ => None,
        }
    }

    /// Parses a public key or a certificate in PEM.
    ///
    /// # Errors
    /// The reason why it contains no key.
    pub fn of_pem(text: &str) -> Result<Self, Unreadable> {
        let blocks = Pem::iter_from_buffer(text.trim().as_bytes()).collect::<Result<Vec<_>, _>>();
        let blocks = blocks.map_err(|_| Unreadable::Text)?;
        let [Pem { label, contents }] = blocks.as_slice() else { return Err(Unreadable::Text) };
        match label.as_str() {
            "PUBLIC KEY" => match SubjectPublicKeyInfo::from_der(contents) {
                Ok(([], key)) => Self::of_info(&key).ok_or(Unreadable::Key),
                _ => Err(Unreadable::Text),
            },
            "CERTIFICATE" => {
                let (_, certificate) = X509Certificate::from_der(contents).map_err(|_| Unreadable::Text)?;
                Self::of_info(certificate.public_key()).ok_or(Unreadable::Key)
            }
            _ => Err(Unreadable::Text),
        }
    }

    fn of_info(key: &SubjectPublicKeyInfo<'_>) -> Option<Self> {
        let parameter = key.algorithm.parameters.as_ref().and_then(|found| found.as_oid().ok());
        let parameter = parameter.map(|oid| oid.to_id_string()).unwrap_or_default();
        let bytes = key.subject_public_key.data.as_ref();
        match (key.algorithm.algorithm.to_id_string().as_str(), parameter.as_str()) {
            ("1.2.840.113549.1.1.1", _) => match key.parsed() {
                Ok(Parsed::RSA(rsa)) => Self::rsa(rsa.modulus, rsa.exponent),
                _ => None,
            },
            ("1.2.840.10045.2.1", "1.2.840.10045.3.1.7") => Self::point(Family::P256, bytes),
            ("1.2.840.10045.2.1", "1.3.132.0.34") => Self::point(Family::P384, bytes),
            ("1.2.840.10045.2.1", "1.3.132.0.35") => Self::point(Family::P521, bytes),
            ("1.3.101.112", _) => Self::raw(Family::Ed25519, bytes.to_vec()),
            _ => None,
        }
    }

    fn rsa(modulus: &[u8], exponent: &[u8]) -> Option<Self> {
        let (modulus, exponent) = (significant(modulus), significant(exponent));
        let is_valid =
            (1..=LONGEST_RSA.0).contains(&modulus.len()) && (1..=LONGEST_RSA.1).contains(&exponent.len());
        let first = modulus.first().filter(|_| is_valid)?;
        let modulus_bits = modulus.len() * 8 - usize::try_from(first.leading_zeros()).unwrap_or_default();
        let content = der(0x30, &[integer(modulus), integer(exponent)].concat());
        Some(Self { modulus_bits, ..Self::encoded(Family::Rsa, content) })
    }

    /// A point on its curve. OpenBao rejects other points.
    fn elliptic(family: Family, x: &[u8], y: &[u8]) -> Option<Self> {
        let size = family.coordinate();
        let point = (x.len() == size && y.len() == size).then(|| [&[4], x, y].concat())?;
        ParsedPublicKey::new(family.verification()?, &point).ok()?;
        Some(Self::encoded(family, point))
    }

    /// An uncompressed point. OpenBao does not read compressed ones.
    fn point(family: Family, point: &[u8]) -> Option<Self> {
        let (x, y) = point.strip_prefix(&[4])?.split_at_checked(family.coordinate())?;
        Self::elliptic(family, x, y)
    }

    fn raw(family: Family, key: Vec<u8>) -> Option<Self> {
        (key.len() == family.coordinate()).then(|| Self::encoded(family, key))
    }

    fn encoded(family: Family, key: Vec<u8>) -> Self {
        let bits = der(0x03, &[vec![0], key].concat());
        Self { family, modulus_bits: 0, der: der(0x30, &[family.algorithm().to_vec(), bits].concat()) }
    }

    /// The key in PEM.
    #[must_use]
    pub fn pem(&self) -> String {
        let encoded = STANDARD.encode(&self.der);
        let lines: Vec<&str> =
            encoded.as_bytes().chunks(64).filter_map(|line| std::str::from_utf8(line).ok()).collect();
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n"))
    }

    /// The key as SubjectPublicKeyInfo (RFC 5280), in DER.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// SHA-256 of the material.
    #[must_use]
    pub fn digest(&self) -> String {
        digest(&self.der)
    }
}

/// An unsigned integer without leading zeros.
fn significant(bytes: &[u8]) -> &[u8] {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    &bytes[zeros..]
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
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    fn text(bytes: &[u8]) -> String {
        BASE64.encode(bytes)
    }

    fn rsa(modulus: &[u8]) -> Value {
        json!({"kty": "RSA", "n": text(modulus), "e": "AQAB"})
    }

    fn modulus() -> Vec<u8> {
        (0..=255).map(|byte: u8| byte | 0x80).collect()
    }

    /// Generators of the curves (SEC 2).
    const P256: [&str; 2] =
        ["axfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpY", "T-NC4v4af5uO5-tKfA-eFivOM1drMV7Oy7ZAaDe_UfU"];
    const P384: [&str; 2] = [
        "qofKIr6LBTeOscce8yCtdG4dO2KLp5uYWfdB4IJUKjhVAvJdv1UpbDpUXjhydgq3",
        "NhfeSpYmLG9dnpi_kpLcKfj0Hb0omhR86doxE7XwuMAKYLHOHX6BnXpDHXyQ6g5f",
    ];
    const P521: [&str; 2] = [
        "AMaFjga3BATpzZ4-y2YjlbRCnGSBOQU_tSH4KK9ga009uqFLXnfv51ko_h3BJ6L_qN4zSLPBhWpCm_l-fjHC5b1m",
        "ARg5KWp4mjvABFyKX7QsfRvZmPVESVebRGgXr70XJz5mLJfucple9CZAxVC5AT-tB2E1PHCGonLCQIi-lHaf0WZQ",
    ];

    fn point(crv: &str, [x, y]: [&str; 2]) -> Value {
        json!({"kty": "EC", "crv": crv, "x": x, "y": y})
    }

    fn curve(kty: &str, crv: &str, size: usize) -> Value {
        json!({"kty": kty, "crv": crv, "x": text(&vec![1; size]), "y": text(&vec![2; size])})
    }

    #[rstest]
    #[case::rsa(rsa(&modulus()), Some((Family::Rsa, 2048)))]
    #[case::short_rsa(rsa(&[1; 128]), Some((Family::Rsa, 1017)))]
    #[case::p256(point("P-256", P256), Some((Family::P256, 0)))]
    #[case::p384(point("P-384", P384), Some((Family::P384, 0)))]
    #[case::p521(point("P-521", P521), Some((Family::P521, 0)))]
    #[case::off_p256(curve("EC", "P-256", 32), None)]
    #[case::off_p384(curve("EC", "P-384", 48), None)]
    #[case::off_p521(curve("EC", "P-521", 66), None)]
    #[case::swapped(point("P-256", [P256[1], P256[0]]), None)]
    #[case::origin(point("P-256", ["AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"; 2]), None)]
    #[case::ed25519(curve("OKP", "Ed25519", 32), Some((Family::Ed25519, 0)))]
    #[case::short_coordinate(curve("EC", "P-256", 31), None)]
    #[case::secp256k1(curve("EC", "secp256k1", 32), None)]
    #[case::key_agreement(curve("OKP", "X25519", 32), None)]
    #[case::no_modulus(json!({"kty": "RSA", "e": "AQAB"}), None)]
    #[case::zero(rsa(&[0, 0]), None)]
    #[case::huge(rsa(&[1; 3000]), None)]
    #[case::no_base64(json!({"kty": "RSA", "n": "+/", "e": "AQAB"}), None)]
    #[case::number(json!({"kty": "RSA", "n": 1, "e": 2}), None)]
    fn a_key_keeps_its_material_in_every_form(#[case] jwk: Value, #[case] expected: Option<(Family, usize)>) {
        let key = PublicKey::of_jwk(&jwk);
        assert_eq!(key.as_ref().map(|key| (key.family, key.modulus_bits)), expected);
        let Some(key) = key else { return };
        let pem = key.pem();
        let rewrapped = pem.replace("-----\n", "-----\r\n").replace('=', "=\r\n").replace("\r\n\n", "\r\n");
        for text in [pem.clone(), format!("\n{pem}\n\n"), rewrapped] {
            assert_eq!(PublicKey::of_pem(&text), Ok(key.clone()), "{text}");
        }
    }

    #[test]
    fn leading_zeros_and_padding_are_not_material() {
        let zero = text(&[&[0], &modulus()[..]].concat());
        assert!(zero.ends_with('='));
        let padded = json!({"kty": "RSA", "n": zero, "e": "AAEAAQ=="});
        let digest = |key: &Value| PublicKey::of_jwk(key).map(|key| key.digest());
        assert_eq!(digest(&padded), digest(&rsa(&modulus())));
        assert_ne!(digest(&rsa(&[200; 256])), digest(&rsa(&modulus())));
    }

    #[rstest]
    #[case::text("key", Unreadable::Text)]
    #[case::private("-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----", Unreadable::Text)]
    #[case::junk("-----BEGIN PUBLIC KEY-----\nMAA=\n-----END PUBLIC KEY-----", Unreadable::Text)]
    fn a_text_without_a_key_is_told_from_a_key_that_is_not_supported(
        #[case] text: &str,
        #[case] expected: Unreadable,
    ) {
        assert_eq!(PublicKey::of_pem(text), Err(expected));
        let mut x25519 = PublicKey::of_jwk(&curve("OKP", "Ed25519", 32)).unwrap();
        if let Some(last) = x25519.der.get_mut(8) {
            *last = 0x6e;
        }
        assert_eq!(PublicKey::of_pem(&x25519.pem()), Err(Unreadable::Key));
    }
}
