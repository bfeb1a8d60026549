//! Encryption with a password.

use std::num::NonZeroU32;

use aws_lc_rs::cipher::{
    AES_128, AES_256, Algorithm, DecryptionContext, EncryptionContext, PaddedBlockDecryptingKey,
    PaddedBlockEncryptingKey, UnboundCipherKey,
};
use aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY;
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::pbkdf2;

use super::derivation::{Cost, Use, derive};
use super::password::Password;
use super::problem::{unsupported, wrong};
use super::{legacy, oids};
use crate::der::{self, OCTET_STRING, OID, Reader, SEQUENCE};
use crate::error::Fault;
use crate::scope::Scope;

/// Digests of a key that is written.
pub(super) const ITERATIONS: u16 = 2048;

/// Decrypts with the algorithm of an `AlgorithmIdentifier`.
pub(super) fn decrypt(
    scope: &mut Scope,
    algorithm: Reader<'_>,
    password: &Password,
    ciphertext: &[u8],
) -> Result<Vec<u8>, Fault> {
    scope.allocate(ciphertext.len() * 2)?;
    let mut algorithm = algorithm;
    let (id, parameters) = (algorithm.content(OID), algorithm.inside(SEQUENCE));
    let (id, mut parameters) = id.zip(parameters).ok_or_else(unsupported)?;
    if id == oids::PBES2 {
        return current(scope, &mut parameters, password, ciphertext);
    }
    let (salt, iterations) = salt(&mut parameters).ok_or_else(unsupported)?;
    former(scope, id, password, (&Cost { salt, iterations }, ciphertext))
}

fn salt<'a>(parameters: &mut Reader<'a>) -> Option<(&'a [u8], u32)> {
    Some((parameters.content(OCTET_STRING)?, parameters.number()?))
}

/// PBES2 of RFC 8018.
fn current(
    scope: &mut Scope,
    parameters: &mut Reader<'_>,
    password: &Password,
    ciphertext: &[u8],
) -> Result<Vec<u8>, Fault> {
    let Scheme { prf, cost, cipher, key_length, iv } = Scheme::read(parameters).ok_or_else(unsupported)?;
    let mut key = vec![0; key_length];
    cost.pay(scope, key_length.div_ceil(20))?;
    let iterations = NonZeroU32::new(cost.iterations).ok_or_else(unsupported)?;
    pbkdf2::derive(prf, iterations, cost.salt, &password.text, &mut key);
    let plain = || {
        let key = PaddedBlockDecryptingKey::cbc_pkcs7(UnboundCipherKey::new(cipher, &key).ok()?).ok()?;
        let mut bytes = ciphertext.to_vec();
        Some(key.decrypt(&mut bytes, DecryptionContext::Iv128(iv)).ok()?.to_vec())
    };
    plain().ok_or_else(wrong)
}

/// Parameters of PBES2.
struct Scheme<'a> {
    prf: pbkdf2::Algorithm,
    cost: Cost<'a>,
    cipher: &'static Algorithm,
    key_length: usize,
    iv: FixedLength<16>,
}

impl<'a> Scheme<'a> {
    fn read(parameters: &mut Reader<'a>) -> Option<Self> {
        let mut derivation = parameters.inside(SEQUENCE)?;
        let id = derivation.content(OID)?;
        let mut settings = derivation.inside(SEQUENCE).filter(|_| id == oids::PBKDF2)?;
        let (salt, iterations) = salt(&mut settings)?;
        // The length of the key is that of the cipher.
        if settings.tag() == Some(der::INTEGER) {
            settings.number()?;
        }
        let prf = prf(&mut settings)?;
        let mut encryption = parameters.inside(SEQUENCE)?;
        let (cipher, key_length) = match encryption.content(OID)? {
            oids::AES_128 => (&AES_128, 16),
            oids::AES_256 => (&AES_256, 32),
            _ => return None,
        };
        let iv: [u8; 16] = encryption.content(OCTET_STRING)?.try_into().ok()?;
        Some(Self { prf, cost: Cost { salt, iterations }, cipher, key_length, iv: FixedLength::from(iv) })
    }
}

