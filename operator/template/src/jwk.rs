//! JSON Web Keys (RFC 7517) to DER.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use num_bigint::BigUint;

use crate::der::{self, EXPLICIT_1};
use crate::json::decoder;
use crate::value::Value;

/// `rsaEncryption`
const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1];
/// `ecPublicKey`
const EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1];
/// `Ed25519`
const ED25519: &[u8] = &[0x2b, 0x65, 0x70];
/// Largest modulus of an RSA key, in bytes.
const LONGEST: usize = 2048;
/// Largest prime of a private RSA key, in bytes.
const LONGEST_PRIME: usize = 512;

/// A JSON Web Key. It has no `Debug`, because it can be private.
pub(crate) struct Jwk(BTreeMap<String, Value>);

/// A curve: its identifier, and the bytes of a coordinate.
type Curve = (&'static [u8], usize);

impl Jwk {
    pub(crate) fn parse(document: &[u8]) -> Option<Self> {
        match decoder::decode(document)? {
            Value::Map(fields) => Some(Self(fields)),
            _ => None,
        }
    }

    fn text(&self, name: &str) -> Option<&str> {
        match self.0.get(name)? {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    fn bytes(&self, name: &str) -> Option<Vec<u8>> {
        let bytes = URL_SAFE_NO_PAD.decode(self.text(name)?.trim_end_matches('=')).ok()?;
        (1..=LONGEST).contains(&bytes.len()).then_some(bytes)
    }

    /// A prime of a private RSA key.
    fn prime(&self, name: &str) -> Option<Vec<u8>> {
        self.bytes(name).filter(|prime| prime.len() <= LONGEST_PRIME)
    }

    /// Steps of [`Self::private`], which computes missing parameters of RSA.
    pub(crate) fn steps(&self) -> usize {
        if ["dp", "dq", "qi"].iter().all(|name| self.bytes(name).is_some()) {
            return 0;
        }
        let length = ["p", "q"].iter().filter_map(|name| self.prime(name)).map(|prime| prime.len()).max();
        length.unwrap_or_default().pow(3) / 1000
    }

    /// A number in `length` bytes.
    fn padded(&self, name: &str, length: usize) -> Option<Vec<u8>> {
        let bytes = self.bytes(name)?;
        let digits = der::significant(&bytes);
        let zeros = length.checked_sub(digits.len())?;
        Some([&vec![0; zeros][..], digits].concat())
    }

    fn curve(&self) -> Option<Curve> {
        match self.text("crv")? {
            "P-256" => Some((&[0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7], 32)),
            "P-384" => Some((&[0x2b, 0x81, 4, 0, 0x22], 48)),
            "P-521" => Some((&[0x2b, 0x81, 4, 0, 0x23], 66)),
            _ => None,
        }
    }

    fn is_ed25519(&self) -> bool {
        self.text("crv") == Some("Ed25519")
    }

    /// The `SubjectPublicKeyInfo`. Of a private key, it is that of its public key.
    pub(crate) fn public(&self) -> Option<Vec<u8>> {
        let (algorithm, key) = match self.text("kty")? {
            "RSA" => {
                (rsa(), der::sequence(&[&der::integer(&self.bytes("n")?), &der::integer(&self.bytes("e")?)]))
            }
            "EC" => (ec(self.curve()?.0), self.point()?),
            "OKP" if self.is_ed25519() => (ed25519(), self.bytes("x").filter(|key| key.len() == 32)?),
            _ => return None,
        };
        Some(der::sequence(&[&algorithm, &der::bits(&key)]))
    }

    /// The `PrivateKeyInfo` (PKCS #8).
    pub(crate) fn private(&self) -> Option<Vec<u8>> {
        match self.text("kty")? {
            "RSA" => Some(pkcs8(&rsa(), &self.rsa_key()?)),
            "EC" => Some(pkcs8(&ec(self.curve()?.0), &self.ec_key()?)),
            "OKP" if self.is_ed25519() => {
                let key = self.bytes("d").filter(|key| key.len() == 32)?;
                Some(pkcs8(&ed25519(), &der::octets(&key)))
            }
            _ => None,
        }
    }

    /// An uncompressed point.
    fn point(&self) -> Option<Vec<u8>> {
        let (_, length) = self.curve()?;
        Some([vec![4], self.padded("x", length)?, self.padded("y", length)?].concat())
    }

    fn ec_key(&self) -> Option<Vec<u8>> {
        let (_, length) = self.curve()?;
        let public = der::element(EXPLICIT_1, &[&der::bits(&self.point()?)]);
        Some(der::sequence(&[&der::integer(&[1]), &der::octets(&self.padded("d", length)?), &public]))
    }

    /// An `RSAPrivateKey`. The parameters of the Chinese remainder theorem are computed if they are missing.
    fn rsa_key(&self) -> Option<Vec<u8>> {
        let [n, e, d] = ["n", "e", "d"].map(|name| self.bytes(name));
        let (n, e, d, p, q) = (n?, e?, d?, self.prime("p")?, self.prime("q")?);
        let factors = [&p, &q].map(|factor| BigUint::from_bytes_be(factor));
        let exponent = |name: &str, factor: &BigUint| {
            let computed = || (BigUint::from_bytes_be(&d) % less(factor, 1)?).to_bytes_be().into();
            self.bytes(name).or_else(computed)
        };
        let (dp, dq) = (exponent("dp", &factors[0])?, exponent("dq", &factors[1])?);
        let inverse = || Some(factors[1].modpow(&less(&factors[0], 2)?, &factors[0]).to_bytes_be());
        let qi = self.bytes("qi").or_else(inverse)?;
        let numbers = [vec![0], n, e, d, p, q, dp, dq, qi].map(|number| der::integer(&number));
        Some(der::sequence(&numbers.each_ref().map(Vec::as_slice)))
    }
}

/// The difference, if it is positive.
fn less(number: &BigUint, by: u32) -> Option<BigUint> {
    (*number > BigUint::from(by)).then(|| number - by)
}

/// The `AlgorithmIdentifier` of RSA.
pub(crate) fn rsa() -> Vec<u8> {
    der::sequence(&[&der::oid(RSA), der::NULL])
}

/// The `AlgorithmIdentifier` of a curve.
pub(crate) fn ec(curve: &[u8]) -> Vec<u8> {
    der::sequence(&[&der::oid(EC), &der::oid(curve)])
}

fn ed25519() -> Vec<u8> {
    der::sequence(&[&der::oid(ED25519)])
}

/// A `PrivateKeyInfo`.
pub(crate) fn pkcs8(algorithm: &[u8], key: &[u8]) -> Vec<u8> {
    der::sequence(&[&der::integer(&[0]), algorithm, &der::octets(key)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Limits, Template};

    /// An RSA key without the parameters of the Chinese remainder theorem, with primes of `length` bytes.
    fn rsa_key(length: usize) -> String {
        let number = URL_SAFE_NO_PAD.encode(vec![0xff; length]);
        let key = ["n", "e", "d", "p", "q"].map(|name| format!(r#""{name}":"{number}""#)).join(",");
        format!(r#"{{"kty":"RSA",{key}}}"#)
    }

    #[test]
    fn a_computation_with_large_primes_is_paid_for_or_refused() {
        let template = Template::parse("t", "{{ jwkPrivateKeyPem . }}").unwrap();
        let render = |length: usize| {
            let limits = Limits { steps: 100_000, ..Limits::default() };
            template.render(&Value::from(rsa_key(length)), &limits).map_err(|error| error.limit)
        };
        assert!(render(64).is_ok());
        assert_eq!(render(LONGEST_PRIME), Err(true));
        assert_eq!(render(LONGEST_PRIME + 1), Err(false));
    }
}
