//! Encodings and checksums.

use aws_lc_rs::digest;
use base64::Engine;
use base64::alphabet;
use base64::engine::{GeneralPurpose, GeneralPurposeConfig};

use super::signature::Parameter::String as Str;
use super::signature::{Body, Function, text};
use crate::error::Fault;
use crate::item::Item;
use crate::scope::Scope;

pub(super) const FUNCTIONS: &[Function] = &[
    one("b64enc", |scope, args| scope.string(BASE64.encode(text(args, 0)))),
    one("b64dec", |scope, args| decoded(scope, args, |text| BASE64.decode(text).ok())),
    one("b32enc", |scope, args| scope.string(data_encoding::BASE32.encode(text(args, 0)))),
    one("b32dec", |scope, args| decoded(scope, args, |text| data_encoding::BASE32.decode(text).ok())),
    one("sha1sum", |scope, args| sum(scope, args, &digest::SHA1_FOR_LEGACY_USE_ONLY)),
    one("sha256sum", |scope, args| sum(scope, args, &digest::SHA256)),
    one("sha512sum", |scope, args| sum(scope, args, &digest::SHA512)),
    one("adler32sum", |scope, args| {
        scope.step(text(args, 0).len() / 64)?;
        scope.string(adler32(text(args, 0)).to_string())
    }),
];

/// Go ignores the unused bits of the last character.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true),
);

const fn one(name: &'static str, body: Body) -> Function {
    Function::new(name, &[Str], body)
}

/// The decoded text. The original functions return the error as text, which would end up in the secret.
fn decoded(scope: &mut Scope, args: &[Item], decode: fn(&[u8]) -> Option<Vec<u8>>) -> Result<Item, Fault> {
    let compact: Vec<u8> = text(args, 0).iter().copied().filter(|byte| !b"\r\n".contains(byte)).collect();
    scope.allocate(compact.len())?;
    let bytes = decode(&compact).ok_or(Fault::new("the argument is not valid base64 or base32"))?;
    scope.string(bytes)
}

fn sum(scope: &mut Scope, args: &[Item], algorithm: &'static digest::Algorithm) -> Result<Item, Fault> {
    scope.step(text(args, 0).len() / 64)?;
    let digest = digest::digest(algorithm, text(args, 0));
    scope.string(data_encoding::HEXLOWER.encode(digest.as_ref()))
}

fn adler32(bytes: &[u8]) -> u32 {
    let (mut low, mut high) = (1_u32, 0_u32);
    for byte in bytes {
        low = (low + u32::from(*byte)) % 65521;
        high = (high + low) % 65521;
    }
    high << 16 | low
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adler32_is_that_of_zlib() {
        assert_eq!(adler32(b"Wikipedia"), 0x11e6_0398);
    }
}
