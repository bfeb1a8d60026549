//! Checks that the seal can be opened, before a pod depends on it.

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
use steamer_core::error::Error;
use steamer_openbao::{Client, Error as OpenBao, Identity, Session, Settings};
use tokio::net::TcpStream;

use crate::cluster::Cluster;
use crate::effects::Sources;
use crate::nodes::fault::names_the_seal;
use crate::nodes::members::Member;
use crate::objects::seal::static_secret;
use crate::seal::identity::SpecSeal;
use crate::seal::migration::Migration;
use crate::seal::{identity, migration, rotation};

/// Result of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SealCheck {
    /// It opens.
    Opens(String),
    /// Only a node can tell.
    Unknown(String),
    /// Only a node can tell, and one could not open it at its last start.
    Failing(String),
    /// It is unreachable, which may be temporary.
    Unreachable(String),
    /// It cannot be opened until a user changes something.
    Refused(String),
}

impl SealCheck {
    /// Returns true unless it is known not to open.
    pub(crate) fn opens(&self) -> bool {
        matches!(self, Self::Opens(_) | Self::Unknown(_))
    }

    /// Returns true if no pod may be replaced for a change. A node that failed may have the reason in its configuration: a
    /// change can be the cure, and concerns one node until that node serves.
    pub(crate) fn prevents_changes(&self) -> bool {
        matches!(self, Self::Unreachable(_) | Self::Refused(_))
    }

    pub(crate) fn text(&self) -> &str {
        match self {
            Self::Opens(text)
            | Self::Unknown(text)
            | Self::Failing(text)
            | Self::Unreachable(text)
            | Self::Refused(text) => text,
        }
    }
}

/// Contents of storage, with regard to one seal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Contents {
    /// No data is sealed with it.
    Empty,
    /// Data is sealed with it.
    Sealed,
}

/// Storage, with regard to its seal.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sealed<'a> {
    pub(crate) contents: Contents,
    /// IDs of the keys that wrap its values, if they are known.
    pub(crate) keys: &'a [String],
}

/// Checks the seal of a cluster, and during a migration also the previous one.
pub(crate) async fn observe(
    sources: &Sources<'_>,
    cluster: &Cluster,
    sealed: Sealed<'_>,
    migration: Migration,
) -> SealCheck {
    let own = migration::own(cluster);
    let Some(previous) = migration::previous(cluster, migration) else {
        return check(sources, cluster, sealed, own).await;
    };
    let empty = Sealed { contents: Contents::Empty, keys: &[] };
    let own = check(sources, cluster, empty, own).await;
    if !own.opens() {
        return own;
    }
    let before = check(sources, cluster, Sealed { contents: Contents::Sealed, ..sealed }, previous).await;
    if before.opens() { own } else { before }
}

/// Judges a seal that only nodes can check: it does not open if a node failed at it and does not serve. The failure of a pod that is
/// ending can be old.
pub(crate) fn judged(seal: SealCheck, members: &[Member]) -> SealCheck {
    let SealCheck::Unknown(text) = seal else { return seal };
    let failed = members.iter().filter(|member| !member.serves() && !member.is_ending());
    let mut failed = failed.filter_map(|member| Some((member.name(), member.trouble()?)));
    match failed.find(|(_, trouble)| names_the_seal(trouble)) {
        Some((pod, trouble)) => SealCheck::Failing(format!("{pod} cannot open the seal: {trouble}")),
        None => SealCheck::Unknown(text),
    }
}

async fn check(
    sources: &Sources<'_>,
    cluster: &Cluster,
    sealed: Sealed<'_>,
    SpecSeal { seal, field }: SpecSeal<'_>,
) -> SealCheck {
    let Seal { r#static, transit, kmip, aws_kms: _, gcp_kms: _, azure_key_vault: _, oci_kms: _, pkcs11: _ } =
        seal;
    let checked = if let Some(seal) = r#static {
        static_key(sources, cluster, sealed.contents, seal).await.map(SealCheck::Opens)
    } else if let Some(seal) = transit {
        round_trip(sources, (seal, field), sealed.keys).await.map(SealCheck::Opens)
    } else if let Some(seal) = kmip {
        handshake(sources, seal).await.map(SealCheck::Unknown)
    } else {
        Ok(SealCheck::Unknown("only a node that starts can check this seal".to_owned()))
    };
    match checked {
        Ok(checked) => checked,
        Err(Error::OpenBao(error)) if error.is_transient() => {
            SealCheck::Unreachable(format!("the seal's OpenBao: {}", steamer_runtime::describe(&error)))
        }
        Err(Error::OpenBao(error)) => {
            SealCheck::Refused(format!("the seal's OpenBao: {}", steamer_runtime::describe(&error)))
        }
        Err(Error::Waiting(text)) => SealCheck::Unreachable(text),
        Err(error @ Error::Unobserved { .. }) => SealCheck::Unreachable(steamer_runtime::describe(&error)),
        Err(error) => SealCheck::Refused(steamer_runtime::describe(&error)),
    }
}

