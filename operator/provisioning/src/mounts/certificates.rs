//! Certificates that OpenBao returns to everyone who can read the configuration.

use steamer_api::SecretKeyReference;
use steamer_core::error::Error;
use steamer_runtime::ObjectName;

use crate::general::Found;

/// Start of a block in PEM.
const BEGIN: &str = "-----BEGIN ";

/// The certificates that a reference in an object names, in PEM. `owner` is the object.
///
/// # Errors
/// [`Error::Invalid`] if the key of the Secret contains a private key. Any error of the Secret.
pub(crate) async fn public(
    found: &Found<'_>,
    owner: &ObjectName,
    reference: &SecretKeyReference,
) -> Result<String, Error> {
    let pem = found.certificates(owner, reference).await?;
    if is_public(&pem) {
        return Ok(pem);
    }
    let name = ObjectName::new(&owner.namespace, &reference.name);
    Err(Error::Invalid(format!(
        "Secret {name}, key `{}`, contains more than certificates: refer to a key without private keys, such as tls.crt",
        reference.key
    )))
}

/// Returns true if every block is a certificate.
fn is_public(pem: &str) -> bool {
    pem.split(BEGIN).skip(1).all(|block| block.starts_with("CERTIFICATE"))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::certificate("-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n", true)]
    #[case::chain("-----BEGIN CERTIFICATE-----\nx\n-----BEGIN CERTIFICATE-----\ny\n", true)]
    #[case::private_key("-----BEGIN CERTIFICATE-----\nx\n-----BEGIN EC PRIVATE KEY-----\n", false)]
    #[case::plain_key("-----BEGIN PRIVATE KEY-----\n", false)]
    #[case::key_after_blanks("-----BEGIN CERTIFICATE-----\nx\n  -----BEGIN PRIVATE KEY-----\n", false)]
    fn a_private_key_is_not_copied_to_openbao(#[case] pem: &str, #[case] accepted: bool) {
        assert_eq!(is_public(pem), accepted);
    }
}
