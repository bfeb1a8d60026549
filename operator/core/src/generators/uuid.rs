//! Random UUIDs.

use crate::digest::hex;
use crate::error::Error;
use secrecy::SecretString;

use super::random::Random;

/// Generates a UUID of version 4.
pub(super) fn generated(random: &mut impl Random) -> Result<SecretString, Error> {
    let mut bytes = [0; 16];
    random.fill(&mut bytes)?;
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let parts = [&bytes[..4], &bytes[4..6], &bytes[6..8], &bytes[8..10], &bytes[10..]];
    Ok(parts.map(hex).join("-").into())
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn a_uuid_has_its_version_and_variant() {
        struct Ones;
        impl Random for Ones {
            fn fill(&mut self, bytes: &mut [u8]) -> Result<(), Error> {
                bytes.fill(0xff);
                Ok(())
            }
        }
        let uuid = generated(&mut Ones).unwrap();
        assert_eq!(uuid.expose_secret(), "ffffffff-ffff-4fff-bfff-ffffffffffff");
    }
}
