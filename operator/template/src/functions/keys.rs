//! Keys in PEM, with the functions of External Secrets Operator.

use aws_lc_rs::rsa::{
    OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OAEP_SHA512_MGF1SHA512, OaepAlgorithm,
    OaepPrivateDecryptingKey, PrivateDecryptingKey,
};

use super::certificates::parsed;
use super::signature::Parameter::String as Str;
use super::signature::{Function, shared, text};
use crate::der::{self, EXPLICIT_0, INTEGER, OCTET_STRING, Reader, SEQUENCE};
use crate::error::Fault;
use crate::item::Item;
use crate::jwk::{self, Jwk};
use crate::pem::Block;
use crate::scope::Scope;

/// Steps of an operation with a key.
const PRICE: usize = 20_000;

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("jwkPublicKeyPem", &[Str], |scope, args| {
        let key = jwk(scope, args)?.public().ok_or_else(unusable)?;
        scope.string(Block::new("PUBLIC KEY", &key).text())
    }),
    Function::new("jwkPrivateKeyPem", &[Str], |scope, args| {
        let key = jwk(scope, args)?;
        scope.step(key.steps())?;
        let key = key.private().ok_or_else(unusable)?;
        scope.string(Block::new("PRIVATE KEY", &key).text())
    }),
    Function::new("rsaDecrypt", &[Str, Str, Str, Str], decrypt),
];

fn jwk(scope: &mut Scope, args: &[Item]) -> Result<Jwk, Fault> {
    let document = text(args, 0);
    scope.step(PRICE)?;
    scope.allocate(document.len() * 4)?;
    Jwk::parse(document).ok_or_else(unusable)
}

fn unusable() -> Fault {
    Fault::new(
        "the argument is not a JSON Web Key of type RSA, EC (P-256, P-384, P-521) or OKP (Ed25519) with all parameters",
    )
}

/// Scheme, hash, ciphertext and private key. The scheme `None` returns the ciphertext.
fn decrypt(scope: &mut Scope, args: &[Item]) -> Result<Item, Fault> {
    match text(args, 0) {
        b"None" => return Ok(Item::String(shared(args, 2))),
        b"RSA-OAEP" => {}
        _ => return Err(Fault::new("the scheme must be None or RSA-OAEP")),
    }
    let key = private(scope, args, 3)?;
    scope.step(PRICE)?;
    scope.allocate(text(args, 2).len())?;
    let plain = opened(&key, oaep(text(args, 1)), text(args, 2));
    scope.string(plain.ok_or(Fault::new("the text cannot be decrypted with this RSA key and hash"))?)
}

fn oaep(hash: &[u8]) -> &'static OaepAlgorithm {
    match hash {
        b"SHA1" => &OAEP_SHA1_MGF1SHA1,
        b"SHA512" => &OAEP_SHA512_MGF1SHA512,
        _ => &OAEP_SHA256_MGF1SHA256,
    }
}

fn opened(key: &[u8], algorithm: &'static OaepAlgorithm, ciphertext: &[u8]) -> Option<Vec<u8>> {
    let key = OaepPrivateDecryptingKey::new(PrivateDecryptingKey::from_pkcs8(key).ok()?).ok()?;
    let mut plain = vec![0; key.min_output_size()];
    Some(key.decrypt(algorithm, ciphertext, &mut plain, None).ok()?.to_vec())
}

/// The private key of a PEM text, in PKCS #8.
pub(super) fn private(scope: &mut Scope, args: &[Item], index: usize) -> Result<Vec<u8>, Fault> {
    let blocks = parsed(scope, args, index)?;
    let block = blocks.iter().find(|block| block.label.ends_with("PRIVATE KEY"));
    let key = block.and_then(|block| pkcs8(&block.bytes));
    key.ok_or(Fault::new(
        "the argument is not a private key in PEM without a password (PKCS #8, PKCS #1 or SEC 1)",
    ))
}

/// A key of PKCS #8, PKCS #1 (RSA) or SEC 1 (EC) in PKCS #8.
fn pkcs8(key: &[u8]) -> Option<Vec<u8>> {
    let mut whole = Reader::new(key);
    let mut fields = whole.inside(SEQUENCE).filter(|_| whole.is_empty())?;
    fields.number()?;
    match fields.tag()? {
        SEQUENCE => Some(key.to_vec()),
        INTEGER => Some(jwk::pkcs8(&jwk::rsa(), key)),
        OCTET_STRING => {
            fields.element()?;
            let curve = fields.inside(EXPLICIT_0)?.content(der::OID)?;
            Some(jwk::pkcs8(&jwk::ec(curve), key))
        }
        _ => None,
    }
}
