//! Certificates of authorities: who signed them, and what a PKIIssuer states of them.

use serde_json::{Value, json};
use steamer_core::certificates;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::pem::Pem;
use x509_parser::public_key::PublicKey;
use x509_parser::x509::AttributeTypeAndValue;

use crate::resource::Fields;

/// Seconds of an hour.
const HOUR: i64 = 3600;
/// Size of an uncompressed point of the curve P-521 in whole bytes, and of the curve, in bits.
const P521: (usize, usize) = (528, 521);

/// Returns true if an authority signed its certificate itself.
pub(crate) fn is_root(certificate: &str) -> bool {
    is_signed_by(certificate, certificate)
}

/// Returns true if the authority with the second certificate signed the first one.
pub(crate) fn is_signed_by(certificate: &str, authority: &str) -> bool {
    let (Some(signed), Some(signer)) = (first(certificate), first(authority)) else { return false };
    let (Ok(signed), Ok(signer)) = (signed.parse_x509(), signer.parse_x509()) else { return false };
    certificates::is_signed_by(&signed, &signer)
}

/// The contents of a certificate, under the names of the fields of a PKIIssuer. `None` if it cannot be read.
pub(crate) fn contents(certificate: &str) -> Option<Fields> {
    let pem = first(certificate)?;
    let certificate = pem.parse_x509().ok()?;
    let subject = certificate.subject();
    let contents = json!({
        "common_name": texts(subject.iter_common_name()).pop().unwrap_or_default(),
        "organization": texts(subject.iter_organization()),
        "organizational_unit": texts(subject.iter_organizational_unit()),
        "country": texts(subject.iter_country()),
        "key_type": certificates::key_type(&certificate),
        "key_bits": key_bits(&certificate),
        "ttl": lifetime(&certificate),
        "max_path_length": longest_path(&certificate),
        "parameters": further(&certificate),
    });
    match contents {
        Value::Object(contents) => Some(contents),
        _ => None,
    }
}

/// The first certificate of a text.
fn first(text: &str) -> Option<Pem> {
    Pem::iter_from_buffer(text.as_bytes()).next()?.ok()
}

fn texts<'a, 'b: 'a>(attributes: impl Iterator<Item = &'a AttributeTypeAndValue<'b>>) -> Vec<String> {
    attributes.filter_map(|attribute| attribute.as_str().ok()).map(str::to_owned).collect()
}

fn key_bits(certificate: &X509Certificate<'_>) -> Option<usize> {
    match certificate.public_key().parsed().ok()? {
        PublicKey::RSA(key) => Some(key.key_size()),
        PublicKey::EC(point) if point.key_size() == P521.0 => Some(P521.1),
        PublicKey::EC(point) => Some(point.key_size()),
        _ => None,
    }
}

/// The lifetime in whole hours, or in seconds if it is shorter. OpenBao dates the start of a certificate back by some seconds.
fn lifetime(certificate: &X509Certificate<'_>) -> String {
    let validity = certificate.validity();
    let seconds = validity.not_after.timestamp() - validity.not_before.timestamp();
    if seconds < HOUR { format!("{}s", seconds.max(0)) } else { format!("{}h", seconds / HOUR) }
}

/// Number of authorities that may follow. -1, as OpenBao writes it: any.
fn longest_path(certificate: &X509Certificate<'_>) -> i64 {
    let found = certificate.basic_constraints().ok().flatten();
    found.and_then(|found| found.value.path_len_constraint).map_or(-1, i64::from)
}

/// Parameters without a field.
fn further(certificate: &X509Certificate<'_>) -> Fields {
    let subject = certificate.subject();
    let lists = [
        ("locality", texts(subject.iter_locality())),
        ("province", texts(subject.iter_state_or_province())),
        ("permitted_dns_domains", permitted_domains(certificate)),
    ];
    let stated = lists.into_iter().filter(|(_, list)| !list.is_empty());
    stated.map(|(name, list)| (name.to_owned(), json!(list))).collect()
}

fn permitted_domains(certificate: &X509Certificate<'_>) -> Vec<String> {
    let constraints = certificate.name_constraints().ok().flatten();
    let permitted = constraints.and_then(|found| found.value.permitted_subtrees.as_ref());
    let domain = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(domain) => Some((*domain).to_owned()),
        _ => None,
    };
    permitted.into_iter().flatten().filter_map(|subtree| domain(&subtree.base)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: &str = include_str!("../../provisioning/testdata/root.pem");
    const INTERMEDIATE: &str = include_str!("../../provisioning/testdata/intermediate.pem");

    #[test]
    fn the_key_tells_an_intermediate_from_its_root_of_the_same_name() {
        assert!(is_root(ROOT) && !is_root(INTERMEDIATE));
        assert!(is_signed_by(INTERMEDIATE, ROOT) && !is_signed_by(ROOT, INTERMEDIATE));
        assert!(!is_root("") && !is_signed_by(INTERMEDIATE, "x"));
    }

    #[test]
    fn a_bundle_starts_with_the_certificate() {
        assert!(!is_root(&format!("{INTERMEDIATE}{ROOT}")));
    }

    #[test]
    fn the_contents_have_the_names_of_fields() {
        let expected = json!({
            "common_name": "Example CA", "organization": [], "organizational_unit": [], "country": [],
            "key_type": "ec", "key_bits": 256, "ttl": "800000h", "max_path_length": -1, "parameters": {},
        });
        assert_eq!(contents(INTERMEDIATE).map(Value::Object), Some(expected));
        assert_eq!(contents(ROOT).unwrap()["key_bits"], 2048);
        assert_eq!(contents("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), None);
    }
}
