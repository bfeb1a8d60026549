//! Random bytes as text.

use crate::digest::hex;
use crate::error::Error;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use secrecy::SecretString;
use steamer_api::{BytesEncoding, BytesGenerator};

use super::random::Random;

/// Generates bytes and encodes them.
///
/// # Errors
/// [`Error::Internal`] without random numbers.
pub(super) fn generated(spec: BytesGenerator, random: &mut impl Random) -> Result<SecretString, Error> {
    let mut bytes = vec![0; usize::from(spec.length)];
    random.fill(&mut bytes)?;
    let text = match spec.encoding {
        BytesEncoding::Base64 => STANDARD.encode(&bytes),
        BytesEncoding::Base64Url => URL_SAFE_NO_PAD.encode(&bytes),
        BytesEncoding::Hex => hex(&bytes),
    };
    Ok(text.into())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use secrecy::ExposeSecret;

    use super::super::random::System;
    use super::*;

    /// Bytes whose encodings differ.
    struct Ones;

    impl Random for Ones {
        fn fill(&mut self, bytes: &mut [u8]) -> Result<(), Error> {
            bytes.fill(0xff);
            Ok(())
        }
    }

    #[rstest]
    #[case(BytesEncoding::Base64, "/////////////////////w==")]
    #[case(BytesEncoding::Base64Url, "_____________________w")]
    #[case(BytesEncoding::Hex, "ffffffffffffffffffffffffffffffff")]
    fn bytes_are_encoded(#[case] encoding: BytesEncoding, #[case] expected: &str) {
        let text = generated(BytesGenerator { length: 16, encoding }, &mut Ones).unwrap();
        assert_eq!(text.expose_secret(), expected);
    }

    #[test]
    fn two_values_have_the_length_and_differ() {
        let [one, two] = [(); 2].map(|()| generated(BytesGenerator::default(), &mut System).unwrap());
        assert_ne!(one.expose_secret(), two.expose_secret());
        assert_eq!(STANDARD.decode(one.expose_secret()).unwrap().len(), 32);
    }
}
