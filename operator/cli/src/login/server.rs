//! The server, and the login there.

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use reqwest::Method;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use steamer_api::OpenBaoCluster;
use steamer_openbao::{Client, Identity, Outgoing, Settings};

use super::account::Chosen;
use crate::annotations::name;
use crate::connection::Cluster;

/// A server of OpenBao.
pub(super) struct Server {
    pub(super) address: String,
    /// CA certificate in PEM. None: publicly trusted certificates, or no TLS.
    pub(super) ca: Option<String>,
    /// Name in the certificate.
    pub(super) server_name: Option<String>,
    /// Service of a managed cluster, to forward a port to.
    pub(super) forwarded: Option<String>,
    is_plain: bool,
}

impl Server {
    /// The server of a cluster.
    ///
    /// # Errors
    /// When its CA certificate cannot be read.
    pub(super) async fn of(cluster: &Cluster, object: &OpenBaoCluster) -> Result<Self> {
        let address = object.address();
        let is_plain = address.starts_with("http:");
        let host = address.split("//").nth(1).and_then(|rest| rest.split([':', '/']).next());
        let server_name = host.filter(|_| !is_plain).map(str::to_owned);
        let forwarded = object.spec.managed.is_some().then(|| name(object).to_owned());
        let ca = ca(cluster, object).await?;
        Ok(Self { ca, server_name, forwarded, is_plain, address })
    }

    /// The address of a forwarded port.
    pub(super) fn local(&self, port: u16) -> String {
        format!("{}://127.0.0.1:{port}", if self.is_plain { "http" } else { "https" })
    }
}

async fn ca(cluster: &Cluster, object: &OpenBaoCluster) -> Result<Option<String>> {
    let published = object.status.as_ref().and_then(|status| status.ca_config_map.as_ref());
    if let Some(map) = published {
        let found: ConfigMap = cluster.object(&cluster.namespace, map).await?;
        let text = found.data.and_then(|mut data| data.remove("ca.crt"));
        return text.with_context(|| format!("ConfigMap {map} has no ca.crt")).map(Some);
    }
    let external = object.spec.external.as_ref();
    let Some(reference) = external.and_then(|external| external.ca_secret_ref.as_ref()) else {
        return Ok(None);
    };
    let found: Secret = cluster.object(&cluster.namespace, &reference.name).await?;
    let bytes = found.data.and_then(|mut data| data.remove(&reference.key));
    let bytes = bytes.with_context(|| format!("Secret {} has no key {}", reference.name, reference.key))?;
    Ok(Some(String::from_utf8(bytes.0).context("the CA certificate is no text")?))
}

/// Logs in.
///
/// # Errors
/// When OpenBao is unreachable, or refuses the login.
pub(super) async fn token(
    server: &Server,
    address: &str,
    account: &Chosen,
    jwt: SecretString,
) -> Result<SecretString> {
    let is_forwarded = address.contains("//127.0.0.1:");
    let client = Client::new(&Settings {
        addresses: vec![address.to_owned()],
        ca: server.ca.clone().unwrap_or_default().into_bytes(),
        server_name: server.server_name.clone().filter(|_| is_forwarded),
        outgoing: Outgoing { loopback: true, proxy: true },
        ..Settings::default()
    })?;
    let body = json!({"role": account.role, "jwt": jwt.expose_secret()});
    let path = format!("auth/{}/login", account.mount);
    let answer = client.session(Identity::Anonymous).request_any(Method::POST, &path, Some(body)).await;
    let answer = answer.with_context(|| {
        format!("cannot log in to OpenBao as role {} of auth mount {}", account.role, account.mount)
    })?;
    let token = answer.pointer("/auth/client_token").and_then(Value::as_str);
    Ok(token.context("OpenBao returned no token")?.to_owned().into())
}
