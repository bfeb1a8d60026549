//! The message authentication code of a file.

use aws_lc_rs::{digest, hmac};

use super::derivation::{Cost, Use, derive};
use super::encryption::ITERATIONS;
use super::oids;
use super::password::Password;
use super::problem::{unsupported, wrong};
use crate::der::{self, INTEGER, OCTET_STRING, OID, Reader, SEQUENCE};
use crate::error::Fault;
use crate::scope::Scope;

/// Digest and HMAC of the same algorithm.
type Pair = (&'static digest::Algorithm, hmac::Algorithm);

/// Checks the `MacData` of `contents`.
pub(super) fn verify(
    scope: &mut Scope,
    data: Reader<'_>,
    password: &Password,
    contents: &[u8],
) -> Result<(), Fault> {
    let (pair, expected, cost) = parsed(data).ok_or_else(unsupported)?;
    let key = key(scope, pair, password, &cost)?;
    scope.step(contents.len() / 64)?;
    hmac::verify(&key, contents, expected).map_err(|_| wrong())
}

fn parsed(data: Reader<'_>) -> Option<(Pair, &[u8], Cost<'_>)> {
    let mut data = data;
    let mut info = data.inside(SEQUENCE)?;
    let pair = match info.inside(SEQUENCE)?.content(OID)? {
        oids::SHA1 => (&digest::SHA1_FOR_LEGACY_USE_ONLY, hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY),
        oids::SHA256 => (&digest::SHA256, hmac::HMAC_SHA256),
        oids::SHA384 => (&digest::SHA384, hmac::HMAC_SHA384),
        oids::SHA512 => (&digest::SHA512, hmac::HMAC_SHA512),
        _ => return None,
    };
    let (expected, salt) = (info.content(OCTET_STRING)?, data.content(OCTET_STRING)?);
    let iterations = if data.tag() == Some(INTEGER) { data.number()? } else { 1 };
    Some((pair, expected, Cost { salt, iterations }))
}

fn key(scope: &mut Scope, pair: Pair, password: &Password, cost: &Cost<'_>) -> Result<hmac::Key, Fault> {
    let (digest, algorithm) = pair;
    let key = derive(scope, (digest, Use::Mac, digest.output_len()), password, cost)?;
    Ok(hmac::Key::new(algorithm, &key))
}

/// The `MacData` of `contents`.
pub(super) fn sign(scope: &mut Scope, password: &Password, contents: &[u8]) -> Result<Vec<u8>, Fault> {
    let random = scope.random(contents);
    let cost = Cost { salt: &random[..16], iterations: u32::from(ITERATIONS) };
    let key = key(scope, (&digest::SHA256, hmac::HMAC_SHA256), password, &cost)?;
    let tag = hmac::sign(&key, contents);
    let algorithm = der::sequence(&[&der::oid(oids::SHA256), der::NULL]);
    let info = der::sequence(&[&algorithm, &der::octets(tag.as_ref())]);
    Ok(der::sequence(&[&info, &der::octets(cost.salt), &der::integer(&cost.iterations.to_be_bytes())]))
}
