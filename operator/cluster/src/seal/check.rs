//! Whether the seal opens, tried from here before any pod depends on it.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use secrecy::SecretString;
use serde_json::{Value, json};
use steamer_api::{KmipSeal, Seal, StaticSeal, TransitSeal};
use steamer_core::context::Context;
use steamer_core::error::Error;
use steamer_openbao::{Client, Error as OpenBao, Identity, Settings};
use steamer_runtime::{Dependencies, ObjectName};
use tokio::net::TcpStream;

use crate::cluster::Cluster;
use crate::objects::seal::static_secret;
use crate::seal::rotation;

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SealCheck {
    /// It opens, or can only be tried by OpenBao itself.
    Opens(String),
    /// It cannot be reached, which may pass.
    Unreachable(String),
    /// Someone has to change something.
    Refused(String),
}

impl SealCheck {
    pub(crate) fn opens(&self) -> bool {
        matches!(self, Self::Opens(_))
    }

    pub(crate) fn text(&self) -> &str {
        let (Self::Opens(text) | Self::Unreachable(text) | Self::Refused(text)) = self;
        text
    }
}

/// Whether there is anything yet that the seal has closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum First {
    /// No.
    Start,
    /// Yes.
    Past,
}

/// Tries a seal of a cluster.
pub(crate) async fn check(
    context: &Context,
    dependencies: &Dependencies,
    (cluster, first): (&Cluster, First),
    seal: &Seal,
) -> SealCheck {
    let Seal { r#static, transit, kmip, aws_kms: _, gcp_kms: _, azure_key_vault: _, oci_kms: _, pkcs11: _ } =
        seal;
    let tried = if let Some(seal) = r#static {
        static_key(context, dependencies, (cluster, first), seal).await
    } else if let Some(seal) = transit {
        round_trip(context, dependencies, cluster, seal).await
    } else if let Some(seal) = kmip {
        handshake(context, dependencies, cluster, seal).await
    } else {
        Ok("only OpenBao itself can try this seal".to_owned())
    };
    match tried {
        Ok(text) => SealCheck::Opens(text),
        Err(Error::OpenBao(error)) if error.is_transient() => {
            SealCheck::Unreachable(format!("the seal's OpenBao: {}", steamer_runtime::describe(&error)))
        }
        Err(Error::OpenBao(error)) => {
            SealCheck::Refused(format!("the seal's OpenBao: {}", steamer_runtime::describe(&error)))
        }
        Err(Error::Waiting(text)) => SealCheck::Unreachable(text),
        Err(error) => SealCheck::Refused(steamer_runtime::describe(&error)),
    }
}

async fn static_key(
    context: &Context,
    dependencies: &Dependencies,
    (cluster, first): (&Cluster, First),
    seal: &StaticSeal,
) -> Result<String, Error> {
    let name = ObjectName::new(&cluster.name.namespace, static_secret(cluster, seal));
    let secret = match context.secrets.existing(dependencies, &name).await {
        Err(Error::NotFound { .. }) if seal.generate && first == First::Start => {
            return Ok(format!("key `{}` is made in Secret {name} once the database answers", seal.key_id));
        }
        Err(Error::NotFound { .. }) => {
            return Err(Error::Invalid(format!(
                "Secret {name} with the seal's key is not there: put it back; nodes that run go on, none can start"
            )));
        }
        found => found?,
    };
    let key = secret.data.as_ref().and_then(|data| data.get(&seal.key_id)).ok_or_else(|| {
        Error::Invalid(format!("Secret {name} has no entry `{}`: add the key of that id", seal.key_id))
    })?;
    match rotation::unfit(&key.0) {
        Some(why) => Err(Error::Invalid(format!("key `{}` of Secret {name} {why}", seal.key_id))),
        None => Ok(format!("key `{}` is in Secret {name}", seal.key_id)),
    }
}

