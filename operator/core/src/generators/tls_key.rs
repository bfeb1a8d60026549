//! Private keys for TLS.

use crate::error::Error;
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use aws_lc_rs::{error::Unspecified, rsa};
use steamer_api::TlsKeyAlgorithm;

use super::pem::{Pair, document};

/// Length of a line in PEM.
const WIDTH: usize = 64;

/// Generates a key as PKCS #8, and its public key. RSA keys take up to seconds: they are generated beside the controllers.
///
/// # Errors
/// [`Error::Internal`] if the cryptographic library fails.
pub(super) async fn generated(algorithm: TlsKeyAlgorithm) -> Result<Pair, Error> {
    let generated = tokio::task::spawn_blocking(move || pair(algorithm)).await;
    generated.map_err(Error::internal)?.map_err(Error::internal)
}

fn pair(algorithm: TlsKeyAlgorithm) -> Result<Pair, Unspecified> {
    match algorithm {
        TlsKeyAlgorithm::P256 => p256(),
        TlsKeyAlgorithm::Rsa2048 => rsa(KeySize::Rsa2048),
        TlsKeyAlgorithm::Rsa4096 => rsa(KeySize::Rsa4096),
    }
}

fn p256() -> Result<Pair, Unspecified> {
    let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING)?;
    let public: PublicKeyX509Der<'_> = key.public_key().as_der()?;
    Ok(encoded(key.to_pkcs8v1()?.as_ref(), public.as_ref()))
}

fn rsa(size: KeySize) -> Result<Pair, Unspecified> {
    let key = rsa::KeyPair::generate(size)?;
    let private: Pkcs8V1Der<'_> = key.as_der()?;
    let public: PublicKeyX509Der<'_> = key.public_key().as_der()?;
    Ok(encoded(private.as_ref(), public.as_ref()))
}

fn encoded(private: &[u8], public: &[u8]) -> Pair {
    let private = document("PRIVATE KEY", private, WIDTH);
    Pair { private, public: document("PUBLIC KEY", public, WIDTH) }
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use rstest::rstest;
    use secrecy::{ExposeSecret, SecretString};

    use super::*;

    fn der(pem: &SecretString) -> Vec<u8> {
        let text = pem.expose_secret();
        assert!(text.lines().all(|line| line.len() <= WIDTH));
        STANDARD.decode(text.lines().filter(|line| !line.starts_with("-----")).collect::<String>()).unwrap()
    }

    #[rstest]
    #[case::p256(TlsKeyAlgorithm::P256)]
    #[case::rsa(TlsKeyAlgorithm::Rsa2048)]
    #[tokio::test]
    async fn the_public_key_is_that_of_the_private_key(#[case] algorithm: TlsKeyAlgorithm) {
        let pair = generated(algorithm).await.unwrap_or_else(|error| panic!("{error}"));
        let private = der(&pair.private);
        let public: Vec<u8> = match algorithm {
            TlsKeyAlgorithm::P256 => {
                let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &private).unwrap();
                AsDer::<PublicKeyX509Der<'_>>::as_der(key.public_key()).unwrap().as_ref().to_vec()
            }
            TlsKeyAlgorithm::Rsa2048 | TlsKeyAlgorithm::Rsa4096 => {
                let key = rsa::KeyPair::from_pkcs8(&private).unwrap();
                AsDer::<PublicKeyX509Der<'_>>::as_der(key.public_key()).unwrap().as_ref().to_vec()
            }
        };
        assert_eq!(der(&pair.public), public);
    }
}
