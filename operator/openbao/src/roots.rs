//! Certificates of authorities that the system trusts.

use std::sync::OnceLock;

use reqwest::Certificate;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;

/// Returns the certificates of the system. They are read once: there are more than a hundred files, and each client
/// without a CA of its own needs them.
pub(crate) fn system() -> &'static [Certificate] {
    static CERTIFICATES: OnceLock<Vec<Certificate>> = OnceLock::new();
    CERTIFICATES.get_or_init(|| {
        let loaded = rustls_native_certs::load_native_certs();
        if let Some(error) = loaded.errors.first() {
            tracing::warn!(%error, "cannot read some certificates of the system");
        }
        loaded
            .certs
            .into_iter()
            .filter(is_usable)
            .filter_map(|der| Certificate::from_der(&der).ok())
            .collect()
    })
}

/// A client with one unusable certificate is refused.
fn is_usable(der: &CertificateDer<'static>) -> bool {
    RootCertStore::empty().add(der.clone()).is_ok()
}