async fn static_key(
    sources: &Sources<'_>,
    cluster: &Cluster,
    contents: Contents,
    seal: &StaticSeal,
) -> Result<String, Error> {
    let secret = static_secret(cluster, seal);
    let name = sources.named(&secret);
    let secret = match sources.secret(&secret).await {
        Err(Error::NotFound { .. }) if seal.generate && contents == Contents::Empty => {
            return Ok(format!(
                "key `{}` will be created in Secret {name} when the database is reachable",
                seal.key_id
            ));
        }
        Err(Error::NotFound { .. }) => {
            return Err(Error::Invalid(format!(
                "Secret {name} with the seal's key does not exist: put it back; running nodes continue, but no node can \
                 start"
            )));
        }
        found => found?,
    };
    let key = secret.data.as_ref().and_then(|data| data.get(&seal.key_id)).ok_or_else(|| {
        Error::Invalid(format!("Secret {name} has no entry `{}`: add the key with that ID", seal.key_id))
    })?;
    match rotation::defect(&key.0) {
        Some(why) => Err(Error::Invalid(format!("key `{}` of Secret {name} {why}", seal.key_id))),
        None => Ok(format!("key `{}` is in Secret {name}", seal.key_id)),
    }
}

async fn round_trip(
    sources: &Sources<'_>,
    (seal, field): (&TransitSeal, &str),
    keys: &[String],
) -> Result<String, Error> {
    let session = transit_session(sources, seal).await?;
    let path = |verb: &str| format!("{}/{verb}/{}", seal.mount.trim_matches('/'), seal.key_name);
    let plain = STANDARD.encode("steamer");
    let text = |answer: &Value, field: &str| {
        answer.pointer(&format!("/data/{field}")).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let body = json!({"plaintext": plain});
    let encrypted = session.request_any(Method::POST, &path("encrypt"), Some(body)).await?;
    let body = json!({"ciphertext": text(&encrypted, "ciphertext")});
    let decrypted = session.request_any(Method::POST, &path("decrypt"), Some(body)).await?;
    if text(&decrypted, "plaintext") != plain {
        return Err(Error::Invalid("the seal does not decrypt a value to what was encrypted".to_owned()));
    }
    check_version((seal, field), keys, &text(&encrypted, "ciphertext"))?;
    check_renewal(&session, seal).await
}

/// Refuses a key that lacks the version with which storage is sealed. `field` contains the seal.
fn check_version(
    (seal, field): (&TransitSeal, &str),
    keys: &[String],
    ciphertext: &str,
) -> Result<(), Error> {
    let Some(version) = identity::missing_version(keys, ciphertext) else { return Ok(()) };
    Err(Error::Invalid(format!(
        "storage is sealed with version {version} of a transit key, and `{}` at {} does not have it, so it is another key: correct \
         address, namespace, mount and keyName of {field}.transit, or restore that key",
        seal.key_name, seal.address
    )))
}

async fn transit_session(sources: &Sources<'_>, seal: &TransitSeal) -> Result<Session, Error> {
    let reference = &seal.token_secret_ref;
    let token = sources.secret_value(&reference.name, &reference.key).await?;
    let token: SecretString = String::from_utf8_lossy(&token).trim().to_owned().into();
    let ca = match &seal.ca_secret_ref {
        Some(ca) => sources.secret_value(&ca.name, &ca.key).await?,
        None => Vec::new(),
    };
    let settings = Settings {
        addresses: vec![seal.address.clone()],
        ca,
        timeout: Some(Duration::from_secs(5)),
        patience: Some(Duration::ZERO),
        outgoing: sources.context.sessions.outgoing,
        ..Settings::default()
    };
    let session = Client::new(&settings)?.session(Identity::Token(token));
    Ok(session.within(seal.namespace.as_deref().unwrap_or_default()))
}

/// Checks that the token can renew itself: otherwise it expires silently, and the next start of a node fails.
async fn check_renewal(session: &Session, seal: &TransitSeal) -> Result<String, Error> {
    let paths = ["auth/token/renew-self".to_owned()];
    let renews = match session.capabilities(&paths).await {
        Ok(held) => held.values().flatten().any(|held| held == "update" || held == "root"),
        // A token without the policy `default` cannot read its capabilities, so it tries to renew itself.
        Err(OpenBao::Denied { .. }) => {
            session.request_any(Method::POST, "auth/token/renew-self", Some(json!({}))).await.is_ok()
        }
        Err(error) => return Err(error.into()),
    };
    if renews {
        return Ok(format!("{} encrypts and decrypts", seal.address));
    }
    Err(Error::Invalid(
        "the seal's token cannot renew itself and will expire: give its policy `update` on auth/token/renew-self".to_owned(),
    ))
}

async fn handshake(sources: &Sources<'_>, seal: &KmipSeal) -> Result<String, Error> {
    let client = &seal.client_cert_secret_ref.name;
    let certificate = sources.secret_value(client, "tls.crt").await?;
    let key = sources.secret_value(client, "tls.key").await?;
    let ca = sources.secret_value(&seal.ca_secret_ref.name, &seal.ca_secret_ref.key).await?;
    let config = mutual_tls(&ca, &certificate, &key).map_err(Error::Invalid)?;
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
        Ok(result) => result.map(|_| {
            format!("KMIP server {} accepts the client's certificate; its key is not tested", seal.endpoint)
        }),
        Err(_) => Err(unreachable("no answer in time".to_owned())),
    }
}

