//! Certificate of an authority.

use jiff::Timestamp;
use steamer_core::certificates;
use x509_parser::certificate::X509Certificate;
use x509_parser::pem::Pem;

/// What decides about a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Certificate {
    /// Serial number, as OpenBao writes it.
    pub(crate) serial: String,
    pub(crate) common_name: String,
    pub(crate) not_before: Timestamp,
    pub(crate) not_after: Timestamp,
    pub(crate) is_self_signed: bool,
    /// Algorithm of the key, as OpenBao names it. Empty for any other.
    pub(crate) key_type: &'static str,
}

impl Certificate {
    /// Reads a certificate in PEM. None if it cannot be parsed.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let pem = Pem::iter_from_buffer(text.as_bytes()).next()?.ok()?;
        let certificate = pem.parse_x509().ok()?;
        let at = |second: i64| Timestamp::from_second(second).ok();
        let serial: Vec<String> =
            certificate.serial.to_bytes_be().iter().map(|byte| format!("{byte:02x}")).collect();
        Some(Self {
            serial: serial.join(":"),
            common_name: common_name(&certificate),
            not_before: at(certificate.validity().not_before.timestamp())?,
            not_after: at(certificate.validity().not_after.timestamp())?,
            is_self_signed: certificates::is_signed_by(&certificate, &certificate),
            key_type: certificates::key_type(&certificate),
        })
    }

    /// Start of the serial number, for names.
    pub(super) fn short_serial(&self) -> String {
        self.serial.chars().filter(|character| *character != ':').take(8).collect()
    }
}

fn common_name(certificate: &X509Certificate<'_>) -> String {
    let names = certificate.subject().iter_common_name().filter_map(|name| name.as_str().ok());
    names.last().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: &str = include_str!("../../testdata/root.pem");
    const INTERMEDIATE: &str = include_str!("../../testdata/intermediate.pem");

    #[test]
    fn a_root_is_told_from_an_intermediate_of_the_same_name() {
        let root = Certificate::parse(ROOT).unwrap();
        let intermediate = Certificate::parse(INTERMEDIATE).unwrap();
        assert_eq!((root.is_self_signed, root.key_type), (true, "rsa"));
        assert_eq!((intermediate.is_self_signed, intermediate.key_type), (false, "ec"));
        assert_eq!(
            (root.common_name.as_str(), intermediate.common_name.as_str()),
            ("Example CA", "Example CA")
        );
        assert!(intermediate.serial.starts_with(&intermediate.short_serial()[..2]));
        assert_eq!(intermediate.short_serial().len(), 8);
        assert!(root.not_before < root.not_after);
    }

    #[test]
    fn a_text_that_is_no_certificate_is_refused() {
        assert_eq!(
            Certificate::parse("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
            None
        );
        assert_eq!(Certificate::parse(""), None);
    }
}
