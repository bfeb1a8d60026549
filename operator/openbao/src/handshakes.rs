//! Tests of connections with TLS: each certificate that is not accepted states its cause.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use rstest::rstest;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::hostile::{Server, chain, request, response};
use crate::{Client, Error, Fault, Identity, InvalidSetting, Outgoing, Settings, certificates, joined_pem};

struct Authority {
    pem: String,
    key: String,
}

fn authority() -> Authority {
    let (key, mut parameters) =
        (KeyPair::generate().unwrap(), CertificateParams::new(["localhost".to_owned()]).unwrap());
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    Authority { pem: parameters.self_signed(&key).unwrap().pem(), key: key.serialize_pem() }
}

fn leaf(authority: &Authority, parameters: &CertificateParams) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let issuer =
        Issuer::from_ca_cert_pem(&authority.pem, KeyPair::from_pem(&authority.key).unwrap()).unwrap();
    (parameters.signed_by(&key, &issuer).unwrap().pem(), key.serialize_pem())
}

fn named(name: &str) -> CertificateParams {
    CertificateParams::new([name.to_owned()]).unwrap()
}

fn expired() -> CertificateParams {
    let mut parameters = named("localhost");
    (parameters.not_before, parameters.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
    parameters
}

/// A TLS server that reports to be healthy.
fn serve((certificate, key): &(String, String)) -> Server {
    let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder =
        ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = Arc::new(builder.with_no_client_auth().with_single_cert(chain, key).unwrap());
    Server::start(move |stream| {
        let connection = ServerConnection::new(config.clone()).map_err(std::io::Error::other)?;
        let mut stream = StreamOwned::new(connection, stream.try_clone()?);
        request(&mut stream)?;
        let body = r#"{"initialized":true,"sealed":false,"version":"2.7.2"}"#;
        stream.write_all(response(200, "application/json", body).as_bytes())?;
        stream.conn.send_close_notify();
        stream.flush()
    })
}

fn settings(server: &Server, ca: &str) -> Settings {
    let address = server.address.replace("http://127.0.0.1", "https://localhost");
    Settings {
        addresses: vec![address],
        ca: ca.as_bytes().to_vec(),
        timeout: Some(Duration::from_secs(10)),
        patience: Some(Duration::ZERO),
        outgoing: Outgoing::LOOPBACK,
        ..Settings::default()
    }
}

async fn health(settings: &Settings) -> Result<String, Error> {
    Client::new(settings)?.session(Identity::Anonymous).health().await.map(|health| health.version)
}

#[rstest]
#[case::untrusted(named("localhost"), false, "is not signed by a trusted CA: check the CA certificate")]
#[case::expired(expired(), true, "has expired")]
#[case::name(named("bao.example.com"), true, "is not valid for the name localhost")]
#[tokio::test]
async fn a_certificate_that_is_not_accepted_states_its_cause(
    #[case] parameters: CertificateParams,
    #[case] trusted: bool,
    #[case] expected: &str,
) {
    let (own, other) = (authority(), authority());
    let server = serve(&leaf(&own, &parameters));
    // A retry cannot succeed: the error is reported long before the patience ends.
    let patient = Some(Duration::from_secs(3600));
    let ca = if trusted { &own.pem } else { &other.pem };
    let settings = Settings { patience: patient, ..settings(&server, ca) };
    let reported = tokio::time::timeout(Duration::from_secs(30), health(&settings)).await;
    let error = reported.unwrap().unwrap_err();
    assert!(chain(&error).contains(expected), "{}", chain(&error));
    assert!(error.is_transient());
}

#[tokio::test]
async fn a_ca_certificate_as_server_certificate_is_explained() {
    let own = authority();
    let server = serve(&(own.pem.clone(), own.key.clone()));
    let error = health(&settings(&server, &own.pem)).await.unwrap_err();
    assert!(chain(&error).contains("the server's certificate is a CA certificate"), "{}", chain(&error));
}

#[tokio::test]
async fn https_to_a_port_without_tls_is_explained() {
    let plain = Server::start(|stream| {
        use std::io::Read;
        stream.read_exact(&mut [0; 64])?;
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    });
    let error = health(&settings(&plain, &authority().pem)).await.unwrap_err();
    assert!(matches!(error, Error::Unreachable { source: Fault::Tls(_), .. }), "{error:?}");
    assert!(chain(&error).contains("does not answer with TLS"), "{}", chain(&error));
}

#[tokio::test]
async fn a_server_name_is_resolved_to_the_host_of_the_address() {
    let own = authority();
    let server = serve(&leaf(&own, &named("bao.case.test")));
    let named = Settings { server_name: Some("bao.case.test".to_owned()), ..settings(&server, &own.pem) };
    assert_eq!(health(&named).await.unwrap(), "2.7.2");
    let address = named.addresses[0].replace("localhost", "127.0.0.1");
    assert_eq!(health(&Settings { addresses: vec![address], ..named.clone() }).await.unwrap(), "2.7.2");
    // Messages contain the address of the settings.
    let closed = Settings { addresses: vec!["https://localhost:1".to_owned()], ..named };
    assert_eq!(
        chain(&health(&closed).await.unwrap_err()),
        "OpenBao at https://localhost:1 cannot be reached: the connection is refused"
    );
}

#[test]
fn a_bundle_without_a_certificate_is_rejected() {
    use base64::Engine;
    let pem = authority().pem;
    let encoded = base64::engine::general_purpose::STANDARD.encode(&pem);
    let truncated = pem.replace("-----END CERTIFICATE-----", "");
    for bundle in ["", "a CA", &encoded, &truncated] {
        assert_eq!(certificates(bundle.as_bytes()).unwrap_err(), InvalidSetting::NoCertificate, "{bundle}");
    }
    let glued = format!("\u{feff}{0}{0}", pem.trim_end());
    assert_eq!(certificates(glued.as_bytes()).unwrap().len(), 2);
    let commented = format!("# a comment\r\n{}\n{pem}", pem.replace('\n', "\r\n"));
    assert_eq!(certificates(commented.as_bytes()).unwrap().len(), 2);
}

#[test]
fn pem_files_are_joined_with_a_newline() {
    let (own, trimmed) = (authority(), |text: &str| text.trim_end().to_owned());
    let (certificate, key) = leaf(&own, &named("client"));
    let joined = joined_pem(&[trimmed(&certificate).as_bytes(), trimmed(&key).as_bytes()]);
    let pem = String::from_utf8(joined).unwrap();
    let settings = Settings {
        addresses: vec!["https://a".to_owned()],
        client_certificate: Some(pem.into()),
        ..Settings::default()
    };
    assert!(Client::new(&settings).is_ok());
    assert_eq!(joined_pem(&[b"a\n", b"b", b"c"]), b"a\nb\nc");
}