/// Default of the standard: HMAC with SHA-1.
fn prf(settings: &mut Reader<'_>) -> Option<pbkdf2::Algorithm> {
    if settings.is_empty() {
        return Some(pbkdf2::PBKDF2_HMAC_SHA1);
    }
    match settings.inside(SEQUENCE)?.content(OID)? {
        oids::HMAC_SHA1 => Some(pbkdf2::PBKDF2_HMAC_SHA1),
        oids::HMAC_SHA256 => Some(pbkdf2::PBKDF2_HMAC_SHA256),
        oids::HMAC_SHA384 => Some(pbkdf2::PBKDF2_HMAC_SHA384),
        oids::HMAC_SHA512 => Some(pbkdf2::PBKDF2_HMAC_SHA512),
        _ => None,
    }
}

/// The ciphers of RFC 7292, appendix C.
fn former(
    scope: &mut Scope,
    id: &[u8],
    password: &Password,
    (cost, ciphertext): (&Cost<'_>, &[u8]),
) -> Result<Vec<u8>, Fault> {
    let length = match id {
        oids::TRIPLE_DES => 24,
        oids::RC2_128 => 16,
        oids::RC2_40 => 5,
        _ => return Err(unsupported()),
    };
    let sha1 = &SHA1_FOR_LEGACY_USE_ONLY;
    let key = derive(scope, (sha1, Use::Key, length), password, cost)?;
    let iv = derive(scope, (sha1, Use::Iv, 8), password, cost)?;
    scope.step(ciphertext.len() / 8)?;
    legacy::decrypted(&key, &iv, ciphertext).ok_or_else(wrong)
}

/// Encrypts with PBES2, AES-256 and PBKDF2 with HMAC-SHA256. Returns the `AlgorithmIdentifier` and the ciphertext.
pub(super) fn encrypt(
    scope: &mut Scope,
    password: &Password,
    plain: &[u8],
) -> Result<(Vec<u8>, Vec<u8>), Fault> {
    scope.allocate(plain.len() * 2)?;
    // The digest of a private key discloses nothing: unlike a password, the key cannot be guessed.
    let random = scope.random(plain);
    let (salt, iv) = random.split_at(16);
    let cost = Cost { salt, iterations: u32::from(ITERATIONS) };
    cost.pay(scope, 1)?;
    let ciphertext =
        sealed(&cost, password, iv, plain).ok_or(Fault::new("the keystore cannot be encrypted"))?;
    Ok((identifier(&cost, iv), ciphertext))
}

fn sealed(cost: &Cost<'_>, password: &Password, iv: &[u8], plain: &[u8]) -> Option<Vec<u8>> {
    let mut key = [0; 32];
    let iterations = NonZeroU32::new(cost.iterations)?;
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, iterations, cost.salt, &password.text, &mut key);
    let key = PaddedBlockEncryptingKey::cbc_pkcs7(UnboundCipherKey::new(&AES_256, &key).ok()?).ok()?;
    let iv: [u8; 16] = iv.try_into().ok()?;
    let mut bytes = plain.to_vec();
    key.less_safe_encrypt(&mut bytes, EncryptionContext::Iv128(FixedLength::from(iv))).ok()?;
    Some(bytes)
}

fn identifier(cost: &Cost<'_>, iv: &[u8]) -> Vec<u8> {
    let prf = der::sequence(&[&der::oid(oids::HMAC_SHA256), der::NULL]);
    let iterations = der::integer(&cost.iterations.to_be_bytes());
    let settings = der::sequence(&[&der::octets(cost.salt), &iterations, &prf]);
    let derivation = der::sequence(&[&der::oid(oids::PBKDF2), &settings]);
    let encryption = der::sequence(&[&der::oid(oids::AES_256), &der::octets(iv)]);
    der::sequence(&[&der::oid(oids::PBES2), &der::sequence(&[&derivation, &encryption])])
}