fn mutual_tls(ca: &[u8], certificate: &[u8], key: &[u8]) -> Result<rustls::ClientConfig, String> {
    let mut roots = rustls::RootCertStore::empty();
    for ca in CertificateDer::pem_slice_iter(ca) {
        let ca = ca.map_err(|error| format!("the KMIP server's CA is not valid PEM: {error:?}"))?;
        roots.add(ca).map_err(|error| error.to_string())?;
    }
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificate).collect();
    let chain =
        chain.map_err(|error| format!("the KMIP client's certificate is not valid PEM: {error:?}"))?;
    let key = PrivateKeyDer::from_pem_slice(key)
        .map_err(|error| format!("the KMIP client's key is not valid PEM: {error:?}"))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| error.to_string())?.with_root_certificates(roots);
    builder.with_client_auth_cert(chain, key).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::tests::failed_member;

    #[rstest]
    #[case::seal("seal", "keyName of seal.transit")]
    #[case::previous_seal("sealMigration.from", "keyName of sealMigration.from.transit")]
    fn another_transit_key_is_reported_with_the_field_of_the_seal(
        #[case] field: &str,
        #[case] expected: &str,
    ) {
        let seal = json!({"address": "https://x", "keyName": "k", "tokenSecretRef": {"name": "t"}});
        let seal: TransitSeal = serde_json::from_value(seal).unwrap();
        let checked = check_version((&seal, field), &["v2".to_owned()], "vault:v1:x");
        let text = checked.unwrap_err().to_string();
        assert!(text.contains(expected), "{text}");
    }

    #[rstest]
    #[case::no_failure(None, "Unknown(\"t\")")]
    #[case::failure_at_the_seal(
        Some("Error configuring seal \"awskms\": timeout"),
        "Failing(\"main-1 cannot open the seal: CrashLoopBackOff; it ended with code 1: Error configuring seal"
    )]
    #[case::another_failure(Some("Error loading configuration"), "Unknown(\"t\")")]
    fn a_seal_that_steamer_cannot_check_is_judged_by_the_nodes(
        #[case] failure: Option<&str>,
        #[case] expected: &str,
    ) {
        let members: Vec<Member> = failure.map(|message| failed_member(1, message)).into_iter().collect();
        let said = format!("{:?}", judged(SealCheck::Unknown("t".to_owned()), &members));
        assert!(said.starts_with(expected), "{said}");
        let opens = SealCheck::Opens("o".to_owned());
        assert_eq!(judged(opens.clone(), &members), opens, "a round trip counts more than the last start");
    }
}
