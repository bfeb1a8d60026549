//! libpq's `sslmode` in rustls.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use steamer_api::DatabaseTlsMode;
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::database::login::Login;

/// TLS of a connection, or none if it is disabled. An error states what is wrong with the CA.
pub(crate) fn client(login: &Login) -> Result<Option<MakeRustlsConnect>, String> {
    let config = match login.tls {
        DatabaseTlsMode::Disable => return Ok(None),
        DatabaseTlsMode::Require => checked_by(Arc::new(Checks::Nothing)),
        DatabaseTlsMode::VerifyCA => checked_by(Arc::new(Checks::Ca(chain(&login.ca)?))),
        DatabaseTlsMode::VerifyFull => checked_by(chain(&login.ca)?),
    };
    Ok(Some(MakeRustlsConnect::new(config?)))
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

fn checked_by(verifier: Arc<dyn ServerCertVerifier>) -> Result<ClientConfig, String> {
    let builder = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| error.to_string())?;
    Ok(builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth())
}

fn chain(ca: &str) -> Result<Arc<WebPkiServerVerifier>, String> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(ca.as_bytes()) {
        let certificate = certificate.map_err(|error| format!("the CA is not valid PEM: {error:?}"))?;
        roots.add(certificate).map_err(|error| format!("the CA cannot be used: {error}"))?;
    }
    if roots.is_empty() {
        return Err("the CA contains no certificate".to_owned());
    }
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider())
        .build()
        .map_err(|error| error.to_string())
}

/// Checks of the modes that do not check everything.
#[derive(Debug)]
enum Checks {
    /// No check.
    Nothing,
    /// Checks the chain, not the name.
    Ca(Arc<WebPkiServerVerifier>),
}

impl ServerCertVerifier for Checks {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Self::Ca(chain) = self else { return Ok(ServerCertVerified::assertion()) };
        match chain.verify_server_cert(end_entity, intermediates, name, ocsp, now) {
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            checked => checked,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &provider().signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &provider().signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}

/// Reason why rustls or the server refuses TLS. None for any other error.
pub(crate) fn refusal(error: &tokio_postgres::Error) -> Option<String> {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(current) = cause {
        if let Some(refused) = current.downcast_ref::<rustls::Error>() {
            return Some(refused.to_string());
        }
        let inner = current.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        cause = match inner {
            Some(inner) => Some(inner),
            None => current.source(),
        };
    }
    error
        .to_string()
        .contains("server does not support TLS")
        .then(|| "the server does not support TLS".to_owned())
}
