//! Certificates of authorities.

use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::ParsedExtension;

/// Returns true if the authority with the second certificate signed the first one. Key IDs tell authorities of the same name
/// apart. The signature is not checked.
#[must_use]
pub fn is_signed_by(signed: &X509Certificate<'_>, authority: &X509Certificate<'_>) -> bool {
    let has_key = signer_key(signed).is_none_or(|key| own_key(authority) == Some(key));
    signed.issuer().as_raw() == authority.subject().as_raw() && has_key
}

/// Algorithm of the key, as OpenBao names it. Empty for any other.
#[must_use]
pub fn key_type(certificate: &X509Certificate<'_>) -> &'static str {
    match certificate.public_key().algorithm.algorithm.to_id_string().as_str() {
        "1.2.840.113549.1.1.1" => "rsa",
        "1.2.840.10045.2.1" => "ec",
        "1.3.101.112" => "ed25519",
        _ => "",
    }
}

/// ID of the key of an authority.
fn own_key<'a>(certificate: &'a X509Certificate<'_>) -> Option<&'a [u8]> {
    certificate.extensions().iter().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::SubjectKeyIdentifier(id) => Some(id.0),
        _ => None,
    })
}

/// ID of the key that signed a certificate.
fn signer_key<'a>(certificate: &'a X509Certificate<'_>) -> Option<&'a [u8]> {
    certificate.extensions().iter().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::AuthorityKeyIdentifier(id) => id.key_identifier.as_ref().map(|id| id.0),
        _ => None,
    })
}