async fn round_trip(
    context: &Context,
    dependencies: &Dependencies,
    cluster: &Cluster,
    seal: &TransitSeal,
) -> Result<String, Error> {
    let named = |name: &str| ObjectName::new(&cluster.name.namespace, name);
    let reference = &seal.token_secret_ref;
    let token = context.secrets.value(dependencies, &named(&reference.name), &reference.key).await?;
    let token: SecretString = String::from_utf8_lossy(&token).trim().to_owned().into();
    let ca = match &seal.ca_secret_ref {
        Some(ca) => context.secrets.value(dependencies, &named(&ca.name), &ca.key).await?,
        None => Vec::new(),
    };
    let settings = Settings {
        addresses: vec![seal.address.clone()],
        ca,
        timeout: Some(Duration::from_secs(5)),
        patience: Some(Duration::ZERO),
        ..Settings::default()
    };
    let session = Client::new(&settings)?.session(Identity::Token(token));
    let session = session.within(seal.namespace.as_deref().unwrap_or_default());
    let path = |verb: &str| format!("{}/{verb}/{}", seal.mount.trim_matches('/'), seal.key_name);
    let plain = STANDARD.encode("steamer");
    let sent = session.request_any(Method::POST, &path("encrypt"), Some(json!({"plaintext": plain}))).await?;
    let text = |answer: &Value, field: &str| {
        answer.pointer(&format!("/data/{field}")).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let body = json!({"ciphertext": text(&sent, "ciphertext")});
    let back = session.request_any(Method::POST, &path("decrypt"), Some(body)).await?;
    if text(&back, "plaintext") != plain {
        return Err(Error::Invalid("the seal does not give back what it was given".to_owned()));
    }
    renewable(&session, seal).await
}

/// A token that cannot renew itself dies silently and the next start fails: said long before.
async fn renewable(session: &steamer_openbao::Session, seal: &TransitSeal) -> Result<String, Error> {
    let paths = ["auth/token/renew-self".to_owned()];
    let renews = match session.capabilities(&paths).await {
        Ok(held) => held.values().flatten().any(|held| held == "update" || held == "root"),
        // A token without the policy `default` may not ask; then renewing is tried.
        Err(OpenBao::Denied { .. }) => {
            session.request_any(Method::POST, "auth/token/renew-self", Some(json!({}))).await.is_ok()
        }
        Err(error) => return Err(error.into()),
    };
    if renews {
        return Ok(format!("{} encrypts and decrypts", seal.address));
    }
    Err(Error::Invalid(
        "the seal's token cannot renew itself and will end: give its policy `update` on auth/token/renew-self".to_owned(),
    ))
}

async fn handshake(
    context: &Context,
    dependencies: &Dependencies,
    cluster: &Cluster,
    seal: &KmipSeal,
) -> Result<String, Error> {
    let named = |name: &str| ObjectName::new(&cluster.name.namespace, name);
    let client = named(&seal.client_cert_secret_ref.name);
    let certificate = context.secrets.value(dependencies, &client, "tls.crt").await?;
    let key = context.secrets.value(dependencies, &client, "tls.key").await?;
    let ca = &seal.ca_secret_ref;
    let ca = context.secrets.value(dependencies, &named(&ca.name), &ca.key).await?;
    let config = mutual(&ca, &certificate, &key).map_err(Error::Invalid)?;
    let host = seal.endpoint.rsplit_once(':').map_or(seal.endpoint.as_str(), |(host, _)| host);
    let name = seal.server_name.as_deref().unwrap_or(host).trim_matches(['[', ']']).to_owned();
    let name = ServerName::try_from(name).map_err(|error| Error::Invalid(error.to_string()))?;
    let unreachable = |what: String| Error::Waiting(format!("KMIP server {}: {what}", seal.endpoint));
    let connected = async {
        let stream =
            TcpStream::connect(&seal.endpoint).await.map_err(|error| unreachable(error.to_string()))?;
        let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
        connector.connect(name, stream).await.map_err(|error| match error.get_ref() {
            Some(inner) if inner.is::<rustls::Error>() => {
                Error::Invalid(format!("KMIP server {}: {error}", seal.endpoint))
            }
            _ => unreachable(error.to_string()),
        })
    };
    match tokio::time::timeout(Duration::from_secs(5), connected).await {
        Ok(result) => result.map(|_| format!("KMIP server {} takes the client's certificate", seal.endpoint)),
        Err(_) => Err(unreachable("no answer in time".to_owned())),
    }
}

fn mutual(ca: &[u8], certificate: &[u8], key: &[u8]) -> Result<rustls::ClientConfig, String> {
    let mut roots = rustls::RootCertStore::empty();
    for ca in CertificateDer::pem_slice_iter(ca) {
        let ca = ca.map_err(|error| format!("the KMIP server's CA is no PEM: {error:?}"))?;
        roots.add(ca).map_err(|error| error.to_string())?;
    }
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificate).collect();
    let chain = chain.map_err(|error| format!("the KMIP client's certificate is no PEM: {error:?}"))?;
    let key = PrivateKeyDer::from_pem_slice(key)
        .map_err(|error| format!("the KMIP client's key is no PEM: {error:?}"))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| error.to_string())?.with_root_certificates(roots);
    builder.with_client_auth_cert(chain, key).map_err(|error| error.to_string())
}
